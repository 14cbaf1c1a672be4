"""The innermost loops of products: tiles of a few outputs of a few rows, over one block of columns.

A weight is used for all rows of the tile, and an activation for all its outputs. Every sum has a fixed order, so it
does not depend on the size of the tile.
"""

from collections.abc import Callable
from typing import Literal

from core.engine.kernels.jit import intrinsic
from core.engine.kernels.layout import BLOCK, GROUP, GROUPS_PER_BLOCK, MAX_ACTIVATION
from core.engine.kernels.vectors import (
    F32,
    I8,
    I16,
    I32,
    I64,
    LANES,
    LANES_16,
    Builder,
    Loop,
    Value,
    broadcast,
    call_intrinsic,
    dot_accumulate,
    extend,
    float_vector,
    from_bf16,
    load,
    maximum,
    multiply_add,
    offset,
    prefetch,
    reduce_lanes,
    select_lanes,
    store,
    sums_by_row,
    to_float32,
    unpack_nibbles,
    vector,
    zeros,
)

CodeBits = Literal[4, 8, 16]
"""Bits of a weight's code. 16: unpacked from 4 bits for one block, with one scale per row."""

CACHE_LINE_BYTES = 64
TILE_ROWS = 4
"""Rows of the largest tile."""
TILE_OUTPUTS = 4 if LANES == 16 else 2
"""Outputs of a tile with TILE_ROWS rows: as many as fit into the registers."""
MAX_UNPACKED_WEIGHT = (2**31 - 1) // (BLOCK // LANES * (MAX_ACTIVATION + 1)) - 1
"""The largest unpacked weight. A lane sums BLOCK / LANES products in 32 bits; rounding may add one to each factor."""

JOB_FIELDS = (
    "columns", "blocks", "outputs", "codes", "codes_step", "codes_block", "scales", "offsets", "scales_step",
    "scales_block", "x", "x_step", "x_scales", "x_scales_step", "x_sums", "x_sums_step", "y", "y_step", "ahead",
    "ahead_step", "ahead_bytes",
)  # fmt: skip
"""The fields of a job, int64 each: what a tile multiplies.

Counts of columns, blocks and outputs; addresses of arrays; `_step`: bytes from row to row (of weights: from output to
output); `_block`: bytes from block to block within a row. `y`: address of the first output of the first row. `ahead`,
`ahead_bytes`: where weights begin that are needed next, and how many of each output to prefetch meanwhile.
"""

JobFields = dict[str, Value]


def all_blocks_tile(bits: CodeBits, rows: int) -> Callable[..., None]:
    """Compiles a function of a job's address: adds the products of all blocks to `rows` rows, output by output."""

    def write(b: Builder, job: Value) -> None:
        given = load_job(b, job)
        with Loop(b, given["outputs"], 1, []) as output, Loop(b, given["blocks"], 1, []) as block:
            _accumulate(b, bits, (1, rows), job_at(b, given, output.index, block.index))

    return intrinsic(write, 1)


def one_block_tile(bits: CodeBits, outputs: int, rows: int) -> Callable[..., None]:
    """Compiles a function of (a job's address, block): adds the products of one block to `rows` rows.

    Computes `outputs` outputs at a time, and the remaining ones singly.
    """

    def write(b: Builder, job: Value, block: Value) -> None:
        given = load_job(b, job)
        at = job_at(b, given, I64(0), block)
        rest = b.urem(given["outputs"], I64(outputs))
        whole = b.sub(given["outputs"], rest)
        with b.if_then(b.icmp_unsigned(">", whole, I64(0))), Loop(b, whole, outputs, []) as output:
            _prefetch_ahead(b, outputs, at, output.index)
            _accumulate(b, bits, (outputs, rows), job_at(b, at, output.index, None))
        with b.if_then(b.icmp_unsigned(">", rest, I64(0))), Loop(b, rest, 1, []) as output:
            _accumulate(b, bits, (1, rows), job_at(b, at, b.add(whole, output.index), None))

    return intrinsic(write, 2)


def _prefetch_ahead(b: Builder, outputs: int, given: JobFields, first: Value) -> None:
    """Prefetch what is needed next of as many outputs as are computed."""
    start = offset(b, given["ahead"], first, given["ahead_step"])
    with (
        b.if_then(b.icmp_unsigned(">", given["ahead_bytes"], I64(0))),
        Loop(b, given["ahead_bytes"], CACHE_LINE_BYTES, []) as place,
    ):
        for output in range(outputs):
            prefetch(b, b.add(offset(b, start, output, given["ahead_step"]), place.index))


def load_job(b: Builder, job: Value) -> JobFields:
    """The fields of the job at an address."""
    return {name: load(b, offset(b, job, place, 8), I64, aligned=8) for place, name in enumerate(JOB_FIELDS)}


def job_at(b: Builder, given: JobFields, output: Value, block: Value | None) -> JobFields:
    """The job from an output on, and with a block for only that block's columns."""
    moved = dict(given)
    for name, step in (("codes", "codes_step"), ("scales", "scales_step"), ("offsets", "scales_step")):
        moved[name] = offset(b, given[name], output, given[step])
    moved["y"] = offset(b, given["y"], output, 4)
    if block is None:
        return moved
    left = b.sub(given["columns"], b.mul(block, I64(BLOCK)))
    moved["columns"] = b.select(b.icmp_unsigned("<", left, I64(BLOCK)), left, I64(BLOCK))
    blocks = {"codes": given["codes_block"], "scales": given["scales_block"], "offsets": given["scales_block"]}
    for name, step in (blocks | {"x": BLOCK * 2, "x_scales": 4, "x_sums": GROUPS_PER_BLOCK * 4}).items():
        moved[name] = offset(b, moved[name], block, step)
    return moved


def _accumulate(b: Builder, bits: CodeBits, size: tuple[int, int], given: JobFields) -> None:
    """y[row, output] += the products of one block of columns. `size`: the tile's outputs and rows."""
    tile = Tile(b, *size, given)
    tile.add_to_outputs(tile.sum_groups() if bits == 4 else tile.sum_block(bits))


class Tile:
    """Writes the instructions of one tile."""

    def __init__(self, b: Builder, outputs: int, rows: int, given: dict[str, Value]) -> None:
        self.b, self.outputs, self.rows, self.given = b, outputs, rows, given

    def addresses(self, name: str, count: int) -> list[Value]:
        """The addresses of the first `count` rows of an array of the job."""
        step = "scales_step" if name == "offsets" else f"{name}_step"
        return [offset(self.b, self.given[name], row, self.given[step]) for row in range(count)]

    def sum_block(self, bits: CodeBits) -> list[Value]:
        """The products of 8- or 16-bit weights: for each row a vector of its outputs."""
        b, codes, x = self.b, self.addresses("codes", self.outputs), self.addresses("x", self.rows)
        with Loop(b, self.given["columns"], LANES_16, [zeros(I32, LANES)] * (self.outputs * self.rows)) as loop:
            weights = [self.load_weights(bits, each, loop.index) for each in codes]
            for row, start in enumerate(x):
                some = load(b, offset(b, start, loop.index, 2), vector(I16, LANES_16))
                for output, weight in enumerate(weights):
                    place = row * self.outputs + output
                    loop.values[place] = dot_accumulate(b, loop.values[place], weight, some)
        # The sum of all lanes fits into 32 bits for 8-bit weights; for 16-bit weights only each lane does.
        totals = loop.values if bits == 8 else [to_float32(b, total) for total in loop.values]
        scales = load(b, self.given["scales"], vector(F32, self.outputs), aligned=4)
        found = sums_by_row(b, totals, self.outputs, b.add if bits == 8 else b.fadd)
        return [b.fmul(result, scales) for result in found]

    def load_weights(self, bits: CodeBits, start: Value, column: Value) -> Value:
        """LANES_16 codes from a column on, as 16-bit integers."""
        b = self.b
        if bits == 16:
            return load(b, offset(b, start, column, 2), vector(I16, LANES_16))
        return extend(b, load(b, b.add(start, column), vector(I8, LANES_16)), I16)

    def sum_groups(self) -> list[Value]:
        """The products of 4-bit weights: for each row a vector of its outputs.

        Products within a group are summed as integers. The offsets are multiplied with the groups' sums of activations
        at the end.
        """
        b, codes, x = self.b, self.addresses("codes", self.outputs), self.addresses("x", self.rows)
        scales = self.addresses("scales", self.outputs)
        groups = b.udiv(self.given["columns"], I64(GROUP))
        with Loop(b, groups, 1, [zeros(F32, LANES)] * (self.outputs * self.rows)) as loop:
            weights = [unpack_nibbles(b, offset(b, each, loop.index, GROUP // 2)) for each in codes]
            scale = [broadcast(b, from_bf16(b, load(b, offset(b, each, loop.index, 2), I16)), LANES) for each in scales]
            for row, start in enumerate(x):
                first = offset(b, start, loop.index, 2 * GROUP)
                some = [load(b, offset(b, first, part, 2), vector(I16, LANES_16)) for part in range(0, GROUP, LANES_16)]
                for output, weight in enumerate(weights):
                    total, place = zeros(I32, LANES), row * self.outputs + output
                    for part, activations in zip(weight, some, strict=True):
                        total = dot_accumulate(b, total, part, activations)
                    loop.values[place] = multiply_add(b, to_float32(b, total), scale[output], loop.values[place])
        return sums_by_row(b, self.add_offsets(groups, loop.values), self.outputs, b.fadd)

    def add_offsets(self, groups: Value, totals: list[Value]) -> list[Value]:
        """Add the offsets of all groups times their sums of activations, LANES groups at a time."""
        b, offsets, x_sums = self.b, self.addresses("offsets", self.outputs), self.addresses("x_sums", self.rows)
        with Loop(b, groups, LANES, totals) as loop:
            added = [from_bf16(b, load(b, offset(b, each, loop.index, 2), vector(I16, LANES))) for each in offsets]
            for row, start in enumerate(x_sums):
                some = load(b, offset(b, start, loop.index, 4), vector(F32, LANES), aligned=4)
                for output, each in enumerate(added):
                    place = row * self.outputs + output
                    loop.values[place] = multiply_add(b, some, each, loop.values[place])
        return loop.values

    def add_to_outputs(self, products: list[Value]) -> None:
        """Add products, times the scales of the activations, to y."""
        b = self.b
        for result, x_scale, y in zip(
            products, self.addresses("x_scales", self.rows), self.addresses("y", self.rows), strict=True
        ):
            scale = broadcast(b, load(b, x_scale, F32, aligned=4), self.outputs)
            store(b, multiply_add(b, result, scale, load(b, y, result.type, aligned=4)), y)


def _write_unpack(b: Builder, job: Value, block: Value, codes: Value, scales: Value) -> None:
    given = load_job(b, job)
    with Loop(b, given["outputs"], 1, []) as output:
        at = job_at(b, given, output.index, block)
        groups, target = b.udiv(at["columns"], I64(GROUP)), offset(b, codes, output.index, BLOCK * 2)
        largest = _largest_weight(b, groups, at)
        store(b, b.fdiv(largest, F32(float(MAX_UNPACKED_WEIGHT))), offset(b, scales, output.index, 4))
        is_zero = b.fcmp_ordered("==", largest, F32(0.0))
        times = broadcast(b, b.select(is_zero, F32(0.0), b.fdiv(F32(float(MAX_UNPACKED_WEIGHT)), largest)), LANES)
        with Loop(b, groups, 1, []) as group:
            scale, added = (
                b.fmul(broadcast(b, from_bf16(b, load(b, offset(b, at[name], group.index, 2), I16)), LANES), times)
                for name in ("scales", "offsets")
            )
            for part, wide in enumerate(unpack_nibbles(b, offset(b, at["codes"], group.index, GROUP // 2))):
                for half in (0, LANES):
                    code = to_float32(b, extend(b, select_lanes(b, wide, range(half, half + LANES)), I32))
                    whole = b.fptosi(call_intrinsic(b, "rint", multiply_add(b, code, scale, added)), vector(I32, LANES))
                    place = offset(b, offset(b, target, group.index, 2 * GROUP), part * LANES_16 + half, 2)
                    store(b, b.trunc(whole, vector(I16, LANES)), place, aligned=2)


def _largest_weight(b: Builder, groups: Value, at: JobFields) -> Value:
    """The largest magnitude that the codes of a row's groups can represent."""
    with Loop(b, groups, LANES, [zeros(F32, LANES)]) as loop:
        scale, added = (
            from_bf16(b, load(b, offset(b, at[name], loop.index, 2), vector(I16, LANES)))
            for name in ("scales", "offsets")
        )
        for value in (added, multiply_add(b, scale, float_vector(15.0), added)):
            loop.values = [maximum(b, call_intrinsic(b, "fabs", value), loop.values[0])]
    return reduce_lanes(b, loop.values[0], lambda x, y: maximum(b, x, y))


unpack_block = intrinsic(_write_unpack, 4)
"""A function of (the address of a 4-bit job, block, codes, scales).

It unpacks one block of all outputs to int16 codes [outputs, BLOCK] and float32 scales [outputs]. `codes` and `scales`
are addresses.
"""
