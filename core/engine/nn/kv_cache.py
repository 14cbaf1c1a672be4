"""The KV cache: the keys and values of every block, layer by layer.

A layer is [2 * heads, blocks * BLOCK_IDS, head_dim], the key heads before the value heads. One head's part of a block
is contiguous, so gathering a sequence's blocks copies whole blocks.
"""

import math
import mmap
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

BLOCK_IDS = 8
"""Ids per block. Up to BLOCK_IDS - 1 known ids of a prompt are computed again; smaller blocks gained nothing more."""


class KVCache:
    """Memory for `blocks` blocks. `like` gives dtype and device.

    `tensor` is the whole cache, [layers, 2 * heads, blocks, BLOCK_IDS, head_dim].
    """

    def __init__(self, layers: int, heads: int, head_dim: int, blocks: int, like: torch.Tensor) -> None:
        self.heads, self.head_dim, self.blocks, self.like = heads, head_dim, blocks, like
        flat = lazy_zeros((layers, 2 * heads, blocks * BLOCK_IDS, head_dim), like)
        self.tensor = flat.view(layers, 2 * heads, blocks, BLOCK_IDS, head_dim)
        self._layers = flat.unbind()
        self._blocks = [layer.view(2 * heads * blocks, BLOCK_IDS * head_dim) for layer in self._layers]

    def write(self, layer: int, kv: torch.Tensor, slots: torch.Tensor) -> None:
        """Write keys and values [ids, 2 * heads, head_dim] to `slots`, each block * BLOCK_IDS + offset."""
        self._layers[layer].index_copy_(1, slots, kv.transpose(0, 1))

    def block_rows(self, blocks: list[list[int]]) -> npt.NDArray[np.int64]:
        """The rows of a layer's blocks that hold those of some sequences, the same number of each, for `read`."""
        rows = np.arange(2 * self.heads).reshape(2, 1, self.heads, 1) * self.blocks
        found: npt.NDArray[np.int64] = rows + np.array(blocks)[None, :, None, :]
        return found.ravel()

    def read(self, layer: int, gather: "BlockGather", length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The first `length` keys and values of each sequence, each [sequences, heads, length, head_dim]."""
        if gather.index is None:
            found = self._layers[layer][:, gather.start : gather.start + length]
            found = found.view(2, 1, self.heads, length, self.head_dim)
        else:
            found = self._blocks[layer].index_select(0, gather.index)
            found = found.view(2, gather.sequences, self.heads, -1, self.head_dim)[:, :, :, :length]
        return found[0], found[1]


@dataclass(frozen=True, slots=True)
class BlockGather:
    """Where the blocks of some sequences are.

    `index`: rows of a layer's blocks, or None for a single sequence in consecutive blocks. Its first slot is `start`.
    """

    sequences: int
    start: int
    index: torch.Tensor | None


def lazy_zeros(shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """A tensor of zeros, as masked keys must be finite.

    On a CPU it takes memory only where it is written to; torch.zeros would take all of it at once.
    """
    if not like.is_cpu:
        return torch.zeros(shape, dtype=like.dtype, device=like.device)
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_ANONYMOUS") else {}
    return torch.frombuffer(mmap.mmap(-1, math.prod(shape) * like.itemsize, **private), dtype=like.dtype).view(shape)


def bytes_per_block(layers: int, heads: int, head_dim: int, dtype: torch.dtype) -> int:
    """The bytes of one block, of all layers."""
    return 2 * layers * heads * head_dim * BLOCK_IDS * dtype.itemsize
