"""Matrix products in PyTorch: [rows, columns] in, [rows, outputs] of the same dtype out.

On a CPU the kernels (core/engine/kernels) compute with low-bit matrices. Those here are their reference, the fallback
where nothing can be compiled, and faster for very many rows on processors with fast bf16 instructions.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch.nn import functional

from core.engine.kernels.layout import block_count
from core.engine.nn.gguf_blocks import BlockMatrix
from core.engine.nn.quantization import QuantizedMatrix, row_chunks

_ONEDNN_LAYOUT_ROWS = 512
"""The number of rows that oneDNN's layout is optimised for. It serves any number."""
_UNPACKED_NUMBERS = 1 << 19
"""Weights unpacked at a time, few enough to stay in the processor's cache until they are multiplied."""


class Linear(Protocol):
    """Computes x @ weight.T + bias. `columns`: the width of x."""

    @property
    def columns(self) -> int: ...
    def __call__(self, x: torch.Tensor) -> torch.Tensor: ...


class DenseLinear:
    """A matrix in its own dtype."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self.weight, self.bias = weight, bias
        self.columns = weight.shape[1]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.weight, self.bias)


class OneDnnLinear:
    """A bf16 matrix in oneDNN's own layout.

    Twice as fast for few rows as DenseLinear, whose matrix oneDNN converts at every call.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, _ONEDNN_LAYOUT_ROWS)
        self.bias, self.columns = bias, weight.shape[1]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return y


UnpackRows = Callable[["LowBitLinear", int, torch.Tensor], None]
"""Writes rows of a matrix, beginning with a row's number, to a tensor, float32 or bf16 [rows, columns]."""


def unpack_in_torch(low: "LowBitLinear", first: int, target: torch.Tensor) -> None:
    """Unpack rows by PyTorch, several times slower than by the kernel."""
    target.copy_(low.matrix.dequantize(slice(first, first + len(target))))


class LowBitLinear:
    """A matrix in 8 or 4 bits, unpacked to the dtype of x some rows at a time.

    `bias`: float32 [rows] or None. `block_scales`: where kernels keep the scales of unpacked rows of GGUF's blocks
    (kernels/layout.py); None for other matrices.
    """

    def __init__(self, matrix: QuantizedMatrix, bias: torch.Tensor | None) -> None:
        self.matrix, self.bias = matrix, bias
        self.rows, self.columns = matrix.shape
        self.block_scales: torch.Tensor | None = None
        if isinstance(matrix, BlockMatrix):
            self.block_scales = torch.zeros(self.rows, block_count(self.columns))
        self.unpack_rows: UnpackRows = unpack_in_torch

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        y = x.new_empty(len(x), self.rows)
        some = row_chunks(self.rows, max(1, _UNPACKED_NUMBERS // self.columns))
        room = x.new_empty(some[0].stop, self.columns)
        for rows in some:
            weight = room[: rows.stop - rows.start]
            self.unpack_rows(self, rows.start, weight)
            torch.matmul(x, weight.T, out=y[:, rows])
        return y if self.bias is None else y.add_(self.bias)


class ConcatLinear:
    """Matrices of different formats with the same input; their results are concatenated."""

    def __init__(self, matrices: Sequence[Linear]) -> None:
        self.matrices = matrices
        self.columns = matrices[0].columns

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([matrix(x) for matrix in self.matrices], -1)
