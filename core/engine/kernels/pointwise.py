"""What a step computes between its products: norms, rotary positions, softmax, the MLP's activation, and the rounding
of activations. All of it in float32."""

from typing import Any

import numpy as np

from core.engine.kernels.jit import Array, compiled, instructions, types
from core.engine.kernels.layout import BLOCK, GROUP, GROUPS, LARGEST, Rounded, blocks_of
from core.engine.kernels.vectors import (
    F32,
    I16,
    I32,
    I64,
    LANES,
    Builder,
    Loop,
    Value,
    constant,
    exponential,
    in_all,
    larger,
    load,
    offset,
    per_lane,
    splat,
    store,
    vector,
    zeros,
)

LEAST = np.float32(-1e30)
"""Fills up scores to a whole vector: it weighs nothing."""


def _some(b: Builder, address: Value, index: Value) -> Value:
    return load(b, offset(b, address, index, 4), vector(F32, LANES), aligned=4)


# Norms and positions


@compiled
def normalise(x: Array, weight: Array, epsilon: Any, result: Array) -> None:
    """x / sqrt(mean(x**2) + epsilon) * weight, of one row; in place, too."""
    total = np.float32(0)
    for column in range(len(weight)):
        total += x[column] * x[column]
    inverse = np.float32(1) / np.sqrt(total / np.float32(len(weight)) + epsilon)
    for column in range(len(weight)):
        result[column] = x[column] * inverse * weight[column]


@compiled
def rotate(head: Array, cos: Array, sin: Array, factor: Any) -> None:
    """Turn each pair of numbers, one of each half of a head, by its angle; times a factor."""
    half = len(cos)
    for place in range(half):
        first, second = head[place], head[place + half]
        head[place] = (first * cos[place] - second * sin[place]) * factor
        head[place + half] = (second * cos[place] + first * sin[place]) * factor


# Rounding


def _rounded(b: Builder, values: Value, columns: Value, codes: Value, scale: Value, sums: Value) -> None:
    with Loop(b, columns, LANES, [zeros(F32, LANES)] * 2) as loop:
        some, (largest, nothing) = _some(b, values, loop.index), loop.values
        loop.values = [
            larger(b, per_lane(b, "fabs", some), largest),
            b.fadd(nothing, b.fmul(some, constant(0.0))),
        ]
    largest = in_all(b, loop.values[0], lambda x, y: larger(b, x, y))
    step = b.fdiv(largest, F32(float(LARGEST)))
    store(b, b.fadd(step, in_all(b, loop.values[1], b.fadd)), scale)
    is_zero = b.fcmp_ordered("==", largest, F32(0.0))
    inverse = splat(b, b.select(is_zero, F32(0.0), b.fdiv(F32(float(LARGEST)), largest)), LANES)
    with Loop(b, b.udiv(columns, I64(GROUP)), 1, []) as groups:
        start, total = b.mul(groups.index, I64(GROUP)), zeros(I32, LANES)
        for part in range(0, GROUP, LANES):
            at = b.add(start, I64(part))
            code = b.fptosi(per_lane(b, "rint", b.fmul(_some(b, values, at), inverse)), vector(I32, LANES))
            store(b, b.trunc(code, vector(I16, LANES)), offset(b, codes, at, 2), aligned=2)
            total = b.add(total, code)
        store(b, b.sitofp(in_all(b, total, b.add), F32), offset(b, sums, groups.index, 4))


_round = instructions(_rounded, 5)


@compiled
def round_block(values: Array, x: Rounded, columns: int, row: int, block: int) -> None:
    """Round one block of a row of activations, float32 [columns]. Where one is infinite or no number, no integer could
    say so: then the scale is no number, and nor will anything be that is made of the row."""
    place, width = row * blocks_of(columns) + block, min(BLOCK, columns - block * BLOCK)
    codes = x.codes[row * columns + block * BLOCK :]
    sums = x.sums[place * GROUPS : (place + 1) * GROUPS]
    for group in range(width // GROUP, GROUPS):
        sums[group] = np.float32(0)
    _round(
        values[block * BLOCK :].ctypes.data, width, codes.ctypes.data, x.scales[place:].ctypes.data, sums.ctypes.data
    )


# The MLP


def _activated(b: Builder, gate: Value, up: Value, count: Value) -> None:
    with Loop(b, count, LANES, []) as loop:
        some = _some(b, gate, loop.index)
        chance = b.fadd(constant(1.0), exponential(b, b.fneg(some)))
        product = b.fmul(b.fdiv(some, chance), _some(b, up, loop.index))
        store(b, product, offset(b, gate, loop.index, 4))


activate = instructions(_activated, 3)
"""A function of (gate, up, count), addresses of float32: silu(gate) * up, into gate. `count` is a multiple of GROUP."""


# Softmax


def _raised(b: Builder, scores: Value, count: Value) -> Value:
    with Loop(b, count, LANES, [constant(float(LEAST))]) as loop:
        loop.values = [larger(b, _some(b, scores, loop.index), loop.values[0])]
    largest = splat(b, in_all(b, loop.values[0], lambda x, y: larger(b, x, y)), LANES)
    with Loop(b, count, LANES, [zeros(F32, LANES)]) as loop:
        chances = exponential(b, b.fsub(_some(b, scores, loop.index), largest))
        store(b, chances, offset(b, scores, loop.index, 4))
        loop.values = [b.fadd(loop.values[0], chances)]
    return in_all(b, loop.values[0], b.fadd)


_raise = instructions(_raised, 2, types.float32)


@compiled
def raise_to(scores: Array, count: int) -> Any:
    """e**(score - the largest) of the first, in place; what they add up to. There must be room up to a multiple of
    LANES."""
    for place in range(count, (count + LANES - 1) // LANES * LANES):
        scores[place] = LEAST
    return _raise(scores.ctypes.data, count)


@compiled
def weigh(scores: Array, count: int) -> None:
    """The softmax of the first, in place; as raise_to."""
    inverse = np.float32(1) / raise_to(scores, count)
    for place in range(count):
        scores[place] *= inverse


# bf16

_bits_of = instructions(lambda b, value: b.zext(b.bitcast(value, I32), I64), 1, types.int64, of=types.float32)


@compiled
def bf16(value: Any) -> Any:
    """The bits of the nearest bf16; of two as near, the even one. No number stays no number."""
    bits = _bits_of(value)
    if np.isnan(value):
        return np.uint16((bits >> 16) | 64)
    return np.uint16((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)
