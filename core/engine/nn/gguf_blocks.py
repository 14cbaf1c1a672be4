"""GGUF's quantized blocks in PyTorch: a matrix as it lies in the file, and the numbers that it stands for.

This is the reference of the kernels (core/engine/kernels/blocks.py), and what computes where they do not. The layouts
are those of ggml-org/ggml, src/ggml-common.h.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from core.checkpoints.gguf_kinds import dequantize_rows
from core.engine.kernels.blocks import IQ4_NL_VALUES
from core.engine.kernels.layout import GROUP

Parts = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]
"""Codes, float32 [blocks, columns]; scales and offsets, float32 [blocks, numbers that share the columns evenly]."""


@dataclass(frozen=True, slots=True)
class BlockMatrix:
    """A matrix of a kind of blocks, such as "Q4_K". `blocks`: uint8 [rows, bytes of a row]."""

    kind: str
    blocks: torch.Tensor
    columns: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.blocks), self.columns

    @property
    def row_bytes(self) -> int:
        """The bytes of a row."""
        return self.blocks.shape[1]

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, rows: torch.Tensor | slice) -> "BlockMatrix":
        """Some rows of the matrix."""
        return BlockMatrix(self.kind, self.blocks[rows], self.columns)

    def dequantize(self, rows: slice = slice(None)) -> torch.Tensor:
        """The values of some rows, float32 [rows, columns], exactly as the package gguf has them."""
        some = self.blocks[rows]
        if self.kind not in READERS:
            return torch.from_numpy(dequantize_rows(self.kind, some.numpy()))
        size, read = READERS[self.kind]
        codes, scales, offsets = read(some.reshape(-1, size))
        values = codes.view(*scales.shape, -1) * scales[..., None]
        if offsets is not None:
            values = values.view(*offsets.shape, -1) + offsets[..., None]
        return values.view(len(some), self.columns)


def halves(blocks: torch.Tensor, start: int, count: int = 1) -> torch.Tensor:
    """Float16 numbers of each block as float32, [blocks, count]."""
    return blocks[:, start : start + 2 * count].contiguous().view(torch.float16).float()


def nibbles(blocks: torch.Tensor, start: int, run: int, count: int = 1) -> torch.Tensor:
    """Codes of 4 bits, [blocks, columns]. Of each of `count` runs of bytes the low halves are the first columns."""
    runs = blocks[:, start : start + run * count].reshape(len(blocks), count, run)
    return torch.stack((runs & 15, runs >> 4), 2).flatten(1)


def fifth_bits(blocks: torch.Tensor, start: int) -> torch.Tensor:
    """16 for every column whose bit is set in the four bytes from `start` on, else 0: [blocks, GROUP]."""
    some = blocks[:, start : start + GROUP // 8]
    return ((some[:, :, None] >> torch.arange(8, dtype=torch.uint8)) & 1).flatten(1) << 4


def read_q4_0(blocks: torch.Tensor) -> Parts:
    return nibbles(blocks, 2, 16).float() - 8, halves(blocks, 0), None


def read_q4_1(blocks: torch.Tensor) -> Parts:
    return nibbles(blocks, 4, 16).float(), halves(blocks, 0), halves(blocks, 2)


def read_q5_0(blocks: torch.Tensor) -> Parts:
    return (nibbles(blocks, 6, 16) | fifth_bits(blocks, 2)).float() - 16, halves(blocks, 0), None


def read_q5_1(blocks: torch.Tensor) -> Parts:
    return (nibbles(blocks, 8, 16) | fifth_bits(blocks, 4)).float(), halves(blocks, 0), halves(blocks, 2)


def read_q8_0(blocks: torch.Tensor) -> Parts:
    return blocks[:, 2:].contiguous().view(torch.int8).float(), halves(blocks, 0), None


def read_iq4_nl(blocks: torch.Tensor) -> Parts:
    values = torch.tensor(IQ4_NL_VALUES, dtype=torch.float32)
    return values[nibbles(blocks, 2, 16).int()], halves(blocks, 0), None


def read_levels(blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales and offsets of Q4_K and Q5_K: eight of each, of six bits, times a float16 each."""
    first, second, third = blocks[:, 4:16].reshape(-1, 3, 4).unbind(1)
    scales = torch.cat((first & 63, third & 15 | first >> 6 << 4), 1)
    minima = torch.cat((second & 63, third >> 4 | second >> 6 << 4), 1)
    both = halves(blocks, 0, 2)
    return scales.float() * both[:, :1], minima.float() * -both[:, 1:]


def read_q4_k(blocks: torch.Tensor) -> Parts:
    return nibbles(blocks, 16, 32, 4).float(), *read_levels(blocks)


def read_q5_k(blocks: torch.Tensor) -> Parts:
    fifth = (blocks[:, None, 16:48] >> torch.arange(8, dtype=torch.uint8)[:, None]) & 1
    return (nibbles(blocks, 48, 32, 4) | fifth.flatten(1) << 4).float(), *read_levels(blocks)


def read_q6_k(blocks: torch.Tensor) -> Parts:
    four = blocks[:, :128].reshape(-1, 2, 1, 64)
    four = torch.cat((four & 15, four >> 4), 2).flatten(1)
    high = blocks[:, 128:192].reshape(-1, 2, 1, 32) >> torch.arange(0, 8, 2, dtype=torch.uint8)[:, None]
    scales = blocks[:, 192:208].contiguous().view(torch.int8).float() * halves(blocks, 208)
    return (four | (high & 3).flatten(1) << 4).float() - 32, scales, None


READERS: dict[str, tuple[int, Callable[[torch.Tensor], Parts]]] = {
    "Q4_0": (18, read_q4_0),
    "Q4_1": (20, read_q4_1),
    "Q5_0": (22, read_q5_0),
    "Q5_1": (24, read_q5_1),
    "Q8_0": (34, read_q8_0),
    "IQ4_NL": (18, read_iq4_nl),
    "Q4_K": (144, read_q4_k),
    "Q5_K": (176, read_q5_k),
    "Q6_K": (210, read_q6_k),
}
"""The bytes of a block, and what reads it."""
