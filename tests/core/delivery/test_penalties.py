"""What a platform wants to hear nothing of for a while is stored; what may have been sent is looked for."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest

from core.delivery.rate_limiter import ChatRateLimiter
from core.delivery.streaming_message import GIVE_UP_AFTER_S, Delivery, StreamingMessage
from core.domain.conversation import ChatId, Chunk, Reply
from core.domain.platform import NO_CONTROLS, Ambiguous, NotSent, OutgoingMessage, Unacceptable
from core.domain.reply_states import Lane, ReplyEvent, State
from core.domain.store import Penalty
from core.runtime.failpoints import POINTS, failpoint
from core.runtime.retry import Backoff
from storage.database import ROOT
from storage.store import DatabaseStore, now_ms
from tests.changes import turns_until
from tests.conftest import Bot, MakeBot
from tests.fakes import ANN, BOB, FakeChannel, OpenFilter, claim_next, incoming, owe
from tests.patience import LIMIT_S, limit
from tests.watching import held, idle, now, outcome, release, running

pytestmark = pytest.mark.databases("sqlite", "postgresql")


async def test_a_penalty_outlives_the_process_and_is_its_chats_alone(make_bot: MakeBot) -> None:
    async with make_bot(held()) as bot:
        reply = await bot.accept("one")
        await running(bot)
        before = now_ms()
        bot.platform.channels[reply.id].fails = [NotSent(3000.0)]
        release(bot.model)
        await bot.commits.until_stored(lambda: delayed(bot))
        assert bot.service.rate_limiter.is_held("fake") and await now(bot, reply) is State.SENDING
        (penalty,) = await delayed(bot)
        assert penalty.set_at is not None and before <= penalty.set_at <= now_ms()
        assert (penalty.reply.id, penalty.until - penalty.set_at) == (reply.id, 3_000_000)
    async with make_bot() as bot:
        await idle(bot)
        assert bot.service.rate_limiter.is_held("fake") and await now(bot, reply) is State.SENDING
        assert bot.platform.channels == {} or not bot.platform.channels[reply.id].history, "nothing is sent meanwhile"


async def delayed(bot: Bot) -> Sequence[Penalty]:
    async with bot.store.begin() as tx:
        return await tx.recovery.delayed("fake", now_ms())


class Seen(FakeChannel):
    """A platform that can tell what was sent; `there` was."""

    def __init__(self, there: str | None) -> None:
        super().__init__()
        self.there, self.asked = there, 0

    async def find(self, index: int, part: OutgoingMessage, nonce: str) -> str | None:
        self.asked += 1
        return self.there


async def begun(store: DatabaseStore, *chunks: Chunk) -> Reply:
    """An answer whose messages are known so far."""
    async with store.begin() as tx:
        await owe(tx, incoming("?"), Lane.ANSWER)
        reply = await claim_next(tx)
        assert reply
        for chunk in chunks:
            await tx.messages.add_intent(reply, chunk.nonce)
            if chunk.message_id:
                await tx.messages.set_id(reply, chunk.nonce, chunk.message_id)
        return await tx.replies.move(reply, ReplyEvent.FINISH, final="the end")


def delivery(store: DatabaseStore) -> Delivery:
    return Delivery(store, ChatRateLimiter(), "i", OpenFilter(), now_ms, send_backoff=Backoff(0.0, 0.0))


@pytest.mark.parametrize("there", ["77", None])
async def test_what_an_earlier_process_may_have_sent_is_looked_for(store: DatabaseStore, there: str | None) -> None:
    reply, channel = await begun(store, Chunk("old-1-0")), Seen(there)
    channel.messages["77"] = "the e"
    async with StreamingMessage(delivery(store), reply, channel, NO_CONTROLS, asyncio.Event()) as live:
        await live.finish("the end")
    async with store.begin() as tx:
        (chunk,) = (await tx.replies.get(reply.id)).chunks
    assert channel.asked == 1
    assert (chunk.message_id, channel.messages["77"]) == (("77", "the end") if there else ("1", "the e"))
    assert channel.nonces == ([] if there else ["old-1-0"]), "sent again with the nonce that was stored"


async def test_what_was_never_sent_is_not_looked_for(store: DatabaseStore) -> None:
    reply, channel = await begun(store), Seen("77")
    async with StreamingMessage(delivery(store), reply, channel, NO_CONTROLS, asyncio.Event()) as live:
        await live.finish("the end")
    assert channel.asked == 0 and len(channel.nonces) == 1


async def test_after_a_lost_connection_it_is_looked_for_too(store: DatabaseStore) -> None:
    reply, channel = await begun(store), Seen("77")
    channel.messages["77"], channel.fails = "the e", [Ambiguous(), None]
    live = StreamingMessage(delivery(store), reply, channel, NO_CONTROLS, asyncio.Event())
    async with live:
        await live.finish("the end")
    assert channel.asked == 1 and channel.nonces == [] and channel.messages["77"] == "the end"


async def test_after_a_day_nobody_waits_any_more(store: DatabaseStore) -> None:
    reply, channel = await begun(store), FakeChannel()
    channel.fails = [NotSent()]
    clock = itertools.count(step=GIVE_UP_AFTER_S / 3)
    works_with = replace(delivery(store), clock=lambda: next(clock))
    async with StreamingMessage(works_with, reply, channel, NO_CONTROLS, asyncio.Event()) as live:
        with pytest.raises(Unacceptable):
            await live.finish("the end")


async def test_a_message_that_is_edited_while_it_waits_is_answered_as_it_stands(make_bot: MakeBot) -> None:
    model = held()
    model.slots = 1
    async with make_bot(model) as bot:
        first = await bot.accept("first", BOB, ChatId("fake", "2"))
        await running(bot)
        asked = incoming("How big is the son?")
        reply = await bot.service.ingest.accept(asked)
        assert reply
        for text in (
            "How big is the moon?",
            "/ask How big is the sun?",
            "",
            "/temp 0",
        ):  # nothing, and a command, are no questions
            await bot.service.ingest.edit(incoming(text, ANN, asked.chat, external_id=asked.external_id))
        await bot.service.ingest.edit(incoming("another message", external_id="m:unknown"))
        await bot.service.ingest.edit(incoming("too late", BOB, first.chat, external_id=first.external_id))
        release(model)
        assert await outcome(bot, reply) is State.DONE and bot.platform.text(reply) == "How big is the sun?"
        assert await outcome(bot, first) is State.DONE and bot.platform.text(first) == "first"


async def test_told_to_end_it_begins_nothing_more(make_bot: MakeBot) -> None:
    async with make_bot(held()) as bot:
        running_one = await bot.accept("one")
        await running(bot)
        draining = asyncio.create_task(bot.service.drain(LIMIT_S))
        await asyncio.sleep(0)
        late = await bot.accept("two", BOB, ChatId("fake", "2"))
        await idle(bot)
        assert not draining.done() and await now(bot, late) is State.QUEUED
        release(bot.model)
        await draining
        assert await now(bot, running_one) is State.DONE and await now(bot, late) is State.QUEUED


async def test_it_waits_only_so_long_for_what_is_in_progress(make_bot: MakeBot) -> None:
    async with make_bot(held()) as bot:
        reply = await bot.accept("one")
        await running(bot)
        async with limit():
            await bot.service.drain(0.05)
        assert await now(bot, reply) is State.GENERATING
    async with make_bot() as bot:
        assert await outcome(bot, reply) is State.DONE and bot.platform.text(reply) == "one"


def test_every_point_to_die_at_is_passed_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "\n".join(
        file.read_text() for folder in ("core", "bots", "storage") for file in (ROOT / folder).rglob("*.py")
    )
    assert [point for point in POINTS if f'failpoint("{point}")' not in code and f', "{point}")' not in code] == []
    monkeypatch.delenv("QWENTIN_CRASH_AT", raising=False)
    failpoint("")  # nothing happens


async def test_a_penalty_counts_that_the_last_preview_meets_when_the_answer_ends(store: DatabaseStore) -> None:
    reply, channel, works_with = await begun(store), FakeChannel(), delivery(store)
    called = channel.slow = asyncio.Event()
    channel.fails = [NotSent(3000.0)]
    async with StreamingMessage(works_with, reply, channel, NO_CONTROLS, asyncio.Event()) as message:
        message.write("words")
        await turns_until(lambda: channel.calling)
        ending = asyncio.create_task(message.stop_previews())
        await turns_until(lambda: message._previews is None)
        called.set()
        await ending
    assert works_with.rate_limiter.is_held("fake") and channel.failed == 1
