"""Rounding to 8 and 4 bits: how far off the numbers may be, and that the products are made of the very same ones."""

from collections.abc import Callable

import pytest
import torch

from core.engine.kernels.layout import SCALES_MULTIPLE, padded_groups
from core.engine.nn import quantization as quantise
from core.engine.nn.linear import LowBitLinear
from core.engine.nn.quantization import (
    Int4Matrix,
    fits_kernels,
    quantize_int4,
    quantize_int8,
)
from tests.tables import each_row

DTYPES = [torch.float32, torch.bfloat16]
ROWS, COLUMNS = 48, 96
Fill = Callable[[torch.Tensor], torch.Tensor]


def outlier(x: torch.Tensor) -> torch.Tensor:
    x[:, 5] *= 1000
    return x


MATRICES: dict[str, Fill] = {
    "normal": lambda x: x,
    "zeros": torch.zeros_like,
    "constant": lambda x: torch.full_like(x, 0.3),
    "constant and negative": lambda x: torch.full_like(x, -1234.5),
    "constant groups": lambda x: x[:, ::32].repeat_interleave(32, 1),
    "some rows of zeros": lambda x: x * (torch.arange(len(x)) % 2)[:, None],
    "huge": lambda x: x * 1e36,
    "tiny": lambda x: x * 1e-32,
    "huge and tiny": lambda x: x * torch.logspace(-30, 30, COLUMNS),
    "positive": torch.abs,
    "far from zero": lambda x: 100 + 0.01 * x,
    "with an outlier": outlier,
    "two numbers": torch.sign,
}


def matrix(case: str, rows: int = ROWS) -> torch.Tensor:
    torch.manual_seed(3)
    return MATRICES[case](torch.randn(rows, COLUMNS)).contiguous()


UNIT = torch.finfo(torch.bfloat16).eps / 2
"""How far off rounding to bf16 may be, of a number 1."""


@each_row("case", MATRICES)
def test_8_bits_are_half_a_step_off_at_most(case: str) -> None:
    values = matrix(case)
    rounded = quantize_int8(values)
    assert rounded.scales.dtype == torch.float32 and rounded.codes.dtype == torch.int8
    assert rounded.shape == (ROWS, COLUMNS)
    assert int(rounded.codes.min()) >= -127
    step = rounded.scales.double()[:, None]
    off = (rounded.codes.double() * step - values.double()).abs()
    assert (off <= step * (0.5 + 1e-5)).all()
    largest = values.abs().amax(1, keepdim=True)
    assert (step <= largest / 127 * (1 + torch.finfo(torch.float32).eps) + 1e-30).all(), "no longer than need be"


@each_row("case", MATRICES)
def test_4_bits_are_half_a_step_off_at_most(case: str) -> None:
    """Beside what the rounding of the scale and of the offset makes."""
    values = matrix(case)
    rounded = quantize_int4(values)
    assert rounded.scales.dtype == rounded.offsets.dtype == torch.bfloat16
    assert rounded.shape == (ROWS, COLUMNS)
    groups = values.double().view(ROWS, -1, 32)
    low, high = groups.amin(-1), groups.amax(-1)
    step = (high - low) / 15
    allowed = 0.5 * step + UNIT * (low.abs() + 15 * step)
    off = (numbers4(rounded).view(ROWS, -1, 32) - groups).abs().amax(-1)
    assert (off <= allowed * (1 + 1e-5)).all()


def unpacked4(rounded: Int4Matrix) -> torch.Tensor:
    """The codes one by one: of a group's 16 bytes the low halves come first, [rows, groups, 32]."""
    halves = rounded.codes.view(len(rounded.codes), -1, 16)
    return torch.cat((halves & 15, halves >> 4), -1)


def numbers4(rounded: Int4Matrix) -> torch.Tensor:
    """What the codes stand for, in float64, [rows, columns]."""
    codes = unpacked4(rounded).double()
    scales, offsets = (part[:, : codes.shape[1], None].double() for part in (rounded.scales, rounded.offsets))
    return (codes * scales + offsets).flatten(1)


def test_what_fits_is_kept_exactly() -> None:
    """Numbers that are such codes already, the smallest and the largest among them."""
    torch.manual_seed(3)
    codes8 = torch.randint(-127, 128, (ROWS, COLUMNS))
    codes8[:, 0] = 127
    assert (quantize_int8(codes8 * 0.25).dequantize() == codes8 * 0.25).all()
    codes4 = torch.randint(0, 16, (ROWS, COLUMNS))
    codes4[:, ::32], codes4[:, 1::32] = 0, 15
    found = quantize_int4((codes4 - 8) * 0.25 + 1)
    assert (unpacked4(found).flatten(1) == codes4).all()
    assert (found.dequantize() == (codes4 - 8) * 0.25 + 1).all()


@each_row("source", [torch.float16, torch.bfloat16, torch.float64])
def test_whatever_type_the_file_has(source: torch.dtype) -> None:
    values = matrix("normal").to(source)
    for round_ in (quantize_int8, quantize_int4):
        assert (round_(values).codes == round_(values.float()).codes).all()


@each_row("groups", [1, 3, SCALES_MULTIPLE - 1, SCALES_MULTIPLE, SCALES_MULTIPLE + 1, 2 * SCALES_MULTIPLE])
def test_scales_are_filled_up_with_zeros(groups: int) -> None:
    """The kernels read a whole vector of them."""
    room = padded_groups(groups)
    assert groups <= room < groups + SCALES_MULTIPLE and room % SCALES_MULTIPLE == 0
    rounded = quantize_int4(1 + torch.rand(5, 32 * groups))
    for part in (rounded.scales, rounded.offsets):
        assert part.shape == (5, room) and part.is_contiguous()
        assert (part[:, :groups] > 0).all() and (part[:, groups:] == 0).all()


@each_row("rows", [1, 16, 48, 63, 64, 65, 80, 128, 208])
def test_in_parts_as_whole(rows: int) -> None:
    """A big matrix is rounded and packed some rows at a time."""
    values = matrix("normal", rows)

    def all_of_it() -> list[torch.Tensor]:
        eight, four = quantize_int8(values), quantize_int4(values)
        return [eight.codes, eight.scales, four.codes, four.scales, four.offsets, four.dequantize()]

    whole = all_of_it()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantise, "CHUNK_ROWS", 64)
        for part, expected in zip(all_of_it(), whole, strict=True):
            assert torch.equal(part, expected)


@each_row("dtype", DTYPES)
@each_row("rows", [1, 5, 16, 32, 48, 80, 144])
def test_products_are_made_of_these_values(rows: int, dtype: torch.dtype) -> None:
    """A product with ones in the diagonal gives the matrix back. (The kernels' are in kernels/test_products.py.)"""
    eye = torch.eye(COLUMNS, dtype=dtype)
    for rounded in (
        quantize_int8(matrix("normal", rows)),
        quantize_int4(matrix("normal", rows)),
    ):
        product = LowBitLinear(rounded, None)
        found = torch.cat([product(eye[row : row + 5]) for row in range(0, COLUMNS, 5)]).T
        torch.testing.assert_close(found.float(), rounded.dequantize(), rtol=torch.finfo(dtype).eps, atol=1e-6)
        assert torch.equal(rounded.dequantize(slice(0, 1)), rounded.dequantize()[:1]), "and some rows are the same"


def test_the_values_of_4_bits() -> None:
    rounded = quantize_int4(matrix("normal"))
    torch.testing.assert_close(rounded.dequantize().double(), numbers4(rounded), rtol=1e-6, atol=1e-7)


@each_row(("columns", "fit"), [(32, True), (64, True), (96, True), (48, False), (33, False), (1, False)])
def test_what_fits(columns: int, fit: bool) -> None:
    assert fits_kernels(columns) == fit
