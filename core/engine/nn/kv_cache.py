"""The KV memory: keys and values of every block, layer by layer.

[layers, 2 * heads, blocks * size, head_dim]: the key heads, then the value heads. A head's block is one stretch, so
that the blocks of a sequence are gathered by one copy of whole stretches.
"""

import math
import mmap
from dataclasses import dataclass

import torch

BLOCK_IDS = 8
"""Ids a block: so many less one may be read again though they are known. Fewer gained nothing more."""


class KVCache:
    """Room for `blocks` blocks."""

    def __init__(self, layers: int, heads: int, width: int, blocks: int, like: torch.Tensor) -> None:
        """`like` has the dtype and the device. `whole` is all of it, [layers, 2 * heads, blocks, ids a block,
        width]."""
        self.heads, self.width, self.blocks, self.like = heads, width, blocks, like
        whole = lazy_zeros((layers, 2 * heads, blocks * BLOCK_IDS, width), like)
        self.tensor = whole.view(layers, 2 * heads, blocks, BLOCK_IDS, width)
        self._layers = whole.unbind()
        self._blocks = [layer.view(2 * heads * blocks, BLOCK_IDS * width) for layer in self._layers]

    def write(self, layer: int, kv: torch.Tensor, slots: torch.Tensor) -> None:
        """Keys and values [ids, 2 * heads, head_dim] to their places: block * SIZE + offset."""
        self._layers[layer].index_copy_(1, slots, kv.transpose(0, 1))

    def gather(self, blocks: list[list[int]]) -> "BlockGather":
        """Where read() finds the blocks of some sequences, as many of each."""
        first, count = blocks[0][0], len(blocks[0])
        if len(blocks) == 1 and blocks[0] == list(range(first, first + count)):
            return BlockGather(1, first * BLOCK_IDS, None)
        device = self._layers[0].device
        rows = torch.arange(2 * self.heads, device=device).view(2, 1, self.heads, 1) * self.blocks
        return BlockGather(len(blocks), 0, (rows + torch.tensor(blocks, device=device)[None, :, None, :]).flatten())

    def read(self, layer: int, places: "BlockGather", length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values, each [sequences, heads, length, head_dim]."""
        if places.index is None:
            found = self._layers[layer][:, places.start : places.start + length]
            found = found.view(2, 1, self.heads, length, self.width)
        else:
            found = self._blocks[layer].index_select(0, places.index)
            found = found.view(2, places.sequences, self.heads, -1, self.width)[:, :, :, :length]
        return found[0], found[1]


@dataclass(frozen=True, slots=True)
class BlockGather:
    """Blocks of some sequences; one whose blocks lie one after another needs no gathering."""

    sequences: int
    start: int
    """The slot of the first id, where `index` is None."""
    index: torch.Tensor | None


def lazy_zeros(shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """Zeros, because what is masked must be a number. On a CPU they take memory only once they are written to: torch's
    own would take all of it at once."""
    if not like.is_cpu:
        return torch.zeros(shape, dtype=like.dtype, device=like.device)
    own = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_ANONYMOUS") else {}
    return torch.frombuffer(mmap.mmap(-1, math.prod(shape) * like.itemsize, **own), dtype=like.dtype).view(shape)


def bytes_per_block(layers: int, heads: int, width: int, dtype: torch.dtype) -> int:
    return 2 * layers * heads * width * BLOCK_IDS * dtype.itemsize
