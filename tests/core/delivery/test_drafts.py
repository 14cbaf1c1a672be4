"""Drafts: what stands until the finished text takes its place, and never a second answer."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from core.delivery.rate_limiter import ChatRateLimiter
from core.delivery.streaming_message import DRAFT_KEPT_S, Delivery, StreamingMessage
from core.domain.conversation import Reply
from core.domain.platform import NO_CONTROLS, PLACEHOLDER, Ambiguous, NotSent, OutgoingMessage
from core.i18n import t
from core.runtime.retry import Backoff
from storage.store import DatabaseStore, now_ms
from tests.core.delivery.test_nonces import claimed
from tests.fakes import FakeChannel, OpenFilter
from tests.patience import limit

DOUBTFUL = t("en", "error.doubtful")
QUICK = Backoff(0.005, 0.005)


class DraftChannel(FakeChannel):
    """Shows drafts; a message takes a draft's place. The next `unheard` sends arrive, but not the news of it."""

    drafts = True

    def __init__(self, limit: int = 4000) -> None:
        super().__init__(limit, needs_placeholder=True)
        self.views: list[list[str]] = []
        self.unheard = 0

    async def _draft(self, message: OutgoingMessage) -> None:
        await super()._draft(message)
        self.views.append([*self.messages.values(), message.text])

    async def send(self, index: int, message: OutgoingMessage, nonce: str) -> str:
        message_id = await super().send(index, message, nonce)
        if self.unheard:
            self.unheard -= 1
            raise Ambiguous
        return message_id

    def _show(self, message_id: str, message: OutgoingMessage) -> None:
        super()._show(message_id, message)
        self.views.append(list(self.messages.values()))


def message(
    store: DatabaseStore, reply: Reply, channel: FakeChannel, send_backoff: Backoff = QUICK
) -> StreamingMessage:
    delivery = Delivery(store, ChatRateLimiter(), "i", OpenFilter(), now_ms, send_backoff)
    return StreamingMessage(delivery, reply, channel, NO_CONTROLS, asyncio.Event())


async def drafted(live: StreamingMessage, channel: FakeChannel, text: str) -> None:
    live.write(text)
    await channel.until(lambda: channel.drafted)


async def test_a_draft_gives_way_to_the_finished_text_alone(store: DatabaseStore) -> None:
    channel = DraftChannel()
    async with message(store, await claimed(store), channel) as live:
        await drafted(live, channel, "one two")
        await live.finish("one two three")
    assert channel.views == [["one two"], ["one two three"]]


@pytest.mark.slow
async def test_a_long_text_shows_each_part_once(store: DatabaseStore) -> None:
    channel = DraftChannel(10)
    async with message(store, await claimed(store), channel) as live:
        await drafted(live, channel, "one two")
        await live.finish("one two three four")
    assert channel.views[1:] == [["one two"], ["one two", "three four"]]


@pytest.mark.slow
async def test_without_a_draft_an_answer_begins_as_ever(store: DatabaseStore) -> None:
    channel = DraftChannel()
    async with message(store, await claimed(store), channel) as live:
        await live.finish("one")
    assert channel.history == [PLACEHOLDER, "one"]


@pytest.mark.slow
async def test_what_was_certainly_not_taken_is_sent_again(store: DatabaseStore) -> None:
    channel = DraftChannel()
    channel.fails = [NotSent(), NotSent(0.01), None]
    async with message(store, await claimed(store), channel) as live:
        await drafted(live, channel, "one")
        await live.finish("one two")
    assert channel.history == ["one two"]


class Dying(Backoff):
    """The process ends where it would try again."""

    def pauses(self) -> Iterator[float]:
        if self.least_s:
            raise ConnectionError
        yield 0.0


@pytest.mark.slow
async def test_of_what_was_certainly_not_taken_nobody_is_in_doubt_after_a_crash(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), DraftChannel()
    async with message(store, reply, channel, Dying()) as live:
        await drafted(live, channel, "one")
        channel.fails = [NotSent()]
        with pytest.raises(ConnectionError):
            await live.finish("one two")
    async with store.begin() as tx:
        reply = await tx.replies.get(reply.id)
    channel.fails = []
    async with message(store, reply, channel) as live:
        await live.finish("one two")
    assert list(channel.messages.values()) == ["one two"]


async def test_where_nobody_knows_a_notice_says_so_and_the_text_shows_once(store: DatabaseStore) -> None:
    channel = DraftChannel()
    channel.unheard = 1
    async with limit(), message(store, await claimed(store), channel) as live:
        await drafted(live, channel, "one")
        await live.finish("one two")
    assert list(channel.messages.values()) == ["one two", DOUBTFUL]


@pytest.mark.slow
async def test_also_after_a_crash_and_a_retry_shows_its_answer_there(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), DraftChannel()

    async def stored() -> Reply:
        async with store.begin() as tx:
            return await tx.replies.get(reply.id)

    async with store.begin() as tx:
        await tx.messages.add_intent(reply, f"old-{reply.id}-0-whole-{reply.id}")
    channel.messages["9"] = "one two"
    async with limit(), message(store, await stored(), channel) as live:
        await live.finish("one two")
    assert list(channel.messages.values()) == ["one two", DOUBTFUL]
    async with limit(), message(store, await stored(), channel) as live:  # it dies again before it is closed
        await live.finish("one two")
    assert list(channel.messages.values()) == ["one two", DOUBTFUL]
    async with limit(), message(store, replace(await stored(), id=reply.id + 1), channel) as live:
        await live.finish("another answer")
    assert list(channel.messages.values()) == ["one two", "another answer"]


@pytest.mark.slow
async def test_a_draft_that_would_vanish_is_shown_again(store: DatabaseStore) -> None:
    channel, clock = DraftChannel(), itertools.count(step=DRAFT_KEPT_S / 2)
    works_with = Delivery(
        store, ChatRateLimiter(), "i", OpenFilter(), now_ms, QUICK, typing_every_s=0.001, clock=lambda: next(clock)
    )
    async with StreamingMessage(works_with, await claimed(store), channel, NO_CONTROLS, asyncio.Event()) as live:
        live.write("one")
        await channel.until(lambda: len(channel.drafted) == 3)
        await live.finish("one")
    assert set(channel.drafted) == {"one"} and list(channel.messages.values()) == ["one"]
