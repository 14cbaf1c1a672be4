"""How often the bot may log in: never so often that Discord takes its token away."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.discord_bot.identify_limits import A_DAY, APART, AT_ONCE, DAY, FREE, HOUR, Identifies, delay
from storage.store import DatabaseStore


@pytest.fixture(autouse=True)
def quick() -> None:
    """The real numbers."""


def test_the_first_ones_come_as_quickly_as_discord_takes_them() -> None:
    assert delay([], 0) == 0
    assert delay([1000], 1000) == AT_ONCE and delay([1000], 1000 + AT_ONCE) == 0
    few = [AT_ONCE * count for count in range(FREE - 1)]
    assert delay(few, few[-1]) == AT_ONCE
    many = [AT_ONCE * count for count in range(FREE)]
    assert delay(many, many[-1]) == APART
    assert delay(many, many[-1] + HOUR) == 0


def test_a_program_that_is_started_again_for_ever() -> None:
    """One that dies two seconds after each login: never 500 in any day of four."""
    now, logins = 0, list[int]()
    while now < 4 * DAY:
        now += delay(logins, now)
        logins.append(now)
        now += 2000
    worst = max(sum(at - DAY < other <= at for other in logins) for at in logins)
    assert 400 < worst <= A_DAY < 500


@given(st.lists(st.integers(0, 2 * DAY), max_size=600).map(sorted), st.integers(2 * DAY, 3 * DAY))
def test_waiting_is_enough(logins: list[int], now: int) -> None:
    wait = delay(logins, now)
    assert wait >= 0
    assert delay(logins, now + wait) == 0
    assert len([at for at in logins if now + wait - DAY < at <= now + wait]) < A_DAY


def test_a_clock_that_was_set_back_locks_nobody_out() -> None:
    assert delay([10 * DAY], DAY) == 0


async def test_counted_in_the_database(store: DatabaseStore) -> None:
    time = [1_700_000_000_000]
    for _ in range(2):  # a restart forgets none
        identifies = Identifies(store, "discord", "1", lambda: time[0])
        for _ in range(FREE // 2):
            await identifies.wait()
            await identifies.count()
            time[0] += AT_ONCE
    assert await Identifies(store, "discord", "1", lambda: time[0])._delay() == APART - AT_ONCE
    assert await Identifies(store, "discord", "2", lambda: time[0])._delay() == 0
