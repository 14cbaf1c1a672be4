"""GGUF's quantized blocks as instructions that read them as they lie in the file.

A block holds the codes and the scales of 32 or 256 columns of a row. The layouts are those of ggml-org/ggml,
src/ggml-common.h, and of the Python package gguf, quants.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from core.engine.kernels.layout import GROUP
from core.engine.kernels.vectors import (
    I1,
    I8,
    I16,
    I32,
    I64,
    LANES,
    Builder,
    Value,
    extend,
    float_vector,
    from_half,
    load,
    look_up,
    select_lanes,
    to_float32,
    vector,
)

HALF = GROUP // 2
"""Columns whose codes are read at a time."""
SCALE_LANES = min(LANES, HALF // 2)
"""Lanes of the sums of products of HALF columns or fewer."""
IQ4_NL_VALUES = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
"""The value of each code of IQ4_NL (kvalues_iq4nl)."""


@dataclass(frozen=True, slots=True)
class BlockParts:
    """What a block holds, as LLVM values: value = code * factor * scale + offset.

    `codes`: HALF columns at a time, <16 x i16>, written as they are asked for. `scale`: float32, the same in
    SCALE_LANES lanes. `factors`: integers of at most 8 bits, <n x i16>, one for every `scale_columns` columns; None
    where all are 1. `offsets`: float32, one per group of GROUP columns; None where they are 0.
    """

    codes: Iterator[Value]
    scale: Value
    factors: Value | None = None
    offsets: Value | None = None


@dataclass(frozen=True, slots=True)
class BlockKind:
    """A kind of block.

    `columns` and `bytes`: of a block. `codes`: the smallest and the largest. `read`: writes the instructions that read
    the block at an address. `scale_columns`: columns that share a factor. `exact_columns`: columns whose products,
    times their factors, are summed in 32 bits.
    """

    columns: int
    bytes: int
    codes: tuple[int, int]
    read: Callable[[Builder, Value], BlockParts]
    scale_columns: int = GROUP
    exact_columns: int = GROUP
    has_offsets: bool = False

    @property
    def code_bits(self) -> int:
        """Bits that every code fits into, beside its sign."""
        least, most = self.codes
        return next(bits for bits in range(16) if -(1 << bits) <= least and most < 1 << bits)

    @property
    def groups(self) -> int:
        """Groups of GROUP columns in a block."""
        return self.columns // GROUP

    def row_bytes(self, columns: int) -> int:
        """The bytes of a row of `columns` columns, a multiple of the block's."""
        return columns // self.columns * self.bytes


def _at(b: Builder, address: Value, byte: int) -> Value:
    return b.add(address, I64(byte))


def _bytes(b: Builder, address: Value, byte: int, *, signed: bool = False) -> Value:
    """HALF bytes of a block, from a place on, as 16-bit integers."""
    return extend(b, load(b, _at(b, address, byte), vector(I8, HALF)), I16, signed=signed)


def _number(b: Builder, address: Value, byte: int, lanes: int) -> Value:
    """The float16 at a place of a block, as float32 in all lanes."""
    return from_half(b, load(b, _at(b, address, byte), I16), lanes)


def _each(number: int) -> Any:
    """The same 16-bit integer for HALF columns."""
    return ir.Constant(vector(I16, HALF), [number] * HALF)


def _nibbles(b: Builder, some: Value) -> tuple[Value, Value]:
    """The low and the high halves of bytes."""
    return b.and_(some, _each(15)), b.lshr(some, _each(4))


def _with_fifth_bits(b: Builder, address: Value, byte: int, codes: tuple[Value, Value], without: int) -> list[Value]:
    """Codes of four bits, joined with 16 + `without` where a bit of the four bytes at a place is set, else with
    `without`."""
    found = []
    for place, four in enumerate(codes):
        bits = b.bitcast(load(b, _at(b, address, byte + 2 * place), I16), vector(I1, HALF))
        least = b.or_(four, _each(without))
        found.append(b.select(bits, b.add(least, _each(16)), least))
    return found


def _read_q4_0(b: Builder, address: Value) -> BlockParts:
    codes = (b.sub(half, _each(8)) for half in _nibbles(b, _bytes(b, address, 2)))
    return BlockParts(codes, _number(b, address, 0, SCALE_LANES))


def _read_q4_1(b: Builder, address: Value) -> BlockParts:
    codes = iter(_nibbles(b, _bytes(b, address, 4)))
    return BlockParts(codes, _number(b, address, 0, SCALE_LANES), offsets=_number(b, address, 2, 1))


def _read_q5_0(b: Builder, address: Value) -> BlockParts:
    codes = _with_fifth_bits(b, address, 2, _nibbles(b, _bytes(b, address, 6)), -16)
    return BlockParts(iter(codes), _number(b, address, 0, SCALE_LANES))


def _read_q5_1(b: Builder, address: Value) -> BlockParts:
    codes = _with_fifth_bits(b, address, 4, _nibbles(b, _bytes(b, address, 8)), 0)
    return BlockParts(iter(codes), _number(b, address, 0, SCALE_LANES), offsets=_number(b, address, 2, 1))


def _read_q8_0(b: Builder, address: Value) -> BlockParts:
    codes = (_bytes(b, address, byte, signed=True) for byte in (2, 2 + HALF))
    return BlockParts(codes, _number(b, address, 0, SCALE_LANES))


def _read_iq4_nl(b: Builder, address: Value) -> BlockParts:
    some = load(b, _at(b, address, 2), vector(I8, HALF))
    low, high = (ir.Constant(some.type, [number] * HALF) for number in (15, 4))
    codes = (extend(b, look_up(b, IQ4_NL_VALUES, four), I16) for four in (b.and_(some, low), b.lshr(some, high)))
    return BlockParts(codes, _number(b, address, 0, SCALE_LANES))


def _read_levels(b: Builder, address: Value) -> tuple[Value, Value, Value]:
    """Scale, factors and offsets of Q4_K and Q5_K: eight numbers of six bits, times a float16, of the last two."""
    first, second, third = (load(b, _at(b, address, byte), I32) for byte in (4, 8, 12))

    def masked(word: Value, right: int, mask: int) -> Value:
        return b.and_(b.lshr(word, I32(right)) if right else word, I32(mask))

    def upper(right: int, word: Value) -> Value:
        high = b.shl(masked(word, 6, 0x03030303), I32(4))
        return b.or_(masked(third, right, 0x0F0F0F0F), high)

    words = masked(first, 0, 0x3F3F3F3F), upper(0, first), masked(second, 0, 0x3F3F3F3F), upper(4, second)
    packed = ir.Constant(vector(I32, 4), ir.Undefined)
    for place, word in enumerate(words):
        packed = b.insert_element(packed, word, I32(place))
    numbers = extend(b, b.bitcast(packed, vector(I8, 16)), I16, signed=False)
    least = b.fmul(_number(b, address, 2, 8), float_vector(-1.0, 8))
    minima = to_float32(b, extend(b, select_lanes(b, numbers, range(8, 16)), I32))
    factors = select_lanes(b, numbers, range(8))
    return _number(b, address, 0, SCALE_LANES), factors, b.fmul(minima, least)


def _four_bits(b: Builder, address: Value, byte: int) -> Iterator[Value]:
    """The codes of Q4_K and the low bits of Q5_K: of each 32 bytes the low halves are the first columns."""
    for start in range(byte, byte + 128, GROUP):
        pairs = [_nibbles(b, _bytes(b, address, start + place)) for place in (0, HALF)]
        for part in range(2):
            for pair in pairs:
                yield pair[part]


def _read_q4_k(b: Builder, address: Value) -> BlockParts:
    return BlockParts(_four_bits(b, address, 16), *_read_levels(b, address))


def _read_q5_k(b: Builder, address: Value) -> BlockParts:
    def codes() -> Iterator[Value]:
        fifth = [_bytes(b, address, 16 + place) for place in (0, HALF)]
        for number, four in enumerate(_four_bits(b, address, 48)):
            group, place = divmod(number, 2)
            moved = b.shl(fifth[place], _each(4 - group)) if group < 4 else b.lshr(fifth[place], _each(group - 4))
            yield b.or_(four, b.and_(moved, _each(16)))

    return BlockParts(codes(), *_read_levels(b, address))


def _read_q6_k(b: Builder, address: Value) -> BlockParts:
    def codes() -> Iterator[Value]:
        for half in range(2):
            high = [_bytes(b, address, 128 + 32 * half + place) for place in (0, HALF)]
            four = [_nibbles(b, _bytes(b, address, 64 * half + byte)) for byte in range(0, 64, HALF)]
            for group in range(4):
                for place in range(2):
                    moved = b.lshr(high[place], _each(2 * group - 4)) if group > 2 else high[place]
                    moved = b.shl(high[place], _each(4 - 2 * group)) if group < 2 else moved
                    low = four[2 * (group % 2) + place][group // 2]
                    yield b.sub(b.or_(low, b.and_(moved, _each(48))), _each(32))

    factors = extend(b, load(b, _at(b, address, 192), vector(I8, 16)), I16)
    return BlockParts(codes(), _number(b, address, 208, SCALE_LANES), factors)


BLOCK_KINDS = {
    "Q4_0": BlockKind(32, 18, (-8, 7), _read_q4_0),
    "Q4_1": BlockKind(32, 20, (0, 15), _read_q4_1, has_offsets=True),
    "Q5_0": BlockKind(32, 22, (-16, 15), _read_q5_0),
    "Q5_1": BlockKind(32, 24, (0, 31), _read_q5_1, has_offsets=True),
    "Q8_0": BlockKind(32, 34, (-128, 127), _read_q8_0),
    "IQ4_NL": BlockKind(32, 18, (-127, 113), _read_iq4_nl),
    "Q4_K": BlockKind(256, 144, (0, 15), _read_q4_k, exact_columns=256, has_offsets=True),
    "Q5_K": BlockKind(256, 176, (0, 31), _read_q5_k, exact_columns=256, has_offsets=True),
    "Q6_K": BlockKind(256, 210, (-32, 31), _read_q6_k, scale_columns=16, exact_columns=128),
}
"""The kinds that kernels read, by GGUF's names."""
