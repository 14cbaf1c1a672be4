"""The model: qwen2, qwen3 and llama, which differ in biases and norms alone. Rows of ids in, rows of numbers out.

The rows of a step belong to different sequences; only attention knows which.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from core.engine.nn.batch_plan import AttentionGroup, BatchPlan, attention_groups
from core.engine.nn.kv_cache import KVCache
from core.engine.nn.linear import Linear
from core.engine.nn.weight_reader import Int4Tensor


class RMSNorm:
    """Root mean square normalisation over the last dimension: x / sqrt(mean(x^2) + epsilon) * weight.

    Computed in float32 by five operations, half of what torch's own takes on a CPU: with n numbers,
    sqrt(n) / sqrt(|x|^2 + n * epsilon) is the same, and the square root of a sum of two squares is one operation.
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
    """`qkv` gives queries, keys and values of a row side by side, `gate_up` gate and up."""

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
    """Query heads, key heads and the width of each."""

    heads: int
    kv_heads: int
    head_dim: int

    @property
    def queries_per_key(self) -> int:
        """Query heads that share a key head."""
        return self.heads // self.kv_heads


class Transformer:
    """`table`: the embedding of each id. The plain way to compute a step, and the only one on a GPU."""

    def __init__(
        self,
        sizes: HeadSizes,
        table: "Embedding",
        layers: list[Layer],
        head: tuple[RMSNorm, Linear],
        rotation: "RotaryEmbedding",
    ) -> None:
        self.sizes, self.embedding, self.layers, self.rotary = sizes, table, layers, rotation
        self.norm, self.head = head

    def __call__(
        self, plan: BatchPlan, kv: KVCache, alive: Callable[[], None], layers: int | None = None
    ) -> torch.Tensor:
        """Compute the plan's rows, keeping their keys and values; the logits of those that are wanted, [last,
        vocabulary]. `alive` is called after every layer. `layers`: only the first, to measure them."""
        like = kv.like
        ids, positions, slots, last = (
            torch.from_numpy(each).to(like.device) for each in (plan.ids, plan.positions, plan.slots, plan.logit_rows)
        )
        x = self.embedding(ids)
        step = StepInputs(
            self.rotary.tables(positions, self.sizes, like),
            slots,
            attention_groups(plan.slices, kv, self.sizes.queries_per_key, like),
        )
        for number, layer in enumerate(self.layers[:layers]):
            x += self.attend(layer, layer.attention_norm(x), step, kv, number)
            x += self.mlp(layer, layer.mlp_norm(x))
            alive()
        return self.head(self.norm(x[last])) if len(last) else x[last]

    def attend(self, layer: Layer, x: torch.Tensor, step: "StepInputs", kv: KVCache, number: int) -> torch.Tensor:
        heads = self.sizes.heads
        qkv = step.rotary(self.normalise_heads(layer, layer.qkv(x).view(len(x), -1, self.sizes.head_dim)))
        kv.write(number, qkv[:, heads:], step.slots)
        seen = [grouped_attention(group, qkv[group.rows, :heads], kv, number) for group in step.groups]
        return layer.out(seen[0] if len(seen) == 1 else torch.cat(seen))

    def normalise_heads(self, layer: Layer, qkv: torch.Tensor) -> torch.Tensor:
        if layer.q_norm is None or layer.k_norm is None:
            return qkv
        sizes = self.sizes
        q, k, v = torch.split(qkv, [sizes.heads, sizes.kv_heads, sizes.kv_heads], 1)
        return torch.cat((layer.q_norm(q), layer.k_norm(k), v), 1)

    def mlp(self, layer: Layer, x: torch.Tensor) -> torch.Tensor:
        gate, up = layer.gate_up(x).chunk(2, -1)
        return layer.down(functional.silu(gate).mul_(up))


def grouped_attention(group: AttentionGroup, q: torch.Tensor, kv: KVCache, layer: int) -> torch.Tensor:
    """What the queries [rows, heads, width] see: [rows, heads * width].

    All queries that share a key head, of one id or of several, are rows of one product with it.
    """
    rows, heads, width = q.shape
    sequences = group.gather.sequences
    k, v = kv.read(layer, group.gather, group.length)
    each = rows // sequences
    q = q.reshape(sequences, each, kv.heads, -1, width).permute(0, 2, 3, 1, 4).flatten(2, 3)
    seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=group.mask)
    seen = seen.view(sequences, kv.heads, heads // kv.heads, each, width).permute(0, 3, 1, 2, 4)
    return seen.reshape(rows, heads * width)


class Embedding:
    """The embedding. It may lie in the model's file, in 4 bits too: a step needs a few rows of it."""

    def __init__(self, rows: torch.Tensor | Int4Tensor) -> None:
        self.rows = rows

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """float32: what the layers add up is not rounded on its way."""
        if isinstance(self.rows, Int4Tensor):
            return self.rows[ids].dequantize()
        return self.rows[ids].to(torch.float32)


class RotaryEmbedding:
    """Rotary positions: `cos` and `sin` of the angle of each pair of numbers, float32 [positions, head_dim / 2]."""

    def __init__(self, inverse: torch.Tensor, scaling: float, positions: int) -> None:
        """`inverse`: the angle of each pair of numbers a position, float32 [head_dim / 2]."""
        angles = torch.outer(torch.arange(positions, dtype=torch.float32), inverse.float())
        self.cos, self.sin = angles.cos() * scaling, angles.sin() * scaling

    def tables(self, positions: torch.Tensor, sizes: HeadSizes, like: torch.Tensor) -> "RotaryTables":
        """For the heads of a row as they lie side by side. Values are turned by nothing, which is one operation less
        than to part them from the others."""
        turned, whole = sizes.heads + sizes.kv_heads, sizes.heads + 2 * sizes.kv_heads
        some = positions.to(self.cos.device)
        cos, sin = (table[some].to(like)[:, None] for table in (self.cos, self.sin))
        cosines = like.new_ones(len(positions), whole, sizes.head_dim)
        sines = torch.zeros_like(cosines)
        cosines[:, :turned] = torch.cat((cos, cos), -1)
        sines[:, :turned] = torch.cat((-sin, sin), -1)
        return RotaryTables(cosines, sines)


@dataclass(frozen=True, slots=True)
class RotaryTables:
    """The rotation of each head of each row, [rows, heads, head_dim]. A sine of the first half is negative, as the
    halves change places."""

    cos: torch.Tensor
    sin: torch.Tensor

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Turn every head of x [rows, heads, head_dim]."""
        return torch.addcmul(x * self.cos, x.roll(x.shape[-1] // 2, -1), self.sin)


@dataclass(frozen=True, slots=True)
class StepInputs:
    """What all layers of a step share."""

    rotary: RotaryTables
    slots: torch.Tensor
    groups: list[AttentionGroup]
