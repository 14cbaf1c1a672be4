"""A step of the whole model: rows of hidden numbers in, logits out. Every layer is ten phases, which a team computes.

What a row becomes depends on its own sequence alone: whatever else is in the step, bit for bit, up to the number of
rows from which products go another way (products.py, Unpacked.many).
"""

from typing import NamedTuple

import numpy as np

from core.engine.kernels.attention import KVView, attend_bf16, attend_float32, write_kv_bf16, write_kv_float32
from core.engine.kernels.jit import Array, compiled
from core.engine.kernels.layout import BLOCK, QuantizedRows, block_count
from core.engine.kernels.pointwise import quantize_block, rms_norm, rotate_pairs, silu_multiply
from core.engine.kernels.products import (
    PanelBuffers,
    chunk_count,
    init_outputs,
    multiply_panel,
    panel_count,
    panels_per_chunk,
)
from core.engine.kernels.team import finish_chunk, take_chunk, wait_for_phase

NORM, QKV, ROTATE, ATTEND, ROUND, OUT, MLP_NORM, GATE_UP, ACTIVATE, DOWN = range(10)
"""The phases of a layer. After the last layer NORM and HEAD, for the rows whose logits are wanted."""
HEAD, PHASES_PER_LAYER = QKV, 10
PHASE_PRODUCT = (-1, 0, -1, -1, -1, 1, -1, 2, -1, 3)
"""The number of a phase's product in its layer; -1: it has none."""
PRODUCTS_PER_LAYER = 4
"""Products of a layer; the head's comes after those of all layers."""


class ModelSizes(NamedTuple):
    """Of the model: layers, numbers of a row, query heads, key heads, numbers of a head, of the MLP."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    epsilon: float


class KernelWeights(NamedTuple):
    """`products`: the first of its matrices and how many, for each of PRODUCTS a layer and the head: int64 [.., 2].
    `norms`: two a layer and the last, float32 [.., hidden]; `head_norms`: of queries and keys, [layers, 2, width], or
    no layers. `cos` and `sin`: float32 [positions, width / 2]."""

    matrices: Array
    products: Array
    norms: Array
    head_norms: Array
    cos: Array
    sin: Array


class StepRows(NamedTuple):
    """`x`: float32 [rows, hidden], changed. For each row its position, its place in the KV memory, where in `blocks`
    those of its sequence begin, all int64. `last`: the rows whose logits are wanted."""

    x: Array
    positions: Array
    slots: Array
    block_starts: Array
    blocks: Array
    logit_rows: Array


class StepBuffers(NamedTuple):
    """For what is computed on the way: `unpacked` of each thread, [threads, ..]; all others float32: `normed` [rows,
    hidden], `qkv` [rows, all heads * width] and the same as `heads` [rows, all heads, width], `mixed` [rows, query
    heads * width] and [rows, query heads, width], `gate_up` [rows, 2 * inner], `scores` [threads, query heads that
    share a key head, positions]. The results are `logits` [last, vocabulary]."""

    quantized: QuantizedRows
    panels: PanelBuffers
    normed: Array
    qkv: Array
    heads: Array
    attended: Array
    attended_heads: Array
    gate_up: Array
    scores: Array
    logits: Array


class StepData(NamedTuple):
    """All that a step needs. `kv`: float32 or the bits of bf16, [layers, 2 * key heads, blocks, ids a block, width]."""

    sizes: ModelSizes
    weights: KernelWeights
    rows: StepRows
    kv: Array
    buffers: StepBuffers


def phase_count(layers: int) -> int:
    """Of a step."""
    return layers * PHASES_PER_LAYER + 2


@compiled
def run_step(thread: int, counters: Array, step: StepData, signs: Array) -> None:
    """What each thread of a team does. `signs`: int64 [1], counted up at every phase: a sign of life."""
    for phase in range(len(counters)):
        chunks = phase_chunks(step, phase)
        chunk = take_chunk(counters, phase)
        while chunk < chunks:
            compute_chunk(step, phase, chunk, thread)
            finish_chunk(counters, phase)
            chunk = take_chunk(counters, phase)
        wait_for_phase(counters, phase, chunks)
        if thread == 0:
            signs[0] += 1


@compiled
def phase_chunks(step: StepData, phase: int) -> int:
    """In how many parts a phase is computed."""
    layer, kind = phase // PHASES_PER_LAYER, phase % PHASES_PER_LAYER
    last = layer == step.sizes.layers
    rows = len(step.rows.logit_rows) if last else len(step.rows.x)
    if PHASE_PRODUCT[kind] < 0:
        return rows * chunks_per_row(step.sizes, kind)
    return product_chunks(step, layer * PRODUCTS_PER_LAYER + PHASE_PRODUCT[kind], rows) if rows else 0


@compiled
def chunks_per_row(sizes: ModelSizes, kind: int) -> int:
    """In how many parts a phase without a product computes a row."""
    if kind == ATTEND:
        return sizes.kv_heads
    if kind == ROUND:
        return block_count(sizes.heads * sizes.head_dim)
    return block_count(sizes.intermediate) if kind == ACTIVATE else 1


@compiled
def compute_chunk(step: StepData, phase: int, chunk: int, thread: int) -> None:
    """One part of a phase."""
    layer, kind = phase // PHASES_PER_LAYER, phase % PHASES_PER_LAYER
    if PHASE_PRODUCT[kind] >= 0:
        compute_product(step, layer, kind, chunk, thread)
    elif layer == step.sizes.layers:
        normalise_row(step, step.rows.logit_rows[chunk], chunk, 2 * layer)
    elif kind == ROTATE:
        apply_rope(step, layer, chunk)
        write_kv(step, layer, chunk)
    elif kind == ATTEND:
        attend_row(step, layer, chunk, thread)
    elif kind == ROUND:
        columns = step.sizes.heads * step.sizes.head_dim
        row, block = chunk // block_count(columns), chunk % block_count(columns)
        quantize_block(step.buffers.attended[row], step.buffers.quantized, columns, row, block)
    elif kind == ACTIVATE:
        activate_block(step, chunk)
    else:
        normalise_row(step, chunk, chunk, 2 * layer + (1 if kind == MLP_NORM else 0))


@compiled
def product_chunks(step: StepData, number: int, rows: int) -> int:
    """In how many parts a product is computed: of all its matrices."""
    first, count = step.weights.products[number]
    total = 0
    for each in range(first, first + count):
        total += chunk_count(step.weights.matrices[each], rows, step.buffers.panels.panel_min_rows)
    return total


@compiled
def compute_product(step: StepData, layer: int, kind: int, span: int, thread: int) -> None:
    """One part of a product. What goes out of attention and of the MLP is added to the row itself."""
    room, weights, whole = step.buffers, step.weights, step.buffers.panels
    rows, y = len(step.rows.x), step.rows.x
    if layer == step.sizes.layers:
        rows, y = len(step.rows.logit_rows), room.logits
    elif kind == QKV:
        y = room.qkv
    elif kind == GATE_UP:
        y = room.gate_up
    number = weights.products[layer * PRODUCTS_PER_LAYER + PHASE_PRODUCT[kind], 0]
    while span >= chunk_count(weights.matrices[number], rows, whole.panel_min_rows):
        span -= chunk_count(weights.matrices[number], rows, whole.panel_min_rows)
        number += 1
    matrix, size = weights.matrices[number], panels_per_chunk(rows, whole.panel_min_rows)
    mine = PanelBuffers(whole.jobs[thread], whole.codes[thread], whole.scales[thread], whole.panel_min_rows)
    for panel in range(span * size, min((span + 1) * size, panel_count(matrix))):
        init_outputs(matrix, panel, rows, y, kind not in (OUT, DOWN))
        multiply_panel(matrix, panel, room.quantized, rows, y, mine)


@compiled
def normalise_row(step: StepData, row: int, place: int, number: int) -> None:
    """A row normalised and rounded, ready to be multiplied, as the one at `place`."""
    hidden, normed = step.sizes.hidden, step.buffers.normed[place]
    rms_norm(step.rows.x[row], step.weights.norms[number], np.float32(step.sizes.epsilon), normed)
    for block in range(block_count(hidden)):
        quantize_block(normed, step.buffers.quantized, hidden, place, block)


@compiled
def apply_rope(step: StepData, layer: int, row: int) -> None:
    """Norm and position of a row's queries and keys. Queries are divided by the square root of their width as well."""
    sizes, weights, heads = step.sizes, step.weights, step.buffers.heads[row]
    position = step.rows.positions[row]
    cos, sin = weights.cos[position], weights.sin[position]
    factor = np.float32(1) / np.sqrt(np.float32(sizes.head_dim))
    for head in range(sizes.heads + sizes.kv_heads):
        query = head < sizes.heads
        if len(weights.head_norms):
            weight = weights.head_norms[layer, 0 if query else 1]
            rms_norm(heads[head], weight, np.float32(sizes.epsilon), heads[head])
        rotate_pairs(heads[head], cos, sin, factor if query else np.float32(1))


@compiled
def write_kv(step: StepData, layer: int, row: int) -> None:
    """Keys and values of a row into the KV memory."""
    kv, slot, heads = step.kv, step.rows.slots[row], step.buffers.heads[row]
    ids = kv.shape[3]
    for head in range(2 * step.sizes.kv_heads):
        place = kv[layer, head, slot // ids, slot % ids]
        if kv.itemsize == 4:
            write_kv_float32(heads[step.sizes.heads + head], place)
        else:
            write_kv_bf16(heads[step.sizes.heads + head], place)


@compiled
def attend_row(step: StepData, layer: int, chunk: int, thread: int) -> None:
    """The query heads of a row that share a key head."""
    sizes, rows, room, kv = step.sizes, step.rows, step.buffers, step.kv
    row, key_head = chunk // sizes.kv_heads, chunk % sizes.kv_heads
    each = sizes.heads // sizes.kv_heads
    some = slice(key_head * each, (key_head + 1) * each)
    q, mixed, scores = room.heads[row, some], room.attended_heads[row, some], room.scores[thread]
    blocks, end = rows.blocks[rows.block_starts[row] :], rows.positions[row] + 1
    seen = KVView(kv[layer, key_head], kv[layer, sizes.kv_heads + key_head], blocks, end)
    if kv.itemsize == 4:
        attend_float32(q, seen, scores, mixed)
    else:
        attend_bf16(q, seen, scores, mixed)


@compiled
def activate_block(step: StepData, chunk: int) -> None:
    """One block of the MLP's inner numbers of a row, ready to be multiplied."""
    inner = step.sizes.intermediate
    row, block = chunk // block_count(inner), chunk % block_count(inner)
    gate, up = step.buffers.gate_up[row, :inner], step.buffers.gate_up[row, inner:]
    start, stop = block * BLOCK, min((block + 1) * BLOCK, inner)
    silu_multiply(gate[start:].ctypes.data, up[start:].ctypes.data, stop - start)
    quantize_block(gate, step.buffers.quantized, inner, row, block)
