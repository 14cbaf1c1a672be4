"""The model in PyTorch: qwen2, qwen3 and llama, which differ only in biases and norms. Ids in, logits out.

The rows of a step belong to different sequences; only attention knows which.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from core.engine.nn.attention_groups import AttentionGroup, on_device, plan_groups
from core.engine.nn.batch_plan import BatchPlan
from core.engine.nn.device_copy import copy_together
from core.engine.nn.gguf_blocks import BlockMatrix
from core.engine.nn.kv_cache import KVCache
from core.engine.nn.linear import Linear


class RMSNorm:
    """Root mean square normalisation over the last dimension: x / sqrt(mean(x^2) + epsilon) * weight.

    Computed in float32 by five operations, in half the time of torch's own on a CPU: for n numbers the factor equals
    sqrt(n) / sqrt(|x|^2 + n * epsilon), and hypot computes the square root of two squares in one operation.
    """

    def __init__(self, weight: torch.Tensor, epsilon: float, dtype: torch.dtype) -> None:
        count = len(weight)
        self.weight, self.epsilon = weight.float(), epsilon
        self._weight, self._dtype = self.weight * count**0.5, dtype
        self._least = torch.tensor((count * epsilon) ** 0.5, device=weight.device)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        x = x.float()
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        y: torch.Tensor = (x * self._weight).div_(torch.hypot(length, self._least))
        return y.to(self._dtype)


@dataclass(frozen=True, slots=True)
class Layer:
    """The weights of a layer. `qkv` computes queries, keys and values concatenated; `gate_up` gate and up."""

    attention_norm: RMSNorm
    qkv: Linear
    q_norm: RMSNorm | None
    k_norm: RMSNorm | None
    out: Linear
    mlp_norm: RMSNorm
    gate_up: Linear
    down: Linear


@dataclass(frozen=True, slots=True)
class HeadSizes:
    """Query heads, key heads (as many value heads), and the width of each."""

    heads: int
    kv_heads: int
    head_dim: int

    @property
    def queries_per_key(self) -> int:
        """Query heads per key head."""
        return self.heads // self.kv_heads


class Transformer:
    """Computes steps in PyTorch: on a GPU, and on a CPU where the kernels can't."""

    def __init__(
        self,
        sizes: HeadSizes,
        embedding: "Embedding",
        layers: list[Layer],
        head: tuple[RMSNorm, Linear],
        rotary: "RotaryEmbedding",
    ) -> None:
        self.sizes, self.embedding, self.layers, self.rotary = sizes, embedding, layers, rotary
        self.norm, self.head = head

    def __call__(
        self, plan: BatchPlan, kv: KVCache, on_layer: Callable[[], None], layers: int | None = None
    ) -> torch.Tensor:
        """Compute a plan, writing its keys and values to `kv`. Returns logits, [logit rows, vocabulary].

        `on_layer` is called after every layer. `layers`: compute only the first, to measure them.
        """
        groups = plan_groups(plan.slices, kv)
        arrays = [plan.ids, plan.positions, plan.slots, plan.logit_rows]
        arrays += [array for group in groups for array in (group.index, group.ends)]
        ids, positions, slots, logit_rows, *of_groups = copy_together(arrays, kv.like.device)
        step = StepInputs(
            self.rotary.tables(positions, self.sizes, kv.like),
            slots,
            [
                on_device(group, index, ends, self.sizes.queries_per_key, kv.like)
                for group, index, ends in zip(groups, of_groups[::2], of_groups[1::2], strict=True)
            ],
        )
        x = self.compute_layers(ids, step, kv, on_layer, layers)
        return self.head(self.norm(x[logit_rows])) if len(logit_rows) else x[logit_rows]

    def compute_layers(
        self,
        ids: torch.Tensor,
        step: "StepInputs",
        kv: KVCache,
        on_layer: Callable[[], None],
        layers: int | None = None,
    ) -> torch.Tensor:
        """What the layers make of the embeddings of ids, float32 [rows, hidden]. All arrays are on the device, and
        nothing here waits for it."""
        x = self.embedding(ids)
        for number, layer in enumerate(self.layers[:layers]):
            x += self.attend(layer, layer.attention_norm(x), step, kv, number)
            x += self.mlp(layer, layer.mlp_norm(x))
            on_layer()
        return x

    def attend(self, layer: Layer, x: torch.Tensor, step: "StepInputs", kv: KVCache, number: int) -> torch.Tensor:
        """A layer's attention, x [rows, hidden] in and out. `number`: of the layer."""
        heads = self.sizes.heads
        qkv = step.rotary.apply(self.normalise_heads(layer, layer.qkv(x).view(len(x), -1, self.sizes.head_dim)))
        kv.write(number, qkv[:, heads:], step.slots)
        attended = [grouped_attention(group, qkv[group.rows, :heads], kv, number) for group in step.groups]
        return layer.out(attended[0] if len(attended) == 1 else torch.cat(attended))

    def normalise_heads(self, layer: Layer, qkv: torch.Tensor) -> torch.Tensor:
        """Apply qwen3's norms to queries and keys, [rows, heads, head_dim]."""
        if layer.q_norm is None or layer.k_norm is None:
            return qkv
        sizes = self.sizes
        q, k, v = torch.split(qkv, [sizes.heads, sizes.kv_heads, sizes.kv_heads], 1)
        return torch.cat((layer.q_norm(q), layer.k_norm(k), v), 1)

    def mlp(self, layer: Layer, x: torch.Tensor) -> torch.Tensor:
        """A layer's MLP, x [rows, hidden] in and out."""
        gate, up = layer.gate_up(x).chunk(2, -1)
        return layer.down(functional.silu(gate).mul_(up))


def grouped_attention(group: AttentionGroup, q: torch.Tensor, kv: KVCache, layer: int) -> torch.Tensor:
    """The attention of a group's queries [rows, heads, head_dim]: [rows, heads * head_dim].

    All queries that share a key head, of one id or of several, are rows of one product with it.
    """
    rows, heads, head_dim = q.shape
    sequences = group.gather.sequences
    k, v = kv.read(layer, group.gather, group.length)
    each = rows // sequences
    q = q.reshape(sequences, each, kv.heads, -1, head_dim).permute(0, 2, 3, 1, 4).flatten(2, 3)
    attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=group.mask)
    attended = attended.view(sequences, kv.heads, heads // kv.heads, each, head_dim).permute(0, 3, 1, 2, 4)
    return attended.reshape(rows, heads * head_dim)


class Embedding:
    """The embeddings, [vocabulary, hidden]. May be a view of a file, also in 4 bits, as a step reads few rows."""

    def __init__(self, rows: torch.Tensor | BlockMatrix) -> None:
        self.rows = rows

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """The embeddings of ids, float32 [ids, hidden]: the residual stream is not rounded between layers."""
        if isinstance(self.rows, BlockMatrix):
            return self.rows[ids].dequantize()
        return self.rows[ids].to(torch.float32)


class RotaryEmbedding:
    """Rotary positions: `cos` and `sin` of the angle of each pair of numbers, float32 [positions, head_dim / 2]."""

    def __init__(self, inverse: torch.Tensor, scaling: float, positions: int, device: torch.device) -> None:
        """`inverse`: each pair's angle per position, float32 [head_dim / 2]. `scaling`: a factor for cos and sin.

        Computed on the CPU, so that every device has the same numbers.
        """
        angles = torch.outer(torch.arange(positions, dtype=torch.float32), inverse.float())
        self.cos, self.sin = ((table * scaling).to(device) for table in (angles.cos(), angles.sin()))

    def tables(self, positions: torch.Tensor, sizes: HeadSizes, like: torch.Tensor) -> "RotaryTables":
        """The tables of some positions, for queries, keys and values concatenated.

        Values get an angle of zero, which is faster than to split them off. `like` gives dtype and device.
        """
        rotated, heads = sizes.heads + sizes.kv_heads, sizes.heads + 2 * sizes.kv_heads
        cos, sin = (table[positions].to(like)[:, None] for table in (self.cos, self.sin))
        cosines = like.new_ones(len(positions), heads, sizes.head_dim)
        sines = torch.zeros_like(cosines)
        cosines[:, :rotated] = torch.cat((cos, cos), -1)
        sines[:, :rotated] = torch.cat((-sin, sin), -1)
        return RotaryTables(cosines, sines)


@dataclass(frozen=True, slots=True)
class RotaryTables:
    """cos and sin for each head of each row, [rows, heads, head_dim].

    The sines of the first half are negative, as apply() swaps the halves of a head.
    """

    cos: torch.Tensor
    sin: torch.Tensor

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Rotate every head of x [rows, heads, head_dim]."""
        return torch.addcmul(x * self.cos, x.roll(x.shape[-1] // 2, -1), self.sin)


@dataclass(frozen=True, slots=True)
class StepInputs:
    """The inputs that all layers of a step share. `slots`: int64 [rows], of the KV cache."""

    rotary: RotaryTables
    slots: torch.Tensor
    groups: list[AttentionGroup]
