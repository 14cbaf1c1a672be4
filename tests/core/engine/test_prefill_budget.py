"""How much of a prompt is read at once: little enough for those who draw, at any speed of the machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.engine.prefill_budget import (
    MAX_COST_RATIO,
    MAX_DECODE_STALL_S,
    MAX_PREFILL_IDS,
    MAX_PREFILL_STEP_S,
    MIN_MEASURED_IDS,
    MIN_PREFILL_IDS,
    PREFILL_IDS_MULTIPLE,
    PrefillBudget,
    StepCosts,
)
from tests.tables import each_row


def steady(rate: float) -> PrefillBudget:
    """A machine that reads so many ids a second, however many at once."""
    return PrefillBudget(((1, 1 / rate), (1000, 1000 / rate)))


@each_row(
    ("rate", "decoding", "budget"),
    [
        (400, 0, 200),  # nobody's stream can stall: as many as are read in half a second
        (200, 1, 32),  # in a fifth of a second, the one who draws among them; a multiple of GRAIN
        (200, 10, 24),
        (200, 32, MIN_PREFILL_IDS),
        (1, 0, MIN_PREFILL_IDS),
        (1, 1, MIN_PREFILL_IDS),
        (0.001, 32, MIN_PREFILL_IDS),
        (MAX_PREFILL_IDS / MAX_PREFILL_STEP_S, 0, MAX_PREFILL_IDS),
        (1e9, 0, MAX_PREFILL_IDS),
        (1e9, 32, MAX_PREFILL_IDS),
        (MAX_PREFILL_IDS / MAX_DECODE_STALL_S, 1, MAX_PREFILL_IDS - PREFILL_IDS_MULTIPLE),
    ],
)
def test_budget(rate: float, decoding: int, budget: int) -> None:
    assert steady(rate).prefill_ids(decoding) == budget


def test_warming_keeps_nobody_waiting_who_comes() -> None:
    assert steady(1000).warming_ids() == steady(1000).prefill_ids(1) < steady(1000).prefill_ids(0)


def test_the_first_step_of_a_machine_that_was_not_measured_is_a_short_one() -> None:
    assert PrefillBudget().step_seconds(PrefillBudget().prefill_ids(0)) <= MAX_PREFILL_STEP_S


def test_it_does_not_stay_below_a_crossing() -> None:
    """Up to 48 rows by a slow kernel, from there on by a fast one: to read 16 at a time, for ever, is no way."""
    costs: StepCosts = ((1, 0.1), (8, 0.8), (16, 1.6), (47, 4.7), (48, 0.5), (64, 0.6), (128, 1.2), (256, 2.4))
    budget = PrefillBudget(costs)
    assert budget.prefill_ids(0) >= 48
    assert budget.prefill_ids(3) >= 48


@each_row("decoding", [0, 1])
def test_where_a_step_is_dear_whatever_its_size(decoding: int) -> None:
    """Everything is unpacked for every step: 300 ids at once are read in 3.5 seconds, 16 at a time in 40."""
    budget = PrefillBudget(((1, 2.005), (1000, 7.0)))
    assert budget.prefill_ids(decoding) > 300
    assert budget.step_seconds(budget.prefill_ids(decoding) + decoding) <= MAX_COST_RATIO * budget.step_seconds(
        MIN_PREFILL_IDS + decoding
    )


def test_a_crossing_just_beyond_the_limit() -> None:
    assert PrefillBudget(((16, 0.30), (48, 0.35), (100, 0.73))).prefill_ids(1) >= 40


@given(
    st.lists(st.floats(1e-4, 100), min_size=1, max_size=9),
    st.integers(0, 32),
    st.floats(0.01, 100),
)
def test_no_step_is_longer_than_it_must_be(seconds: list[float], decoding: int, speed: float) -> None:
    budget = PrefillBudget([(1 << place, cost) for place, cost in enumerate(seconds)])
    budget.speed_factor = speed
    ids = budget.prefill_ids(decoding)
    assert MIN_PREFILL_IDS <= ids <= MAX_PREFILL_IDS
    assert ids % PREFILL_IDS_MULTIPLE == 0
    limit = MAX_DECODE_STALL_S if decoding else MAX_PREFILL_STEP_S
    least = budget.step_seconds(MIN_PREFILL_IDS + decoding)
    assert ids == MIN_PREFILL_IDS or budget.step_seconds(ids + decoding) <= max(limit, MAX_COST_RATIO * least)


@each_row("start", [0.01, 1.0, 100.0])
def test_learns_how_fast_the_machine_is_now(start: float) -> None:
    budget = steady(600)
    budget.speed_factor = start
    for _ in range(30):
        budget.observe(300, 1.0)
    assert budget.speed_factor == pytest.approx(0.5, rel=0.01)
    assert budget.step_seconds(300) == pytest.approx(1.0, rel=0.01)


@each_row(("ids", "seconds"), [(MIN_MEASURED_IDS - 1, 1.0), (1, 1e-6), (100, 0.0), (0, 0.0)])
def test_learns_nothing_from_what_says_nothing(ids: int, seconds: float) -> None:
    budget = PrefillBudget()
    budget.observe(ids, seconds)
    assert budget.speed_factor == 1.0


def test_one_slow_step_is_not_the_end() -> None:
    """The machine slept: the budget falls, and comes back."""
    budget = steady(2000)
    budget.observe(300, 3600)
    assert budget.prefill_ids(0) >= MIN_PREFILL_IDS
    for _ in range(10):
        budget.observe(300, 0.15)
    assert budget.prefill_ids(0) == MAX_PREFILL_IDS


@each_row(("rows", "seconds"), [(1, 1.0), (4, 2.0), (8, 4.0), (7, 3.5), (16, 6.0), (32, 12.0), (2, 4 / 3), (0, 1.0)])
def test_between_what_was_measured(rows: int, seconds: float) -> None:
    assert PrefillBudget(((1, 1.0), (4, 2.0), (8, 4.0), (16, 6.0))).step_seconds(rows) == pytest.approx(seconds)
