"""The innermost loops: a few outputs of a few rows, over one block of columns.

Each weight that is read is used for all rows of the tile, and each activation for all its outputs. A sum is always made
in the same order, so that it does not depend on the size of the tile.
"""

from collections.abc import Callable
from typing import Literal

from core.engine.kernels.jit import instructions
from core.engine.kernels.layout import BLOCK, GROUP, GROUPS, LARGEST
from core.engine.kernels.vectors import (
    F32,
    I8,
    I16,
    I32,
    I64,
    LANES,
    WIDE,
    Builder,
    Loop,
    Value,
    constant,
    dot,
    floats,
    from_bf16,
    fused,
    in_all,
    larger,
    load,
    nibbles,
    offset,
    per_lane,
    pick,
    results,
    splat,
    store,
    vector,
    widened,
    zeros,
)

Bits = Literal[4, 8, 16]
"""Of a weight's code. 16: unpacked from 4 for the moment, with a scale for a block of a row."""

ROWS = 4
"""Of the largest tile."""
OUTPUTS = 4 if LANES == 16 else 2
"""Of a tile with ROWS rows: as many as there are registers for."""
LARGEST_16 = (2**31 - 1) // (BLOCK // LANES * (LARGEST + 1)) - 1
"""The largest unpacked weight: a lane adds up BLOCK / LANES products in 32 bits, and rounding may add one to each."""

JOB = (
    "columns", "blocks", "outputs", "codes", "codes_step", "codes_block", "scales", "offsets", "scales_step",
    "scales_block", "x", "x_step", "x_scales", "x_scales_step", "x_sums", "x_sums_step", "y", "y_step",
)  # fmt: skip
"""What is to be multiplied, int64 each: numbers of columns, blocks and outputs; addresses; steps in bytes from row to
row, and from block to block of a row. `y`: of the first output of the first row."""

Given = dict[str, Value]


def one_by_one(bits: Bits, rows: int) -> Callable[..., None]:
    """A function of the address of a JOB: adds the products of all blocks to all outputs of so many rows, one output
    after the other."""

    def write(b: Builder, job: Value) -> None:
        given = _read(b, job)
        with Loop(b, given["outputs"], 1, []) as output, Loop(b, given["blocks"], 1, []) as block:
            _add(b, bits, (1, rows), _moved(b, given, output.index, block.index))

    return instructions(write, 1)


def together(bits: Bits, outputs: int, rows: int) -> Callable[..., None]:
    """A function of (the address of a JOB, block): adds the products of one block to all outputs of so many rows,
    `outputs` at a time, and the remaining ones singly."""

    def write(b: Builder, job: Value, block: Value) -> None:
        given = _read(b, job)
        at = _moved(b, given, I64(0), block)
        rest = b.urem(given["outputs"], I64(outputs))
        whole = b.sub(given["outputs"], rest)
        with b.if_then(b.icmp_unsigned(">", whole, I64(0))), Loop(b, whole, outputs, []) as output:
            _add(b, bits, (outputs, rows), _moved(b, at, output.index, None))
        with b.if_then(b.icmp_unsigned(">", rest, I64(0))), Loop(b, rest, 1, []) as output:
            _add(b, bits, (1, rows), _moved(b, at, b.add(whole, output.index), None))

    return instructions(write, 2)


def _read(b: Builder, job: Value) -> Given:
    return {name: load(b, offset(b, job, place, 8), I64, aligned=8) for place, name in enumerate(JOB)}


def _moved(b: Builder, given: Given, output: Value, block: Value | None) -> Given:
    """The same, from an output on; with a block, only that one's columns."""
    moved = dict(given)
    for name, step in (("codes", "codes_step"), ("scales", "scales_step"), ("offsets", "scales_step")):
        moved[name] = offset(b, given[name], output, given[step])
    moved["y"] = offset(b, given["y"], output, 4)
    if block is None:
        return moved
    left = b.sub(given["columns"], b.mul(block, I64(BLOCK)))
    moved["columns"] = b.select(b.icmp_unsigned("<", left, I64(BLOCK)), left, I64(BLOCK))
    blocks = {"codes": given["codes_block"], "scales": given["scales_block"], "offsets": given["scales_block"]}
    for name, step in (blocks | {"x": BLOCK * 2, "x_scales": 4, "x_sums": GROUPS * 4}).items():
        moved[name] = offset(b, moved[name], block, step)
    return moved


def _add(b: Builder, bits: Bits, size: tuple[int, int], given: Given) -> None:
    """y[row, output] += the products of one block of columns. `size`: how many outputs and rows."""
    tile = _Tile(b, *size, given)
    tile.add(tile.groups() if bits == 4 else tile.products(bits))


class _Tile:
    """Writes the instructions of one tile."""

    def __init__(self, b: Builder, outputs: int, rows: int, given: dict[str, Value]) -> None:
        self.b, self.outputs, self.rows, self.given = b, outputs, rows, given

    def each(self, name: str, count: int) -> list[Value]:
        """The addresses of so many rows of something."""
        step = "scales_step" if name == "offsets" else f"{name}_step"
        return [offset(self.b, self.given[name], row, self.given[step]) for row in range(count)]

    def products(self, bits: Bits) -> list[Value]:
        """With a scale for each output: for each row the vector of its outputs."""
        b, codes, x = self.b, self.each("codes", self.outputs), self.each("x", self.rows)
        with Loop(b, self.given["columns"], WIDE, [zeros(I32, LANES)] * (self.outputs * self.rows)) as loop:
            weights = [self.weight(bits, each, loop.index) for each in codes]
            for row, start in enumerate(x):
                some = load(b, offset(b, start, loop.index, 2), vector(I16, WIDE))
                for output, weight in enumerate(weights):
                    place = row * self.outputs + output
                    loop.values[place] = dot(b, loop.values[place], weight, some)
        # In 8 bits all lanes together fit into 32 bits, in 16 only each of them does.
        totals = loop.values if bits == 8 else [floats(b, total) for total in loop.values]
        scales = load(b, self.given["scales"], vector(F32, self.outputs), aligned=4)
        found = results(b, totals, self.outputs, b.add if bits == 8 else b.fadd)
        return [b.fmul(result, scales) for result in found]

    def weight(self, bits: Bits, start: Value, column: Value) -> Value:
        """WIDE codes from a column on."""
        b = self.b
        if bits == 16:
            return load(b, offset(b, start, column, 2), vector(I16, WIDE))
        return widened(b, load(b, b.add(start, column), vector(I8, WIDE)), I16)

    def groups(self) -> list[Value]:
        """In 4 bits. A group's products are integers; what its offset adds comes last, from the sums of the
        activations."""
        b, codes, x = self.b, self.each("codes", self.outputs), self.each("x", self.rows)
        scales = self.each("scales", self.outputs)
        groups = b.udiv(self.given["columns"], I64(GROUP))
        with Loop(b, groups, 1, [zeros(F32, LANES)] * (self.outputs * self.rows)) as loop:
            weights = [nibbles(b, offset(b, each, loop.index, GROUP // 2)) for each in codes]
            scale = [splat(b, from_bf16(b, load(b, offset(b, each, loop.index, 2), I16)), LANES) for each in scales]
            for row, start in enumerate(x):
                first = offset(b, start, loop.index, 2 * GROUP)
                some = [load(b, offset(b, first, part, 2), vector(I16, WIDE)) for part in range(0, GROUP, WIDE)]
                for output, weight in enumerate(weights):
                    total, place = zeros(I32, LANES), row * self.outputs + output
                    for part, activations in zip(weight, some, strict=True):
                        total = dot(b, total, part, activations)
                    loop.values[place] = fused(b, floats(b, total), scale[output], loop.values[place])
        return results(b, self.with_offsets(groups, loop.values), self.outputs, b.fadd)

    def with_offsets(self, groups: Value, totals: list[Value]) -> list[Value]:
        """Those of all groups, LANES at a time."""
        b, offsets, x_sums = self.b, self.each("offsets", self.outputs), self.each("x_sums", self.rows)
        with Loop(b, groups, LANES, totals) as loop:
            added = [from_bf16(b, load(b, offset(b, each, loop.index, 2), vector(I16, LANES))) for each in offsets]
            for row, start in enumerate(x_sums):
                some = load(b, offset(b, start, loop.index, 4), vector(F32, LANES), aligned=4)
                for output, each in enumerate(added):
                    place = row * self.outputs + output
                    loop.values[place] = fused(b, some, each, loop.values[place])
        return loop.values

    def add(self, products: list[Value]) -> None:
        """To y, times the scales of the activations."""
        b = self.b
        for result, x_scale, y in zip(
            products, self.each("x_scales", self.rows), self.each("y", self.rows), strict=True
        ):
            scale = splat(b, load(b, x_scale, F32, aligned=4), self.outputs)
            store(b, fused(b, result, scale, load(b, y, result.type, aligned=4)), y)


def _unpacked(b: Builder, job: Value, block: Value, codes: Value, scales: Value) -> None:
    given = _read(b, job)
    with Loop(b, given["outputs"], 1, []) as output:
        at = _moved(b, given, output.index, block)
        groups, target = b.udiv(at["columns"], I64(GROUP)), offset(b, codes, output.index, BLOCK * 2)
        largest = _largest(b, groups, at)
        store(b, b.fdiv(largest, F32(float(LARGEST_16))), offset(b, scales, output.index, 4))
        is_zero = b.fcmp_ordered("==", largest, F32(0.0))
        times = splat(b, b.select(is_zero, F32(0.0), b.fdiv(F32(float(LARGEST_16)), largest)), LANES)
        with Loop(b, groups, 1, []) as group:
            scale, added = (
                b.fmul(splat(b, from_bf16(b, load(b, offset(b, at[name], group.index, 2), I16)), LANES), times)
                for name in ("scales", "offsets")
            )
            for part, wide in enumerate(nibbles(b, offset(b, at["codes"], group.index, GROUP // 2))):
                for half in (0, LANES):
                    code = floats(b, widened(b, pick(b, wide, range(half, half + LANES)), I32))
                    whole = b.fptosi(per_lane(b, "rint", fused(b, code, scale, added)), vector(I32, LANES))
                    place = offset(b, offset(b, target, group.index, 2 * GROUP), part * WIDE + half, 2)
                    store(b, b.trunc(whole, vector(I16, LANES)), place, aligned=2)


def _largest(b: Builder, groups: Value, at: Given) -> Value:
    """The largest value, either sign, that a row's codes can stand for."""
    with Loop(b, groups, LANES, [zeros(F32, LANES)]) as loop:
        scale, added = (
            from_bf16(b, load(b, offset(b, at[name], loop.index, 2), vector(I16, LANES)))
            for name in ("scales", "offsets")
        )
        for value in (added, fused(b, scale, constant(15.0), added)):
            loop.values = [larger(b, per_lane(b, "fabs", value), loop.values[0])]
    return in_all(b, loop.values[0], lambda x, y: larger(b, x, y))


unpack = instructions(_unpacked, 4)
"""A function of (the address of a JOB in 4 bits, block, codes, scales): one block of all outputs as int16 codes
[outputs, BLOCK], with a scale, float32, for each output. All but the block are addresses."""
