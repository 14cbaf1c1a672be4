"""Products of rows of activations with a matrix in 8 or 4 bits.

Activations are quantized to 15 bits, with a scale for every BLOCK columns of a row, and multiplied as integers:
exactly, twice as many at a time as float32, and with less error than bf16. Weights are loaded into registers once for
four rows. In 4 bits a group's scale costs as much time as its products, so for many rows a panel is unpacked to
integers with one scale per block. A row's result depends on the rows beside it only by whether panels are unpacked.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from core.engine.kernels.block_tiles import call_four, call_two
from core.engine.kernels.jit import Array, compiled
from core.engine.kernels.layout import (
    BLOCK,
    GROUP,
    GROUPS_PER_BLOCK,
    QuantizedRows,
    block_count,
    compiled_padded_groups,
)
from core.engine.kernels.tiles import (
    CACHE_LINE_BYTES,
    JOB_FIELDS,
    TILE_OUTPUTS,
    TILE_ROWS,
    CodeBits,
    all_blocks_tile,
    one_block_tile,
    unpack_block,
)
from core.engine.kernels.vectors import float_at

PANEL_OUTPUTS = 64
"""Outputs that are computed together for all rows, so that their weights stay in the processor's cache."""
PANEL_MIN_ROWS = 16
"""Default number of rows from which a panel is computed block by block; autotune.py measures a better one.

For fewer rows each output's weights are read from beginning to end, which the processor prefetches three times as fast
as several places in turn.
"""


class PanelBuffers(NamedTuple):
    """The buffers of one thread.

    `jobs`: its job, and the same with unpacked weights, int64 [2, JOB_FIELDS]. `codes` and `scales`: one unpacked block
    of a panel, int16 [PANEL_OUTPUTS, BLOCK] and float32 [PANEL_OUTPUTS]. `panel_min_rows`: rows from which products
    are computed panel by panel. `threads`: those that take panels in turn.
    """

    jobs: Array
    codes: Array
    scales: Array
    panel_min_rows: int = PANEL_MIN_ROWS
    threads: int = 1


(
    _COLUMNS, _BLOCKS, _OUTPUTS, _CODES, _CODES_STEP, _CODES_BLOCK, _SCALES, _OFFSETS, _SCALES_STEP, _SCALES_BLOCK, _X,
    _X_STEP, _X_SCALES, _X_SCALES_STEP, _X_SUMS, _X_SUMS_STEP, _Y, _Y_STEP, _AHEAD, _AHEAD_STEP, _AHEAD_BYTES,
) = range(len(JOB_FIELDS))  # fmt: skip


@compiled
def fill_job(job: Array, matrix: Any, x: QuantizedRows, y: Array, first: int, outputs: int) -> None:
    """Fill in a job: `outputs` outputs of a matrix from `first` on, times all rows of x, added to y."""
    columns, four, blocks = matrix.columns, matrix.bits == 4, block_count(matrix.columns)
    job[_COLUMNS], job[_BLOCKS], job[_OUTPUTS] = columns, blocks, outputs
    job[_CODES_STEP], job[_CODES_BLOCK] = matrix.row_bytes, matrix.row_bytes * BLOCK // columns
    if matrix.bits == 0:
        job[_SCALES_STEP], job[_SCALES_BLOCK] = blocks * 4, 4
    else:
        job[_SCALES_STEP] = compiled_padded_groups(columns // GROUP) * 2 if four else 4
        job[_SCALES_BLOCK] = GROUPS_PER_BLOCK * 2 if four else 0
    job[_CODES] = matrix.codes + first * job[_CODES_STEP]
    job[_SCALES], job[_OFFSETS] = (
        matrix.scales + first * job[_SCALES_STEP],
        matrix.offsets + first * job[_SCALES_STEP],
    )
    job[_X], job[_X_STEP] = x.codes.ctypes.data, columns * 2
    job[_X_SCALES], job[_X_SCALES_STEP] = x.scales.ctypes.data, blocks * 4
    job[_X_SUMS], job[_X_SUMS_STEP] = x.sums.ctypes.data, blocks * GROUPS_PER_BLOCK * 4
    job[_Y], job[_Y_STEP] = y.ctypes.data + (matrix.place + first) * 4, y.shape[1] * 4
    job[_AHEAD], job[_AHEAD_STEP], job[_AHEAD_BYTES] = 0, matrix.row_bytes, 0


@compiled
def advance_rows(job: Array, rows: int) -> int:
    """Move a job's addresses forward by `rows` rows. Returns `rows`."""
    for place, step in ((_X, _X_STEP), (_X_SCALES, _X_SCALES_STEP), (_X_SUMS, _X_SUMS_STEP), (_Y, _Y_STEP)):
        job[place] += rows * job[step]
    return rows


def row_kernel(bits: CodeBits) -> Callable[..., None]:
    """Compiles a function of (job, rows) that reads each output's weights once for up to eight rows."""
    eight, four, two, one = (all_blocks_tile(bits, rows) for rows in (8, 4, 2, 1))

    def multiplied(job: Array, rows: int) -> None:
        address = job.ctypes.data
        while rows >= 8:
            eight(address)
            rows -= advance_rows(job, 8)
        if rows >= 4:
            four(address)
            rows -= advance_rows(job, 4)
        if rows >= 2:
            two(address)
            rows -= advance_rows(job, 2)
        if rows:
            one(address)

    return compiled(multiplied, f"rows_{bits}")


def panel_kernel(bits: CodeBits) -> Callable[..., None]:
    """Compiles a function of (job, block, rows, ahead, size) that multiplies one block of columns with all rows.

    Meanwhile the `size` bytes of each output that are needed next are prefetched, from the address `ahead` on: for few
    rows the memory would otherwise rest while products are computed.
    """
    several, single = one_block_tile(bits, TILE_OUTPUTS, TILE_ROWS), one_block_tile(bits, TILE_OUTPUTS, 1)

    def multiplied(job: Array, block: int, rows: int, ahead: int, size: int) -> None:
        address, start = job.ctypes.data, (job[_X], job[_X_SCALES], job[_X_SUMS], job[_Y])
        lines = (size + CACHE_LINE_BYTES - 1) // CACHE_LINE_BYTES
        tiles = max(rows // TILE_ROWS, 1)
        share, end = (lines + tiles - 1) // tiles * CACHE_LINE_BYTES, ahead + size
        while rows >= TILE_ROWS:
            job[_AHEAD], job[_AHEAD_BYTES] = ahead, share if ahead < end else 0
            ahead += share
            several(address, block)
            rows -= advance_rows(job, TILE_ROWS)
        job[_AHEAD_BYTES] = 0
        while rows:
            single(address, block)
            rows -= advance_rows(job, 1)
        job[_X], job[_X_SCALES], job[_X_SUMS], job[_Y] = start

    return compiled(multiplied, f"panel_{bits}")


_rows_8, _rows_4, _panel_8, _panel_16 = row_kernel(8), row_kernel(4), panel_kernel(8), panel_kernel(16)


@compiled
def multiply_panel(matrix: Any, panel: int, x: QuantizedRows, rows: int, y: Array, buffers: PanelBuffers) -> None:
    """Add the products of one panel and the first `rows` rows to y, float32 [rows, outputs of the whole product]."""
    first = panel * PANEL_OUTPUTS
    packed = buffers.jobs[0]
    fill_job(packed, matrix, x, y, first, min(PANEL_OUTPUTS, matrix.rows - first))
    if rows < buffers.panel_min_rows:
        multiply_few_rows(matrix, packed, rows)
    elif matrix.bits == 8:
        for block in range(packed[_BLOCKS]):
            ahead, size = next_weights(packed, block, buffers.threads)
            _panel_8(packed, block, rows, ahead, size)
    else:
        job, codes, scales = unpacked_job(buffers), buffers.codes.ctypes.data, buffers.scales.ctypes.data
        for block in range(packed[_BLOCKS]):
            if matrix.bits == 4:
                unpack_block(packed.ctypes.data, block, codes, scales)
            else:
                call_four(matrix.unpack, packed.ctypes.data, block, codes, scales)
            ahead, size = next_weights(packed, block, buffers.threads)
            _panel_16(job, block, rows, ahead, size)


@compiled
def next_weights(packed: Array, block: int, threads: int) -> tuple[int, int]:
    """Where the weights of a job begin that its thread probably reads after a block, and their bytes of each output:
    the following block, or the first one of the panel that is next if threads take panels in turn."""
    step, size = packed[_CODES_STEP], packed[_CODES_BLOCK]
    if block + 1 < packed[_BLOCKS]:
        start = (block + 1) * size
        return packed[_CODES] + start, min(size, step - start)
    return packed[_CODES] + threads * PANEL_OUTPUTS * step, min(size, step)


@compiled
def multiply_few_rows(matrix: Any, job: Array, rows: int) -> None:
    """Compute a job of a matrix output by output."""
    if matrix.bits == 8:
        _rows_8(job, rows)
    elif matrix.bits == 4:
        _rows_4(job, rows)
    else:
        call_two(matrix.multiply, job.ctypes.data, rows)


@compiled
def unpacked_job(buffers: PanelBuffers) -> Array:
    """Fill in and return the second job: the same as the first, with unpacked weights."""
    packed, job = buffers.jobs[0], buffers.jobs[1]
    for place in range(len(job)):  # assigning a slice would have numba compile error messages, for seconds
        job[place] = packed[place]
    job[_CODES], job[_CODES_STEP], job[_CODES_BLOCK] = buffers.codes.ctypes.data, BLOCK * 2, 0
    job[_SCALES], job[_SCALES_STEP], job[_SCALES_BLOCK] = buffers.scales.ctypes.data, 4, 0
    return job


@compiled
def init_outputs(matrix: Any, panel: int, rows: int, y: Array, overwrite: bool) -> None:
    """Write the matrix's bias, or zeros, to a panel's part of y. Without `overwrite` the bias is added."""
    if not overwrite and not matrix.bias:
        return
    for row in range(rows):
        for output in range(panel * PANEL_OUTPUTS, min((panel + 1) * PANEL_OUTPUTS, matrix.rows)):
            bias = float_at(matrix.bias + output * 4) if matrix.bias else np.float32(0)
            place = matrix.place + output
            y[row, place] = bias if overwrite else y[row, place] + bias


@compiled
def panel_count(matrix: Any) -> int:
    """The number of panels of a matrix."""
    return int((matrix.rows + PANEL_OUTPUTS - 1) // PANEL_OUTPUTS)


@compiled
def panels_per_chunk(rows: int, panel_min_rows: int) -> int:
    """The number of panels that a thread takes at a time.

    Few rows are bound by memory latency at the start of each chunk: two panels together are a tenth faster.
    """
    return 2 if rows < panel_min_rows else 1


@compiled
def chunk_count(matrix: Any, rows: int, panel_min_rows: int) -> int:
    """The number of chunks in which threads multiply a matrix."""
    size = panels_per_chunk(rows, panel_min_rows)
    return (panel_count(matrix) + size - 1) // size
