"""Platforms that know a send again by its nonce: what was sent first is what they keep."""

import asyncio
from dataclasses import replace

import pytest

from core.delivery.rate_limiter import ChatRateLimiter
from core.delivery.sent_messages import MAX_VANISHED, SentMessages
from core.delivery.streaming_message import Delivery, StreamingMessage
from core.domain.conversation import Chunk, Reply
from core.domain.platform import (
    NO_CONTROLS,
    PLACEHOLDER,
    Ambiguous,
    MessageGone,
    OutgoingMessage,
    OutOfReach,
    Unacceptable,
)
from core.domain.reply_states import Lane, ReplyEvent
from core.runtime.retry import DATABASE_BACKOFF, Backoff
from storage.store import DatabaseStore, now_ms
from tests.changes import IDLE_TURNS
from tests.fakes import FakeChannel, OpenFilter, incoming, owe
from tests.patience import limit

pytestmark = pytest.mark.databases("sqlite", "postgresql")


class Knowing(FakeChannel):
    """Gives back the earlier message for a nonce that it knows, and none where that was deleted. `mute`: so many of the
    next sends are taken, but nobody hears of it."""

    def __init__(self) -> None:
        super().__init__(limit=20)
        self.known: dict[str, str] = {}
        self.mute = 0

    async def send(self, index: int, part: OutgoingMessage, nonce: str) -> str:
        if nonce not in self.known:
            self.known[nonce] = await super().send(index, part, nonce)
        elif self.known[nonce] not in self.messages:
            raise MessageGone
        if self.mute:
            self.mute -= 1
            raise Ambiguous
        return self.known[nonce]


class Unheard(FakeChannel):
    """Knows no nonces, so what is sent again shows twice. `mute`: see Knowing."""

    def __init__(self) -> None:
        super().__init__(needs_placeholder=True)
        self.mute = 4

    async def send(self, index: int, part: OutgoingMessage, nonce: str) -> str:
        message_id = await super().send(index, part, nonce)
        if self.mute:
            self.mute -= 1
            raise Ambiguous
        return message_id


async def claimed(store: DatabaseStore, lane: Lane = Lane.ANSWER) -> Reply:
    async with store.begin() as tx:
        reply = await owe(tx, incoming("question"), lane)
        assert reply
        return await tx.replies.move(reply, ReplyEvent.CLAIM)


def message(store: DatabaseStore, reply: Reply, channel: FakeChannel) -> StreamingMessage:
    quick = Backoff(0.005, 0.005)
    delivery = Delivery(store, ChatRateLimiter(), "i", OpenFilter(), now_ms, send_backoff=quick)
    return StreamingMessage(delivery, reply, channel, NO_CONTROLS, asyncio.Event())


async def test_a_preview_that_arrived_unheard_is_not_taken_for_the_final_text(store: DatabaseStore) -> None:
    channel = Knowing()
    channel.mute = 1
    async with message(store, await claimed(store), channel) as live:
        live.write("one")
        await channel.until(lambda: channel.nonces)
        await live.finish("one two")
    assert list(channel.messages.values()) == ["one two"]


async def test_sends_that_are_known_again_are_repeated_as_often_as_it_takes(store: DatabaseStore) -> None:
    channel = Knowing()
    channel.mute = 7
    async with message(store, await claimed(store), channel) as live:
        await live.finish("one two three four five six")
    assert " ".join(channel.messages.values()) == "one two three four five six" and len(channel.messages) == 2


async def test_a_notice_shows_twice_at_most_and_once_at_least(store: DatabaseStore) -> None:
    """What is sent again is an empty stub, and becomes the notice when it is known."""
    channel = Unheard()
    async with limit(), message(store, await claimed(store, Lane.NOTICE), channel) as live:
        await live.finish("help")
    assert list(channel.messages.values()) == ["help", PLACEHOLDER, PLACEHOLDER, PLACEHOLDER, "help"]


async def test_a_notice_that_a_crash_may_have_sent_shows_twice_at_most(store: DatabaseStore) -> None:
    """Also where one crash follows another."""
    reply, channel = await claimed(store, Lane.NOTICE), Unheard()
    async with store.begin() as tx:
        await tx.messages.add_intent(reply, "old-1-0")
    channel.messages["9"] = "help"
    async with store.begin() as tx:
        reply = await tx.replies.get(reply.id)
    async with limit(), message(store, reply, channel) as live:
        await live.finish("help")
    assert list(channel.messages.values()) == ["help", PLACEHOLDER, PLACEHOLDER, PLACEHOLDER, PLACEHOLDER, "help"]


async def test_after_a_restart_what_was_only_intended_is_made_to_show_the_text(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), Knowing()
    async with store.begin() as tx:
        await tx.messages.add_intent(reply, "i-0-0")
    await channel.send(0, OutgoingMessage("half", "half"), "i-0-0")
    async with store.begin() as tx:
        reply = await tx.replies.get(reply.id)
    async with message(store, reply, channel) as live:
        await live.finish("half and half")
    assert channel.messages == {"1": "half and half"}


async def test_a_message_that_was_deleted_comes_back_under_another_nonce(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), Knowing()
    async with message(store, reply, channel) as live:
        live.write("one")
        await channel.until(lambda: channel.messages)
        channel.messages.clear()
        await live.finish("one two")
    assert channel.messages == {"2": "one two"} and len(set(channel.nonces)) == 2
    async with store.begin() as tx:
        chunks = (await tx.replies.get(reply.id)).chunks
    assert [(chunk.message_id, chunk.nonce) for chunk in chunks] == [("2", channel.nonces[1])]
    assert all(len(nonce) <= 25 for nonce in channel.nonces)


@pytest.mark.slow
async def test_a_message_that_is_out_of_reach_takes_the_others_along(store: DatabaseStore) -> None:
    """And one that is deleted again and again is given up."""
    reply = replace(await claimed(store), chunks=tuple(Chunk(f"n{number}", f"{number}") for number in range(3)))
    sent = SentMessages(store, reply, "i", DATABASE_BACKOFF)
    sent.replace(1, MessageGone())
    assert [(state.id, state.gone) for state in sent.states] == [("0", False), (None, True), ("2", False)]
    sent.replace(2, OutOfReach())
    assert [(state.id, state.gone) for state in sent.states] == [(None, True)] * 3
    for _ in range(MAX_VANISHED - 1):
        sent.replace(1, MessageGone())
    with pytest.raises(Unacceptable):
        sent.replace(1, MessageGone())
    for _ in range(MAX_VANISHED + 1):
        sent.replace(0, OutOfReach())


@pytest.mark.slow
async def test_previews_show_no_less_than_people_have_seen(store: DatabaseStore) -> None:
    channel = FakeChannel()
    async with message(store, await claimed(store), channel) as live:
        live.shown_characters = len("one two")
        live.write("one")
        for _ in range(IDLE_TURNS):
            await asyncio.sleep(0)
        live.write(" two")
        await channel.until(lambda: channel.history)
        await live.finish("one two three")
    assert channel.history == ["one two", "one two three"]
