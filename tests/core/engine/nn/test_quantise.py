"""Rounding to 8 and 4 bits: how far off the numbers may be, and that the kernels compute with the very same ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from core.engine.nn import quantise
from core.engine.nn.linear import Int4, Int8
from core.engine.nn.quantise import Rounded4, Rounded8, fits_int4, fits_int8, int4, int8, repacked
from core.engine.nn.tensors import Int4 as Codes

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


def unit(dtype: torch.dtype) -> float:
    """How far off rounding to `dtype` may be, of a number 1."""
    return torch.finfo(dtype).eps / 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", MATRICES)
def test_8_bits_are_half_a_step_off_at_most(case: str, dtype: torch.dtype) -> None:
    values = matrix(case)
    rounded = int8(values, dtype)
    assert rounded.scale.dtype == dtype and rounded.codes.dtype == torch.int8
    step = rounded.scale.double()[:, None]
    off = (rounded.codes.double() * step - values.double()).abs()
    assert (off <= step * (0.5 + 1e-5)).all()
    largest = values.abs().amax(1, keepdim=True)
    assert (step <= largest / 127 * (1 + 2 * unit(dtype)) + 1e-30).all(), "and no step is longer than need be"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", MATRICES)
def test_4_bits_are_half_a_step_off_at_most(case: str, dtype: torch.dtype) -> None:
    """Beside what the rounding of the scale and of the zero makes."""
    values = matrix(case)
    rounded = int4(values, dtype)
    assert rounded.scale_zero.dtype == dtype and int(rounded.codes.max()) <= 15
    groups = values.double().view(ROWS, -1, 32)
    low, high = groups.amin(-1), groups.amax(-1)
    step = (high - low) / 15
    zero = low + 8 * step
    allowed = 0.5 * step + unit(dtype) * (zero.abs() + 8 * step)
    off = (numbers4(rounded).view(ROWS, -1, 32) - groups).abs().amax(-1)
    assert (off <= allowed * (1 + 1e-5)).all()


def numbers4(rounded: Rounded4) -> torch.Tensor:
    """What the codes stand for, in float64, [rows, columns]."""
    scale, zero = rounded.scale_zero.double().transpose(0, 1).unbind(-1)
    codes = rounded.codes.double().view(len(rounded.codes), -1, 32) - 8
    return (codes * scale[..., None] + zero[..., None]).flatten(1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_fits_is_kept_exactly(dtype: torch.dtype) -> None:
    """Numbers that are such codes already, the smallest and the largest among them."""
    torch.manual_seed(3)
    codes8 = torch.randint(-127, 128, (ROWS, COLUMNS))
    codes8[:, 0] = 127
    assert (int8(codes8 * 0.25, dtype).values(torch.float32) == codes8 * 0.25).all()
    codes4 = torch.randint(0, 16, (ROWS, COLUMNS))
    codes4[:, ::32], codes4[:, 1::32] = 0, 15
    found = int4((codes4 - 8) * 0.25 + 1, dtype)
    assert (found.codes == codes4).all()
    assert (found.values(torch.float32) == (codes4 - 8) * 0.25 + 1).all()


@pytest.mark.parametrize("source", [torch.float16, torch.bfloat16, torch.float64])
def test_whatever_type_the_file_has(source: torch.dtype) -> None:
    values = matrix("normal").to(source)
    for round_ in (int8, int4):
        assert (round_(values, torch.bfloat16).codes == round_(values.float(), torch.bfloat16).codes).all()


def triple(rows: int = ROWS) -> Codes:
    """As GGUF files have them: Q4_0 with negative scales too, and scales of zero where all numbers are the same."""
    torch.manual_seed(5)
    scale = torch.randn(rows, COLUMNS // 32).half().float()
    scale[3], scale[4, 1] = 0, 6e-8
    codes = torch.randint(0, 256, (rows, COLUMNS // 2), dtype=torch.uint8)
    return Codes(codes, scale, torch.randn(rows, COLUMNS // 32) * scale)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_files_own_codes_are_kept(dtype: torch.dtype) -> None:
    codes = triple()
    rounded = repacked(codes, dtype)
    low_first = torch.stack((codes.codes & 15, codes.codes >> 4), -1).flatten(1)
    assert (rounded.codes == low_first).all()
    scale, zero = rounded.scale_zero.transpose(0, 1).unbind(-1)
    assert (scale == codes.scale.to(dtype)).all()
    assert (zero == (codes.offset + 8 * codes.scale).to(dtype)).all()
    near = unit(dtype) * (8 * codes.scale.abs() + (codes.offset + 8 * codes.scale).abs() + 1e-6)
    off = (numbers4(rounded) - codes.values().double()).abs().view(ROWS, -1, 32).amax(-1)
    assert (off <= near * 1.01).all()


@pytest.mark.parametrize("rows", [16, 48, 64, 80, 128, 208])
def test_in_parts_as_whole(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A big matrix is rounded and packed some rows at a time."""
    values, codes = matrix("normal", rows), triple(rows)

    def all_of_it() -> list[torch.Tensor]:
        eight, four, kept = int8(values, torch.bfloat16), int4(values, torch.bfloat16), repacked(codes, torch.bfloat16)
        fours = (part for each in (four, kept) for part in (each.codes, each.packed, each.scale_zero))
        return [eight.codes, eight.scale, *fours, four.values(torch.float32)]

    whole = all_of_it()
    monkeypatch.setattr(quantise, "ROWS", 64)
    for part, expected in zip(all_of_it(), whole, strict=True):
        assert torch.equal(part, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [16, 32, 48, 80, 144])
def test_the_kernels_compute_with_these_values(rows: int, dtype: torch.dtype) -> None:
    """A product with ones in the diagonal gives the matrix back. Dense and low-bit forms are the same numbers."""
    eye = torch.eye(COLUMNS, dtype=dtype)
    eight, four, kept = int8(matrix("normal", rows), dtype), int4(matrix("normal", rows), dtype), triple(rows)
    for product, rounded in (
        (Int8(eight, None), eight),
        (Int4(four, None), four),
        (Int4(repacked(kept, dtype), None), repacked(kept, dtype)),
    ):
        # Few rows at a time, as the kernels for few rows get them.
        found = torch.cat([product(eye[row : row + 5]) for row in range(0, COLUMNS, 5)]).T
        near(found, rounded, dtype)


def near(found: torch.Tensor, rounded: Rounded4 | Rounded8, dtype: torch.dtype) -> None:
    exact: dict[str, Any] = {"rtol": 2 * unit(dtype), "atol": 1e-6}
    torch.testing.assert_close(found.float(), rounded.values(torch.float32), **exact)
    torch.testing.assert_close(rounded.values(dtype).float(), rounded.values(torch.float32), **exact)


@pytest.mark.parametrize(
    ("rows", "columns", "four", "eight"),
    [
        (16, 32, True, True),
        (48, 96, True, True),
        (40, 32, False, True),
        (301, 64, False, True),
        (16, 48, False, False),
        (16, 33, False, False),
    ],
)
def test_what_fits(rows: int, columns: int, four: bool, eight: bool) -> None:
    assert (fits_int4(rows, columns), fits_int8(columns)) == (four, eight)
