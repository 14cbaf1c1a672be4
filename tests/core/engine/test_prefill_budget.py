"""How much of a prompt is read at once: little enough for those who draw, at any speed of the machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.engine.prefill_budget import BREATH, DEARER, GRAIN, LEAST, MOST, STALL, TELLING, Costs, Pace


def steady(rate: float) -> Pace:
    """A machine that reads so many ids a second, however many at once."""
    return Pace(((1, 1 / rate), (1000, 1000 / rate)))


@pytest.mark.parametrize(
    ("rate", "decoding", "budget"),
    [
        (400, 0, 200),  # nobody's stream can stall: as many as are read in half a second
        (200, 1, 32),  # in a fifth of a second, the one who draws among them; a multiple of GRAIN
        (200, 10, 24),
        (200, 32, LEAST),
        (1, 0, LEAST),
        (1, 1, LEAST),
        (0.001, 32, LEAST),
        (MOST / BREATH, 0, MOST),
        (1e9, 0, MOST),
        (1e9, 32, MOST),
        (MOST / STALL, 1, MOST - GRAIN),
    ],
)
def test_budget(rate: float, decoding: int, budget: int) -> None:
    assert steady(rate).budget(decoding) == budget


def test_reading_ahead_keeps_nobody_waiting_who_comes() -> None:
    assert steady(1000).ahead() == steady(1000).budget(1) < steady(1000).budget(0)


def test_the_first_step_of_a_machine_that_was_not_measured_is_a_short_one() -> None:
    assert Pace().seconds(Pace().budget(0)) <= BREATH


def test_it_does_not_stay_below_a_crossing() -> None:
    """Up to 48 rows by a slow kernel, from there on by a fast one: to read 16 at a time, for ever, is no way."""
    costs: Costs = ((1, 0.1), (8, 0.8), (16, 1.6), (47, 4.7), (48, 0.5), (64, 0.6), (128, 1.2), (256, 2.4))
    pace = Pace(costs)
    assert pace.budget(0) >= 48
    assert pace.budget(3) >= 48


@pytest.mark.parametrize("decoding", [0, 1])
def test_where_a_step_is_dear_whatever_its_size(decoding: int) -> None:
    """Everything is unpacked for every step: 300 ids at once are read in 3.5 seconds, 16 at a time in 40."""
    pace = Pace(((1, 2.005), (1000, 7.0)))
    assert pace.budget(decoding) > 300
    assert pace.seconds(pace.budget(decoding) + decoding) <= DEARER * pace.seconds(LEAST + decoding)


def test_a_crossing_just_beyond_the_limit() -> None:
    assert Pace(((16, 0.30), (48, 0.35), (100, 0.73))).budget(1) >= 40


@given(
    st.lists(st.floats(1e-4, 100), min_size=1, max_size=9),
    st.integers(0, 32),
    st.floats(0.01, 100),
)
def test_no_step_is_longer_than_it_must_be(seconds: list[float], decoding: int, speed: float) -> None:
    pace = Pace([(1 << place, cost) for place, cost in enumerate(seconds)])
    pace.speed = speed
    ids = pace.budget(decoding)
    assert LEAST <= ids <= MOST
    assert ids % GRAIN == 0
    limit = STALL if decoding else BREATH
    least = pace.seconds(LEAST + decoding)
    assert ids == LEAST or pace.seconds(ids + decoding) <= max(limit, DEARER * least)


@pytest.mark.parametrize("start", [0.01, 1.0, 100.0])
def test_learns_how_fast_the_machine_is_now(start: float) -> None:
    pace = steady(600)
    pace.speed = start
    for _ in range(30):
        pace.note(300, 1.0)
    assert pace.speed == pytest.approx(0.5, rel=0.01)
    assert pace.seconds(300) == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize(("ids", "seconds"), [(TELLING - 1, 1.0), (1, 1e-6), (100, 0.0), (0, 0.0)])
def test_learns_nothing_from_what_says_nothing(ids: int, seconds: float) -> None:
    pace = Pace()
    pace.note(ids, seconds)
    assert pace.speed == 1.0


def test_one_slow_step_is_not_the_end() -> None:
    """The machine slept: the pace falls, and comes back."""
    pace = steady(2000)
    pace.note(300, 3600)
    assert pace.budget(0) >= LEAST
    for _ in range(10):
        pace.note(300, 0.15)
    assert pace.budget(0) == MOST


@pytest.mark.parametrize(
    ("rows", "seconds"), [(1, 1.0), (4, 2.0), (8, 4.0), (7, 3.5), (16, 6.0), (32, 12.0), (2, 4 / 3), (0, 1.0)]
)
def test_between_what_was_measured(rows: int, seconds: float) -> None:
    assert Pace(((1, 1.0), (4, 2.0), (8, 4.0), (16, 6.0))).seconds(rows) == pytest.approx(seconds)
