"""Products of rounded activations with matrices in 8 and 4 bits, of any shape, against float64."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.engine.kernels.jit import Array
from core.engine.kernels.layout import BLOCK, GROUP, MAX_ACTIVATION, block_count, padded_groups
from core.engine.kernels.products import PANEL_MIN_ROWS, PANEL_OUTPUTS, next_weights
from core.engine.kernels.tiles import JOB_FIELDS, MAX_UNPACKED_WEIGHT
from core.engine.nn.gguf_blocks import BlockMatrix
from core.engine.nn.quantization import Int4Matrix, Int8Matrix, quantize_int4, quantize_int8
from tests.core.engine.kernels.pieces import Matrix, Side, rounded, stood_for
from tests.sweeps import some_quick, sweep
from tests.tables import each_row

EPS = float(np.finfo(np.float32).eps)
COLUMNS = [32, 64, 96, 1024, 1056, 2080, 4864]
OUTPUTS = [1, 2, 3, 5, 63, 64, 65, 130, 301]
FORMS: dict[str, Callable[[torch.Tensor], Matrix]] = {"8 bits": quantize_int8, "4 bits": quantize_int4}
MOST = 130
"""Rows."""
NEVER = 1 << 30
ROWS = [*range(1, 65), 65, 66, 67, 129]


def normal(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def activations(rows: int, columns: int, seed: int = 2) -> Array:
    """Of different sizes; a number here and there is much larger, as a model has it."""
    x = normal(rows, columns, seed=seed) * torch.logspace(-3, 3, rows)[:, None]
    x[:, 7] *= 30
    return np.asarray(x.numpy())


def off_by_unpacking(matrix: Matrix, many: bool) -> Array:
    """How far off the weights themselves may be, [outputs, columns]: in 4 bits, for many rows, half a step of a block
    of a row, which reaches to the largest number that its scales can stand for."""
    assert not isinstance(matrix, BlockMatrix), "those are in test_block_tiles.py"
    rows, columns = matrix.shape
    if isinstance(matrix, Int8Matrix) or not many:
        return np.zeros((rows, columns))
    scales, offsets = (part[:, : columns // GROUP].double() for part in (matrix.scales, matrix.offsets))
    largest = torch.maximum(offsets.abs(), (offsets + 15 * scales).abs())
    steps = torch.cat(
        [part.amax(1, keepdim=True).expand(part.shape) for part in torch.split(largest, BLOCK // GROUP, 1)], 1
    )
    return np.asarray((steps / MAX_UNPACKED_WEIGHT * 0.5).repeat_interleave(GROUP, 1).numpy())


def check(side: Side, values: Array, found: Array, start: Array | float = 0.0, many: int = PANEL_MIN_ROWS) -> None:
    """Against what the rounded activations stand for, where only float32's own sums are off; and against the
    activations themselves, where each is half a step off at most."""
    rows = len(values)
    x, weights = stood_for(rounded(values), rows, side.columns), side.values()
    unpacking = np.concatenate([off_by_unpacking(matrix, rows >= many) for matrix in side.matrices])
    sums = np.abs(x) @ (np.abs(weights) + np.abs(weights).max(1, keepdims=True)).T + np.abs(start)
    allowed = 12 * EPS * sums + np.abs(x) @ unpacking.T * 1.01
    assert (np.abs(found - (start + x @ weights.T)) <= allowed).all()
    steps = np.abs(x).max(1, keepdims=True) / MAX_ACTIVATION
    allowed += 0.51 * steps * np.abs(weights).sum(1)
    exact = start + values.astype(np.float64) @ weights.T
    assert (np.abs(found - exact) <= allowed).all()


@pytest.mark.parametrize("columns", some_quick(COLUMNS, [96]))
@each_row("many", [1, NEVER], ids=["in panels", "one by one"])
@each_row("form", FORMS)
def test_every_shape_and_count_of_rows(form: str, many: int, columns: int) -> None:
    """A row's result is the same to the last bit whatever stands beside it, in each of the two ways."""
    for outputs in OUTPUTS:
        side = Side([FORMS[form](normal(outputs, columns))])
        values = activations(MOST, columns)
        whole = side.times(rounded(values), MOST, many=many)
        check(side, values, whole, many=many)
        for rows in ROWS:
            found = side.times(rounded(values[:rows]), rows, many=many)
            assert (found == whole[:rows]).all(), (outputs, rows)


@each_row("form", FORMS)
def test_from_how_many_rows_on_there_are_panels(form: str) -> None:
    """In 8 bits both ways come to the very same."""
    side, values = Side([FORMS[form](normal(130, 2080))]), activations(40, 2080)
    single, panels = (side.times(rounded(values), 40, many=many) for many in (NEVER, 1))
    assert (single == panels).all() == (form == "8 bits")
    for rows, many in itertools.product((1, 7, 15, 16, 17, 40), (1, 7, 8, 16, 40, 41)):
        found = side.times(rounded(values[:rows]), rows, many=many)
        assert (found == (panels if rows >= many else single)[:rows]).all()


@each_row("rows", [1, 3, PANEL_MIN_ROWS - 1, PANEL_MIN_ROWS, PANEL_MIN_ROWS + 1, 61])
@each_row("form", FORMS)
def test_in_any_company_and_order(form: str, rows: int) -> None:
    """Also beside others in other places, and what these are."""
    side = Side([FORMS[form](normal(70, 1056))])
    values = activations(rows, 1056)
    found = side.times(rounded(values), rows)
    order = np.random.default_rng(1).permutation(rows)
    assert (side.times(rounded(values[order]), rows) == found[order]).all()
    others = activations(rows, 1056, seed=9)
    others[rows // 2] = values[0]
    assert (side.times(rounded(others), rows)[rows // 2] == found[0]).all()


@sweep("rows", [1, 7, PANEL_MIN_ROWS - 1, PANEL_MIN_ROWS, 33], quick=[7, PANEL_MIN_ROWS])
@each_row("form", FORMS)
def test_errors_are_those_of_rounding_by_chance(form: str, rows: int) -> None:
    """Roots of sums of squares of half-steps, which are evenly spread: a twelfth of the square of a step."""
    columns, outputs = 2048, 512
    side = Side([FORMS[form](normal(outputs, columns))])
    values = np.asarray(normal(rows, columns, seed=5).numpy())
    found, weights = side.times(rounded(values), rows), side.values()
    steps = np.abs(values).reshape(rows, -1, BLOCK).max(2).repeat(BLOCK, 1) / MAX_ACTIVATION
    variance = steps**2 / 12 @ (weights**2).T
    unpacking = np.concatenate([off_by_unpacking(matrix, rows >= PANEL_MIN_ROWS) for matrix in side.matrices])
    variance += values.astype(np.float64) ** 2 @ ((2 * unpacking) ** 2 / 12).T
    off = found - values.astype(np.float64) @ weights.T
    assert np.sqrt(np.mean(off**2 / variance)) < 1.1
    assert abs(np.mean(off / np.sqrt(variance))) < 6 / np.sqrt(off.size), "and to neither side"


@sweep("rows", [1, 2, 5, PANEL_MIN_ROWS - 1, PANEL_MIN_ROWS, 35], quick=[5, PANEL_MIN_ROWS])
@each_row("start", ["fresh", "added"])
def test_side_by_side_and_added(start: str, rows: int) -> None:
    """Queries, keys and values of different forms and heights, each in its place."""
    columns = 1120
    side = Side(
        [
            quantize_int8(normal(65, columns)),
            quantize_int4(normal(3, columns)),
            quantize_int8(normal(1, columns)),
            quantize_int4(normal(129, columns)),
        ]
    )
    values = activations(rows, columns)
    before = np.asarray(normal(rows, side.outputs, seed=3).numpy()) * 100
    found = side.times(rounded(values), rows, before if start == "added" else None)
    check(side, values, found, before.astype(np.float64) if start == "added" else 0.0)
    places = np.cumsum([0, *(low.rows for low in side.lows)])
    for matrix, place in zip(side.matrices, places, strict=False):
        alone = Side([matrix])
        some = slice(place, place + alone.outputs)
        expected = alone.times(rounded(values), rows, before[:, some] if start == "added" else None)
        assert (found[:, some] == expected).all()


def packed4(codes: torch.Tensor, scales: torch.Tensor, offsets: torch.Tensor) -> Int4Matrix:
    """Codes [rows, columns], scales and offsets [rows, groups]."""
    rows, columns = codes.shape
    low, high = codes.to(torch.uint8).view(rows, -1, GROUP).chunk(2, -1)
    room = torch.zeros(2, rows, padded_groups(columns // GROUP), dtype=torch.bfloat16)
    room[0, :, : columns // GROUP], room[1, :, : columns // GROUP] = scales, offsets
    return Int4Matrix((low | high << 4).flatten(1), room[0], room[1])


def added_up(products: Sequence[float], columns: int) -> np.float32:
    """In float32, block by block."""
    total = np.float32(0)
    for product in products:
        total = np.float32(total + np.float32(product))
    return total


@each_row("rows", [1, 4, PANEL_MIN_ROWS - 1, PANEL_MIN_ROWS, 40])
@each_row("columns", COLUMNS)
@each_row(
    ("code", "number"), [(127, MAX_ACTIVATION), (-127, MAX_ACTIVATION), (127, -MAX_ACTIVATION), (-127, -MAX_ACTIVATION)]
)
def test_the_largest_numbers_do_not_overflow(code: int, number: int, columns: int, rows: int) -> None:
    """All codes and all activations at their largest: each block's sum just fits into 32 bits, and is exact."""
    side = Side([Int8Matrix(torch.full((67, columns), code, dtype=torch.int8), torch.ones(67))])
    x = rounded(np.full((rows, columns), number, np.float32))
    widths = [min(BLOCK, columns - start) for start in range(0, columns, BLOCK)]
    expected = added_up([float(code * number * width) for width in widths], columns)
    assert (side.times(x, rows) == expected).all()


@each_row("rows", [1, 4, PANEL_MIN_ROWS - 1, PANEL_MIN_ROWS, 40])
@each_row("columns", COLUMNS)
@each_row(("code", "scale", "offset"), [(15, 1.0, 0.0), (15, -1.0, 0.0), (0, 1.0, -15.0), (15, 1.0, -30.0)])
def test_the_largest_4_bits_do_not_overflow(code: int, scale: float, offset: float, columns: int, rows: int) -> None:
    groups = columns // GROUP
    side = Side(
        [packed4(torch.full((67, columns), code), torch.full((67, groups), scale), torch.full((67, groups), offset))]
    )
    for number in (MAX_ACTIVATION, -MAX_ACTIVATION):
        found = side.times(rounded(np.full((rows, columns), number, np.float32)), rows)
        np.testing.assert_allclose(found, (code * scale + offset) * number * columns, rtol=columns * EPS)


@settings(max_examples=150)
@given(
    data=st.data(),
    rows=st.sampled_from([1, 2, 3, 4, 7, 8, 11, PANEL_MIN_ROWS - 1, PANEL_MIN_ROWS, PANEL_MIN_ROWS + 3]),
    outputs=st.integers(1, PANEL_OUTPUTS + 9),
    columns=st.sampled_from([32, 64, 96, 160, 1024, 1056, 1088]),
    seed=st.integers(0, 1 << 30),
)
def test_whole_numbers_are_multiplied_exactly(
    data: st.DataObject, rows: int, outputs: int, columns: int, seed: int
) -> None:
    """Codes and activations that are integers already, sparse enough that each sum is one of float32's."""
    torch.manual_seed(seed)
    x = torch.randint(-9, 10, (rows, columns)).float()
    x[:, ::BLOCK] = MAX_ACTIVATION
    if data.draw(st.booleans(), "8 bits"):
        codes = torch.randint(-127, 128, (outputs, columns))
        codes[:, ::BLOCK] = 0
        matrix: Matrix = Int8Matrix(codes.to(torch.int8), torch.full((outputs,), 0.5))
    else:
        codes = torch.randint(0, 16, (outputs, columns))
        matrix = packed4(
            codes, torch.full((outputs, columns // GROUP), 0.5), torch.full((outputs, columns // GROUP), -4.0)
        )
    found = Side([matrix]).times(rounded(np.asarray(x.numpy())), rows)
    exact = (x.double() @ matrix.dequantize().double().T).numpy()
    if isinstance(matrix, Int8Matrix) or rows < PANEL_MIN_ROWS:
        assert (found == exact).all()
    else:
        np.testing.assert_allclose(found, exact, atol=float(x.abs().sum(1).max()) * 4 / MAX_UNPACKED_WEIGHT)


@each_row("rows", [1, 5, PANEL_MIN_ROWS + 1])
@each_row("form", FORMS)
@each_row("size", [1e-30, 1e-20, 1e15, 1e30])
def test_huge_and_tiny(form: str, size: float, rows: int) -> None:
    """Weights of such a size, then activations."""
    weights, values = normal(40, 1056), activations(rows, 1056)
    side = Side([FORMS[form](weights * size)])
    check(side, values, side.times(rounded(values), rows))
    side, large = Side([FORMS[form](weights)]), (values * size).astype(np.float32)
    check(side, large, side.times(rounded(large), rows))


@each_row("rows", [1, 5, PANEL_MIN_ROWS + 1])
@each_row("form", FORMS)
def test_zeros(form: str, rows: int) -> None:
    side, nothing = Side([FORMS[form](normal(67, 1056))]), Side([FORMS[form](torch.zeros(67, 1056))])
    assert (side.times(rounded(np.zeros((rows, 1056), np.float32)), rows) == 0).all()
    assert (nothing.times(rounded(activations(rows, 1056)), rows) == 0).all()
    half = activations(rows, 1056)
    half[:, :BLOCK] = 0
    check(side, half, side.times(rounded(half), rows))


@each_row("rows", [1, 5, PANEL_MIN_ROWS - 1, PANEL_MIN_ROWS, 37])
@each_row("form", FORMS)
@each_row("bad", [np.nan, np.inf, -np.inf])
@each_row("column", [0, 31, 1023, 1024, 1055])
def test_what_is_no_number_stays_in_its_row(bad: float, form: str, rows: int, column: int) -> None:
    """And all of that row is no number."""
    side = Side([FORMS[form](normal(67, 1056))])
    values = activations(rows, 1056)
    good = side.times(rounded(values), rows)
    for row in {0, rows // 2, rows - 1}:
        spoilt = values.copy()
        spoilt[row, column] = bad
        found = side.times(rounded(spoilt), rows)
        assert np.isnan(found[row]).all()
        others = np.arange(rows) != row
        assert (found[others] == good[others]).all()


def test_blocks() -> None:
    assert [block_count(columns) for columns in (32, 1024, 1056, 2048, 2080)] == [1, 1, 2, 2, 3]
    assert BLOCK * 127 * MAX_ACTIVATION < 2**31


@each_row(
    "row_bytes, block_bytes, block, threads, start, size",
    [
        (3344, 704, 0, 2, 704, 704),
        (3344, 704, 3, 2, 2816, 528),
        (3344, 704, 4, 2, 2 * PANEL_OUTPUTS * 3344, 704),
        (616, 704, 0, 3, 3 * PANEL_OUTPUTS * 616, 616),
    ],
    ids=["the next block", "a short one", "the next panel's first", "a row of one block"],
)
def test_what_is_read_next(row_bytes: int, block_bytes: int, block: int, threads: int, start: int, size: int) -> None:
    """As Q5_0 lies in rows of 4864 and of 896 columns."""
    given = {"blocks": -(-row_bytes // block_bytes), "codes": 5000, "codes_step": row_bytes, "codes_block": block_bytes}
    job = np.array([given.get(name, 0) for name in JOB_FIELDS])
    assert next_weights(job, block, threads) == (5000 + start, size)
