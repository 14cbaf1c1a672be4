"""What wakes the claim loops: the lane that an event is about, and no other."""

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

import pytest

from core.dispatch.dispatcher import LaneQueue, Slot
from core.domain.reply_states import Lane, State
from core.domain.settings import Limits
from core.domain.store import Claimed
from storage.replies import SqlReplies
from tests.conftest import RULES, Bot, MakeBot
from tests.core.dispatch.claiming import claim_loops
from tests.fakes import ANN, incoming
from tests.tables import each_row
from tests.watching import held, idle, outcome, release, running


async def test_a_lane_is_woken_by_its_own_name() -> None:
    async with claim_loops() as claims:
        assert await claims.made() == {}
        for lane in Lane:
            claims.dispatcher.wake(lane)
            assert await claims.made() == {lane: 1}


async def test_what_comes_while_nobody_waits_is_kept_until_the_next_claim() -> None:
    async with claim_loops() as claims:
        claims.dispatcher.wake_all()  # before the loops have begun
        assert await claims.made() == {Lane.ANSWER: 1, Lane.NOTICE: 1, Lane.LOOK: 1}
        claims.gate.clear()
        claims.dispatcher.wake(Lane.ANSWER)
        assert await claims.made() == {Lane.ANSWER: 1}
        claims.dispatcher.wake(Lane.ANSWER)  # while it claims
        assert await claims.made() == {}
        claims.gate.set()
        assert await claims.made() == {Lane.ANSWER: 1}


@each_row(
    ("ended", "woken"),
    [(Lane.ANSWER, {Lane.ANSWER}), (Lane.NOTICE, {Lane.ANSWER, Lane.NOTICE, Lane.LOOK}), (Lane.LOOK, {Lane.LOOK})],
)
async def test_what_a_reply_held_up_goes_on_when_it_ends(ended: Lane, woken: set[Lane]) -> None:
    async with claim_loops() as claims:
        claims.dispatcher.wake_held_up(ended)
        assert await claims.made() == dict.fromkeys(woken, 1)


def test_a_place_is_freed_once() -> None:
    queue = LaneQueue((), free=0)
    slot = Slot(queue)
    slot.release()
    slot.release()
    Slot().release()
    assert queue.free == 1 and queue.freed.is_set()


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> Counter[Lane]:
    """How often each lane has looked for a reply."""
    counts, claim = Counter[Lane](), SqlReplies.claim

    async def counted(self: SqlReplies, lane: Lane, platforms: Collection[str], now: int, limit: int) -> Claimed:
        counts[lane] += 1
        return await claim(self, lane, platforms, now, limit)

    monkeypatch.setattr(SqlReplies, "claim", counted)
    return counts


async def quiet(bot: Bot, claims: Counter[Lane]) -> Counter[Lane]:
    """What was counted until nothing happens any more."""
    await idle(bot)
    return Counter(claims)


async def test_a_question_concerns_the_answer_lane_alone(make_bot: MakeBot, claims: Counter[Lane]) -> None:
    """One claim, and none that is empty."""
    async with make_bot() as bot:
        before = await quiet(bot, claims)
        await bot.say("hello")
        assert await quiet(bot, claims) - before == {Lane.ANSWER: 1}


async def test_a_command_that_holds_up_nothing_wakes_no_answers(make_bot: MakeBot, claims: Counter[Lane]) -> None:
    async with make_bot() as bot:
        before = await quiet(bot, claims)
        await bot.say("/temp 0")
        assert await quiet(bot, claims) - before == {Lane.NOTICE: 1}


async def test_what_was_stored_already_wakes_nobody(make_bot: MakeBot, claims: Counter[Lane]) -> None:
    async with make_bot() as bot:
        message = incoming("hello")
        reply = await bot.service.ingest.accept(message)
        assert reply and await outcome(bot, reply) is State.DONE
        before = await quiet(bot, claims)
        assert await bot.service.ingest.accept(message) is None
        bot.service._dispatcher.stored([])
        assert await quiet(bot, claims) == before


async def test_what_is_said_at_once_needs_no_claim(make_bot: MakeBot, claims: Counter[Lane]) -> None:
    async with make_bot(held(), rules=replace(RULES, limits=Limits(chat=1))) as bot:
        first = await bot.accept("one")
        await running(bot)
        await bot.accept("two")
        before = await quiet(bot, claims)
        refused = await bot.accept("three")
        assert refused.state is State.SENDING
        assert await outcome(bot, refused) is State.REFUSED
        assert await quiet(bot, claims) - before == {Lane.ANSWER: 1}, "once it has ended: a question waits"
        release(bot.model)
        assert await outcome(bot, first) is State.DONE


async def test_a_command_that_is_stopped_while_it_waits_holds_nothing_up(make_bot: MakeBot) -> None:
    """A key at the console stops commands too."""
    async with make_bot(held()) as bot:
        await bot.accept("one")
        await running(bot)
        first = await bot.accept("/undo")  # waits until the answer has ended
        second = await bot.accept("/temp 0")
        last = await bot.accept("two", ANN)
        await bot.service.control.stop(second)
        assert await outcome(bot, second) is State.CANCELLED
        release(bot.model)
        assert await outcome(bot, first) is State.DONE
        assert await outcome(bot, last) is State.DONE
