"""Matrix products, by how the matrix is held: dense, in 8 or 4 bits, or in two forms of the same values.

For few rows the bytes of the weights bound the speed, so low-bit wins; for many the arithmetic does, and bf16 wins. The
crossing is measured at start (tune.py). All take [rows, columns in] and give [rows, columns out] of the same dtype.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch.nn import functional

from core.engine.nn.quantise import Rounded4, Rounded8

_FEW = 512
"""The number of rows that the bf16 layout is made for; it serves any."""


class Linear(Protocol):
    """x @ weight.T + bias. `columns`: how wide x is."""

    @property
    def columns(self) -> int: ...
    def __call__(self, x: torch.Tensor) -> torch.Tensor: ...


class Dense:
    """The matrix as it is."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self.weight, self.bias = weight, bias
        self.columns = weight.shape[1]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.weight, self.bias)


class Reordered:
    """A bf16 matrix in oneDNN's own layout: twice as fast for few rows, where the plain one is turned at every call."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, _FEW)
        self.bias, self.columns = bias, weight.shape[1]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return y


class Int8:
    """8 bits a number. Many rows are multiplied with the matrix unpacked for the moment, from `crossing` on: more than
    sequences draw in a step, so that the head, the largest, never is."""

    crossing = 48

    def __init__(self, matrix: Rounded8, bias: torch.Tensor | None) -> None:
        self.codes, self.scale, self.bias = matrix.codes, matrix.scale, bias
        self.columns = matrix.codes.shape[1]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor
        if len(x) < self.crossing:
            y = torch.ops.aten._weight_int8pack_mm(x, self.codes, self.scale)
        else:
            y = functional.linear(x, self.codes.to(x.dtype)).mul_(self.scale)
        return y if self.bias is None else y.add_(self.bias)


class Int4:
    """4 bits a number."""

    def __init__(self, matrix: Rounded4, bias: torch.Tensor | None) -> None:
        self.packed, self.scale_zero, self.bias = matrix.packed, matrix.scale_zero, bias
        self.columns = matrix.codes.shape[1]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(x, self.packed, 32, self.scale_zero)
        return y if self.bias is None else y.add_(self.bias)


class Both:
    """The same values in two forms: `few` below `crossing` rows, `many` from there on."""

    def __init__(self, few: Linear, many: Linear, crossing: int) -> None:
        self.few, self.many, self.crossing = few, many, crossing
        self.columns = few.columns

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.few(x) if len(x) < self.crossing else self.many(x)


class Beside:
    """Several matrices that could not be held as one, their results side by side."""

    def __init__(self, parts: Sequence[Linear]) -> None:
        self.parts = parts
        self.columns = parts[0].columns

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([part(x) for part in self.parts], -1)
