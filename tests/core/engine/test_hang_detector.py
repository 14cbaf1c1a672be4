"""Slow is not dead: what a worker shows from outside, look by look, and when it is given up."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from core.engine.hang_detector import BUSY_LOOP_SHARE, IDLE_CPU_SHARE, LOOKS_PER_TIMEOUT, HangDetector, WorkerActivity
from tests.tables import each_row

TIMEOUT_S = 60.0
LOOK = TIMEOUT_S / LOOKS_PER_TIMEOUT
"""Seconds from one to the next."""


def given_up(looks: Iterable[WorkerActivity]) -> int | None:
    """The number of the look at which the worker is given up, the first is 0; None: at none of them."""
    watch = HangDetector(TIMEOUT_S)
    return next((number for number, activity in enumerate(looks) if watch.is_hung(activity)), None)


def looks(number: int, cores: float, getting_on: int = 0, disk: bool = False) -> list[WorkerActivity]:
    """It uses so much of a processor, and gets on at every so manyth look; 0: never."""
    return [
        WorkerActivity(look // getting_on if getting_on else 7, 100 + look * cores * LOOK, waits_for_disk=disk)
        for look in range(number)
    ]


@each_row(
    ("activities", "expected"),
    [
        (looks(20, 1.0), 5),  # half a minute of processor time in a circle
        (looks(20, 2.0), 5),  # two threads in a circle
        (looks(20, 64.0), 5),  # one in a circle, the others wait for it: it gets as many looks
        (looks(20, 0.0), LOOKS_PER_TIMEOUT),  # stands still: waits for what never comes
        (looks(20, IDLE_CPU_SHARE / 2), LOOKS_PER_TIMEOUT),
        (looks(40, 0.0, disk=True), None),  # swapping, or a slow disk
        (looks(40, 1.0, disk=True), None),
        (looks(99, 0.05), None),  # starved, and not yet through a layer after ten minutes
        (looks(150, 0.05), 100),  # ... until it has used half a minute, which no layer takes
        (looks(500, 0.05, getting_on=1), None),
        (looks(500, 0.05, getting_on=50), None),
        (looks(500, 1.0, getting_on=4), None),  # a slow processor: 24 seconds a layer
        (looks(500, 0.0, getting_on=LOOKS_PER_TIMEOUT), None),
        ([WorkerActivity(3)] * 20, LOOKS_PER_TIMEOUT),  # nothing but its signs is known
        ([WorkerActivity(look // 9) for look in range(200)], None),
    ],
)
def test_when_it_is_given_up(activities: list[WorkerActivity], expected: int | None) -> None:
    assert given_up(activities) == expected


def test_a_sign_of_life_begins_anew() -> None:
    watch = HangDetector(TIMEOUT_S)
    for activity in looks(LOOKS_PER_TIMEOUT, 0.0):
        assert not watch.is_hung(activity)
    watch.reset()
    assert not any(watch.is_hung(activity) for activity in looks(LOOKS_PER_TIMEOUT, 0.0))


def test_one_that_was_replaced_counts_anew() -> None:
    """Another process has used less."""
    activities = [*looks(5, 1.0), WorkerActivity(0, 0.1), *[WorkerActivity(0, 0.1 + LOOK)] * 3]
    assert given_up(activities) is None


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 2)), max_size=60))
def test_never_before_it_used_much_or_stood_still_for_long(steps: list[tuple[int, float]]) -> None:
    watch, signs, cpu = HangDetector(TIMEOUT_S), 0, 0.0
    since, quiet = 0.0, 0
    for number, (sign, cores) in enumerate(steps):
        signs, cpu = signs + sign, cpu + cores * LOOK
        hangs = watch.is_hung(WorkerActivity(signs, cpu))
        if sign or not number:
            since, quiet = cpu, 0
            assert not hangs
            continue
        quiet += 1
        if hangs:
            assert cpu - since >= BUSY_LOOP_SHARE * TIMEOUT_S or quiet >= LOOKS_PER_TIMEOUT
