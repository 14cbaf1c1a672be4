"""How often the bot may log in: never so often that Discord takes its token away."""

from hypothesis import given
from hypothesis import strategies as st

from bots.discord_bot.identify_limits import DAY_MS, HOUR_MS, IdentifyLimiter, login_delay_ms
from bots.discord_bot.timing import IDENTIFY_LIMITS
from storage.store import DatabaseStore

A_DAY, FREE = IDENTIFY_LIMITS.per_day, IDENTIFY_LIMITS.unspaced_per_hour
APART, AT_ONCE = IDENTIFY_LIMITS.spacing_ms, IDENTIFY_LIMITS.least_spacing_ms


def test_the_first_ones_come_as_quickly_as_discord_takes_them() -> None:
    assert login_delay_ms([], 0) == 0
    assert login_delay_ms([1000], 1000) == AT_ONCE and login_delay_ms([1000], 1000 + AT_ONCE) == 0
    few = [AT_ONCE * count for count in range(FREE - 1)]
    assert login_delay_ms(few, few[-1]) == AT_ONCE
    many = [AT_ONCE * count for count in range(FREE)]
    assert login_delay_ms(many, many[-1]) == APART
    assert login_delay_ms(many, many[-1] + HOUR_MS) == 0


def test_a_program_that_is_started_again_for_ever() -> None:
    """One that dies two seconds after each login: never 500 in any day of four."""
    now, logins = 0, list[int]()
    while now < 4 * DAY_MS:
        now += login_delay_ms(logins, now)
        logins.append(now)
        now += 2000
    worst = max(sum(at - DAY_MS < other <= at for other in logins) for at in logins)
    assert 400 < worst <= A_DAY < 500


@given(st.lists(st.integers(0, 2 * DAY_MS), max_size=600).map(sorted), st.integers(2 * DAY_MS, 3 * DAY_MS))
def test_waiting_is_enough(logins: list[int], now: int) -> None:
    wait = login_delay_ms(logins, now)
    assert wait >= 0
    assert login_delay_ms(logins, now + wait) == 0
    assert len([at for at in logins if now + wait - DAY_MS < at <= now + wait]) < A_DAY
    # A clock that was set back locks nobody out.
    assert login_delay_ms([10 * DAY_MS], DAY_MS) == 0


async def test_counted_in_the_database(store: DatabaseStore) -> None:
    time = [1_700_000_000_000]
    for _ in range(2):  # a restart forgets none
        identifies = IdentifyLimiter(store, "discord", "1", lambda: time[0])
        for _ in range(FREE // 2):
            await identifies.wait()
            await identifies.count()
            time[0] += AT_ONCE
    assert await IdentifyLimiter(store, "discord", "1", lambda: time[0])._delay_ms() == APART - AT_ONCE
    assert await IdentifyLimiter(store, "discord", "2", lambda: time[0])._delay_ms() == 0
