"""The model as the kernels compute it: its weights by their addresses, and room for what is computed on the way."""

import math
from itertools import chain
from typing import Any

import numpy as np
import torch

from core.engine.kernels import attention, dense, step
from core.engine.kernels.jit import Array
from core.engine.kernels.layout import BLOCK, GROUPS, MATRIX, PADDING, Rounded, blocks_of
from core.engine.kernels.products import MANY, PANEL, Unpacked
from core.engine.kernels.team import Team
from core.engine.kernels.tiles import JOB
from core.engine.nn.batch_plan import Plan
from core.engine.nn.kv_cache import KV
from core.engine.nn.linear import Beside, Linear, Low
from core.engine.nn.quantization import Rounded8
from core.engine.nn.transformer import Transformer

_LINE = 64
"""Bytes of a cache line."""


def can_compute(model: Transformer) -> bool:
    """Whether the kernels know all that the model is made of."""
    fits = model.sizes.width % attention.SPAN == 0
    return fits and all(isinstance(part, Low) for product in products_of(model) for part in parts_of(product))


def products_of(model: Transformer) -> list[Linear]:
    """In the order of a step; the head's is the last."""
    layers = chain.from_iterable((layer.qkv, layer.out, layer.gate_up, layer.down) for layer in model.layers)
    return [*layers, model.head]


def parts_of(product: Linear) -> list[Linear]:
    """The matrices whose results stand side by side."""
    return list(product.matrices) if isinstance(product, Beside) else [product]


class Compiled:
    """Computes plans in a team of threads. `signs`: int64 [1], counted up as it gets on."""

    def __init__(self, model: Transformer, kv: KV, team: Team, signs: Array) -> None:
        self.model, self.team, self.signs = model, team, signs
        self.many = MANY
        """The rows from which products are made panel by panel (kernels/products.py)."""
        self._weights, self._sizes = weights_of(model), sizes_of(model)
        self._kv = numbers_of(kv.whole)
        self._room: step.Room | None = None

    def __call__(self, plan: Plan, layers: int | None = None) -> torch.Tensor:
        """The logits that are wanted, float32 [last, vocabulary]. They are overwritten by the next call. A ValueError
        if they are made of something that is no number.

        `layers`: only the first, to measure them; then no logits are to be wanted.
        """
        room = self._room_for(len(plan.ids), len(plan.last))
        x = self.model.table(torch.from_numpy(plan.ids)).numpy()
        rows = step.Rows(x, plan.positions, plan.slots, plan.starts, plan.blocks, plan.last)
        sizes = self._sizes if layers is None else self._sizes._replace(layers=layers)
        room = room._replace(unpacked=room.unpacked._replace(many=self.many))
        whole = step.Step(sizes, self._weights, rows, self._kv, room)
        self.team.run(step.run, step.phases(sizes.layers), whole, self.signs)
        # What comes in as no number, or becomes none on the way, is kept by every sum.
        if not np.isfinite(x[plan.last]).all():
            raise ValueError("the model computed something that is no number")
        return torch.from_numpy(room.logits[: len(plan.last)])

    def lend(self) -> None:
        """Have PyTorch's products, where they are used, unpack matrices with the kernel."""
        for product in products_of(self.model):
            for part in parts_of(product):
                assert isinstance(part, Low)
                part.unpack = self.unpack

    def unpack(self, low: Linear, first: int, target: torch.Tensor) -> None:
        """See linear.Unpack."""
        assert isinstance(low, Low)
        whole = numbers_of(target)
        self.team.run(dense.unpack, 1, np.array([matrix_of(low, 0)], MATRIX)[0], first, whole)

    def _room_for(self, rows: int, last: int) -> step.Room:
        """Kept from step to step, and made anew where more is needed."""
        if self._room is None or len(self._room.normed) < rows or len(self._room.logits) < last:
            kept = (0, 0) if self._room is None else (len(self._room.normed), len(self._room.logits))
            self._room = room_of(self.model, self.team.count, max(rows, kept[0]), max(last, kept[1], 1))
        return self._room


def numbers_of(tensor: torch.Tensor) -> Array:
    """As numpy has it: float32, or the bits of bf16."""
    return tensor.view(torch.int16).numpy().view(np.uint16) if tensor.itemsize == 2 else tensor.numpy()


def weights_of(model: Transformer) -> step.Weights:
    """The addresses of everything; the model must outlive them."""
    matrices: list[tuple[int, ...]] = []
    spans = []
    for product in products_of(model):
        parts = parts_of(product)
        spans.append((len(matrices), len(parts)))
        place = 0
        for part in parts:
            assert isinstance(part, Low)
            matrices.append(matrix_of(part, place))
            place += part.rows
    norms = [norm for layer in model.layers for norm in (layer.attention_norm, layer.mlp_norm)]
    head_norms = [norm for layer in model.layers for norm in (layer.q_norm, layer.k_norm) if norm]
    return step.Weights(
        np.array(matrices, MATRIX),
        np.array(spans, np.int64),
        torch.stack([norm.weight for norm in (*norms, model.norm)]).numpy(),
        torch.stack([norm.weight for norm in head_norms]).view(-1, 2, model.sizes.width).numpy()
        if head_norms
        else np.empty((0, 2, model.sizes.width), np.float32),
        model.rotation.cos.numpy(),
        model.rotation.sin.numpy(),
    )


def matrix_of(low: Low, place: int) -> tuple[int, ...]:
    """As MATRIX has it."""
    matrix = low.matrix
    bits = 8 if isinstance(matrix, Rounded8) else 4
    offsets = 0 if isinstance(matrix, Rounded8) else matrix.offsets.data_ptr()
    bias = 0 if low.bias is None else low.bias.data_ptr()
    return bits, low.rows, low.columns, matrix.codes.data_ptr(), matrix.scales.data_ptr(), offsets, bias, place


def sizes_of(model: Transformer) -> step.Sizes:
    """See step.Sizes."""
    sizes, layer = model.sizes, model.layers[0]
    return step.Sizes(
        layers=len(model.layers),
        hidden=len(model.norm.weight),
        heads=sizes.heads,
        kv_heads=sizes.kv_heads,
        width=sizes.width,
        inner=layer.down.columns,
        epsilon=model.norm.epsilon,
    )


def room_of(model: Transformer, threads: int, rows: int, last: int) -> step.Room:
    """For so many rows at once, of so many of which logits are wanted."""
    sizes = sizes_of(model)
    columns = max(sizes.hidden, sizes.heads * sizes.width, sizes.inner)
    blocks = blocks_of(columns)
    rounded = Rounded(
        empty((rows * columns,), np.int16),
        empty((rows * blocks,), np.float32),
        empty((rows * blocks * GROUPS,), np.float32),
    )
    qkv = empty((rows, (sizes.heads + 2 * sizes.kv_heads) * sizes.width), np.float32)
    mixed = empty((rows, sizes.heads * sizes.width), np.float32)
    seen = len(model.rotation.cos) + PADDING
    head = parts_of(model.head)
    return step.Room(
        rounded=rounded,
        unpacked=Unpacked(
            empty((threads, 2, len(JOB)), np.int64),
            empty((threads, PANEL, BLOCK), np.int16),
            empty((threads, PANEL), np.float32),
        ),
        normed=empty((rows, sizes.hidden), np.float32),
        qkv=qkv,
        heads=qkv.reshape(rows, -1, sizes.width),
        mixed=mixed,
        mixed_heads=mixed.reshape(rows, -1, sizes.width),
        gate_up=empty((rows, 2 * sizes.inner), np.float32),
        scores=empty((threads, sizes.heads // sizes.kv_heads, seen), np.float32),
        logits=empty((last, sum(part.rows for part in head if isinstance(part, Low))), np.float32),
    )


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array whose first number stands at the beginning of a cache line: a vector never lies in two of them."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + _LINE, np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + size].view(dtype).reshape(shape)
