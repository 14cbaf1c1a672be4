"""Rounding weights to 8 and 4 bits.

Both kernels are PyTorch's own (aten/src/ATen/native/cpu/int8mm_kernel.cpp, int4mm_kernel.cpp), with scales in the type
of the activations. So codes are chosen for the scale as it will be used, after its own rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from core.checkpoints.weights import GROUP
from core.engine.nn.tensors import Int4

ROWS = 1024
"""Rows rounded at a time, a multiple of 64: the intermediate results are small beside the matrix."""
MIDDLE = 8
"""The int4 kernel computes (code - 8) * scale + zero."""


@dataclass(frozen=True, slots=True)
class Rounded8:
    """value = code * scale, a scale for each row. `codes`: int8 [rows, columns]; `scale`: [rows]."""

    codes: torch.Tensor
    scale: torch.Tensor

    def values(self, dtype: torch.dtype) -> torch.Tensor:
        """The matrix that it stands for."""
        return self.codes.to(dtype) * self.scale.to(dtype)[:, None]


@dataclass(frozen=True, slots=True)
class Rounded4:
    """value = (code - 8) * scale + zero, in groups of 32 columns.

    `codes`: uint8 [rows, columns]; `packed`: the same as the kernel wants it; `scale_zero`: [columns / 32, rows, 2].
    """

    codes: torch.Tensor
    packed: torch.Tensor
    scale_zero: torch.Tensor

    def values(self, dtype: torch.dtype) -> torch.Tensor:
        """The matrix that it stands for, [rows, columns]."""
        codes, scale, zero = self.codes, *self.scale_zero.transpose(0, 1).unbind(-1)
        whole = torch.empty(codes.shape, dtype=dtype)
        for rows in parts(len(codes)):
            groups = grouped(codes[rows]) - MIDDLE
            whole[rows] = (groups * scale[rows].float()[..., None] + zero[rows].float()[..., None]).flatten(1)
        return whole


def fits_int4(rows: int, columns: int) -> bool:
    """Whether the kernel takes a matrix of this shape."""
    return rows % 16 == 0 and fits_int8(columns)


def fits_int8(columns: int) -> bool:
    """Whether the kernel takes rows of this width. In bf16 it reads beyond the end of others, and may crash."""
    return columns % GROUP == 0


def int8(values: torch.Tensor, dtype: torch.dtype) -> Rounded8:
    """Round a matrix to 8 bits, with scales of `dtype`."""
    codes = torch.empty(values.shape, dtype=torch.int8)
    scales = torch.empty(len(values), dtype=dtype)
    for rows in parts(len(values)):
        part = values[rows].float()
        scale = (part.abs().amax(1) / 127).clamp(min=1e-30).to(dtype)
        scales[rows] = scale
        codes[rows] = (part / scale.float()[:, None]).round_().clamp_(-127, 127).to(torch.int8)
    return Rounded8(codes, scales)


def int4(values: torch.Tensor, dtype: torch.dtype) -> Rounded4:
    """Round a matrix to 4 bits, with scales of `dtype`."""

    def group(rows: slice) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        groups = grouped(values[rows])
        scale, zero = (part.to(dtype).float() for part in fitted(groups))
        return nearest(groups, scale, zero).flatten(1), scale, zero

    return packed(values.shape, dtype, group)


def repacked(matrix: Int4, dtype: torch.dtype) -> Rounded4:
    """A GGUF file's own codes, unchanged; scale and offset are rounded to `dtype`."""

    def group(rows: slice) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        part = Int4(matrix.codes[rows], matrix.scale[rows], matrix.offset[rows])
        return part.unpacked().to(torch.int32), part.scale, part.offset + MIDDLE * part.scale

    rows, half = matrix.codes.shape
    return packed((rows, half * 2), dtype, group)


Group = Callable[[slice], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
"""Codes [rows, columns], scale and zero [rows, columns / 32] of some rows."""


def packed(shape: tuple[int, ...], dtype: torch.dtype, group: Group) -> Rounded4:
    """The kernel's layout goes by 64 rows, so that a matrix packed in parts is the same as packed whole."""
    rows, columns = shape
    codes = torch.empty(rows, columns, dtype=torch.uint8)
    layout = torch.empty(rows, columns // 2, dtype=torch.uint8)
    scale_zero = torch.empty(columns // GROUP, rows, 2, dtype=dtype)
    for part in parts(rows):
        numbers, scale, zero = group(part)
        codes[part] = numbers.to(torch.uint8)
        layout[part] = torch.ops.aten._convert_weight_to_int4pack_for_cpu(numbers.to(torch.int32).contiguous(), 1)
        scale_zero[:, part] = torch.stack((scale, zero), -1).transpose(0, 1).to(dtype)
    return Rounded4(codes, layout, scale_zero)


def parts(rows: int) -> list[slice]:
    return [slice(start, min(start + ROWS, rows)) for start in range(0, rows, ROWS)]


def grouped(values: torch.Tensor) -> torch.Tensor:
    """float32 [rows, groups, 32]."""
    return values.float().view(len(values), -1, GROUP)


def nearest(groups: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor) -> torch.Tensor:
    """The codes whose values are nearest, as floats [rows, groups, 32]."""
    step = scale.where(scale != 0, torch.ones(()))[..., None]
    return ((groups - zero[..., None]) / step).round_().add_(MIDDLE).clamp_(0, 15)


def fitted(groups: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and zero for each group [rows, groups, 32]: from the smallest to the largest number."""
    low, high = groups.amin(-1), groups.amax(-1)
    scale = (high - low) / 15
    return scale, low + MIDDLE * scale
