"""Products and unpacking of GGUF's quantized blocks: functions that are compiled for the kinds that a model has.

The other kernels call them by their addresses, so that they need not be compiled anew for another kind.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from types import FunctionType
from typing import Any, NamedTuple

from llvmlite import ir

from core.engine.kernels.blocks import BLOCK_KINDS, HALF, SCALE_LANES, BlockKind, BlockParts
from core.engine.kernels.jit import c_function, intrinsic
from core.engine.kernels.layout import BLOCK, GROUP
from core.engine.kernels.tiles import JOB_FIELDS, MAX_UNPACKED_WEIGHT, JobFields, Tile, job_at, load_job
from core.engine.kernels.vectors import (
    F32,
    I16,
    I32,
    I64,
    Builder,
    Loop,
    Value,
    broadcast,
    call_intrinsic,
    dot_accumulate,
    extend,
    float_vector,
    load,
    maximum,
    multiply_add,
    multiply_fractions,
    offset,
    prefetch,
    reduce_lanes,
    select_lanes,
    store,
    sums_by_row,
    to_bf16,
    to_float32,
    vector,
    zeros,
)

PART = 2 * SCALE_LANES
"""Columns whose products are summed at a time. With AVX-512 half a vector's: the sums of a group are converted and
scaled in half as many lanes, which is more than half of the work."""
PREFETCH_BYTES = 512
"""How far ahead blocks are prefetched where each is read once. The processor's own prefetching begins anew at every
page of memory, which is after a few rows."""

LARGEST_UNPACKED = float(MAX_UNPACKED_WEIGHT - 1)
"""The largest unpacked weight before its parts are rounded, each of which may add a half."""


class BlockFunctions(NamedTuple):
    """The addresses of a kind's functions.

    `multiply`: (job, rows): as products.row_kernel. `unpack`: (job, block, codes, scales): as tiles.unpack_block.
    `dense`: (columns, codes, target, bytes of a number): a row to float32 or bf16.
    """

    multiply: int
    unpack: int
    dense: int


@cache
def block_functions(name: str) -> BlockFunctions:
    """Compile the functions of a kind of BLOCK_KINDS, or load them from the cache that jit.cache_in has set."""
    kind = BLOCK_KINDS[name]
    tiles = {f"tile_{rows}": product_tile(kind, rows) for rows in (8, 4, 2, 1)}
    return BlockFunctions(
        c_function(_named(_multiply, f"multiply_{name}", tiles | {"advance": _advance}), 2),
        c_function(_named(_call_four, f"unpack_{name}", {"called": unpack_kernel(kind)}), 4),
        c_function(_named(_call_four, f"dense_{name}", {"called": dense_kernel(kind)}), 4),
    )


def _named(function: Callable[..., None], name: str, names: dict[str, Any]) -> Callable[..., None]:
    """The function under another name, with its own globals: numba's cache identifies it by its name and its lines."""
    assert isinstance(function, FunctionType)
    copy = FunctionType(function.__code__, names | {"__name__": __name__}, name)
    copy.__qualname__ = name
    return copy


def _multiply(job: int, rows: int) -> None:
    while rows >= 8:
        tile_8(job)  # type: ignore[name-defined]  # noqa: F821 (the globals of _named)
        advance(job, 8)  # type: ignore[name-defined]  # noqa: F821
        rows -= 8
    if rows >= 4:
        tile_4(job)  # type: ignore[name-defined]  # noqa: F821
        advance(job, 4)  # type: ignore[name-defined]  # noqa: F821
        rows -= 4
    if rows >= 2:
        tile_2(job)  # type: ignore[name-defined]  # noqa: F821
        advance(job, 2)  # type: ignore[name-defined]  # noqa: F821
        rows -= 2
    if rows:
        tile_1(job)  # type: ignore[name-defined]  # noqa: F821


def _call_four(first: int, second: int, third: int, fourth: int) -> None:
    called(first, second, third, fourth)  # type: ignore[name-defined]  # noqa: F821


def _write_advance(b: Builder, job: Value, rows: Value) -> None:
    """Move the addresses of a job forward by `rows` rows."""
    for name, step in (("x", "x_step"), ("x_scales", "x_scales_step"), ("x_sums", "x_sums_step"), ("y", "y_step")):
        address, each = (offset(b, job, JOB_FIELDS.index(field), 8) for field in (name, step))
        moved = b.add(load(b, address, I64, aligned=8), b.mul(rows, load(b, each, I64, aligned=8)))
        store(b, moved, address, aligned=8)


_advance = intrinsic(_write_advance, 2)


def _parts(b: Builder, kind: BlockKind, parts: BlockParts) -> Iterator[tuple[int, Value]]:
    """The codes of a block times their factors, as vectors of PART 16-bit integers, each with its first column."""
    for number, codes in enumerate(parts.codes):
        weights = codes
        if parts.factors is not None:
            factor = select_lanes(b, parts.factors, [number * HALF // kind.scale_columns] * HALF)
            weights = b.mul(codes, factor)
        for start in range(0, HALF, PART):
            yield number * HALF + start, select_lanes(b, weights, range(start, start + PART))


def product_tile(kind: BlockKind, rows: int) -> Callable[..., None]:
    """Compiles a function of a job's address: adds the products of all blocks to `rows` rows, output by output."""

    def write(b: Builder, job: Value) -> None:
        given = load_job(b, job)
        with Loop(b, given["outputs"], 1, []) as output, Loop(b, given["blocks"], 1, []) as block:
            at = job_at(b, given, output.index, block.index)
            Tile(b, 1, rows, at).add_to_outputs(_sum_blocks(b, kind, rows, at))

    return intrinsic(write, 1)


def _sum_blocks(b: Builder, kind: BlockKind, rows: int, given: JobFields) -> list[Value]:
    """The products of one output with each row, over at most BLOCK columns."""
    step, sums_step = given["x_step"], given["x_sums_step"]
    start = [zeros(F32, SCALE_LANES)] * rows + [zeros(F32, kind.groups)] * (rows if kind.has_offsets else 0)
    # Addresses are moved, not computed from the index: that took more instructions than the products.
    start += [given["codes"], given["x"], given["x_sums"]]
    with Loop(b, b.udiv(given["columns"], I64(kind.columns)), 1, start) as loop:
        *_, codes, x, x_sums = loop.values
        prefetch(b, b.add(codes, I64(PREFETCH_BYTES)), 3)
        parts = kind.read(b, codes)
        _add_products(b, kind, parts, [offset(b, x, row, step) for row in range(rows)], loop)
        if parts.offsets is not None:
            for row in range(rows):
                sums = load(b, offset(b, x_sums, row, sums_step), vector(F32, kind.groups), aligned=4)
                loop.values[rows + row] = multiply_add(b, parts.offsets, sums, loop.values[rows + row])
        moved = (codes, kind.bytes), (x, 2 * kind.columns), (x_sums, 4 * kind.groups)
        loop.values[-3:] = [b.add(address, I64(size)) for address, size in moved]
    found = sums_by_row(b, loop.values[:rows], 1, b.fadd)
    if kind.has_offsets:
        added = [broadcast(b, reduce_lanes(b, each, b.fadd), 1) for each in loop.values[rows : 2 * rows]]
        return [b.fadd(one, other) for one, other in zip(found, added, strict=True)]
    return found


def _add_products(b: Builder, kind: BlockKind, parts: BlockParts, x: list[Value], loop: Loop) -> None:
    """Add the products of a block to the first values of a loop, one for each row. `x`: addresses of activations."""
    totals: list[Value] = []
    for column, weights in _parts(b, kind, parts):
        if column % kind.exact_columns == 0:
            totals = [zeros(I32, SCALE_LANES)] * len(x)
        for row, address in enumerate(x):
            some = load(b, offset(b, address, column, 2), vector(I16, PART))
            totals[row] = dot_accumulate(b, totals[row], weights, some)
        if (column + PART) % kind.exact_columns == 0:
            for row, total in enumerate(totals):
                loop.values[row] = multiply_add(b, to_float32(b, total), parts.scale, loop.values[row])


def unpack_kernel(kind: BlockKind) -> Callable[..., None]:
    """Compiles a function of (job, block, codes, scales): as tiles.unpack_block.

    Scales and offsets are rounded as well as codes, so that all is computed in 16 bits. The scale of each output's
    block is found once, and kept where the job's scales are, which are zeros before.
    """

    def write(b: Builder, job: Value, block: Value, codes: Value, scales: Value) -> None:
        given = load_job(b, job)
        with Loop(b, given["outputs"], 1, []) as output:
            at = job_at(b, given, output.index, block)
            count, target = b.udiv(at["columns"], I64(kind.columns)), offset(b, codes, output.index, BLOCK * 2)
            with b.if_then(b.fcmp_ordered("==", load(b, at["scales"], F32, aligned=4), F32(0.0)), likely=False):
                largest = _largest_weight(b, kind, count, at["codes"])
                store(b, b.fdiv(largest, F32(LARGEST_UNPACKED)), at["scales"])
            scale = load(b, at["scales"], F32, aligned=4)
            store(b, scale, offset(b, scales, output.index, 4))
            times = b.select(b.fcmp_ordered("==", scale, F32(0.0)), F32(0.0), b.fdiv(F32(1.0), scale))
            with Loop(b, count, 1, [at["codes"], target]) as loop:
                address, place = loop.values
                _unpack(b, kind, address, place, times)
                loop.values = [b.add(address, I64(kind.bytes)), b.add(place, I64(2 * kind.columns))]

    return intrinsic(write, 4)


def _unpack(b: Builder, kind: BlockKind, address: Value, target: Value, times: Value) -> None:
    """Write the values of a block, times a factor, as 16-bit integers."""
    parts, added = kind.read(b, address), None
    larger = b.fmul(times, F32(float(1 << kind.code_bits)))
    scales = _all_scales(b, kind, parts)
    scales = _rounded(b, b.fmul(scales, broadcast(b, larger, scales.type.count)))
    if parts.offsets is not None:
        added = _rounded(b, b.fmul(parts.offsets, broadcast(b, times, kind.groups)))
    left = ir.Constant(vector(I16, PART), [15 - kind.code_bits] * PART)
    for column, codes in _parts(b, kind, replace(parts, factors=None)):
        scale = select_lanes(b, scales, [column // kind.scale_columns] * PART)
        value = multiply_fractions(b, b.shl(codes, left), scale)
        if added is not None:
            value = b.add(value, select_lanes(b, added, [column // GROUP] * PART))
        store(b, value, offset(b, target, column, 2), aligned=2)


def _all_scales(b: Builder, kind: BlockKind, parts: BlockParts) -> Value:
    """Every scale of a block times its factor, float32."""
    lanes = kind.columns // kind.scale_columns
    scales = select_lanes(b, parts.scale, [0] * lanes)
    return scales if parts.factors is None else b.fmul(scales, to_float32(b, extend(b, parts.factors, I32)))


def _rounded(b: Builder, value: Value) -> Value:
    """The nearest 16-bit integers of a vector."""
    whole = b.fptosi(call_intrinsic(b, "rint", value), vector(I32, value.type.count))
    return b.trunc(whole, vector(I16, value.type.count))


def _largest_weight(b: Builder, kind: BlockKind, count: Value, address: Value) -> Value:
    """The largest magnitude that the codes of `count` blocks can stand for."""
    lanes = kind.columns // kind.scale_columns
    ends = kind.codes if kind.has_offsets else (max(kind.codes, key=abs),)
    with Loop(b, count, 1, [zeros(F32, lanes), address]) as loop:
        largest, place = loop.values
        parts = kind.read(b, place)
        scales = _all_scales(b, kind, parts)
        for code in ends:
            value = b.fmul(scales, float_vector(float(code), lanes))
            value = value if parts.offsets is None else b.fadd(value, parts.offsets)
            largest = maximum(b, call_intrinsic(b, "fabs", value), largest)
        loop.values = [largest, b.add(place, I64(kind.bytes))]
    return reduce_lanes(b, loop.values[0], lambda x, y: maximum(b, x, y))


def _values(b: Builder, kind: BlockKind, address: Value) -> Iterator[tuple[int, Value]]:
    """The values of a block as float32, SCALE_LANES at a time, each with its first column."""
    parts, lanes = kind.read(b, address), SCALE_LANES
    for first, weights in _parts(b, kind, parts):
        for start in range(0, PART, lanes):
            whole = to_float32(b, extend(b, select_lanes(b, weights, range(start, start + lanes)), I32))
            if parts.offsets is None:
                yield first + start, b.fmul(whole, parts.scale)
            else:
                added = select_lanes(b, parts.offsets, [first // GROUP] * lanes)
                yield first + start, multiply_add(b, whole, parts.scale, added)


def dense_kernel(kind: BlockKind) -> Callable[..., None]:
    """Compiles a function of (columns, codes, target, size): a row as numbers of 4 bytes, float32, or of 2, bf16."""

    def write(b: Builder, columns: Value, codes: Value, target: Value, size: Value) -> None:
        with b.if_else(b.icmp_unsigned("==", size, I64(4))) as (wide, narrow):
            with wide:
                _write_row(b, kind, columns, (codes, target), 4)
            with narrow:
                _write_row(b, kind, columns, (codes, target), 2)

    return intrinsic(write, 4)


def _write_row(b: Builder, kind: BlockKind, columns: Value, places: tuple[Value, Value], size: int) -> None:
    codes, target = places
    with Loop(b, b.udiv(columns, I64(kind.columns)), 1, []) as number:
        place = offset(b, target, number.index, kind.columns * size)
        for column, value in _values(b, kind, offset(b, codes, number.index, kind.bytes)):
            store(b, value if size == 4 else to_bf16(b, value), offset(b, place, column, size), aligned=size)


def _write_call(count: int) -> Callable[..., None]:
    def write(b: Builder, address: Value, *arguments: Value) -> None:
        kind = ir.FunctionType(ir.VoidType(), [I64] * count)
        b.call(b.inttoptr(address, kind.as_pointer()), arguments)

    return intrinsic(write, 1 + count)


call_two, call_four = _write_call(2), _write_call(4)
"""Functions of an address and the arguments of the function there."""
