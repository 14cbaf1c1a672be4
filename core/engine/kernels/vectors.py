"""Vector operations as LLVM instructions, which numba's Python can't express.

Functions take and return LLVM values. `b` is the builder that writes the instructions.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from core.engine.kernels import machine
from core.engine.kernels.jit import intrinsic, types

I1, I8, I16, I32, I64, F32 = (*(ir.IntType(bits) for bits in (1, 8, 16, 32, 64)), ir.FloatType())
INSTRUCTION_SET = machine.instruction_set()
LANES = {"vnni": 16, "avx512": 16, "avx2": 8, "generic": 4}[INSTRUCTION_SET]
"""32-bit numbers per vector."""
LANES_16 = 2 * LANES
"""16-bit numbers per vector."""

Value = Any
Builder = Any
Combine = Callable[[Value, Value], Value]
"""Writes an operation on two vectors, such as their sum or maximum."""


def vector(kind: Any, lanes: int) -> Any:
    """The type of a vector of `lanes` numbers of a kind."""
    return ir.VectorType(kind, lanes)


def load(b: Builder, address: Value, kind: Any, *, aligned: int = 1) -> Value:
    """Read a number or a vector at an address."""
    return b.load(b.inttoptr(address, kind.as_pointer()), align=aligned)


def store(b: Builder, value: Value, address: Value, *, aligned: int = 4) -> None:
    """Write a number or a vector to an address."""
    b.store(value, b.inttoptr(address, value.type.as_pointer()), align=aligned)


def prefetch(b: Builder, address: Value, near: int = 2) -> None:
    """Have the cache line at an address brought near: into the second cache, or with `near` 3 into the first. Any
    address is allowed, and nothing waits for it."""
    pointer = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer, I32, I32, I32])
    function = b.module.declare_intrinsic("llvm.prefetch.p0i8", (), kind)
    b.call(function, [b.inttoptr(address, pointer), I32(0), I32(near), I32(1)])  # to read, data


def offset(b: Builder, address: Value, index: Value | int, step: Value | int) -> Value:
    """The address `index` steps of `step` bytes after `address`."""
    index, step = (I64(each) if isinstance(each, int) else each for each in (index, step))
    return b.add(address, b.mul(index, step))


def lane_indices(of: Iterable[int]) -> ir.Constant:
    """The constant that tells a shuffle which lanes to take."""
    numbers = list(of)
    return ir.Constant(vector(I32, len(numbers)), numbers)


def zeros(kind: Any, count: int) -> ir.Constant:
    """A vector of zeros."""
    return ir.Constant(vector(kind, count), [0.0 if kind == F32 else 0] * count)


def select_lanes(b: Builder, value: Value, of: Iterable[int]) -> Value:
    """The lanes `of` a vector, as a vector."""
    return b.shuffle_vector(value, value, lane_indices(of))


def look_up(b: Builder, table: Sequence[int], codes: Value) -> Value:
    """The 8-bit number of a table of 16 for each of 16 codes, which are less than 16."""
    if INSTRUCTION_SET != "generic":
        kind = ir.FunctionType(codes.type, [codes.type, codes.type])
        shuffle = b.module.declare_intrinsic("llvm.x86.ssse3.pshuf.b.128", (), kind)
        return b.call(shuffle, [ir.Constant(codes.type, list(table)), codes])
    level = [ir.Constant(codes.type, [number] * codes.type.count) for number in table]
    for bit in (1, 2, 4, 8):
        mask = b.and_(codes, ir.Constant(codes.type, [bit] * codes.type.count))
        is_set = b.icmp_unsigned("!=", mask, ir.Constant(codes.type, [0] * codes.type.count))
        level = [b.select(is_set, odd, even) for even, odd in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def broadcast(b: Builder, value: Value, count: int) -> Value:
    """The same number in every lane."""
    one = b.insert_element(ir.Constant(vector(value.type, count), ir.Undefined), value, I32(0))
    return select_lanes(b, one, [0] * count)


def extend(b: Builder, value: Value, kind: Any, *, signed: bool = True) -> Value:
    """The same integers in a type `kind` of more bits."""
    wide = vector(kind, value.type.count)
    return b.sext(value, wide) if signed else b.zext(value, wide)


def to_float32(b: Builder, value: Value) -> Value:
    """Convert a vector of integers to float32."""
    return b.sitofp(value, vector(F32, value.type.count))


def from_bf16(b: Builder, value: Value) -> Value:
    """bf16 as float32: the same bits, followed by sixteen zeros."""
    if isinstance(value.type, ir.VectorType):
        count = value.type.count
        bits = b.shl(extend(b, value, I32, signed=False), ir.Constant(vector(I32, count), [16] * count))
        return b.bitcast(bits, vector(F32, count))
    return b.bitcast(b.shl(b.zext(value, I32), I32(16)), F32)


def from_half(b: Builder, value: Value, count: int) -> Value:
    """The bits of a float16, a 16-bit integer, as float32 in `count` lanes.

    Plain vectors have no instruction for it: the exponent is moved by a product, which is exact for all finite numbers.
    """
    bits = broadcast(b, value, count)
    if INSTRUCTION_SET != "generic":
        return b.fpext(b.bitcast(bits, vector(ir.HalfType(), count)), vector(F32, count))
    wide = extend(b, bits, I32, signed=False)
    kind = wide.type
    shifted = b.shl(b.and_(wide, ir.Constant(kind, [0x7FFF] * count)), ir.Constant(kind, [13] * count))
    number = b.fmul(b.bitcast(shifted, vector(F32, count)), float_vector(2.0**112, count))
    sign = b.shl(b.and_(wide, ir.Constant(kind, [0x8000] * count)), ir.Constant(kind, [16] * count))
    return b.bitcast(b.or_(b.bitcast(number, kind), sign), vector(F32, count))


def multiply_add(b: Builder, x: Value, y: Value, z: Value) -> Value:
    """x * y + z of float32 vectors, fused where the processor can."""
    return call_intrinsic(b, "fmuladd", x, y, z)


def to_bf16(b: Builder, value: Value) -> Value:
    """The nearest bf16 of finite numbers, as 16-bit integers, rounding half to even."""
    kind = vector(I32, value.type.count)
    bits = b.bitcast(value, kind)

    def in_every_lane(number: int) -> Any:
        return ir.Constant(kind, [number] * kind.count)

    odd = b.and_(b.lshr(bits, in_every_lane(16)), in_every_lane(1))
    rounded = b.lshr(b.add(b.add(bits, in_every_lane(0x7FFF)), odd), in_every_lane(16))
    return b.trunc(rounded, vector(I16, kind.count))


def call_intrinsic(b: Builder, name: str, *values: Value) -> Value:
    """Call one of LLVM's functions of float32 vectors, such as rint or fabs."""
    kind = values[0].type
    function = ir.FunctionType(kind, [kind] * len(values))
    return b.call(b.module.declare_intrinsic(f"llvm.{name}.v{kind.count}f32", (), function), values)


def float_vector(value: float, count: int = LANES) -> ir.Constant:
    """The same float32 in every lane."""
    return ir.Constant(vector(F32, count), [float(np.float32(value))] * count)


def maximum(b: Builder, x: Value, y: Value) -> Value:
    """The larger of each two lanes; y where either is NaN."""
    return b.select(b.fcmp_ordered(">", x, y), x, y)


def exponential(b: Builder, x: Value) -> Value:
    """e**x to the precision of float32, after Cephes' expf: a polynomial around the nearest power of two.

    Saturates for x above 88 and is 0 below -87. NaN stays NaN.
    """
    tiny = b.fcmp_ordered("<", x, float_vector(-87.0))
    x = b.select(tiny, float_vector(-87.0), x)
    x = b.select(b.fcmp_ordered(">", x, float_vector(88.0)), float_vector(88.0), x)
    power = call_intrinsic(b, "rint", b.fmul(x, float_vector(1.44269504088896341)))
    x = multiply_add(b, power, float_vector(-0.693359375), x)
    x = multiply_add(b, power, float_vector(2.12194440e-4), x)
    y = float_vector(1.9875691500e-4)
    for factor in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        y = multiply_add(b, y, x, float_vector(factor))
    y = b.fadd(multiply_add(b, y, b.fmul(x, x), x), float_vector(1.0))
    whole = b.add(b.fptosi(power, vector(I32, LANES)), ir.Constant(vector(I32, LANES), [127] * LANES))
    bits = b.shl(whole, ir.Constant(vector(I32, LANES), [23] * LANES))
    return b.select(tiny, float_vector(0.0), b.fmul(y, b.bitcast(bits, vector(F32, LANES))))


def reduce_lanes(b: Builder, value: Value, add: Combine) -> Value:
    """Combine all lanes of a vector to one number, two by two."""
    while value.type.count > 1:
        value = _combine_pairs(b, value, None, add)
    return b.extract_element(value, I32(0))


def dot_accumulate(b: Builder, total: Value, x: Value, y: Value) -> Value:
    """Add the products of two vectors of 16-bit integers to `total`, 32-bit integers: two products per lane.

    The vectors have 2 * LANES numbers, or on a machine with AVX-512 half as many.
    """
    wide, result = x.type, total.type
    bits = 32 * result.count
    if INSTRUCTION_SET == "vnni":
        kind = ir.FunctionType(result, [result, wide, wide])
        return b.call(b.module.declare_intrinsic(f"llvm.x86.avx512.vpdpwssd.{bits}", (), kind), [total, x, y])
    if INSTRUCTION_SET != "generic":
        name = "llvm.x86.avx512.pmaddw.d.512" if bits == 512 else "llvm.x86.avx2.pmadd.wd"
        product = b.call(b.module.declare_intrinsic(name, (), ir.FunctionType(result, [wide, wide])), [x, y])
        return b.add(total, product)
    product = b.mul(extend(b, x, I32), extend(b, y, I32))
    halves = select_lanes(b, product, range(LANES)), select_lanes(b, product, range(LANES, LANES_16))
    return b.add(b.add(total, halves[0]), halves[1])


def multiply_fractions(b: Builder, x: Value, y: Value) -> Value:
    """x * y / 2**15, rounded, of vectors of 16-bit integers."""
    count = x.type.count
    if INSTRUCTION_SET != "generic":
        name = {8: "llvm.x86.ssse3.pmul.hr.sw.128", 16: "llvm.x86.avx2.pmul.hr.sw"}[count]
        return b.call(b.module.declare_intrinsic(name, (), ir.FunctionType(x.type, [x.type, x.type])), [x, y])
    half, places = (ir.Constant(vector(I32, count), [number] * count) for number in (1 << 14, 15))
    product = b.add(b.mul(extend(b, x, I32), extend(b, y, I32)), half)
    return b.trunc(b.ashr(product, places), x.type)


def unpack_nibbles(b: Builder, address: Value) -> list[Value]:
    """The 32 4-bit codes of 16 bytes, the low halves first, as vectors of LANES_16 16-bit integers."""
    bytes_ = load(b, address, vector(I8, 16))
    low = b.and_(bytes_, ir.Constant(bytes_.type, [15] * 16))
    high = b.lshr(bytes_, ir.Constant(bytes_.type, [4] * 16))
    codes = b.shuffle_vector(low, high, lane_indices(range(32)))
    return [
        extend(b, select_lanes(b, codes, range(at, at + LANES_16)), I16, signed=False) for at in range(0, 32, LANES_16)
    ]


def sum_lanes(b: Builder, vectors: Sequence[Value], add: Combine) -> Value:
    """A vector of the sums of each vector's lanes, in order.

    The number of vectors is a power of two, at most their number of lanes. Lanes are always added in the same order, so
    a sum does not depend on how many are computed together.
    """
    level = list(vectors)
    while len(level) > 1:
        level = [_combine_pairs(b, x, y, add) for x, y in zip(level[::2], level[1::2], strict=True)]
    total = level[0]
    while total.type.count > len(vectors):
        total = _combine_pairs(b, total, None, add)
    return total


def _combine_pairs(b: Builder, x: Value, y: Value | None, add: Combine) -> Value:
    """Combine neighbouring lanes of x, then of y."""
    count = x.type.count * (1 if y is None else 2)
    y = x if y is None else y
    return add(
        b.shuffle_vector(x, y, lane_indices(range(0, count, 2))),
        b.shuffle_vector(x, y, lane_indices(range(1, count, 2))),
    )


def sums_by_row(b: Builder, totals: Sequence[Value], outputs: int, add: Combine) -> list[Value]:
    """Sum the lanes of each total, as float32. Returns a vector of `outputs` sums per row."""
    found = []
    for start in range(0, len(totals), LANES):
        some = sum_lanes(b, totals[start : start + LANES], add)
        some = some if some.type.element == F32 else to_float32(b, some)
        found += [select_lanes(b, some, range(at, at + outputs)) for at in range(0, some.type.count, outputs)]
    return found


class Loop:
    """Writes a loop: for index in range(0, end, step), at least once.

    `values` are carried from one iteration to the next, and hold the last iteration's results afterwards:

        with Loop(...) as loop:
            loop.values = [... loop.index ... loop.values ...]
    """

    def __init__(self, b: Builder, end: Value, step: int, values: Sequence[Value]) -> None:
        self._b, self._end, self._step = b, end, step
        before = b.block
        self._head, self._after = b.append_basic_block("loop"), b.append_basic_block("after")
        b.branch(self._head)
        b.position_at_end(self._head)
        self.index = b.phi(I64)
        self.index.add_incoming(I64(0), before)
        self._carried = [b.phi(value.type) for value in values]
        for carried, value in zip(self._carried, values, strict=True):
            carried.add_incoming(value, before)
        self.values: list[Value] = list(self._carried)

    def __enter__(self) -> "Loop":
        return self

    def __exit__(self, *error: object) -> None:
        b = self._b
        following = b.add(self.index, I64(self._step))
        self.index.add_incoming(following, b.block)
        for carried, value in zip(self._carried, self.values, strict=True):
            carried.add_incoming(value, b.block)
        b.cbranch(b.icmp_unsigned("<", following, self._end), self._head, self._after)
        b.position_at_end(self._after)


float_at = intrinsic(lambda b, address: load(b, address, F32, aligned=4), 1, types.float32)
"""Reads the float32 at an address."""
