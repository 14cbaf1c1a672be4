"""A step of the whole model: rows of hidden numbers in, logits out. Every layer is ten phases, which a team computes.

What a row becomes depends on its own sequence alone: whatever else is in the step, bit for bit, up to the number of
rows from which products go another way (products.py, Unpacked.many).
"""

from typing import NamedTuple

import numpy as np

from core.engine.kernels.attention import Seen, attend_bf16, attend_float32, keep_bf16, keep_float32
from core.engine.kernels.jit import Array, compiled
from core.engine.kernels.layout import BLOCK, Rounded, blocks_of
from core.engine.kernels.pointwise import activate, normalise, rotate, round_block
from core.engine.kernels.products import Unpacked, begin, multiply, panels_of, span_size, spans_of
from core.engine.kernels.team import finish, take, wait

NORM, QKV, ROTATE, ATTEND, ROUND, OUT, MLP_NORM, GATE_UP, ACTIVATE, DOWN = range(10)
"""The phases of a layer. After the last layer NORM and HEAD, for the rows whose logits are wanted."""
HEAD, PHASES = QKV, 10
PRODUCT = (-1, 0, -1, -1, -1, 1, -1, 2, -1, 3)
"""The number of a phase's product in its layer; -1: it has none."""
PRODUCTS = 4
"""Products of a layer; the head's comes after those of all layers."""


class Sizes(NamedTuple):
    """Of the model: layers, numbers of a row, query heads, key heads, numbers of a head, of the MLP."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    width: int
    inner: int
    epsilon: float


class Weights(NamedTuple):
    """`products`: the first of its matrices and how many, for each of PRODUCTS a layer and the head: int64 [.., 2].
    `norms`: two a layer and the last, float32 [.., hidden]; `head_norms`: of queries and keys, [layers, 2, width], or
    no layers. `cos` and `sin`: float32 [positions, width / 2]."""

    matrices: Array
    products: Array
    norms: Array
    head_norms: Array
    cos: Array
    sin: Array


class Rows(NamedTuple):
    """`x`: float32 [rows, hidden], changed. For each row its position, its place in the KV memory, where in `blocks`
    those of its sequence begin, all int64. `last`: the rows whose logits are wanted."""

    x: Array
    positions: Array
    slots: Array
    starts: Array
    blocks: Array
    last: Array


class Room(NamedTuple):
    """For what is computed on the way: `unpacked` of each thread, [threads, ..]; all others float32: `normed` [rows,
    hidden], `qkv` [rows, all heads * width] and the same as `heads` [rows, all heads, width], `mixed` [rows, query
    heads * width] and [rows, query heads, width], `gate_up` [rows, 2 * inner], `scores` [threads, query heads that
    share a key head, positions]. The results are `logits` [last, vocabulary]."""

    rounded: Rounded
    unpacked: Unpacked
    normed: Array
    qkv: Array
    heads: Array
    mixed: Array
    mixed_heads: Array
    gate_up: Array
    scores: Array
    logits: Array


class Step(NamedTuple):
    """All that a step needs. `kv`: float32 or the bits of bf16, [layers, 2 * key heads, blocks, ids a block, width]."""

    sizes: Sizes
    weights: Weights
    rows: Rows
    kv: Array
    room: Room


def phases(layers: int) -> int:
    """Of a step."""
    return layers * PHASES + 2


@compiled
def run(thread: int, counters: Array, step: Step, signs: Array) -> None:
    """What each thread of a team does. `signs`: int64 [1], counted up at every phase: a sign of life."""
    for phase in range(len(counters)):
        chunks = chunks_of(step, phase)
        chunk = take(counters, phase)
        while chunk < chunks:
            compute(step, phase, chunk, thread)
            finish(counters, phase)
            chunk = take(counters, phase)
        wait(counters, phase, chunks)
        if thread == 0:
            signs[0] += 1


@compiled
def chunks_of(step: Step, phase: int) -> int:
    """In how many parts a phase is computed."""
    layer, kind = phase // PHASES, phase % PHASES
    last = layer == step.sizes.layers
    rows = len(step.rows.last) if last else len(step.rows.x)
    if PRODUCT[kind] < 0:
        return rows * parts_of_row(step.sizes, kind)
    return spans(step, layer * PRODUCTS + PRODUCT[kind], rows) if rows else 0


@compiled
def parts_of_row(sizes: Sizes, kind: int) -> int:
    """In how many parts a phase without a product computes a row."""
    if kind == ATTEND:
        return sizes.kv_heads
    if kind == ROUND:
        return blocks_of(sizes.heads * sizes.width)
    return blocks_of(sizes.inner) if kind == ACTIVATE else 1


@compiled
def compute(step: Step, phase: int, chunk: int, thread: int) -> None:
    """One part of a phase."""
    layer, kind = phase // PHASES, phase % PHASES
    if PRODUCT[kind] >= 0:
        product(step, layer, kind, chunk, thread)
    elif layer == step.sizes.layers:
        norm(step, step.rows.last[chunk], chunk, 2 * layer)
    elif kind == ROTATE:
        turn(step, layer, chunk)
        keep(step, layer, chunk)
    elif kind == ATTEND:
        attend(step, layer, chunk, thread)
    elif kind == ROUND:
        columns = step.sizes.heads * step.sizes.width
        row, block = chunk // blocks_of(columns), chunk % blocks_of(columns)
        round_block(step.room.mixed[row], step.room.rounded, columns, row, block)
    elif kind == ACTIVATE:
        activated(step, chunk)
    else:
        norm(step, chunk, chunk, 2 * layer + (1 if kind == MLP_NORM else 0))


@compiled
def spans(step: Step, number: int, rows: int) -> int:
    """In how many parts a product is computed: of all its matrices."""
    first, count = step.weights.products[number]
    total = 0
    for each in range(first, first + count):
        total += spans_of(step.weights.matrices[each], rows, step.room.unpacked.many)
    return total


@compiled
def product(step: Step, layer: int, kind: int, span: int, thread: int) -> None:
    """One part of a product. What goes out of attention and of the MLP is added to the row itself."""
    room, weights, whole = step.room, step.weights, step.room.unpacked
    rows, y = len(step.rows.x), step.rows.x
    if layer == step.sizes.layers:
        rows, y = len(step.rows.last), room.logits
    elif kind == QKV:
        y = room.qkv
    elif kind == GATE_UP:
        y = room.gate_up
    number = weights.products[layer * PRODUCTS + PRODUCT[kind], 0]
    while span >= spans_of(weights.matrices[number], rows, whole.many):
        span -= spans_of(weights.matrices[number], rows, whole.many)
        number += 1
    matrix, size = weights.matrices[number], span_size(rows, whole.many)
    mine = Unpacked(whole.jobs[thread], whole.codes[thread], whole.scales[thread], whole.many)
    for panel in range(span * size, min((span + 1) * size, panels_of(matrix))):
        begin(matrix, panel, rows, y, kind not in (OUT, DOWN))
        multiply(matrix, panel, room.rounded, rows, y, mine)


@compiled
def norm(step: Step, row: int, place: int, number: int) -> None:
    """A row normalised and rounded, ready to be multiplied, as the one at `place`."""
    hidden, normed = step.sizes.hidden, step.room.normed[place]
    normalise(step.rows.x[row], step.weights.norms[number], np.float32(step.sizes.epsilon), normed)
    for block in range(blocks_of(hidden)):
        round_block(normed, step.room.rounded, hidden, place, block)


@compiled
def turn(step: Step, layer: int, row: int) -> None:
    """Norm and position of a row's queries and keys. Queries are divided by the square root of their width as well."""
    sizes, weights, heads = step.sizes, step.weights, step.room.heads[row]
    position = step.rows.positions[row]
    cos, sin = weights.cos[position], weights.sin[position]
    factor = np.float32(1) / np.sqrt(np.float32(sizes.width))
    for head in range(sizes.heads + sizes.kv_heads):
        query = head < sizes.heads
        if len(weights.head_norms):
            weight = weights.head_norms[layer, 0 if query else 1]
            normalise(heads[head], weight, np.float32(sizes.epsilon), heads[head])
        rotate(heads[head], cos, sin, factor if query else np.float32(1))


@compiled
def keep(step: Step, layer: int, row: int) -> None:
    """Keys and values of a row into the KV memory."""
    kv, slot, heads = step.kv, step.rows.slots[row], step.room.heads[row]
    ids = kv.shape[3]
    for head in range(2 * step.sizes.kv_heads):
        place = kv[layer, head, slot // ids, slot % ids]
        if kv.itemsize == 4:
            keep_float32(heads[step.sizes.heads + head], place)
        else:
            keep_bf16(heads[step.sizes.heads + head], place)


@compiled
def attend(step: Step, layer: int, chunk: int, thread: int) -> None:
    """The query heads of a row that share a key head."""
    sizes, rows, room, kv = step.sizes, step.rows, step.room, step.kv
    row, key_head = chunk // sizes.kv_heads, chunk % sizes.kv_heads
    each = sizes.heads // sizes.kv_heads
    some = slice(key_head * each, (key_head + 1) * each)
    q, mixed, scores = room.heads[row, some], room.mixed_heads[row, some], room.scores[thread]
    blocks, end = rows.blocks[rows.starts[row] :], rows.positions[row] + 1
    seen = Seen(kv[layer, key_head], kv[layer, sizes.kv_heads + key_head], blocks, end)
    if kv.itemsize == 4:
        attend_float32(q, seen, scores, mixed)
    else:
        attend_bf16(q, seen, scores, mixed)


@compiled
def activated(step: Step, chunk: int) -> None:
    """One block of the MLP's inner numbers of a row, ready to be multiplied."""
    inner = step.sizes.inner
    row, block = chunk // blocks_of(inner), chunk % blocks_of(inner)
    gate, up = step.room.gate_up[row, :inner], step.room.gate_up[row, inner:]
    start, stop = block * BLOCK, min((block + 1) * BLOCK, inner)
    activate(gate[start:].ctypes.data, up[start:].ctypes.data, stop - start)
    round_block(gate, step.room.rounded, inner, row, block)
