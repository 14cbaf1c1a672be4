"""The model as the kernels compute it: the addresses of its weights, and buffers for intermediate results."""

import math
from itertools import chain
from typing import Any

import numpy as np
import torch

from core.engine.kernels import attention, dense, step
from core.engine.kernels.block_tiles import block_functions
from core.engine.kernels.jit import Array
from core.engine.kernels.layout import (
    BLOCK,
    GROUPS_PER_BLOCK,
    MATRIX_RECORD,
    SCALES_MULTIPLE,
    QuantizedRows,
    block_count,
)
from core.engine.kernels.products import PANEL_MIN_ROWS, PANEL_OUTPUTS, PanelBuffers
from core.engine.kernels.team import ThreadTeam
from core.engine.kernels.tiles import JOB_FIELDS
from core.engine.nn.batch_plan import BatchPlan
from core.engine.nn.gguf_blocks import BlockMatrix
from core.engine.nn.kv_cache import KVCache
from core.engine.nn.linear import ConcatLinear, Linear, LowBitLinear
from core.engine.nn.quantization import Int8Matrix
from core.engine.nn.transformer import Transformer

NO_NUMBER = "the model computed something that is no number"
_CACHE_LINE_BYTES = 64


def can_compute(model: Transformer) -> bool:
    """Whether the kernels can compute the model: all matrices in low bits, and a head_dim that attention supports."""
    fits = model.sizes.head_dim % attention.HEAD_DIM_MULTIPLE == 0
    return fits and all(isinstance(part, LowBitLinear) for product in linears(model) for part in linear_parts(product))


def linears(model: Transformer) -> list[Linear]:
    """The model's products in the order of a step; the head is last."""
    layers = chain.from_iterable((layer.qkv, layer.out, layer.gate_up, layer.down) for layer in model.layers)
    return [*layers, model.head]


def linear_parts(product: Linear) -> list[Linear]:
    """The matrices of a product, whose results are concatenated."""
    return list(product.matrices) if isinstance(product, ConcatLinear) else [product]


class KernelModel:
    """Computes batch plans in a team of threads.

    `progress`: int64 [1], counted up at every phase. `panel_min_rows`: rows from which products are computed panel by
    panel (kernels/products.py).
    """

    def __init__(self, model: Transformer, kv: KVCache, team: ThreadTeam, progress: Array) -> None:
        self.model, self.team, self.progress = model, team, progress
        self.panel_min_rows = PANEL_MIN_ROWS
        self._weights, self._sizes = kernel_weights(model), kernel_sizes(model)
        self._kv = as_numpy(kv.tensor)
        self._buffers: step.StepBuffers | None = None

    def __call__(self, plan: BatchPlan, layers: int | None = None) -> torch.Tensor:
        """Compute a plan, writing its keys and values to the KV cache.

        Returns logits, float32 [logit rows, vocabulary], which the next call overwrites. Raises ValueError if a hidden
        state is not finite. `layers`: compute only the first, to measure them, for a plan without logits.
        """
        buffers = self._buffers_for(len(plan.ids), len(plan.logit_rows))
        x = self.model.embedding(torch.from_numpy(plan.ids)).numpy()
        rows = step.StepRows(x, plan.positions, plan.slots, plan.block_starts, plan.blocks, plan.logit_rows)
        sizes = self._sizes if layers is None else self._sizes._replace(layers=layers)
        buffers = buffers._replace(
            panels=buffers.panels._replace(panel_min_rows=self.panel_min_rows, threads=self.team.active)
        )
        data = step.StepData(sizes, self._weights, rows, self._kv, buffers)
        self.team.run(step.run_step, step.phase_count(sizes.layers), data, self.progress)
        # Whatever is not finite on the way makes every later sum of its row so.
        if not np.isfinite(x[plan.logit_rows]).all():
            raise ValueError(NO_NUMBER)
        return torch.from_numpy(buffers.logits[: len(plan.logit_rows)])

    def unpack_for_torch(self) -> None:
        """Have PyTorch's products of this model unpack their matrices by the kernel."""
        for product in linears(self.model):
            for part in linear_parts(product):
                assert isinstance(part, LowBitLinear)
                part.unpack_rows = self.unpack_rows

    def unpack_rows(self, low: Linear, first: int, target: torch.Tensor) -> None:
        """Unpack the rows of a low-bit matrix from `first` on into `target`, float32 or bf16 [rows, columns]."""
        assert isinstance(low, LowBitLinear)
        record = np.array([matrix_record(low, 0)], MATRIX_RECORD)[0]
        self.team.run(dense.unpack_rows, 1, record, first, as_numpy(target))

    def _buffers_for(self, rows: int, logit_rows: int) -> step.StepBuffers:
        """The buffers of the last step, or larger ones if they are too small."""
        if self._buffers is None or len(self._buffers.normed) < rows or len(self._buffers.logits) < logit_rows:
            had = (0, 0) if self._buffers is None else (len(self._buffers.normed), len(self._buffers.logits))
            self._buffers = step_buffers(self.model, self.team.count, max(rows, had[0]), max(logit_rows, had[1], 1))
        return self._buffers


def as_numpy(tensor: torch.Tensor) -> Array:
    """A numpy view of a tensor: float32, or the bits of bf16 as uint16."""
    return tensor.view(torch.int16).numpy().view(np.uint16) if tensor.itemsize == 2 else tensor.numpy()


def kernel_weights(model: Transformer) -> step.KernelWeights:
    """The addresses of a model's weights. The model must outlive them."""
    matrices: list[tuple[int, ...]] = []
    spans = []
    for product in linears(model):
        parts = linear_parts(product)
        spans.append((len(matrices), len(parts)))
        place = 0
        for part in parts:
            assert isinstance(part, LowBitLinear)
            matrices.append(matrix_record(part, place))
            place += part.rows
    norms = [norm for layer in model.layers for norm in (layer.attention_norm, layer.mlp_norm)]
    head_norms = [norm for layer in model.layers for norm in (layer.q_norm, layer.k_norm) if norm]
    return step.KernelWeights(
        np.array(matrices, MATRIX_RECORD),
        np.array(spans, np.int64),
        torch.stack([norm.weight for norm in (*norms, model.norm)]).numpy(),
        torch.stack([norm.weight for norm in head_norms]).view(-1, 2, model.sizes.head_dim).numpy()
        if head_norms
        else np.empty((0, 2, model.sizes.head_dim), np.float32),
        model.rotary.cos.numpy(),
        model.rotary.sin.numpy(),
    )


def matrix_record(low: LowBitLinear, place: int) -> tuple[int, ...]:
    """The fields of a MATRIX_RECORD. `place`: the first output's column in the product's result."""
    matrix = low.matrix
    bias = 0 if low.bias is None else low.bias.data_ptr()
    size = low.rows, low.columns
    if isinstance(matrix, BlockMatrix):
        functions = block_functions(matrix.kind)
        assert low.block_scales is not None
        scales = low.block_scales.data_ptr()
        return 0, *size, matrix.blocks.data_ptr(), scales, 0, bias, place, matrix.row_bytes, *functions
    bits, offsets = (8, 0) if isinstance(matrix, Int8Matrix) else (4, matrix.offsets.data_ptr())
    row_bytes = low.columns * bits // 8
    return bits, *size, matrix.codes.data_ptr(), matrix.scales.data_ptr(), offsets, bias, place, row_bytes, 0, 0, 0


def kernel_sizes(model: Transformer) -> step.ModelSizes:
    """The sizes of a model, as the kernels take them."""
    sizes, layer = model.sizes, model.layers[0]
    return step.ModelSizes(
        layers=len(model.layers),
        hidden=len(model.norm.weight),
        heads=sizes.heads,
        kv_heads=sizes.kv_heads,
        head_dim=sizes.head_dim,
        intermediate=layer.down.columns,
        epsilon=model.norm.epsilon,
    )


def step_buffers(model: Transformer, threads: int, rows: int, logit_rows: int) -> step.StepBuffers:
    """Buffers for steps of up to `rows` rows and `logit_rows` logits, in `threads` threads."""
    sizes = kernel_sizes(model)
    columns = max(sizes.hidden, sizes.heads * sizes.head_dim, sizes.intermediate)
    blocks = block_count(columns)
    quantized = QuantizedRows(
        aligned_empty((rows * columns,), np.int16),
        aligned_empty((rows * blocks,), np.float32),
        aligned_empty((rows * blocks * GROUPS_PER_BLOCK,), np.float32),
    )
    qkv = aligned_empty((rows, (sizes.heads + 2 * sizes.kv_heads) * sizes.head_dim), np.float32)
    attended = aligned_empty((rows, sizes.heads * sizes.head_dim), np.float32)
    score_columns = len(model.rotary.cos) + SCALES_MULTIPLE
    head = linear_parts(model.head)
    return step.StepBuffers(
        quantized=quantized,
        panels=PanelBuffers(
            aligned_empty((threads, 2, len(JOB_FIELDS)), np.int64),
            aligned_empty((threads, PANEL_OUTPUTS, BLOCK), np.int16),
            aligned_empty((threads, PANEL_OUTPUTS), np.float32),
        ),
        normed=aligned_empty((rows, sizes.hidden), np.float32),
        qkv=qkv,
        heads=qkv.reshape(rows, -1, sizes.head_dim),
        attended=attended,
        attended_heads=attended.reshape(rows, -1, sizes.head_dim),
        gate_up=aligned_empty((rows, 2 * sizes.intermediate), np.float32),
        scores=aligned_empty((threads, sizes.heads // sizes.kv_heads, score_columns), np.float32),
        logits=aligned_empty(
            (logit_rows, sum(part.rows for part in head if isinstance(part, LowBitLinear))), np.float32
        ),
    )


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array that begins at a cache line, so that no vector load touches two of them."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + _CACHE_LINE_BYTES, np.uint8)
    start = -raw.ctypes.data % _CACHE_LINE_BYTES
    return raw[start : start + size].view(dtype).reshape(shape)
