"""Single pieces of the kernels, for tests to call; and what they are given."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.engine.kernels import attention, cache, pointwise, products, vectors
from core.engine.kernels.jit import Array, cache_in, compiled, intrinsic
from core.engine.kernels.layout import BLOCK, GROUPS_PER_BLOCK, MATRIX_RECORD, QuantizedRows, block_count
from core.engine.kernels.products import PANEL_MIN_ROWS, PANEL_OUTPUTS, PanelBuffers
from core.engine.kernels.team import finish_chunk, take_chunk, wait_for_phase
from core.engine.kernels.tiles import JOB_FIELDS
from core.engine.nn.gguf_blocks import BlockMatrix
from core.engine.nn.kernel_model import aligned_empty, matrix_record
from core.engine.nn.linear import LowBitLinear
from core.engine.nn.quantization import Int4Matrix, Int8Matrix

Matrix = Int4Matrix | Int8Matrix | BlockMatrix
GUARD = np.float32(-12345.678)
"""Stands where nothing may be written."""


@compiled
def round_rows(values: Array, x: QuantizedRows) -> None:
    """All rows, float32 [rows, columns]."""
    rows, columns = values.shape
    for row in range(rows):
        for block in range(block_count(columns)):
            pointwise.quantize_block(values[row], x, columns, row, block)


@compiled
def multiply_all(matrices: Array, x: QuantizedRows, rows: int, y: Array, room: PanelBuffers) -> None:
    """Add the products of all matrices to y."""
    for number in range(len(matrices)):
        for panel in range(products.panel_count(matrices[number])):
            products.multiply_panel(matrices[number], panel, x, rows, y, room)


_exponentials = intrinsic(
    lambda b, source, target: vectors.store(
        b, vectors.exponential(b, vectors.load(b, source, vectors.vector(vectors.F32, vectors.LANES))), target
    ),
    2,
)


@compiled
def exponential(values: Array, result: Array) -> None:
    """Of each; a multiple of LANES."""
    for place in range(0, len(values), vectors.LANES):
        _exponentials(values[place:].ctypes.data, result[place:].ctypes.data)


@compiled
def activate(gate: Array, up: Array) -> None:
    """silu(gate) * up, into gate."""
    pointwise.silu_multiply(gate.ctypes.data, up.ctypes.data, len(gate))


@compiled
def softmax(scores: Array, count: int) -> None:
    """The softmax of the first."""
    pointwise.softmax(scores, count)


@compiled
def normalise(x: Array, weight: Array, epsilon: Any, result: Array) -> None:
    """One row."""
    pointwise.rms_norm(x, weight, epsilon, result)


@compiled
def rotate(head: Array, cos: Array, sin: Array, factor: Any) -> None:
    """One head."""
    pointwise.rotate_pairs(head, cos, sin, factor)


@compiled
def bf16(values: Array, result: Array) -> None:
    """The bits of each."""
    attention.write_kv_bf16(values, result)


@compiled
def attend(q: Array, seen: attention.KVView, scores: Array, mixed: Array) -> None:
    """In float32, or in the bits of bf16."""
    if seen.keys.itemsize == 4:
        attention.attend_float32(q, seen, scores, mixed)
    else:
        attention.attend_bf16(q, seen, scores, mixed)


@compiled
def counted(thread: int, counters: Array, done: Array, early: Array) -> None:
    """What each thread of a team does: counts every chunk of every phase, [phases, chunks], and those that were
    computed before all of the phase before were."""
    phases, chunks = done.shape
    for phase in range(phases):
        chunk = take_chunk(counters, phase)
        while chunk < chunks:
            for other in range(chunks):
                if phase and done[phase - 1, other] != 1:
                    early[0] += 1
            done[phase, chunk] += 1
            finish_chunk(counters, phase)
            chunk = take_chunk(counters, phase)
        wait_for_phase(counters, phase, chunks)


def keep(folder: Path) -> None:
    """What all these are compiled to, for later runs with the same kernels."""
    place = folder / "pieces" / cache.fingerprint()
    place.mkdir(parents=True, exist_ok=True)
    for other in place.parent.iterdir():
        if other != place:
            shutil.rmtree(other, ignore_errors=True)
    cache_in(place, round_rows, multiply_all, exponential, activate, softmax, normalise, rotate, bf16, attend, counted)


# Products


def rounded(values: Array) -> QuantizedRows:
    """Activations, float32 [rows, columns], as products take them."""
    rows, columns = values.shape
    blocks = block_count(columns)
    x = QuantizedRows(
        aligned_empty((rows * columns,), np.int16),
        aligned_empty((rows * blocks,), np.float32),
        aligned_empty((rows * blocks * GROUPS_PER_BLOCK,), np.float32),
    )
    for part in x:
        part.fill(77)
    round_rows(values, x)
    return x


def stood_for(x: QuantizedRows, rows: int, columns: int) -> Array:
    """What rounded activations stand for, float64 [rows, columns]."""
    codes = x.codes[: rows * columns].reshape(rows, columns).astype(np.float64)
    scales = x.scales[: rows * block_count(columns)].reshape(rows, -1).astype(np.float64)
    return np.asarray(codes * scales.repeat(BLOCK, 1)[:, :columns])


def room(many: int) -> PanelBuffers:
    """A thread's own. `many`: the rows from which there are panels."""
    return PanelBuffers(
        aligned_empty((2, len(JOB_FIELDS)), np.int64),
        aligned_empty((PANEL_OUTPUTS, BLOCK), np.int16),
        aligned_empty((PANEL_OUTPUTS,), np.float32),
        many,
    )


@dataclass
class Side:
    """Matrices side by side: their results, too."""

    matrices: Sequence[Matrix]
    lows: list[LowBitLinear] = field(init=False)
    described: Array = field(init=False)
    """As MATRIX has it."""

    def __post_init__(self) -> None:
        self.lows = [LowBitLinear(matrix, None) for matrix in self.matrices]
        places = np.cumsum([0, *(low.rows for low in self.lows)])
        each = [matrix_record(low, int(place)) for low, place in zip(self.lows, places, strict=False)]
        self.described = np.array(each, MATRIX_RECORD)

    @property
    def outputs(self) -> int:
        return sum(low.rows for low in self.lows)

    @property
    def columns(self) -> int:
        return int(self.lows[0].columns)

    def values(self) -> Array:
        """What the matrices stand for, float64 [outputs, columns]."""
        return np.asarray(torch.cat([matrix.dequantize().double() for matrix in self.matrices]).numpy())

    def times(self, x: QuantizedRows, rows: int, start: Array | None = None, many: int = PANEL_MIN_ROWS) -> Array:
        """The products, added to `start` or to zeros; what stands beside them is not touched."""
        y = np.full((rows + 1, self.outputs + 3), GUARD, np.float32)
        y[:rows, : self.outputs] = 0 if start is None else start
        multiply_all(self.described, x, rows, y, room(many))
        assert (y[rows:] == GUARD).all() and (y[:, self.outputs :] == GUARD).all()
        return np.ascontiguousarray(y[:rows, : self.outputs])
