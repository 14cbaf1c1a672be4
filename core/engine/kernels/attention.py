"""Attention of one id to all ids before it. Keys and values are read from the KV cache in place.

Each row is computed by itself in a fixed order, so its result does not depend on the rows beside it.
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
"""Keys multiplied with a query at once. Divides the ids of a block."""
HEAD_DIM_MULTIPLE = 16
"""head_dim must be a multiple of this."""
WIDE_TILE_COLUMNS = 4 * LANES
"""Columns of the wider tile of values."""

KVDtype = Literal["float32", "bf16"]
_BYTES_PER_NUMBER: dict[KVDtype, int] = {"float32": 4, "bf16": 2}


class KVView(NamedTuple):
    """The keys and values of one key head that a row attends to.

    `keys`, `values`: [blocks, ids per block, head_dim], of the whole KV cache. `blocks`: the numbers of the sequence's
    blocks in order. `length`: the ids that the row sees.
    """

    keys: Array
    values: Array
    blocks: Array
    length: int


def _load_kv(b: Builder, dtype: KVDtype, address: Value) -> Value:
    if dtype == "bf16":
        return from_bf16(b, load(b, address, vector(I16, LANES)))
    return load(b, address, vector(F32, LANES), aligned=4)


def score_tile(dtype: KVDtype, heads: int) -> Callable[..., None]:
    """Compiles a function of (head_dim, keys, queries, queries_step, scores, scores_step).

    It writes the products of KEYS_PER_TILE keys with the queries of `heads` heads. Arguments are addresses, and steps
    from head to head in bytes.
    """

    def write(b: Builder, *given: Value) -> None:
        head_dim, keys, q, q_step, scores, scores_step = given
        step, size = b.mul(head_dim, head_dim.type(_BYTES_PER_NUMBER[dtype])), _BYTES_PER_NUMBER[dtype]
        keys_of = [offset(b, keys, position, step) for position in range(KEYS_PER_TILE)]
        q_of = [offset(b, q, head, q_step) for head in range(heads)]
        with Loop(b, head_dim, LANES, [zeros(F32, LANES)] * (KEYS_PER_TILE * heads)) as loop:
            some = [_load_kv(b, dtype, offset(b, each, loop.index, size)) for each in keys_of]
            for head, start in enumerate(q_of):
                query = load(b, offset(b, start, loop.index, 4), vector(F32, LANES), aligned=4)
                for position, key in enumerate(some):
                    place = head * KEYS_PER_TILE + position
                    loop.values[place] = multiply_add(b, key, query, loop.values[place])
        for head, found in enumerate(sums_by_row(b, loop.values, KEYS_PER_TILE, b.fadd)):
            store(b, found, offset(b, scores, head, scores_step))

    return intrinsic(write, 6)


def weighted_sum_tile(dtype: KVDtype, heads: int, columns: int) -> Callable[..., None]:
    """Compiles a function of (count, values, values_step, weights, weights_step, sums, sums_step).

    It adds `columns` columns of `count` values, each times its weight, to the sums of `heads` heads. Arguments are
    addresses, and steps in bytes: from value to value, and from head to head.
    """

    def write(b: Builder, *given: Value) -> None:
        count, values, values_step, weights, weights_step, totals, totals_step = given
        parts = range(0, columns, LANES)
        weights_of = [offset(b, weights, head, weights_step) for head in range(heads)]
        targets = [offset(b, offset(b, totals, head, totals_step), part, 4) for head in range(heads) for part in parts]
        with Loop(b, count, 1, [load(b, each, vector(F32, LANES), aligned=4) for each in targets]) as loop:
            start = offset(b, values, loop.index, values_step)
            some = [_load_kv(b, dtype, offset(b, start, part, _BYTES_PER_NUMBER[dtype])) for part in parts]
            for head, each in enumerate(weights_of):
                weight = broadcast(b, load(b, offset(b, each, loop.index, 4), F32, aligned=4), LANES)
                for part, value in enumerate(some):
                    place = head * len(parts) + part
                    loop.values[place] = multiply_add(b, value, weight, loop.values[place])
        for target, total in zip(targets, loop.values, strict=True):
            store(b, total, target)

    return intrinsic(write, 7)


def score_kernel(dtype: KVDtype) -> Callable[..., None]:
    """Compiles a function of (q, view, scores): the products of all queries with all keys of a KVView."""
    two, one, size = score_tile(dtype, 2), score_tile(dtype, 1), _BYTES_PER_NUMBER[dtype]

    def score(q: Array, view: KVView, scores: Array) -> None:
        heads, head_dim = q.shape
        ids, step = view.keys.shape[1], head_dim * size
        q_step, scores_step = head_dim * 4, scores.shape[1] * 4
        for place in range(0, view.length, KEYS_PER_TILE):
            key = view.keys.ctypes.data + (view.blocks[place // ids] * ids + place % ids) * step
            query, target = q.ctypes.data, scores.ctypes.data + place * 4
            for _ in range(heads // 2):
                two(head_dim, key, query, q_step, target, scores_step)
                query += 2 * q_step
                target += 2 * scores_step
            if heads % 2:
                one(head_dim, key, query, q_step, target, scores_step)

    return compiled(score, f"score_{dtype}")


def weighted_sum_kernel(dtype: KVDtype, heads: int) -> Callable[..., None]:
    """Compiles a function of (head_dim, count, value, weight, weight_step, result).

    It adds `count` contiguous values, each times its weight, to the results of `heads` heads. Arguments are addresses,
    and a step in bytes.
    """
    large, small, size = (
        weighted_sum_tile(dtype, heads, WIDE_TILE_COLUMNS),
        weighted_sum_tile(dtype, heads, HEAD_DIM_MULTIPLE),
        _BYTES_PER_NUMBER[dtype],
    )

    def add_values(head_dim: int, count: int, value: int, weight: int, weight_step: int, result: int) -> None:
        column = 0
        while column + WIDE_TILE_COLUMNS <= head_dim:
            large(count, value + column * size, head_dim * size, weight, weight_step, result + column * 4, head_dim * 4)
            column += WIDE_TILE_COLUMNS
        while column < head_dim:
            small(count, value + column * size, head_dim * size, weight, weight_step, result + column * 4, head_dim * 4)
            column += HEAD_DIM_MULTIPLE

    return compiled(add_values, f"weighted_sum_{dtype}_{heads}")


@compiled
def contiguous_ids(blocks: Array, start: int, block_ids: int, end: int) -> int:
    """The number of ids from `start` on, up to `end`, whose blocks are consecutive."""
    place = start // block_ids
    last = (end - 1) // block_ids
    further = place
    while further < last and blocks[further + 1] == blocks[further] + 1:
        further += 1
    return min((further + 1) * block_ids, end) - start


def attention_kernel(dtype: KVDtype) -> Callable[..., None]:
    """Compiles attend() below for a dtype of keys and values."""
    score, add_two, add_one, size = (
        score_kernel(dtype),
        weighted_sum_kernel(dtype, 2),
        weighted_sum_kernel(dtype, 1),
        _BYTES_PER_NUMBER[dtype],
    )

    def attend(q: Array, view: KVView, scores: Array, result: Array) -> None:
        """Compute the attention of the query heads that share a key head.

        `q`: float32 [heads, head_dim], divided by the square root of head_dim. `scores`: a buffer, float32 [heads,
        positions + SCALES_MULTIPLE]. `result`: float32 [heads, head_dim].
        """
        heads, head_dim = q.shape
        score(q, view, scores)
        for head in range(heads):
            softmax(scores[head], view.length)
            for column in range(head_dim):
                result[head, column] = np.float32(0)
        ids, step = view.values.shape[1], scores.shape[1] * 4
        place = 0
        while place < view.length:
            count = contiguous_ids(view.blocks, place, ids, view.length)
            value = view.values.ctypes.data + view.blocks[place // ids] * ids * head_dim * size
            weight, target = scores.ctypes.data + place * 4, result.ctypes.data
            for _ in range(heads // 2):
                add_two(head_dim, count, value, weight, step, target)
                weight += 2 * step
                target += 2 * head_dim * 4
            if heads % 2:
                add_one(head_dim, count, value, weight, step, target)
            place += count

    return compiled(attend, f"attend_{dtype}")


attend_float32, attend_bf16 = attention_kernel("float32"), attention_kernel("bf16")


@compiled
def write_kv_float32(head: Array, place: Array) -> None:
    """Write a head's key or value to its place in the KV cache."""
    for column in range(len(head)):
        place[column] = head[column]


@compiled
def write_kv_bf16(head: Array, place: Array) -> None:
    """Write a head's key or value, as the bits of bf16."""
    for column in range(len(head)):
        place[column] = bf16_bits(head[column])
