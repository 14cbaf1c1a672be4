"""A thread that is closed: its reply is shown outside, also when that was interrupted."""

import asyncio
from dataclasses import replace

import pytest

from core.delivery.streaming_message import StreamingMessage
from core.domain.conversation import Reply
from core.domain.platform import NO_CONTROLS, OutgoingMessage, ThreadClosed
from core.i18n import t
from storage.store import DatabaseStore
from tests.core.delivery.test_streaming_message import ENDED, claimed, delivery, message
from tests.fakes import FakeChannel

LINE = t("en", "thread.closed", name="Ann")


class Threaded(FakeChannel):
    """A channel in a thread, which takes nothing once it is closed. `place`: what its chat is like outside."""

    def __init__(self, *, around: bool = True, needs_placeholder: bool = False) -> None:
        super().__init__(needs_placeholder=needs_placeholder)
        self.closed, self.outside, self.around = True, False, around
        self.deleted = list[str]()

    def leave_thread(self) -> bool:
        left, self.outside = self.around and not self.outside, True
        return left

    async def delete(self, message_id: str) -> None:
        self.deleted.append(message_id)
        await super().delete(message_id)

    async def _try(self, message: OutgoingMessage) -> None:
        await super()._try(message)
        if self.closed and not (self.outside and self.around):
            raise ThreadClosed


async def stored(store: DatabaseStore, reply: Reply) -> Reply:
    async with store.begin() as tx:
        return await tx.replies.get(reply.id)


@pytest.mark.parametrize("needs_placeholder", [False, True])
async def test_it_is_shown_outside_with_a_line_and_without_buttons(
    store: DatabaseStore, needs_placeholder: bool
) -> None:
    channel = Threaded(needs_placeholder=needs_placeholder)
    channel.closed = False
    async with message(store, await claimed(store), channel) as live:
        live.write("one")
        await channel.until(lambda: channel.history and channel.history[-1] == "one")
        channel.closed = True
        await live.finish("one two", ENDED)
    assert channel.deleted == ["1"] and channel.messages == {"2": f"{LINE}\n\none two"}
    assert channel.controls["2"] == NO_CONTROLS


@pytest.mark.slow
async def test_after_a_crash_it_goes_on_outside(store: DatabaseStore) -> None:
    """Whether the message was sent or only intended: the line stays above the text."""
    reply = await claimed(store)
    for fails in (ConnectionError, None):
        channel = Threaded()
        channel.fails = [None, fails] if fails else []
        async with message(store, await stored(store, reply), channel) as live:
            if fails:
                with pytest.raises(ConnectionError):
                    await live.finish("one")
            else:
                await live.finish("one")
        reply = await stored(store, reply)
        assert channel.deleted == []
    assert channel.messages == {"1": f"{LINE}\n\none"} and channel.outside
    [chunk] = reply.chunks
    assert len(chunk.nonce) < 25 - len("1234567") and chunk.message_id
    channel = Threaded()
    channel.messages = {chunk.message_id: f"{LINE}\n\none"}
    async with message(store, reply, channel) as live:
        await live.finish("one and two")
    assert channel.messages == {chunk.message_id: f"{LINE}\n\none and two"}
    assert channel.deleted == [], "it is known that the thread is closed"


@pytest.mark.slow
async def test_where_there_is_no_place_outside_it_is_given_up(store: DatabaseStore) -> None:
    reply = await claimed(store)
    for channel in (Threaded(around=False), FakeChannel()):
        channel.fails = [ThreadClosed]
        async with message(store, await stored(store, reply), channel) as live:
            with pytest.raises(ThreadClosed):
                await live.finish("one")


@pytest.mark.slow
async def test_a_name_that_the_filter_blocks_is_not_said(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), Threaded()
    reply = replace(reply, author=replace(reply.author, name="some badword"))
    live = StreamingMessage(delivery(store, "badword"), reply, channel, NO_CONTROLS, asyncio.Event())
    async with live:
        await live.finish("one")
    assert channel.history == [t("en", "thread.closed", name="Somebody") + "\n\none"]
