"""A step of the whole model: rows of embeddings in, logits out. A team of threads computes ten phases per layer.

A row's result depends on its own sequence alone, bit for bit, whatever other rows are in the step. Only the number of
rows matters, as products are computed differently from PanelBuffers.panel_min_rows on.
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

NORM, QKV, ROPE, ATTEND, QUANTIZE, OUT, MLP_NORM, GATE_UP, ACTIVATE, DOWN = range(10)
"""The phases of a layer. NORM and HEAD follow the last layer, for the rows whose logits are computed."""
HEAD, PHASES_PER_LAYER = QKV, 10
PHASE_PRODUCT = (-1, 0, -1, -1, -1, 1, -1, 2, -1, 3)
"""By phase, the number of its product in the layer; -1 if it has none."""
PRODUCTS_PER_LAYER = 4
"""Products per layer. The head follows those of all layers."""


class ModelSizes(NamedTuple):
    """The sizes of a model. `hidden`: width of a row. `heads`: query heads. `intermediate`: width of the MLP."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    epsilon: float


class KernelWeights(NamedTuple):
    """The weights of a model.

    `matrices`: MATRIX_RECORD [..]. `products`: for each product of each layer and the head, its first matrix and the
    number of matrices, int64 [.., 2]. `norms`: two per layer and the last one, float32 [.., hidden]. `head_norms`: of
    queries and keys, float32 [layers, 2, head_dim], or of length 0. `cos`, `sin`: float32 [positions, head_dim / 2].
    """

    matrices: Array
    products: Array
    norms: Array
    head_norms: Array
    cos: Array
    sin: Array


class StepRows(NamedTuple):
    """The rows of a step, as in BatchPlan. `x`: the residual stream, float32 [rows, hidden], updated in place."""

    x: Array
    positions: Array
    slots: Array
    block_starts: Array
    blocks: Array
    logit_rows: Array


class StepBuffers(NamedTuple):
    """Buffers for intermediate results, and `logits`, float32 [logit rows, vocabulary].

    `quantized`: the activations of the next product. `panels`: one PanelBuffers per thread, with a first dimension
    [threads]. All others are float32: `normed` [rows, hidden]; `qkv` [rows, all heads * head_dim], and a view of it,
    `heads` [rows, all heads, head_dim]; `attended` [rows, query heads * head_dim], and a view of it, `attended_heads`
    [rows, query heads, head_dim]; `gate_up` [rows, 2 * intermediate]; `scores` [threads, query heads per key head,
    positions + SCALES_MULTIPLE].
    """

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
    """Everything that a step reads and writes.

    `kv`: float32 or the bits of bf16, [layers, 2 * key heads, blocks, ids per block, head_dim].
    """

    sizes: ModelSizes
    weights: KernelWeights
    rows: StepRows
    kv: Array
    buffers: StepBuffers


def phase_count(layers: int) -> int:
    """The number of phases of a step."""
    return layers * PHASES_PER_LAYER + 2


@compiled
def run_step(thread: int, counters: Array, step: StepData, progress: Array) -> None:
    """Compute a step together with the other threads of a team. `progress`: int64 [1], counted up at every phase."""
    for phase in range(len(counters)):
        chunks = phase_chunks(step, phase)
        chunk = take_chunk(counters, phase)
        while chunk < chunks:
            compute_chunk(step, phase, chunk, thread)
            finish_chunk(counters, phase)
            chunk = take_chunk(counters, phase)
        wait_for_phase(counters, phase, chunks)
        if thread == 0:
            progress[0] += 1


@compiled
def phase_chunks(step: StepData, phase: int) -> int:
    """The number of chunks of a phase."""
    layer, kind = phase // PHASES_PER_LAYER, phase % PHASES_PER_LAYER
    after_layers = layer == step.sizes.layers
    rows = len(step.rows.logit_rows) if after_layers else len(step.rows.x)
    if PHASE_PRODUCT[kind] < 0:
        return rows * chunks_per_row(step.sizes, kind)
    return product_chunks(step, layer * PRODUCTS_PER_LAYER + PHASE_PRODUCT[kind], rows) if rows else 0


@compiled
def chunks_per_row(sizes: ModelSizes, kind: int) -> int:
    """The number of chunks per row of a phase without a product."""
    if kind == ATTEND:
        return sizes.kv_heads
    if kind == QUANTIZE:
        return block_count(sizes.heads * sizes.head_dim)
    return block_count(sizes.intermediate) if kind == ACTIVATE else 1


@compiled
def compute_chunk(step: StepData, phase: int, chunk: int, thread: int) -> None:
    """Compute one chunk of a phase."""
    layer, kind = phase // PHASES_PER_LAYER, phase % PHASES_PER_LAYER
    if PHASE_PRODUCT[kind] >= 0:
        compute_product(step, layer, kind, chunk, thread)
    elif layer == step.sizes.layers:
        normalise_row(step, step.rows.logit_rows[chunk], chunk, 2 * layer)
    elif kind == ROPE:
        apply_rope(step, layer, chunk)
        write_kv(step, layer, chunk)
    elif kind == ATTEND:
        attend_row(step, layer, chunk, thread)
    elif kind == QUANTIZE:
        columns = step.sizes.heads * step.sizes.head_dim
        row, block = chunk // block_count(columns), chunk % block_count(columns)
        quantize_block(step.buffers.attended[row], step.buffers.quantized, columns, row, block)
    elif kind == ACTIVATE:
        activate_block(step, chunk)
    else:
        normalise_row(step, chunk, chunk, 2 * layer + (1 if kind == MLP_NORM else 0))


@compiled
def product_chunks(step: StepData, number: int, rows: int) -> int:
    """The number of chunks of all matrices of a product."""
    first, count = step.weights.products[number]
    total = 0
    for each in range(first, first + count):
        total += chunk_count(step.weights.matrices[each], rows, step.buffers.panels.panel_min_rows)
    return total


@compiled
def compute_product(step: StepData, layer: int, kind: int, chunk: int, thread: int) -> None:
    """Compute one chunk of a product. OUT and DOWN add their results to the residual stream."""
    buffers, weights, panels = step.buffers, step.weights, step.buffers.panels
    rows, y = len(step.rows.x), step.rows.x
    if layer == step.sizes.layers:
        rows, y = len(step.rows.logit_rows), buffers.logits
    elif kind == QKV:
        y = buffers.qkv
    elif kind == GATE_UP:
        y = buffers.gate_up
    number = weights.products[layer * PRODUCTS_PER_LAYER + PHASE_PRODUCT[kind], 0]
    while chunk >= chunk_count(weights.matrices[number], rows, panels.panel_min_rows):
        chunk -= chunk_count(weights.matrices[number], rows, panels.panel_min_rows)
        number += 1
    matrix, size = weights.matrices[number], panels_per_chunk(rows, panels.panel_min_rows)
    own = PanelBuffers(
        panels.jobs[thread], panels.codes[thread], panels.scales[thread], panels.panel_min_rows, panels.threads
    )
    for panel in range(chunk * size, min((chunk + 1) * size, panel_count(matrix))):
        init_outputs(matrix, panel, rows, y, kind not in (OUT, DOWN))
        multiply_panel(matrix, panel, buffers.quantized, rows, y, own)


@compiled
def normalise_row(step: StepData, row: int, place: int, number: int) -> None:
    """Normalise and quantize a row for the next product, as its row `place`. `number`: of the norm."""
    hidden, normed = step.sizes.hidden, step.buffers.normed[place]
    rms_norm(step.rows.x[row], step.weights.norms[number], np.float32(step.sizes.epsilon), normed)
    for block in range(block_count(hidden)):
        quantize_block(normed, step.buffers.quantized, hidden, place, block)


@compiled
def apply_rope(step: StepData, layer: int, row: int) -> None:
    """Apply norms and rotary positions to a row's queries and keys. Queries are also divided by sqrt(head_dim)."""
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
    """Write a row's keys and values to the KV cache."""
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
    """Compute the attention of a row's query heads that share a key head."""
    sizes, rows, buffers, kv = step.sizes, step.rows, step.buffers, step.kv
    row, key_head = chunk // sizes.kv_heads, chunk % sizes.kv_heads
    queries = sizes.heads // sizes.kv_heads
    heads = slice(key_head * queries, (key_head + 1) * queries)
    q, result, scores = buffers.heads[row, heads], buffers.attended_heads[row, heads], buffers.scores[thread]
    blocks, length = rows.blocks[rows.block_starts[row] :], rows.positions[row] + 1
    view = KVView(kv[layer, key_head], kv[layer, sizes.kv_heads + key_head], blocks, length)
    if kv.itemsize == 4:
        attend_float32(q, view, scores, result)
    else:
        attend_bf16(q, view, scores, result)


@compiled
def activate_block(step: StepData, chunk: int) -> None:
    """Compute one block of a row's MLP activation, and quantize it for the next product."""
    columns = step.sizes.intermediate
    row, block = chunk // block_count(columns), chunk % block_count(columns)
    gate, up = step.buffers.gate_up[row, :columns], step.buffers.gate_up[row, columns:]
    start, stop = block * BLOCK, min((block + 1) * BLOCK, columns)
    silu_multiply(gate[start:].ctypes.data, up[start:].ctypes.data, stop - start)
    quantize_block(gate, step.buffers.quantized, columns, row, block)
