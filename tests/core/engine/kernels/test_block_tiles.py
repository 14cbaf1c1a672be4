"""Products with GGUF's blocks as they lie in the file, and rows of them unpacked, against what the package gguf has."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from gguf.quants import dequantize

from core.checkpoints.gguf_kinds import HALVES
from core.engine.kernels import dense
from core.engine.kernels.blocks import BLOCK_KINDS
from core.engine.kernels.jit import Array
from core.engine.kernels.layout import BLOCK, GROUP, MATRIX_RECORD, MAX_ACTIVATION
from core.engine.kernels.products import PANEL_MIN_ROWS
from core.engine.kernels.team import ThreadTeam
from core.engine.kernels.tiles import MAX_UNPACKED_WEIGHT
from core.engine.nn.gguf_blocks import READERS, BlockMatrix
from core.engine.nn.kernel_model import as_numpy, matrix_record
from core.engine.nn.linear import LowBitLinear
from core.engine.nn.quantization import quantize_int4, quantize_int8
from tests.core.checkpoints.conftest import kind_named, packed
from tests.core.engine.kernels.pieces import Side, rounded, stood_for
from tests.core.engine.kernels.test_products import activations, normal
from tests.sweeps import sweep
from tests.tables import each_row

EPS = float(np.finfo(np.float32).eps)
KINDS = list(BLOCK_KINDS)
ROWS = [1, 2, 3, 4, 7, 8, 11, PANEL_MIN_ROWS - 1, PANEL_MIN_ROWS, PANEL_MIN_ROWS + 3]
FEW, NEVER = [rows for rows in ROWS if rows < PANEL_MIN_ROWS], 1 << 30


def columns_of(kind: str) -> list[int]:
    """One block, several, and more columns than are summed at once."""
    size = BLOCK_KINDS[kind].columns
    return [size, 3 * size, BLOCK, BLOCK + size, 2 * BLOCK + 3 * size]


def matrix(kind: str, outputs: int, columns: int) -> BlockMatrix:
    raw = packed(np.random.default_rng(columns).normal(0, 0.2, (outputs, columns)).astype(np.float32), kind_named(kind))
    return BlockMatrix(kind, torch.from_numpy(raw), columns)


def filled(kind: str, outputs: int, columns: int, byte: int, half: float) -> BlockMatrix:
    """All codes and factors from the same byte, and all float16 numbers the same."""
    size = BLOCK_KINDS[kind].bytes
    raw = np.full((outputs * columns // BLOCK_KINDS[kind].columns, size), byte, np.uint8)
    for at in HALVES[kind]:
        raw[:, at : at + 2] = np.array([half], np.float16).view(np.uint8)
    return BlockMatrix(kind, torch.from_numpy(raw.reshape(outputs, -1)), columns)


def off_by_unpacking(side: Side) -> Array:
    """How far off a weight may be where rows are many: half a step of a block of a row, which reaches to the largest
    number that any code can stand for."""
    found = []
    for whole in side.matrices:
        assert isinstance(whole, BlockMatrix)
        kind = BLOCK_KINDS[whole.kind]
        largest = np.empty((len(whole), whole.columns // BLOCK + 1))
        size = kind.bytes * BLOCK // kind.columns
        raw = whole.blocks.numpy()
        for block in range(largest.shape[1]):
            part = raw[:, block * size : (block + 1) * size]
            largest[:, block] = most_of(whole.kind, part) if part.shape[1] else 0
        found.append(largest.repeat(BLOCK, 1)[:, : whole.columns] / MAX_UNPACKED_WEIGHT)
    return np.concatenate(found)


def most_of(kind: str, part: Array) -> Array:
    """The largest magnitude that the scales of each row allow: what its blocks are with all codes at either end."""
    codes = BLOCK_KINDS[kind].codes
    size, read = READERS[kind]
    _, scales, offsets = read(torch.from_numpy(np.ascontiguousarray(part)).reshape(-1, size))
    ends = [scales * code + (0 if offsets is None else offsets) for code in codes]
    return np.asarray(torch.stack(ends).abs().amax(0).reshape(len(part), -1).amax(1).numpy())


def check(side: Side, values: Array, found: Array, many: int = PANEL_MIN_ROWS) -> None:
    """Against the float64 product of what the rounded activations and gguf's numbers stand for."""
    rows = len(values)
    x, weights = stood_for(rounded(values), rows, side.columns), side.values()
    sizes = np.abs(x) @ np.abs(weights).T
    allowed = 8 * (side.columns / GROUP + 8) ** 0.5 * EPS * (sizes + np.abs(x) @ np.abs(largest_codes(side)).T)
    if rows >= many:
        allowed = allowed + np.abs(x) @ off_by_unpacking(side).T
    assert (np.abs(found - x @ weights.T) <= allowed + 1e-30).all()


def largest_codes(side: Side) -> Array:
    """Values with their offsets may cancel: what is summed is larger than they are."""
    return np.abs(side.values()).max(1, keepdims=True).repeat(side.columns, 1)


@sweep("kind", KINDS, quick=["Q4_0", "Q5_1", "Q8_0", "Q4_K", "Q6_K", "IQ4_NL"])
def test_every_shape(kind: str) -> None:
    for columns in columns_of(kind):
        for outputs in (1, 3, 67):
            whole = matrix(kind, outputs, columns)
            side = Side([whole])
            assert (side.values() == dequantize(whole.blocks.numpy(), kind_named(kind))).all()
            for rows in ROWS:
                values = activations(rows, columns)
                check(side, values, side.times(rounded(values), rows))


@each_row("kind", KINDS)
def test_a_row_does_not_depend_on_its_company(kind: str) -> None:
    """Bit for bit, among few rows."""
    side = Side([matrix(kind, 66, BLOCK + 256)])
    values = activations(max(FEW), side.columns)
    alone = [side.times(rounded(values[row : row + 1]), 1)[0] for row in range(len(values))]
    for rows in FEW:
        found = side.times(rounded(values[:rows]), rows)
        assert (found == alone[:rows]).all()


@pytest.mark.slow
@each_row("kind", KINDS)
def test_the_same_again(kind: str) -> None:
    """The scales of unpacked weights are kept from the first product on, one for each block of each output."""
    side = Side([matrix(kind, 67, 2 * BLOCK + 256)])
    values = activations(PANEL_MIN_ROWS, side.columns)
    kept = side.lows[0].block_scales
    assert kept is not None and kept.shape == (67, 3) and not kept.any()
    first = side.times(rounded(values), len(values))
    assert kept.all()
    before = kept.clone()
    assert (side.times(rounded(values), len(values)) == first).all() and torch.equal(kept, before)


@pytest.mark.slow
@each_row("kind", KINDS)
@each_row("rows", [1, 5, PANEL_MIN_ROWS + 1])
def test_beside_others_and_added(kind: str, rows: int) -> None:
    """In its place beside matrices that are held in other ways, on top of what is there."""
    columns = 1280
    side = Side([quantize_int8(normal(65, columns)), matrix(kind, 67, columns), quantize_int4(normal(3, columns))])
    values = activations(rows, columns)
    before = np.asarray(normal(rows, side.outputs, seed=3).numpy())
    found = side.times(rounded(values), rows, before)
    for number, place in enumerate((0, 65, 132)):
        alone = Side([side.matrices[number]])
        some = slice(place, place + alone.outputs)
        assert (found[:, some] == alone.times(rounded(values), rows, before[:, some])).all()


@pytest.mark.slow
@each_row("kind", KINDS)
@each_row("byte", [0, 127, 128, 255])
@each_row("number", [MAX_ACTIVATION, -MAX_ACTIVATION])
def test_the_largest_numbers_do_not_overflow(kind: str, byte: int, number: int) -> None:
    """All codes, factors and activations at an end of their range."""
    side = Side([filled(kind, 5, 2 * BLOCK + 256, byte, 1.0)])
    exact = number * side.values().sum(1)
    size = abs(number) * np.abs(side.values()).sum(1) + abs(number) * side.columns * 64
    for rows in (1, 4, 8, PANEL_MIN_ROWS):
        found = side.times(rounded(np.full((rows, side.columns), number, np.float32)), rows)
        allowed = 64 * EPS * size + (
            np.abs(off_by_unpacking(side)).sum(1) * abs(number) if rows == PANEL_MIN_ROWS else 0
        )
        assert (np.abs(found - exact) <= allowed).all()


@pytest.mark.slow
@each_row("kind", KINDS)
@each_row("half", [6e-8, -6e-8, 6e-5, 60000.0, 0.0])
def test_the_smallest_and_the_largest_scales(kind: str, half: float) -> None:
    """Subnormal float16 numbers among them."""
    side = Side([filled(kind, 5, 512, 0x5A, half)])
    for rows in (1, PANEL_MIN_ROWS):
        values = activations(rows, 512)
        check(side, values, side.times(rounded(values), rows))


@pytest.mark.slow
@each_row("kind", KINDS)
@each_row("rows", [1, 5, PANEL_MIN_ROWS + 1])
def test_what_is_no_number_stays_in_its_row(kind: str, rows: int) -> None:
    side = Side([matrix(kind, 67, 512)])
    values = activations(rows, 512)
    good = side.times(rounded(values), rows)
    for bad, column in ((np.nan, 0), (np.inf, 511)):
        spoilt = values.copy()
        spoilt[rows // 2, column] = bad
        found = side.times(rounded(spoilt), rows)
        assert np.isnan(found[rows // 2]).all()
        others = np.arange(rows) != rows // 2
        assert (found[others] == good[others]).all()


@pytest.fixture(scope="module")
def team() -> Iterator[ThreadTeam]:
    made = ThreadTeam(2)
    yield made
    made.close()


@each_row("kind", KINDS)
@each_row("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_rows_unpacked(team: ThreadTeam, kind: str, dtype: torch.dtype) -> None:
    """Exactly gguf's numbers; the memory around them is not touched."""
    whole = matrix(kind, 37, BLOCK + 512)
    record = np.array([matrix_record(LowBitLinear(whole, None), 0)], MATRIX_RECORD)[0]
    for first, count in ((0, 37), (17, 20), (36, 1)):
        target = torch.full((count + 2, whole.columns), 7.0, dtype=dtype)
        team.run(dense.unpack_rows, 1, record, first, as_numpy(target[1:-1]))
        assert (target[[0, -1]] == 7).all()
        assert torch.equal(target[1:-1], whole.dequantize(slice(first, first + count)).to(dtype))
