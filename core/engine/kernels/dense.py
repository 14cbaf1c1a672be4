"""Some rows of a matrix as float32 or bf16, for products that PyTorch computes: on some processors its bf16 products of
very many rows are faster than ours."""

from collections.abc import Callable
from typing import Any

from core.engine.kernels.jit import Array, compiled, instructions
from core.engine.kernels.layout import GROUP, padded
from core.engine.kernels.team import finish, take, wait
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
    floats,
    from_bf16,
    fused,
    load,
    nibbles,
    offset,
    pick,
    splat,
    store,
    to_bf16,
    vector,
    widened,
)

ROWS = 16
"""Rows of a chunk."""


def row_of_8(size: int) -> Callable[..., None]:
    """A function of (columns, codes, scale, target), addresses: one row, in numbers of 4 or 2 bytes."""

    def write(b: Builder, columns: Value, codes: Value, scale: Value, target: Value) -> None:
        times = splat(b, load(b, scale, F32, aligned=4), LANES)
        with Loop(b, columns, LANES, []) as loop:
            code = floats(b, widened(b, load(b, b.add(codes, loop.index), vector(I8, LANES)), I32))
            _put(b, b.fmul(code, times), offset(b, target, loop.index, size), size)

    return instructions(write, 4)


def row_of_4(size: int) -> Callable[..., None]:
    """A function of (columns, codes, scales, offsets, target), addresses: one row, in numbers of 4 or 2 bytes."""

    def write(b: Builder, columns: Value, codes: Value, scales: Value, offsets: Value, target: Value) -> None:
        with Loop(b, b.udiv(columns, I64(GROUP)), 1, []) as group:
            scale, added = (
                splat(b, from_bf16(b, load(b, offset(b, each, group.index, 2), I16)), LANES)
                for each in (scales, offsets)
            )
            place = offset(b, target, group.index, GROUP * size)
            wide = nibbles(b, offset(b, codes, group.index, GROUP // 2))
            halves = [pick(b, each, range(at, at + LANES)) for each in wide for at in (0, LANES)]
            for number, half in enumerate(halves):
                value = fused(b, floats(b, widened(b, half, I32)), scale, added)
                _put(b, value, offset(b, place, number * LANES, size), size)

    return instructions(write, 5)


def _put(b: Builder, values: Value, target: Value, size: int) -> None:
    store(b, values if size == 4 else to_bf16(b, values), target, aligned=size)


_8_float32, _8_bf16, _4_float32, _4_bf16 = row_of_8(4), row_of_8(2), row_of_4(4), row_of_4(2)


@compiled
def unpack(thread: int, counters: Array, matrix: Any, first: int, target: Array) -> None:
    """What each thread of a team does: the rows from `first` on into `target`, float32 or the bits of bf16, [rows,
    columns]."""
    rows = len(target)
    chunks = (rows + ROWS - 1) // ROWS
    chunk = take(counters, 0)
    while chunk < chunks:
        for row in range(chunk * ROWS, min((chunk + 1) * ROWS, rows)):
            unpack_row(matrix, first + row, target[row])
        finish(counters, 0)
        chunk = take(counters, 0)
    wait(counters, 0, chunks)


@compiled
def unpack_row(matrix: Any, row: int, target: Array) -> None:
    """One row."""
    columns, address = matrix.columns, target.ctypes.data
    if matrix.bits == 8:
        codes, scale = matrix.codes + row * columns, matrix.scales + row * 4
        if target.itemsize == 4:
            _8_float32(columns, codes, scale, address)
        else:
            _8_bf16(columns, codes, scale, address)
        return
    step = row * padded(columns // GROUP) * 2
    codes = matrix.codes + row * columns // 2
    if target.itemsize == 4:
        _4_float32(columns, codes, matrix.scales + step, matrix.offsets + step, address)
    else:
        _4_bf16(columns, codes, matrix.scales + step, matrix.offsets + step, address)
