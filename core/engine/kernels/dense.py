"""Unpacks rows of a matrix to float32 or bf16 for products in PyTorch, whose bf16 products of very many rows are faster
on some processors."""

from collections.abc import Callable
from typing import Any

from core.engine.kernels.block_tiles import call_four
from core.engine.kernels.jit import Array, compiled, intrinsic
from core.engine.kernels.layout import GROUP, compiled_padded_groups
from core.engine.kernels.team import finish_chunk, take_chunk, wait_for_phase
from core.engine.kernels.vectors import (
    F32,
    I8,
    I16,
    I32,
    I64,
    LANES,
    Builder,
    Loop,
    Value,
    broadcast,
    extend,
    from_bf16,
    load,
    multiply_add,
    offset,
    select_lanes,
    store,
    to_bf16,
    to_float32,
    unpack_nibbles,
    vector,
)

CHUNK_ROWS = 16
"""Rows that a thread unpacks at a time."""


def int8_row_kernel(size: int) -> Callable[..., None]:
    """Compiles a function of (columns, codes, scale, target) that unpacks one row to numbers of 4 or 2 bytes."""

    def write(b: Builder, columns: Value, codes: Value, scale: Value, target: Value) -> None:
        times = broadcast(b, load(b, scale, F32, aligned=4), LANES)
        with Loop(b, columns, LANES, []) as loop:
            code = to_float32(b, extend(b, load(b, b.add(codes, loop.index), vector(I8, LANES)), I32))
            _store_numbers(b, b.fmul(code, times), offset(b, target, loop.index, size), size)

    return intrinsic(write, 4)


def int4_row_kernel(size: int) -> Callable[..., None]:
    """Compiles a function of (columns, codes, scales, offsets, target) that unpacks one row to 4- or 2-byte numbers."""

    def write(b: Builder, columns: Value, codes: Value, scales: Value, offsets: Value, target: Value) -> None:
        with Loop(b, b.udiv(columns, I64(GROUP)), 1, []) as group:
            scale, added = (
                broadcast(b, from_bf16(b, load(b, offset(b, each, group.index, 2), I16)), LANES)
                for each in (scales, offsets)
            )
            place = offset(b, target, group.index, GROUP * size)
            wide = unpack_nibbles(b, offset(b, codes, group.index, GROUP // 2))
            halves = [select_lanes(b, each, range(at, at + LANES)) for each in wide for at in (0, LANES)]
            for number, half in enumerate(halves):
                value = multiply_add(b, to_float32(b, extend(b, half, I32)), scale, added)
                _store_numbers(b, value, offset(b, place, number * LANES, size), size)

    return intrinsic(write, 5)


def _store_numbers(b: Builder, values: Value, target: Value, size: int) -> None:
    store(b, values if size == 4 else to_bf16(b, values), target, aligned=size)


_int8_to_float32, _int8_to_bf16, _int4_to_float32, _int4_to_bf16 = (
    int8_row_kernel(4),
    int8_row_kernel(2),
    int4_row_kernel(4),
    int4_row_kernel(2),
)


@compiled
def unpack_rows(thread: int, counters: Array, matrix: Any, first: int, target: Array) -> None:
    """Unpack the rows from `first` on to `target`, together with the other threads of a team.

    `matrix`: a MATRIX_RECORD. `target`: float32 or the bits of bf16, [rows, columns].
    """
    rows = len(target)
    chunks = (rows + CHUNK_ROWS - 1) // CHUNK_ROWS
    chunk = take_chunk(counters, 0)
    while chunk < chunks:
        for row in range(chunk * CHUNK_ROWS, min((chunk + 1) * CHUNK_ROWS, rows)):
            unpack_row(matrix, first + row, target[row])
        finish_chunk(counters, 0)
        chunk = take_chunk(counters, 0)
    wait_for_phase(counters, 0, chunks)


@compiled
def unpack_row(matrix: Any, row: int, target: Array) -> None:
    """Unpack one row to `target`, float32 or the bits of bf16."""
    columns, address, codes = matrix.columns, target.ctypes.data, matrix.codes + row * matrix.row_bytes
    if matrix.bits == 8:
        scale = matrix.scales + row * 4
        if target.itemsize == 4:
            _int8_to_float32(columns, codes, scale, address)
        else:
            _int8_to_bf16(columns, codes, scale, address)
        return
    if matrix.bits != 4:
        call_four(matrix.dense, columns, codes, address, target.itemsize)
        return
    step = row * compiled_padded_groups(columns // GROUP) * 2
    if target.itemsize == 4:
        _int4_to_float32(columns, codes, matrix.scales + step, matrix.offsets + step, address)
    else:
        _int4_to_bf16(columns, codes, matrix.scales + step, matrix.offsets + step, address)
