"""The model as the kernels compute it: its weights by their addresses, and room for what is computed on the way."""

import math
from itertools import chain
from typing import Any

import numpy as np
import torch

from core.engine.kernels import attention, dense, step
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
from core.engine.nn.kv_cache import KVCache
from core.engine.nn.linear import ConcatLinear, Linear, LowBitLinear
from core.engine.nn.quantization import Int8Matrix
from core.engine.nn.transformer import Transformer

_CACHE_LINE_BYTES = 64
"""Bytes of a cache line."""


def can_compute(model: Transformer) -> bool:
    """Whether the kernels know all that the model is made of."""
    fits = model.sizes.head_dim % attention.HEAD_DIM_MULTIPLE == 0
    return fits and all(isinstance(part, LowBitLinear) for product in linears(model) for part in linear_parts(product))


def linears(model: Transformer) -> list[Linear]:
    """In the order of a step; the head's is the last."""
    layers = chain.from_iterable((layer.qkv, layer.out, layer.gate_up, layer.down) for layer in model.layers)
    return [*layers, model.head]


def linear_parts(product: Linear) -> list[Linear]:
    """The matrices whose results stand side by side."""
    return list(product.matrices) if isinstance(product, ConcatLinear) else [product]


class KernelModel:
    """Computes plans in a team of threads. `signs`: int64 [1], counted up as it gets on."""

    def __init__(self, model: Transformer, kv: KVCache, team: ThreadTeam, signs: Array) -> None:
        self.model, self.team, self.progress = model, team, signs
        self.panel_min_rows = PANEL_MIN_ROWS
        """The rows from which products are made panel by panel (kernels/products.py)."""
        self._weights, self._sizes = kernel_weights(model), kernel_sizes(model)
        self._kv = as_numpy(kv.tensor)
        self._buffers: step.StepBuffers | None = None

    def __call__(self, plan: BatchPlan, layers: int | None = None) -> torch.Tensor:
        """The logits that are wanted, float32 [last, vocabulary]. They are overwritten by the next call. A ValueError
        if they are made of something that is no number.

        `layers`: only the first, to measure them; then no logits are to be wanted.
        """
        room = self._buffers_for(len(plan.ids), len(plan.logit_rows))
        x = self.model.embedding(torch.from_numpy(plan.ids)).numpy()
        rows = step.StepRows(x, plan.positions, plan.slots, plan.block_starts, plan.blocks, plan.logit_rows)
        sizes = self._sizes if layers is None else self._sizes._replace(layers=layers)
        room = room._replace(panels=room.panels._replace(panel_min_rows=self.panel_min_rows))
        whole = step.StepData(sizes, self._weights, rows, self._kv, room)
        self.team.run(step.run_step, step.phase_count(sizes.layers), whole, self.progress)
        # What comes in as no number, or becomes none on the way, is kept by every sum.
        if not np.isfinite(x[plan.logit_rows]).all():
            raise ValueError("the model computed something that is no number")
        return torch.from_numpy(room.logits[: len(plan.logit_rows)])

    def unpack_for_torch(self) -> None:
        """Have PyTorch's products, where they are used, unpack matrices with the kernel."""
        for product in linears(self.model):
            for part in linear_parts(product):
                assert isinstance(part, LowBitLinear)
                part.unpack_rows = self.unpack_rows

    def unpack_rows(self, low: Linear, first: int, target: torch.Tensor) -> None:
        """See linear.Unpack."""
        assert isinstance(low, LowBitLinear)
        whole = as_numpy(target)
        self.team.run(dense.unpack_rows, 1, np.array([matrix_record(low, 0)], MATRIX_RECORD)[0], first, whole)

    def _buffers_for(self, rows: int, last: int) -> step.StepBuffers:
        """Kept from step to step, and made anew where more is needed."""
        if self._buffers is None or len(self._buffers.normed) < rows or len(self._buffers.logits) < last:
            kept = (0, 0) if self._buffers is None else (len(self._buffers.normed), len(self._buffers.logits))
            self._buffers = step_buffers(self.model, self.team.count, max(rows, kept[0]), max(last, kept[1], 1))
        return self._buffers


def as_numpy(tensor: torch.Tensor) -> Array:
    """As numpy has it: float32, or the bits of bf16."""
    return tensor.view(torch.int16).numpy().view(np.uint16) if tensor.itemsize == 2 else tensor.numpy()


def kernel_weights(model: Transformer) -> step.KernelWeights:
    """The addresses of everything; the model must outlive them."""
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
    """As MATRIX has it."""
    matrix = low.matrix
    bits = 8 if isinstance(matrix, Int8Matrix) else 4
    offsets = 0 if isinstance(matrix, Int8Matrix) else matrix.offsets.data_ptr()
    bias = 0 if low.bias is None else low.bias.data_ptr()
    return bits, low.rows, low.columns, matrix.codes.data_ptr(), matrix.scales.data_ptr(), offsets, bias, place


def kernel_sizes(model: Transformer) -> step.ModelSizes:
    """See step.Sizes."""
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


def step_buffers(model: Transformer, threads: int, rows: int, last: int) -> step.StepBuffers:
    """For so many rows at once, of so many of which logits are wanted."""
    sizes = kernel_sizes(model)
    columns = max(sizes.hidden, sizes.heads * sizes.head_dim, sizes.intermediate)
    blocks = block_count(columns)
    rounded = QuantizedRows(
        aligned_empty((rows * columns,), np.int16),
        aligned_empty((rows * blocks,), np.float32),
        aligned_empty((rows * blocks * GROUPS_PER_BLOCK,), np.float32),
    )
    qkv = aligned_empty((rows, (sizes.heads + 2 * sizes.kv_heads) * sizes.head_dim), np.float32)
    mixed = aligned_empty((rows, sizes.heads * sizes.head_dim), np.float32)
    seen = len(model.rotary.cos) + SCALES_MULTIPLE
    head = linear_parts(model.head)
    return step.StepBuffers(
        quantized=rounded,
        panels=PanelBuffers(
            aligned_empty((threads, 2, len(JOB_FIELDS)), np.int64),
            aligned_empty((threads, PANEL_OUTPUTS, BLOCK), np.int16),
            aligned_empty((threads, PANEL_OUTPUTS), np.float32),
        ),
        normed=aligned_empty((rows, sizes.hidden), np.float32),
        qkv=qkv,
        heads=qkv.reshape(rows, -1, sizes.head_dim),
        attended=mixed,
        attended_heads=mixed.reshape(rows, -1, sizes.head_dim),
        gate_up=aligned_empty((rows, 2 * sizes.intermediate), np.float32),
        scores=aligned_empty((threads, sizes.heads // sizes.kv_heads, seen), np.float32),
        logits=aligned_empty((last, sum(part.rows for part in head if isinstance(part, LowBitLinear))), np.float32),
    )


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array whose first number stands at the beginning of a cache line: a vector never lies in two of them."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + _CACHE_LINE_BYTES, np.uint8)
    start = -raw.ctypes.data % _CACHE_LINE_BYTES
    return raw[start : start + size].view(dtype).reshape(shape)
