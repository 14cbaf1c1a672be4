"""Matrix products in PyTorch, by how the matrix is held. All take [rows, columns in] and give [rows, columns out] of
the same dtype.

On a CPU low-bit matrices are the kernels' (core/engine/kernels), which is where they are fast. Here they are the
reference, what is used where nothing can be compiled, and for very many rows on a processor whose bf16 products are
faster.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch.nn import functional

from core.engine.nn.quantization import QuantizedMatrix, row_chunks

_ONEDNN_LAYOUT_ROWS = 512
"""The number of rows that the bf16 layout is made for; it serves any."""
_UNPACKED_NUMBERS = 1 << 19
"""Of a matrix that are unpacked at a time: they stay in the cache until they are multiplied."""


class Linear(Protocol):
    """x @ weight.T + bias. `columns`: how wide x is."""

    @property
    def columns(self) -> int: ...
    def __call__(self, x: torch.Tensor) -> torch.Tensor: ...


class DenseLinear:
    """The matrix as it is."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self.weight, self.bias = weight, bias
        self.columns = weight.shape[1]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.weight, self.bias)


class OneDnnLinear:
    """A bf16 matrix in oneDNN's own layout: twice as fast for few rows, where the plain one is turned at every call."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, _ONEDNN_LAYOUT_ROWS)
        self.bias, self.columns = bias, weight.shape[1]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return y


UnpackRows = Callable[["LowBitLinear", int, torch.Tensor], None]
"""Writes the rows of a matrix from a number on to a tensor, float32 or bf16 [rows, columns]."""


def unpack_in_torch(low: "LowBitLinear", first: int, target: torch.Tensor) -> None:
    """See Unpack. In several operations, which takes several times as long as the kernel does."""
    target.copy_(low.matrix.dequantize(slice(first, first + len(target))))


class LowBitLinear:
    """8 or 4 bits a number, unpacked into the type of x some rows at a time. `bias`: float32."""

    def __init__(self, matrix: QuantizedMatrix, bias: torch.Tensor | None) -> None:
        self.matrix, self.bias = matrix, bias
        self.rows, self.columns = matrix.shape
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
    """Several matrices that could not be held as one, their results side by side."""

    def __init__(self, matrices: Sequence[Linear]) -> None:
        self.matrices = matrices
        self.columns = matrices[0].columns

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([matrix(x) for matrix in self.matrices], -1)
