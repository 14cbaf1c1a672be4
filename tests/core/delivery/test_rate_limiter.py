"""How often a chat is called, on a clock of its own."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.delivery.rate_limiter import LONG_HOLD_S, MAX_HOLD_S, WINDOW_S, ChatRateLimiter
from core.domain.platform import Pace
from tests.fake_clock import FakeClock

GROUP = Pace(preview_interval_s=4.0, gap_s=1.0, previews_per_minute=15, calls_per_minute=20)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_previews_keep_the_interval_and_final_texts_the_gap(clock: FakeClock) -> None:
    limiter = ChatRateLimiter(clock, clock.sleep)
    await limiter.wait("a", GROUP, preview=True)
    assert limiter.delay("a", GROUP, preview=True) == 4.0
    assert limiter.delay("a", GROUP) == 1.0
    assert limiter.delay("b", GROUP, preview=True) == 0.0


async def test_a_minute_full_of_previews_has_room_for_final_texts(clock: FakeClock) -> None:
    limiter, pace = (
        ChatRateLimiter(clock, clock.sleep),
        Pace(preview_interval_s=1.0, gap_s=0.1, previews_per_minute=15, calls_per_minute=20),
    )
    for _ in range(15):
        await limiter.wait("a", pace, preview=True)
    assert limiter.delay("a", pace, preview=True) == pytest.approx(WINDOW_S - 14)
    for _ in range(5):
        assert limiter.delay("a", pace) <= 0.1001
        await limiter.wait("a", pace)
    assert limiter.delay("a", pace) > 40


async def test_a_penalty_holds_its_own_chat_alone(clock: FakeClock) -> None:
    limiter = ChatRateLimiter(clock, clock.sleep)
    limiter.hold("a", 30)
    limiter.hold("a", 5)  # a shorter one takes nothing away
    assert limiter.delay("a", GROUP) == 30 and limiter.is_held("a")
    assert limiter.delay("b", GROUP) == 0 and not limiter.is_held("b")
    await limiter.wait("a", GROUP)
    assert clock.now == 1030 and not limiter.is_held("a")


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 20)), max_size=60))
def test_whatever_comes_no_minute_is_overfull(calls: list[tuple[bool, float]]) -> None:
    clock = FakeClock()
    limiter, made, previews = ChatRateLimiter(clock, clock.sleep), [], []
    for preview, pause in calls:
        clock.now += pause + limiter.delay("a", GROUP, preview=preview)
        if limiter.delay("a", GROUP, preview=preview) > 0:
            continue
        limiter.count("a", GROUP, preview=preview)
        made.append(clock.now)
        previews += [clock.now] if preview else []
    for times, most in ((made, 20), (previews, 15)):
        assert all(late - early >= WINDOW_S - 1e-6 for early, late in zip(times, times[most:], strict=False))


async def test_chats_that_are_quiet_are_forgotten(clock: FakeClock) -> None:
    limiter = ChatRateLimiter(clock, clock.sleep)
    for i in range(100):
        await limiter.wait(str(i), GROUP)
    clock.now += WINDOW_S + 1
    await limiter.wait("a", GROUP)
    assert len(limiter._chats) == 1


async def test_a_chat_without_a_bound_by_the_minute_takes_little_memory(clock: FakeClock) -> None:
    limiter, private = ChatRateLimiter(clock, clock.sleep), Pace(preview_interval_s=1.5, gap_s=1.0)
    keys = [str(i) for i in range(1000)]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for key in keys:
            for _ in range(5):
                limiter.count(key, private, preview=True)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 400 * len(keys), "bytes"


async def test_a_call_looks_at_its_own_chat_alone(clock: FakeClock) -> None:
    limiter = ChatRateLimiter(clock)
    for i in range(100):
        await limiter.wait(str(i), GROUP)
    limiter._chats = dict.fromkeys(limiter._chats)  # type: ignore[assignment]
    await limiter.wait("a", GROUP)


async def test_a_chat_that_is_held_is_remembered(clock: FakeClock) -> None:
    limiter = ChatRateLimiter(clock)
    limiter.hold("a", 10 * WINDOW_S)
    for _ in range(5):
        clock.now += WINDOW_S
        await limiter.wait("b", GROUP)
    assert limiter.delay("a", GROUP) == 5 * WINDOW_S


async def test_a_hold_is_bounded_and_a_long_one_is_logged(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    limiter = ChatRateLimiter(clock)
    assert limiter.hold("a", LONG_HOLD_S) == LONG_HOLD_S and not caplog.messages
    assert limiter.hold("b", 102_737.7) == MAX_HOLD_S == limiter.delay("b", GROUP)
    assert caplog.messages == ["b may not be called for 102738 s; it is tried again after 3600 s"]
