"""Attention of one id to all that came before it, read from the blocks of its sequence where they lie.

Each row is computed for itself, in a fixed order: its neighbours change nothing.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from core.engine.kernels.jit import Array, compiled, intrinsic
from core.engine.kernels.pointwise import bf16_bits, softmax
from core.engine.kernels.vectors import (
    F32,
    I16,
    LANES,
    Builder,
    Loop,
    Value,
    broadcast,
    from_bf16,
    load,
    multiply_add,
    offset,
    store,
    sums_by_row,
    vector,
    zeros,
)

KEYS_PER_TILE = 8 if LANES == 16 else 4
"""Keys that are compared with a query at once; divides a block."""
HEAD_DIM_MULTIPLE = 16
"""The width of a head is a multiple of it."""
WIDE_TILE_COLUMNS = 4 * LANES
"""Columns of the larger tile of values."""

KVDtype = Literal["float32", "bf16"]
"""Of keys and values."""
_BYTES_PER_NUMBER: dict[KVDtype, int] = {"float32": 4, "bf16": 2}


class KVView(NamedTuple):
    """What queries see: a key head's `keys` and `values`, [blocks, ids a block, width], the `blocks` of the sequence in
    their order, and how many ids."""

    keys: Array
    values: Array
    blocks: Array
    length: int


def _load_kv(b: Builder, kind: KVDtype, address: Value) -> Value:
    if kind == "bf16":
        return from_bf16(b, load(b, address, vector(I16, LANES)))
    return load(b, address, vector(F32, LANES), aligned=4)


def score_tile(kind: KVDtype, heads: int) -> Callable[..., None]:
    """A function of (width, keys, queries, queries_step, scores, scores_step): the products of POSITIONS keys with the
    queries of some heads. Addresses, and steps in bytes."""

    def write(b: Builder, *given: Value) -> None:
        width, keys, q, q_step, scores, scores_step = given
        step, size = b.mul(width, width.type(_BYTES_PER_NUMBER[kind])), _BYTES_PER_NUMBER[kind]
        keys_of = [offset(b, keys, position, step) for position in range(KEYS_PER_TILE)]
        q_of = [offset(b, q, head, q_step) for head in range(heads)]
        with Loop(b, width, LANES, [zeros(F32, LANES)] * (KEYS_PER_TILE * heads)) as loop:
            some = [_load_kv(b, kind, offset(b, each, loop.index, size)) for each in keys_of]
            for head, start in enumerate(q_of):
                query = load(b, offset(b, start, loop.index, 4), vector(F32, LANES), aligned=4)
                for position, key in enumerate(some):
                    place = head * KEYS_PER_TILE + position
                    loop.values[place] = multiply_add(b, key, query, loop.values[place])
        for head, found in enumerate(sums_by_row(b, loop.values, KEYS_PER_TILE, b.fadd)):
            store(b, found, offset(b, scores, head, scores_step))

    return intrinsic(write, 6)


def weighted_sum_tile(kind: KVDtype, heads: int, columns: int) -> Callable[..., None]:
    """A function of (positions, values, values_step, weights, weights_step, mixed, mixed_step): adds to `mixed` some
    columns of so many values, each times its weight. Addresses, and steps in bytes."""

    def write(b: Builder, *given: Value) -> None:
        positions, values, values_step, weights, weights_step, mixed, mixed_step = given
        parts = range(0, columns, LANES)
        weights_of = [offset(b, weights, head, weights_step) for head in range(heads)]
        targets = [offset(b, offset(b, mixed, head, mixed_step), part, 4) for head in range(heads) for part in parts]
        with Loop(b, positions, 1, [load(b, each, vector(F32, LANES), aligned=4) for each in targets]) as loop:
            start = offset(b, values, loop.index, values_step)
            some = [_load_kv(b, kind, offset(b, start, part, _BYTES_PER_NUMBER[kind])) for part in parts]
            for head, each in enumerate(weights_of):
                weight = broadcast(b, load(b, offset(b, each, loop.index, 4), F32, aligned=4), LANES)
                for part, value in enumerate(some):
                    place = head * len(parts) + part
                    loop.values[place] = multiply_add(b, value, weight, loop.values[place])
        for target, total in zip(targets, loop.values, strict=True):
            store(b, total, target)

    return intrinsic(write, 7)


def score_kernel(kind: KVDtype) -> Callable[..., None]:
    """A function of (q, seen, scores): the products of all queries with all keys."""
    two, one, size = score_tile(kind, 2), score_tile(kind, 1), _BYTES_PER_NUMBER[kind]

    def score(q: Array, seen: KVView, scores: Array) -> None:
        heads, width = q.shape
        ids, step = seen.keys.shape[1], width * size
        q_step, scores_step = width * 4, scores.shape[1] * 4
        for place in range(0, seen.length, KEYS_PER_TILE):
            key = seen.keys.ctypes.data + (seen.blocks[place // ids] * ids + place % ids) * step
            query, target = q.ctypes.data, scores.ctypes.data + place * 4
            for _ in range(heads // 2):
                two(width, key, query, q_step, target, scores_step)
                query += 2 * q_step
                target += 2 * scores_step
            if heads % 2:
                one(width, key, query, q_step, target, scores_step)

    return compiled(score, f"score_{kind}")


def weighted_sum_kernel(kind: KVDtype, heads: int) -> Callable[..., None]:
    """A function of (width, count, value, weight, weight_step, mixed): adds to what some heads have mixed `count`
    values, which lie one after another, each times its weight. Addresses, and steps in bytes."""
    large, small, size = (
        weighted_sum_tile(kind, heads, WIDE_TILE_COLUMNS),
        weighted_sum_tile(kind, heads, HEAD_DIM_MULTIPLE),
        _BYTES_PER_NUMBER[kind],
    )

    def mix(width: int, count: int, value: int, weight: int, weight_step: int, mixed: int) -> None:
        column = 0
        while column + WIDE_TILE_COLUMNS <= width:
            large(count, value + column * size, width * size, weight, weight_step, mixed + column * 4, width * 4)
            column += WIDE_TILE_COLUMNS
        while column < width:
            small(count, value + column * size, width * size, weight, weight_step, mixed + column * 4, width * 4)
            column += HEAD_DIM_MULTIPLE

    return compiled(mix, f"weighted_sum_{kind}_{heads}")


@compiled
def contiguous_ids(blocks: Array, seen: int, block_ids: int, end: int) -> int:
    """How many ids from here on lie one after another."""
    place = seen // block_ids
    last = (end - 1) // block_ids
    further = place
    while further < last and blocks[further + 1] == blocks[further] + 1:
        further += 1
    return min((further + 1) * block_ids, end) - seen


def attention_kernel(kind: KVDtype) -> Callable[..., None]:
    """The function below, for keys and values of a kind."""
    score, mix_two, mix_one, size = (
        score_kernel(kind),
        weighted_sum_kernel(kind, 2),
        weighted_sum_kernel(kind, 1),
        _BYTES_PER_NUMBER[kind],
    )

    def attend(q: Array, seen: KVView, scores: Array, mixed: Array) -> None:
        """Attention of the heads that share a key head.

        `q`: float32 [heads, width], divided by the square root of the width; `scores`: room, float32 [heads, ids and
        some more]; `mixed`: the result, float32 [heads, width].
        """
        heads, width = q.shape
        score(q, seen, scores)
        for head in range(heads):
            softmax(scores[head], seen.length)
            for column in range(width):
                mixed[head, column] = np.float32(0)
        ids, step = seen.values.shape[1], scores.shape[1] * 4
        place = 0
        while place < seen.length:
            count = contiguous_ids(seen.blocks, place, ids, seen.length)
            value = seen.values.ctypes.data + seen.blocks[place // ids] * ids * width * size
            weight, target = scores.ctypes.data + place * 4, mixed.ctypes.data
            for _ in range(heads // 2):
                mix_two(width, count, value, weight, step, target)
                weight += 2 * step
                target += 2 * width * 4
            if heads % 2:
                mix_one(width, count, value, weight, step, target)
            place += count

    return compiled(attend, f"attend_{kind}")


attend_float32, attend_bf16 = attention_kernel("float32"), attention_kernel("bf16")


@compiled
def write_kv_float32(head: Array, place: Array) -> None:
    """Write a head's key or value to its place in the KV memory."""
    for column in range(len(head)):
        place[column] = head[column]


@compiled
def write_kv_bf16(head: Array, place: Array) -> None:
    """The same, as the bits of bf16."""
    for column in range(len(head)):
        place[column] = bf16_bits(head[column])
