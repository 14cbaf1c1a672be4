"""Quantizes weights to 8 and 4 bits, in the layout that the kernels read (core/engine/kernels/layout.py)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from core.checkpoints.safetensors_index import GROUP
from core.engine.kernels.layout import padded_groups
from core.engine.nn.weight_reader import Int4Tensor

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


QuantizedMatrix = Int8Matrix | Int4Matrix


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

    def group(rows: slice) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        groups = values[rows].float().view(-1, values.shape[1] // GROUP, GROUP)
        low, high = groups.amin(-1), groups.amax(-1)
        scale, offset = (part.bfloat16().float() for part in ((high - low) / MAX_CODE_4, low))
        return nearest_codes(groups, scale, offset), scale, offset

    return pack_int4(values.shape, group)


def repack_int4(matrix: Int4Tensor) -> Int4Matrix:
    """Keep a GGUF file's own 4-bit codes. Only scales and offsets are rounded, to bf16."""

    def group(rows: slice) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        part = matrix[rows]
        return part.unpack_codes().view(len(part), -1, GROUP), part.scale, part.offset

    rows, half = matrix.codes.shape
    return pack_int4((rows, half * 2), group)


CodesOfRows = Callable[[slice], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
"""Returns codes [rows, groups, 32], scales and offsets [rows, groups] of some rows."""


def pack_int4(shape: tuple[int, ...], group: CodesOfRows) -> Int4Matrix:
    """Pack a matrix of this shape in the kernels' layout, some rows at a time."""
    rows, columns = shape
    codes = torch.empty(rows, columns // 2, dtype=torch.uint8)
    scales, offsets = torch.zeros(2, rows, padded_groups(columns // GROUP), dtype=torch.bfloat16)
    for part in row_chunks(rows):
        numbers, scale, offset = group(part)
        low, high = numbers.to(torch.uint8).chunk(2, -1)
        codes[part] = (low | high << 4).flatten(1)
        scales[part, : columns // GROUP] = scale.bfloat16()
        offsets[part, : columns // GROUP] = offset.bfloat16()
    return Int4Matrix(codes, scales, offsets)


def row_chunks(rows: int, size: int = CHUNK_ROWS) -> list[slice]:
    """Split the rows of a matrix into slices of at most `size` rows."""
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def nearest_codes(groups: torch.Tensor, scale: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    """The codes whose values are nearest to `groups`, as floats [rows, groups, 32]."""
    step = scale.where(scale != 0, torch.ones(()))[..., None]
    return ((groups - offset[..., None]) / step).round_().clamp_(0, MAX_CODE_4)
