"""This machine's clock is wrong, or is set while the bot runs: nobody waits for that, and no limit is lost."""

import logging
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path

import pytest

from bots.discord_bot.identify_limits import IdentifyLimiter
from core.delivery.rate_limiter import MAX_HOLD_S
from core.dispatch.recovery import CLOCK_SLACK_MS, remaining_s
from core.domain.conversation import ChatId, Incoming, Reply
from core.domain.reply_states import Lane, ReplyEvent, State
from core.domain.settings import Limits, Rules
from core.domain.store import Penalty
from core.i18n import t
from core.inbound.backlog import MERGE_AFTER_MS
from core.runtime.platform_clock import PlatformClock
from storage.database import open_database
from storage.store import DatabaseStore, now_ms
from tests.conftest import RULES, Bot, running_bot
from tests.fakes import ANN, BOB, FakeModel, FakePlatform, claim_next, incoming, owe
from tests.tables import each_row
from tests.watching import held, outcome

HOUR_MS = 3_600_000
LIMITED = replace(RULES, limits=Limits(user=3))
CHATS = [ChatId("fake", str(number)) for number in range(1, 4)]


class DatedPlatform(FakePlatform):
    """A platform that tells its time, the right one."""

    def now(self) -> int:
        return now_ms()


@dataclass
class Machine:
    """A machine whose clock is `ahead` of the right time, by milliseconds, and its database."""

    file: Path
    ahead: int = 0

    def now(self) -> int:
        return now_ms() + self.ahead

    @asynccontextmanager
    async def store(self) -> AsyncIterator[DatabaseStore]:
        async with open_database(f"sqlite+aiosqlite:///{self.file}") as engine:
            yield DatabaseStore(engine, self.now)

    @asynccontextmanager
    async def bot(self, model: FakeModel | None = None, rules: Rules = RULES) -> AsyncIterator[Bot]:
        async with (
            self.store() as store,
            running_bot(store, store, model or FakeModel(), rules=rules, now=self.now, platform=DatedPlatform()) as bot,
        ):
            yield bot


async def stored(store: DatabaseStore, *messages: Incoming) -> list[Reply]:
    """Replies to messages of the last process."""
    async with store.begin() as tx:
        return [reply for message in messages if (reply := await owe(tx, message, Lane.ANSWER))]


async def a_penalty_from_the_future_is_ignored(machine: Machine) -> None:
    machine.ahead = HOUR_MS
    async with machine.store() as store:
        (reply,) = await stored(store, incoming("hello"))
        async with store.begin() as tx:
            await tx.replies.delay(reply, machine.now(), machine.now() + 30_000)
    machine.ahead = 0
    async with machine.bot() as bot:
        assert not bot.service.rate_limiter.is_held("fake")
        assert await outcome(bot, reply) is State.DONE


async def a_right_penalty_takes_the_place_of_one_from_the_future(machine: Machine) -> None:
    async with machine.store() as store:
        (reply,) = await stored(store, incoming("hello"))
        now = machine.now()
        async with store.begin() as tx:
            await tx.replies.delay(reply, now + HOUR_MS, now + HOUR_MS + 30_000)
            await tx.replies.delay(reply, now, now + 40_000)
            await tx.replies.delay(reply, now, now + 20_000)  # never shortened
            (penalty,) = await tx.recovery.delayed("fake", now)
        assert (penalty.set_at, penalty.until) == (now, now + 40_000)


async def a_person_is_told_again_a_minute_later(machine: Machine) -> None:
    """The clock is set back by an hour after somebody was told "busy"."""
    async with machine.bot(held(), LIMITED) as bot:
        admission = bot.service.ingest._admission
        replies = [await bot.accept(f"question {number}") for number in range(4)]
        assert await outcome(bot, replies[-1]) is State.REFUSED
        machine.ahead -= HOUR_MS
        refusals = admission._refusals
        began = refusals._clock()
        refusals._clock = lambda: began + 61
        assert await outcome(bot, await bot.accept("and now?")) is State.REFUSED


async def a_persons_limit_holds(machine: Machine, ahead: int, step: int) -> None:
    """It is the platform's time that counts: the clock is wrong, and is set besides."""
    machine.ahead = ahead
    async with machine.bot(rules=LIMITED) as bot:
        for chat in CHATS:
            assert await bot.say("?", ANN, chat) == "?"
        machine.ahead += step
        refused = await bot.accept("and now?", ANN)
        assert await outcome(bot, refused) is State.REFUSED
        assert bot.platform.text(refused) == t("en", "busy.user", most=3, time=t("en", "busy.minutes", count=10))
        assert await bot.say("I, too?", BOB) == "I, too?"


async def what_waited_for_a_minute_is_answered(machine: Machine) -> None:
    """The clock is two days ahead of the platform's; nothing waited for longer than its messages say."""
    asked_at = now_ms() - MERGE_AFTER_MS // 2
    async with machine.store() as store:
        replies = await stored(store, *(replace(incoming(f"one {n}"), at=asked_at) for n in range(2)))
    machine.ahead = 48 * HOUR_MS
    async with machine.bot() as bot:
        assert [await outcome(bot, reply) for reply in replies] == [State.DONE] * 2
        assert [bot.platform.text(reply) for reply in replies] == ["one 0", "one 1"]


async def what_waited_for_long_is_answered_together(machine: Machine) -> None:
    """The clock is an hour behind."""
    asked_at = now_ms() - MERGE_AFTER_MS - 1000
    async with machine.store() as store:
        first, last = await stored(store, *(replace(incoming(f"one {n}"), at=asked_at) for n in range(2)))
    machine.ahead = -HOUR_MS
    async with machine.bot() as bot:
        assert [await outcome(bot, reply) for reply in (first, last)] == [State.MERGED, State.DONE]


async def who_was_served_last_is_served_last(machine: Machine) -> None:
    """The clock is set back by an hour between two chats."""
    async with machine.store() as store:
        await stored(store, *(incoming("?", ANN, chat) for chat in CHATS[:2] for _ in range(3)))
        order = []
        for at in (HOUR_MS, HOUR_MS + 1, 1, 2, 3, 4):
            async with store.begin() as tx:
                claimed = await claim_next(tx, now=at)
                assert claimed
                await tx.replies.move(claimed, ReplyEvent.FAIL)
                order.append(claimed.chat)
        assert order == CHATS[:2] * 3


async def what_nobody_works_on_is_taken_up(machine: Machine) -> None:
    """The clock is set back by an hour after a claim that was lost."""
    async with machine.store() as store:
        (reply,) = await stored(store, incoming("?"))
        async with store.begin() as tx:
            claimed = await claim_next(tx)
            assert claimed
        machine.ahead = -HOUR_MS
        async with store.begin() as tx:
            assert await tx.recovery.find_orphaned(["fake"], [(reply.id, 1)], machine.now() - 3000) == []
            (left,) = await tx.recovery.find_orphaned(["fake"], [], machine.now() - 3000)
        assert (left.id, left.state) == (reply.id, State.QUEUED)


async def logins_in_the_future_lock_nobody_out(machine: Machine) -> None:
    async with machine.store() as store:
        limiter = IdentifyLimiter(store, "discord", "1", machine.now)
        for _ in range(20):
            await limiter.count()
        assert await limiter._delay_ms() > 60_000
        machine.ahead = -HOUR_MS
        await limiter.wait()


@each_row(
    "happens",
    [
        a_penalty_from_the_future_is_ignored,
        a_right_penalty_takes_the_place_of_one_from_the_future,
        a_person_is_told_again_a_minute_later,
        what_waited_for_a_minute_is_answered,
        what_waited_for_long_is_answered_together,
        who_was_served_last_is_served_last,
        what_nobody_works_on_is_taken_up,
        logins_in_the_future_lock_nobody_out,
        *(
            lambda machine, ahead=ahead, step=step: a_persons_limit_holds(machine, ahead, step)
            for ahead in (15 * 60_000, 24 * HOUR_MS, -HOUR_MS)
            for step in (0, HOUR_MS, -HOUR_MS)
        ),
    ],
)
async def test_a_wrong_clock_costs_nobody_anything(
    happens: Callable[[Machine], Awaitable[None]], migrated: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    await happens(Machine(Path(shutil.copy(migrated, tmp_path / f"{secrets.token_hex(4)}.db"))))
    said = [record.message for record in caplog.records if "lie" in record.message]
    if happens is a_penalty_from_the_future_is_ignored:
        assert said == ["fake: a stored penalty lies in the future, so the clock was wrong; it is ignored"]
    elif happens is logins_in_the_future_lock_nobody_out:
        assert said == ["Discord: 20 stored logins lie in the future, so the clock was wrong; they don't count"]
    else:
        assert said == []


NOW = 1_800_000_000_000


@each_row(
    ("until", "set_at", "left_s"),
    [
        (30_000, 0, 30),
        (10_000, -20_000, 10),
        (31_000, 1_000, 30),  # the clock has lost a second: no more than it was
        (30_000 + CLOCK_SLACK_MS + 1, CLOCK_SLACK_MS + 1, None),
        (HOUR_MS + 30_000, HOUR_MS, None),
        (MAX_HOLD_S * 1000, None, MAX_HOLD_S),  # of an older version, which did not store when
        (25 * HOUR_MS, None, None),
    ],
)
@pytest.mark.slow
def test_a_penalty_is_never_longer_than_it_was(until: int, set_at: int | None, left_s: float | None) -> None:
    (reply,) = [Reply(1, CHATS[0], True, 1, Lane.ANSWER, State.QUEUED, 0, ANN, "", "", "", 0)]
    penalty = Penalty(reply, NOW + int(until), None if set_at is None else NOW + set_at)
    assert remaining_s(penalty, NOW) == left_s


@pytest.mark.slow
def test_a_platforms_clock_is_as_it_was_told(caplog: pytest.LogCaptureFixture) -> None:
    host, passed = [NOW], [100.0]
    clock = PlatformClock("Telegram", lambda: host[0], lambda: passed[0])
    for nothing in (None, "", "yesterday", "Tue, 99 Nov 2026 25:00:00 GMT"):
        clock.set(nothing)
    host[0] += 7
    assert clock.now() == NOW + 7, "this machine's as long as there is no other"
    clock.set(formatdate(NOW / 1000 - 900, usegmt=True))
    host[0] += HOUR_MS  # it is set
    passed[0] += 2.5
    assert clock.now() == NOW - 900_000 + 2500
    clock.set(formatdate(NOW / 1000, usegmt=True))
    assert clock.now() == NOW
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "this machine's clock is 900 s ahead of Telegram's"
    ]
