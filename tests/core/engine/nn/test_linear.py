"""Matrix products of every form against float32, for one row and for many."""

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional

from core.engine.nn import linear
from core.engine.nn.linear import ConcatLinear, DenseLinear, Linear, LowBitLinear, OneDnnLinear
from core.engine.nn.quantization import quantize_int4, quantize_int8
from tests.tables import each_row

FLOAT, BF16 = torch.float32, torch.bfloat16
NEAR = {FLOAT: 2e-6, BF16: 2**-7}
"""Of the largest number. bf16 is rounded to once or twice, float32 in another order of the sums."""
ROWS, COLUMNS = 80, 96

Form = Callable[[torch.Tensor, torch.Tensor | None], tuple[Linear, torch.Tensor]]
"""A product with a matrix and a bias of some type, and the float32 matrix that it stands for."""


def dense(weight: torch.Tensor, bias: torch.Tensor | None) -> tuple[Linear, torch.Tensor]:
    return DenseLinear(weight, bias), weight.float()


def reordered(weight: torch.Tensor, bias: torch.Tensor | None) -> tuple[Linear, torch.Tensor]:
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("oneDNN computes no bf16 on this machine")
    return OneDnnLinear(weight, bias), weight.float()


def eight(weight: torch.Tensor, bias: torch.Tensor | None) -> tuple[Linear, torch.Tensor]:
    rounded = quantize_int8(weight)
    return LowBitLinear(rounded, None if bias is None else bias.float()), rounded.dequantize()


def four(weight: torch.Tensor, bias: torch.Tensor | None) -> tuple[Linear, torch.Tensor]:
    rounded = quantize_int4(weight)
    return LowBitLinear(rounded, None if bias is None else bias.float()), rounded.dequantize()


def beside(weight: torch.Tensor, bias: torch.Tensor | None) -> tuple[Linear, torch.Tensor]:
    """The upper part in 4 bits, the lower in 8."""
    biases = (None, None) if bias is None else (bias[:48], bias[48:])
    (upper, first), (lower, second) = four(weight[:48], biases[0]), eight(weight[48:], biases[1])
    return ConcatLinear([upper, lower]), torch.cat((first, second))


FORMS: list[tuple[Form, torch.dtype]] = [
    *((form, dtype) for form in (dense, eight, four, beside) for dtype in (FLOAT, BF16)),
    (reordered, BF16),
]


@each_row("biased", [False, True], ids=["plain", "biased"])
@each_row(("form", "dtype"), FORMS, ids=lambda each: getattr(each, "__name__", str(each)))
def test_against_float32(form: Form, dtype: torch.dtype, biased: bool) -> None:
    torch.manual_seed(2)
    bias = torch.randn(ROWS).to(dtype) if biased else None
    product, weight = form(torch.randn(ROWS, COLUMNS).to(dtype), bias)
    assert product.columns == COLUMNS
    for rows in range(1, 41):
        x = torch.randn(rows, COLUMNS).to(dtype)
        before = x.clone()
        found = product(x)
        expected = functional.linear(x.float(), weight, None if bias is None else bias.float())
        assert (found.dtype, found.shape) == (dtype, (rows, ROWS))
        near = NEAR[dtype]
        torch.testing.assert_close(found.float(), expected, rtol=near, atol=near * float(expected.abs().max()))
        assert torch.equal(x, before)
        assert torch.equal(product(x), found), "and a second time"


@each_row("form", [eight, four])
@each_row("rows", [16, 7, 300])
def test_any_number_of_rows_in_low_bits(form: Form, rows: int) -> None:
    """Vocabularies are of any size."""
    torch.manual_seed(2)
    product, weight = form(torch.randn(rows, 64).to(BF16), None)
    x = torch.randn(3, 64).to(BF16)
    torch.testing.assert_close(product(x).float(), x.float() @ weight.T, rtol=0.02, atol=0.2)


@each_row("form", [eight, four])
@each_row("some", [1, 7, 79, 80, 81])
def test_unpacked_in_parts_as_whole(form: Form, some: int) -> None:
    torch.manual_seed(2)
    product, _ = form(torch.randn(ROWS, COLUMNS), torch.randn(ROWS))
    x = torch.randn(5, COLUMNS)
    whole = product(x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "_UNPACKED_NUMBERS", some * COLUMNS)
        torch.testing.assert_close(product(x), whole, rtol=2e-6, atol=2e-5)


class Named:
    """Gives its own number, whatever it gets."""

    columns = 2

    def __init__(self, number: float) -> None:
        self.number = number

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return torch.full((len(x), 1), self.number)


def test_side_by_side() -> None:
    product = ConcatLinear([Named(1.0), Named(2.0), Named(3.0)])
    assert product(torch.zeros(2, 2)).tolist() == [[1.0, 2.0, 3.0]] * 2
    assert product.columns == 2
