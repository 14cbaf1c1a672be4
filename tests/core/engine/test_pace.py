"""How much of a prompt is read at once: little enough for those who draw, at any speed of the machine."""

import pytest

from core.engine.pace import BREATH, GRAIN, LEAST, MOST, STALL, TELLING, Pace


def paced(rate: float) -> Pace:
    pace = Pace()
    pace.rate = rate
    return pace


@pytest.mark.parametrize(
    ("rate", "decoding", "budget"),
    [
        (200, 0, 200),  # nobody's stream can stall: as many as are read in a second
        (200, 1, 32),  # in a fifth of a second, the one who draws among them; a multiple of GRAIN
        (200, 10, 24),
        (200, 32, LEAST),
        (1, 0, LEAST),
        (1, 1, LEAST),
        (0, 32, LEAST),
        (MOST / BREATH, 0, MOST),
        (1e9, 0, MOST),
        (1e9, 32, MOST),
        (MOST / STALL, 1, MOST - GRAIN),
    ],
)
def test_budget(rate: float, decoding: int, budget: int) -> None:
    assert paced(rate).budget(decoding) == budget


def test_reading_ahead_keeps_nobody_waiting_who_comes() -> None:
    assert paced(1000).ahead() == paced(1000).budget(1) < paced(1000).budget(0)


@pytest.mark.parametrize("start", [1.0, 100.0, 100_000.0])
def test_learns_how_fast_the_machine_is(start: float) -> None:
    pace = paced(start)
    for _ in range(30):
        pace.note(300, 0.5)
    assert pace.rate == pytest.approx(600, rel=0.01)


@pytest.mark.parametrize(("ids", "seconds"), [(TELLING - 1, 1.0), (1, 1e-6), (100, 0.0), (0, 0.0)])
def test_learns_nothing_from_what_says_nothing(ids: int, seconds: float) -> None:
    pace = Pace()
    before = pace.rate
    pace.note(ids, seconds)
    assert pace.rate == before


def test_one_slow_step_is_not_the_end() -> None:
    """The machine slept: the pace falls, and comes back."""
    pace = paced(1000)
    pace.note(300, 3600)
    assert pace.budget(0) >= LEAST
    for _ in range(10):
        pace.note(300, 0.3)
    assert pace.budget(0) == MOST
