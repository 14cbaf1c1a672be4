"""Quantizes weights to 8 and 4 bits, in the layout that the kernels read (core/engine/kernels/layout.py)."""

from dataclasses import dataclass

import torch

from core.engine.kernels.layout import GROUP, padded_groups
from core.engine.nn.gguf_blocks import BlockMatrix

CHUNK_ROWS = 1024
"""Rows quantized at a time, so that intermediate results are small beside the matrix."""
MAX_CODE_4 = 15
"""The largest 4-bit code."""


@dataclass(frozen=True, slots=True)
class Int8Matrix:
    """value = code * scale, one scale per row. `codes`: int8 [rows, columns]; `scales`: float32 [rows]."""

    codes: torch.Tensor
    scales: torch.Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.codes), self.codes.shape[1]

    def dequantize(self, rows: slice = slice(None)) -> torch.Tensor:
        """The values of some rows, float32 [rows, columns]."""
        return self.codes[rows].float().mul_(self.scales[rows, None])


@dataclass(frozen=True, slots=True)
class Int4Matrix:
    """value = code * scale + offset, in groups of 32 columns.

    `codes`: uint8 [rows, columns / 2]; of each group's 16 bytes the low halves are its first 16 columns, the high
    halves the others. `scales`, `offsets`: bf16 [rows, groups], zero-padded to a multiple of SCALES_MULTIPLE.
    """

    codes: torch.Tensor
    scales: torch.Tensor
    offsets: torch.Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.codes), 2 * self.codes.shape[1]

    def dequantize(self, rows: slice = slice(None)) -> torch.Tensor:
        """The values of some rows, float32 [rows, columns]."""
        halves = self.codes[rows].view(-1, self.shape[1] // GROUP, GROUP // 2)
        groups = torch.cat((halves & MAX_CODE_4, halves >> 4), -1).float()
        scales, offsets = (part[rows, : groups.shape[1], None].float() for part in (self.scales, self.offsets))
        return groups.mul_(scales).add_(offsets).flatten(1)


QuantizedMatrix = Int8Matrix | Int4Matrix | BlockMatrix


def fits_kernels(columns: int) -> bool:
    """Whether the kernels can multiply rows of this width."""
    return columns % GROUP == 0


def quantize_int8(values: torch.Tensor) -> Int8Matrix:
    """Quantize a matrix [rows, columns] to 8 bits."""
    codes = torch.empty(values.shape, dtype=torch.int8)
    scales = torch.empty(len(values), dtype=torch.float32)
    for rows in row_chunks(len(values)):
        part = values[rows].float()
        scale = (part.abs().amax(1) / 127).clamp(min=1e-30)
        scales[rows] = scale
        codes[rows] = (part / scale[:, None]).round_().clamp_(-127, 127).to(torch.int8)
    return Int8Matrix(codes, scales)


def quantize_int4(values: torch.Tensor) -> Int4Matrix:
    """Quantize a matrix [rows, columns] to 4 bits. Codes are chosen for the scales and offsets as rounded to bf16."""
    rows, columns = values.shape
    groups = columns // GROUP
    codes = torch.empty(rows, columns // 2, dtype=torch.uint8)
    scales, offsets = torch.zeros(2, rows, padded_groups(groups), dtype=torch.bfloat16)
    for part in row_chunks(rows):
        numbers = values[part].float().view(-1, groups, GROUP)
        least, most = numbers.amin(-1), numbers.amax(-1)
        scale, offset = (each.bfloat16() for each in ((most - least) / MAX_CODE_4, least))
        low, high = nearest_codes(numbers, scale.float(), offset.float()).to(torch.uint8).chunk(2, -1)
        codes[part] = (low | high << 4).flatten(1)
        scales[part, :groups], offsets[part, :groups] = scale, offset
    return Int4Matrix(codes, scales, offsets)


def row_chunks(rows: int, size: int = CHUNK_ROWS) -> list[slice]:
    """Split the rows of a matrix into slices of at most `size` rows."""
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def nearest_codes(groups: torch.Tensor, scale: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    """The codes whose values are nearest to `groups`, as floats [rows, groups, 32]."""
    step = scale.where(scale != 0, torch.ones(()))[..., None]
    return ((groups - offset[..., None]) / step).round_().clamp_(0, MAX_CODE_4)
