"""What a step computes between its products, each against float64 or PyTorch."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch.nn import functional

from core.engine.kernels.jit import Array
from core.engine.kernels.layout import BLOCK, GROUP, GROUPS_PER_BLOCK, MAX_ACTIVATION, block_count
from core.engine.kernels.vectors import LANES
from tests.core.engine.kernels import pieces
from tests.tables import each_row

EPS = float(np.finfo(np.float32).eps)
COLUMNS = [32, 64, 96, 1024, 1056, 2080, 4864]


def normal(*shape: int, seed: int = 1) -> Array:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape, np.float32))


# Rounding


def check_rounding(values: Array) -> None:
    """Each block by a scale of its own, to the nearest of LARGEST integers of either sign; and the sums of groups."""
    rows, columns = values.shape
    x = pieces.rounded(values)
    codes = x.codes.reshape(rows, columns)
    for block in range(block_count(columns)):
        some = slice(block * BLOCK, (block + 1) * BLOCK)
        part, found = values[:, some].astype(np.float64), codes[:, some].astype(np.int64)
        largest = np.abs(part).max(1)
        scales = x.scales.reshape(rows, -1)[:, block]
        np.testing.assert_allclose(scales, largest / MAX_ACTIVATION, rtol=2 * EPS)
        assert np.abs(found).max() <= MAX_ACTIVATION
        assert ((np.abs(found) == MAX_ACTIVATION).any(1) | (largest == 0)).all(), "the whole range is used"
        off = np.abs(found * (largest / MAX_ACTIVATION)[:, None] - part)
        assert (off <= (largest / MAX_ACTIVATION)[:, None] * (0.5 + 4 * EPS * MAX_ACTIVATION)).all()
        sums = x.sums.reshape(rows, -1, GROUPS_PER_BLOCK)[:, block]
        expected = found.reshape(rows, -1, GROUP).sum(2)
        assert (sums[:, : expected.shape[1]] == expected).all()
        assert (sums[:, expected.shape[1] :] == 0).all(), "groups that are not there add nothing"


@each_row("columns", COLUMNS)
def test_rounding(columns: int) -> None:
    check_rounding(normal(5, columns) * np.logspace(-20, 20, 5, dtype=np.float32)[:, None])


@settings(max_examples=200)
@given(
    values=arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.sampled_from([32, 64, 1056])),
        elements=st.floats(-(2.0**100), 2.0**100, width=32).filter(lambda number: number == 0 or abs(number) > 1e-25),
        fill=st.sampled_from([0.0, 1.0, -3.5]),
    )
)
def test_rounding_whatever_there_is(values: Array) -> None:
    check_rounding(values)


def test_halves_are_rounded_to_the_even_number() -> None:
    """As all of float32 is, so that nothing drifts."""
    values = np.zeros((1, 64), np.float32)
    values[0, :6] = MAX_ACTIVATION, 0.5, 1.5, 2.5, -0.5, -1.5
    assert pieces.rounded(values).codes[:6].tolist() == [MAX_ACTIVATION, 0, 2, 2, 0, -2]


@each_row("bad", [np.nan, np.inf, -np.inf])
@each_row("column", [0, 31, 32, 1023, 1024, 1055])
def test_what_is_no_number_makes_the_scale_none(bad: float, column: int) -> None:
    """Of that block, and of no other."""
    values = normal(3, 1056)
    good = pieces.rounded(values)
    values[1, column] = bad
    found = pieces.rounded(values)
    expected = good.scales.reshape(3, 2).copy()
    expected[1, column // BLOCK] = np.nan
    np.testing.assert_array_equal(found.scales.reshape(3, 2), expected)
    codes, before = found.codes.reshape(3, 1056), good.codes.reshape(3, 1056)
    assert (codes[[0, 2]] == before[[0, 2]]).all()


@each_row("size", [0.0, 1e-45, 1e-40, 1e-36])
def test_what_is_as_good_as_nothing(size: float) -> None:
    """Too small for a scale of its own: whatever the codes are, they stand for next to nothing."""
    values = np.full((1, 64), size, np.float32)
    x = pieces.rounded(values)
    assert np.abs(x.scales[0] * x.codes.astype(np.float64)).max() <= 1e-34
    assert np.abs(x.scales[0] * x.sums.astype(np.float64)).max() <= 1e-28


# Norms and positions


@each_row("columns", [16, 48, 64, 96, 128, 896, 4864])
@each_row("size", [1e-6, 1.0, 1e6])
def test_norm(columns: int, size: float) -> None:
    x, weight = normal(columns) * np.float32(size), normal(columns, seed=2)
    found = np.empty_like(x)
    pieces.normalise(x, weight, np.float32(1e-6), found)
    wide = x.astype(np.float64)
    expected = wide / np.sqrt(np.mean(wide**2) + np.float32(1e-6)) * weight
    np.testing.assert_allclose(found, expected, rtol=8 * EPS + EPS * columns / 64)
    pieces.normalise(x, weight, np.float32(1e-6), x)
    assert (x == found).all(), "in place as well"


@each_row("bad", [np.nan, np.inf])
def test_the_norm_of_no_number(bad: float) -> None:
    """None of the row is one."""
    x, found = normal(64), np.empty(64, np.float32)
    x[5] = bad
    pieces.normalise(x, np.ones(64, np.float32), np.float32(1e-6), found)
    assert np.isnan(found[5])


def test_the_norm_of_nothing() -> None:
    found = np.empty(64, np.float32)
    pieces.normalise(np.zeros(64, np.float32), np.ones(64, np.float32), np.float32(1e-6), found)
    assert (found == 0).all()


@each_row("width", [16, 48, 64, 80, 96, 128])
@each_row("factor", [1.0, 0.125])
def test_rotary_positions(width: int, factor: float) -> None:
    """As transformers turns them: the halves of a head are the pairs."""
    head, angles = normal(width), normal(width // 2, seed=2) * 100
    cos, sin = np.cos(angles), np.sin(angles)
    first, second = head[: width // 2].astype(np.float64), head[width // 2 :].astype(np.float64)
    expected = np.concatenate((first * cos - second * sin, second * cos + first * sin)) * factor
    pieces.rotate(head, cos, sin, np.float32(factor))
    np.testing.assert_allclose(head, expected, rtol=0, atol=4 * EPS * 4)


# Exponentials


def exponential(values: Array) -> Array:
    """Of any number of them."""
    whole = np.zeros(-(-len(values) // LANES) * LANES, np.float32)
    whole[: len(values)] = values
    found = np.empty_like(whole)
    pieces.exponential(whole, found)
    return found[: len(values)]


def test_exponentials_over_their_range() -> None:
    values = np.concatenate(
        [
            np.linspace(-87, 88, 1 << 20),
            np.linspace(-1, 1, 1 << 16),
            *(sign * np.logspace(-44, 1.9, 1 << 12) for sign in (-1, 1)),
            np.arange(-126, 127) * np.log(2),
            (np.arange(-126, 127) + 0.5) * np.log(2),
        ]
    ).astype(np.float32)
    values = values[(values >= -87) & (values <= 88)]
    np.testing.assert_allclose(exponential(values), np.exp(values.astype(np.float64)), rtol=2 * EPS)
    assert exponential(np.zeros(1, np.float32))[0] == 1.0


def test_exponentials_beyond_their_range() -> None:
    """What is less weighs next to nothing; what is more stays a number."""
    found = exponential(np.array([-88, -1e3, -1e30, -np.inf, 89, 1e3, 1e30, np.inf, np.nan], np.float32))
    assert (found[:4] < 2e-38).all() and (found[:4] >= 0).all()
    assert (found[4:8] > 1e38).all() and np.isfinite(found[4:8]).all()
    assert np.isnan(found[8])


@each_row("count", [32, 64, 96, 1024, 4864])
def test_the_activation(count: int) -> None:
    gate, up = normal(count) * 8, normal(count, seed=2)
    gate[: 4 * 8 : 4] = [-1e4, -200, -88, -50, 50, 88, 200, 1e4]
    expected = functional.silu(torch.from_numpy(gate).double()) * torch.from_numpy(up).double()
    pieces.activate(gate, up)
    np.testing.assert_allclose(gate, expected.numpy(), rtol=4 * EPS, atol=1e-30)


def test_the_activation_of_no_number() -> None:
    """Nor is what is made of it; its neighbours are."""
    for bad, where in ((np.nan, 0), (np.nan, 1), (np.inf, 1)):
        parts = [normal(64), normal(64, seed=2)]
        parts[where][9] = bad
        pieces.activate(parts[0], parts[1])
        assert not np.isfinite(parts[0][9]) and np.isfinite(np.delete(parts[0], 9)).all()


# Softmax


def softmax(scores: Array) -> Array:
    room = np.full(len(scores) + LANES + 5, np.nan, np.float32)
    room[: len(scores)] = scores
    pieces.softmax(room, len(scores))
    assert np.isnan(room[-(-len(scores) // LANES) * LANES :]).all(), "no more is written to than a whole vector"
    return room[: len(scores)]


@each_row("count", [*range(1, 36), 255, 600, 1023])
@each_row("spread", [0.0, 1.0, 30.0])
def test_softmax(count: int, spread: float) -> None:
    """What stands behind the end changes nothing."""
    scores = normal(count) * np.float32(spread) + np.float32(50)
    expected = torch.from_numpy(scores).double().softmax(0).numpy()
    np.testing.assert_allclose(softmax(scores), expected, rtol=8 * EPS + EPS * spread * 2, atol=1e-37)


@each_row("large", [1e4, 1e30, -1e4, -1e29])
def test_softmax_of_large_scores(large: float) -> None:
    scores = np.array([large, large, large * 0.5, 0, -abs(large)], np.float32)
    np.testing.assert_allclose(
        softmax(scores), torch.from_numpy(scores).double().softmax(0).numpy(), rtol=4 * EPS, atol=1e-37
    )


def test_softmax_of_no_number() -> None:
    scores = normal(40)
    scores[33] = np.nan
    assert np.isnan(softmax(scores)).all()


# bf16


def bf16(values: Array) -> Array:
    found = np.empty(len(values), np.uint16)
    pieces.bf16(values, found)
    return found


def theirs(values: Array) -> Array:
    return np.asarray(torch.from_numpy(values).bfloat16().view(torch.int16).numpy().view(np.uint16))


def test_bf16_of_every_kind_of_number() -> None:
    """Every sign and exponent with ties, what is next to them, and none: as torch rounds it."""
    low = [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF]
    high = np.concatenate([np.arange(0, 1 << 16, 37), [0x7F7F, 0x7F80, 0xFF7F, 0xFF80, 0x0000, 0x8000, 0x0001]])
    values = (high.astype(np.uint32)[:, None] << 16 | np.array(low, np.uint32)).ravel().view(np.float32)
    is_number = ~np.isnan(values)
    found = bf16(values)
    assert (found[is_number] == theirs(values)[is_number]).all()
    back = (found.astype(np.uint32) << 16).view(np.float32)
    assert (np.isnan(back) == ~is_number).all(), "what is no number stays none"


@settings(max_examples=300)
@given(values=arrays.arrays(np.float32, 16, elements=st.floats(width=32, allow_nan=False)))
def test_bf16_as_torch_rounds_it(values: Array) -> None:
    assert (bf16(values) == theirs(values)).all()
