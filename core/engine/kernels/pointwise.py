"""What a step computes between its products, in float32: norms, rotary positions, softmax, the MLP's activation, and
the quantization of activations."""

from typing import Any

import numpy as np

from core.engine.kernels.jit import Array, compiled, intrinsic, types
from core.engine.kernels.layout import BLOCK, GROUP, GROUPS_PER_BLOCK, MAX_ACTIVATION, QuantizedRows, block_count
from core.engine.kernels.vectors import (
    F32,
    I16,
    I32,
    I64,
    LANES,
    Builder,
    Loop,
    Value,
    broadcast,
    call_intrinsic,
    exponential,
    float_vector,
    load,
    maximum,
    offset,
    reduce_lanes,
    store,
    vector,
    zeros,
)

MASKED_SCORE = np.float32(-1e30)
"""Pads scores to a whole vector; its weight is zero."""


def _load_lanes(b: Builder, address: Value, index: Value) -> Value:
    return load(b, offset(b, address, index, 4), vector(F32, LANES), aligned=4)


# Norms and positions


@compiled
def rms_norm(x: Array, weight: Array, epsilon: Any, result: Array) -> None:
    """x / sqrt(mean(x**2) + epsilon) * weight, of one row. `result` may be `x`."""
    total = np.float32(0)
    for column in range(len(weight)):
        total += x[column] * x[column]
    inverse = np.float32(1) / np.sqrt(total / np.float32(len(weight)) + epsilon)
    for column in range(len(weight)):
        result[column] = x[column] * inverse * weight[column]


@compiled
def rotate_pairs(head: Array, cos: Array, sin: Array, factor: Any) -> None:
    """Rotate each pair of numbers, one from each half of a head, by its angle, and multiply with `factor`. In place."""
    half = len(cos)
    for place in range(half):
        first, second = head[place], head[place + half]
        head[place] = (first * cos[place] - second * sin[place]) * factor
        head[place + half] = (second * cos[place] + first * sin[place]) * factor


# Quantization


def _write_quantize(b: Builder, values: Value, columns: Value, codes: Value, scale: Value, sums: Value) -> None:
    with Loop(b, columns, LANES, [zeros(F32, LANES)] * 2) as loop:
        some, (largest, not_finite) = _load_lanes(b, values, loop.index), loop.values
        loop.values = [
            maximum(b, call_intrinsic(b, "fabs", some), largest),
            b.fadd(not_finite, b.fmul(some, float_vector(0.0))),  # NaN where a number is not finite, else 0
        ]
    largest = reduce_lanes(b, loop.values[0], lambda x, y: maximum(b, x, y))
    step = b.fdiv(largest, F32(float(MAX_ACTIVATION)))
    store(b, b.fadd(step, reduce_lanes(b, loop.values[1], b.fadd)), scale)
    is_zero = b.fcmp_ordered("==", largest, F32(0.0))
    inverse = broadcast(b, b.select(is_zero, F32(0.0), b.fdiv(F32(float(MAX_ACTIVATION)), largest)), LANES)
    with Loop(b, b.udiv(columns, I64(GROUP)), 1, []) as groups:
        start, total = b.mul(groups.index, I64(GROUP)), zeros(I32, LANES)
        for part in range(0, GROUP, LANES):
            at = b.add(start, I64(part))
            code = b.fptosi(call_intrinsic(b, "rint", b.fmul(_load_lanes(b, values, at), inverse)), vector(I32, LANES))
            store(b, b.trunc(code, vector(I16, LANES)), offset(b, codes, at, 2), aligned=2)
            total = b.add(total, code)
        store(b, b.sitofp(reduce_lanes(b, total, b.add), F32), offset(b, sums, groups.index, 4))


_quantize = intrinsic(_write_quantize, 5)


@compiled
def quantize_block(values: Array, x: QuantizedRows, columns: int, row: int, block: int) -> None:
    """Quantize one block of a row of activations, float32 [columns].

    If an activation is not finite, the block's scale becomes NaN, and so does every result of the row.
    """
    place, width = row * block_count(columns) + block, min(BLOCK, columns - block * BLOCK)
    codes = x.codes[row * columns + block * BLOCK :]
    sums = x.sums[place * GROUPS_PER_BLOCK : (place + 1) * GROUPS_PER_BLOCK]
    for group in range(width // GROUP, GROUPS_PER_BLOCK):
        sums[group] = np.float32(0)
    _quantize(
        values[block * BLOCK :].ctypes.data, width, codes.ctypes.data, x.scales[place:].ctypes.data, sums.ctypes.data
    )


# The MLP


def _write_silu_multiply(b: Builder, gate: Value, up: Value, count: Value) -> None:
    with Loop(b, count, LANES, []) as loop:
        some = _load_lanes(b, gate, loop.index)
        divisor = b.fadd(float_vector(1.0), exponential(b, b.fneg(some)))
        product = b.fmul(b.fdiv(some, divisor), _load_lanes(b, up, loop.index))
        store(b, product, offset(b, gate, loop.index, 4))


silu_multiply = intrinsic(_write_silu_multiply, 3)
"""A function of (gate, up, count): gate = silu(gate) * up. Addresses of float32; `count` is a multiple of GROUP."""


# Softmax


def _write_exp_and_sum(b: Builder, scores: Value, count: Value) -> Value:
    with Loop(b, count, LANES, [float_vector(float(MASKED_SCORE))]) as loop:
        loop.values = [maximum(b, _load_lanes(b, scores, loop.index), loop.values[0])]
    largest = broadcast(b, reduce_lanes(b, loop.values[0], lambda x, y: maximum(b, x, y)), LANES)
    with Loop(b, count, LANES, [zeros(F32, LANES)]) as loop:
        weights = exponential(b, b.fsub(_load_lanes(b, scores, loop.index), largest))
        store(b, weights, offset(b, scores, loop.index, 4))
        loop.values = [b.fadd(loop.values[0], weights)]
    return reduce_lanes(b, loop.values[0], b.fadd)


_exp_and_sum = intrinsic(_write_exp_and_sum, 2, types.float32)


@compiled
def exp_and_sum(scores: Array, count: int) -> Any:
    """Replace the first `count` scores by e**(score - largest score), in place. Returns their sum.

    `scores` must have room for the next multiple of LANES.
    """
    for place in range(count, (count + LANES - 1) // LANES * LANES):
        scores[place] = MASKED_SCORE
    return _exp_and_sum(scores.ctypes.data, count)


@compiled
def softmax(scores: Array, count: int) -> None:
    """The softmax of the first `count` scores, in place. Needs room as exp_and_sum() does."""
    inverse = np.float32(1) / exp_and_sum(scores, count)
    for place in range(count):
        scores[place] *= inverse


# bf16

_float32_bits = intrinsic(lambda b, value: b.zext(b.bitcast(value, I32), I64), 1, types.int64, of=types.float32)


@compiled
def bf16_bits(value: Any) -> Any:
    """The bits of the nearest bf16, rounding half to even. NaN stays NaN."""
    bits = _float32_bits(value)
    if np.isnan(value):
        return np.uint16((bits >> 16) | 64)
    return np.uint16((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)
