"""A growing message: what is planned, what is shown, what is stored about it."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.delivery.rate_limiter import ChatRateLimiter
from core.delivery.sent_messages import Delete, Edit, MessageState, Send, plan
from core.delivery.streaming_message import Delivery, StreamingMessage
from core.domain.conversation import Chunk, Reply
from core.domain.platform import (
    PLACEHOLDER,
    Ambiguous,
    ButtonAction,
    Controls,
    MessageGone,
    NotSent,
    OutgoingMessage,
    Pace,
    Unreachable,
)
from core.domain.reply_states import Lane, ReplyEvent
from core.filters import Policy, Verdict
from core.runtime.retry import Backoff
from storage.store import DatabaseStore, now_ms
from tests.changes import Changes, turns_until
from tests.fake_clock import FakeClock
from tests.fakes import FakeChannel, OpenFilter, WordFilter, incoming, owe
from tests.patience import limit
from tests.tables import each_row

PART = st.one_of(st.none(), st.text(min_size=1, max_size=5).map(OutgoingMessage))
PARTS = st.lists(st.text(min_size=1, max_size=5).map(OutgoingMessage), max_size=5)
RUNNING = Controls((ButtonAction.STOP,))
ENDED = Controls((ButtonAction.RETRY,))


@given(PARTS, st.lists(st.tuples(st.one_of(st.none(), st.text(min_size=1, max_size=3)), PART), max_size=5))
def test_a_plan_carried_out_leaves_nothing_to_do(
    messages: list[OutgoingMessage], known: list[tuple[str | None, OutgoingMessage | None]]
) -> None:
    states = [MessageState(f"n{i}", message_id, shows) for i, (message_id, shows) in enumerate(known)]
    while steps := plan(messages, states):
        match steps[0]:
            case Send(index, message):
                states[index : index + 1] = [MessageState(f"n{index}", f"id{index}", message)]
            case Edit(index, message_id, message):
                assert states[index].id == message_id
                states[index].shows = message
            case Delete(index, message_id):
                assert states[index].id == message_id and index >= len(messages)
                del states[index]
    assert [state.shows for state in states[: len(messages)]] == messages
    assert not [state for state in states[len(messages) :] if state.id]


A, B, A_PRESSED = OutgoingMessage("a"), OutgoingMessage("b"), OutgoingMessage("a", controls=ENDED)
PLANS = [
    ("first text", [A], [], [Send(0, A)]),
    ("unchanged", [A], [MessageState("n", "7", A)], []),
    ("changed", [B], [MessageState("n", "7", A)], [Edit(0, "7", B)]),
    ("other buttons", [A_PRESSED], [MessageState("n", "7", A)], [Edit(0, "7", A_PRESSED)]),
    ("grown into a second", [A, B], [MessageState("n", "7", A)], [Send(1, B)]),
    ("after a restart", [A], [MessageState("n", "7")], [Edit(0, "7", A)]),
    ("intent only: sent again", [A], [MessageState("n")], [Send(0, A)]),
    ("shorter", [A], [MessageState("n", "7", A), MessageState("m", "8", B)], [Delete(1, "8")]),
    (
        "much shorter, from the end",
        [B],
        [MessageState("n", "7", A), MessageState("m", "8"), MessageState("o", "9")],
        [Edit(0, "7", B), Delete(2, "9"), Delete(1, "8")],
    ),
    ("shorter, and the rest never sent", [A], [MessageState("n", "7", A), MessageState("m")], []),
]


@each_row(("messages", "states", "expected"), [p[1:] for p in PLANS], ids=[p[0] for p in PLANS])
def test_plans(messages: list[OutgoingMessage], states: list[MessageState], expected: list[object]) -> None:
    assert plan(messages, states) == expected


async def claimed(store: DatabaseStore) -> Reply:
    async with store.begin() as tx:
        reply = await owe(tx, incoming("hello"), Lane.ANSWER)
        assert reply
        return await tx.replies.move(reply, ReplyEvent.CLAIM)


def delivery(store: DatabaseStore, blocked: str = "\0", clock: FakeClock | None = None) -> Delivery:
    limiter = ChatRateLimiter(clock, clock.sleep) if clock else ChatRateLimiter()
    quick = Backoff(0.01, 0.01)
    return Delivery(store, limiter, "i", WordFilter(blocked), now_ms, send_backoff=quick)


def message(store: DatabaseStore, reply: Reply, channel: FakeChannel, blocked: str = "\0") -> StreamingMessage:
    return StreamingMessage(delivery(store, blocked), reply, channel, RUNNING, asyncio.Event())


async def settled(live: StreamingMessage, channel: FakeChannel, text: str) -> None:
    """Write, and wait until it is shown."""
    live.write(text)
    await channel.until(lambda: channel.history and channel.history[-1].endswith(text.strip()))


async def test_it_grows_in_one_message_and_ends_with_the_final_text(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), FakeChannel()
    async with message(store, reply, channel) as live:
        await settled(live, channel, "one")
        await settled(live, channel, " two")
        await live.finish("one two three")
    assert channel.messages == {"1": "one two three"}
    assert channel.nonces == [f"i-{reply.id}-0"]
    async with store.begin() as tx:
        assert (await tx.replies.get(reply.id)).chunks == (Chunk(f"i-{reply.id}-0", "1"),)


async def test_the_final_text_is_shown_without_any_preview(store: DatabaseStore) -> None:
    channel = FakeChannel()
    async with message(store, await claimed(store), channel) as live:
        await live.finish("all at once")
    assert channel.history == ["all at once"]


async def test_an_intent_is_stored_before_the_send(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), FakeChannel()
    channel.fails = [ConnectionError]
    async with message(store, reply, channel) as live:
        with pytest.raises(ConnectionError):
            await live.finish("lost")
    async with store.begin() as tx:
        reply = await tx.replies.get(reply.id)
        assert reply.chunks == (Chunk(f"i-{reply.id}-0"),)
    channel.fails = []
    async with message(store, reply, channel) as live:
        await live.finish("again")
    assert (channel.messages, channel.nonces) == ({"1": "again"}, [f"i-{reply.id}-0"])


async def test_after_a_restart_the_same_message_is_edited(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), FakeChannel()
    async with message(store, reply, channel) as live:
        await live.finish("half")
    async with store.begin() as tx:
        reply = await tx.replies.get(reply.id)
    async with message(store, reply, channel) as live:
        await live.finish("whole")
    assert channel.messages == {"1": "whole"}


async def test_failing_previews_do_not_cost_the_final_text(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), FakeChannel()
    channel.fails = [ConnectionError]
    async with message(store, reply, channel) as live:
        live.write("preview")
        await channel.until(lambda: channel.failed)
        channel.fails = []
        await live.finish("final")
    assert channel.messages == {"1": "final"}


async def test_what_the_last_gate_refuses_is_never_previewed(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), FakeChannel()
    judged, changes = list[str](), Changes()

    class Bad(WordFilter):
        def check(self, text: str, policy: Policy) -> Verdict:
            judged.append(text)
            changes.changed()
            return super().check(text, policy)

    guarded = replace(delivery(store), filter=Bad("bad"))
    async with StreamingMessage(guarded, reply, channel, RUNNING, asyncio.Event()) as live:
        live.write("b*a*d")  # harmless until it is rendered
        await changes.until(lambda: judged)
        await live.stop_previews()
        assert channel.history == []
        assert not await live.allows("b*a*d") and await live.allows("b-a-d")
    split = FakeChannel(limit=8)
    async with StreamingMessage(guarded, reply, split, RUNNING, asyncio.Event()) as live:
        assert len(await live._messages("one two bad")) == 2 and not await live.allows("one two bad"), "each of them"
        judged.clear()
        live.write("six two bad")
        await changes.until(lambda: judged)
        await live.stop_previews()
        assert split.history == []


async def test_a_long_text_becomes_several_messages_and_a_shorter_one_deletes_the_rest(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), FakeChannel(limit=60)
    long = " ".join(["word"] * 30)
    async with message(store, reply, channel) as live:
        await live.finish(long)
    assert " ".join(channel.messages.values()) == long and len(channel.messages) == 3
    async with store.begin() as tx:
        reply = await tx.replies.get(reply.id)
    async with message(store, reply, channel) as live:
        await live.finish("short")
    assert list(channel.messages.values()) == ["short"]
    async with store.begin() as tx:
        assert [chunk.message_id for chunk in (await tx.replies.get(reply.id)).chunks] == ["1"]


async def test_a_preview_closes_its_code(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), FakeChannel()
    async with message(store, reply, channel) as live:
        live.write("```py\nprint(1)")
        await channel.until(lambda: channel.history)
    assert channel.history == ["```py\nprint(1)\n```"]


async def test_typing_is_shown_until_there_is_text(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), FakeChannel()
    async with message(store, reply, channel):
        await channel.until(lambda: channel.typed)
    assert channel.typed == 1 and channel.history == []


async def test_typing_is_repeated_and_ends_with_the_first_text(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), FakeChannel()
    often = replace(delivery(store), typing_every_s=0)
    async with StreamingMessage(often, reply, channel, RUNNING, asyncio.Event()) as live:
        await channel.until(lambda: channel.typed >= 4)
        await settled(live, channel, "text")
        typed = channel.typed
        for _ in range(100):
            await asyncio.sleep(0)
        assert channel.typed == typed


async def test_every_call_to_a_chat_keeps_the_gap(store: DatabaseStore) -> None:
    reply, channel, clock = await claimed(store), FakeChannel(60, Pace(gap_s=0.5)), FakeClock()
    start = clock.now
    async with StreamingMessage(delivery(store, clock=clock), reply, channel, RUNNING, asyncio.Event()) as live:
        await live.finish(" ".join(["word"] * 30))
    assert len(channel.messages) == 3 and clock.now - start == 1.0


# Stubs, buttons, drafts


async def test_where_a_repeated_send_shows_twice_only_stubs_are_sent(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), FakeChannel(60, needs_placeholder=True)
    async with message(store, reply, channel) as live:
        await settled(live, channel, "one")
        await live.finish(" ".join(["word"] * 30))
    assert channel.history[:2] == [PLACEHOLDER, "one"] and channel.history.count(PLACEHOLDER) == 3
    assert " ".join(channel.messages.values()) == " ".join(["word"] * 30)


async def test_the_last_message_carries_what_may_be_pressed(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), FakeChannel(60)
    async with message(store, reply, channel) as live:
        await settled(live, channel, "one")
        assert channel.controls == {"1": RUNNING}
        await live.finish(" ".join(["word"] * 20), ENDED)
    assert list(channel.controls.values()) == [Controls(), ENDED]


async def test_drafts_show_what_is_not_finished_and_one_send_the_rest(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), FakeChannel()
    channel.drafts = True
    async with message(store, reply, channel) as live:
        live.write("one two")
        await channel.until(lambda: channel.drafted)
        await live.finish("one two three")
    assert (channel.drafted, channel.history) == (["one two"], ["one two three"])


async def test_drafts_are_for_new_messages_and_old_ones_are_edited(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), FakeChannel()
    async with message(store, reply, channel) as live:
        await live.finish("old")
    async with store.begin() as tx:
        reply = await tx.replies.get(reply.id)
    channel.drafts = True
    async with message(store, reply, channel) as live:
        await settled(live, channel, "one")
        live.write("")
        await settled(live, channel, " two")
    assert channel.drafted == [] and channel.messages == {"1": "one two"}


# Failures


@pytest.mark.parametrize("failure", [NotSent(0.01), Ambiguous()])
async def test_a_final_text_is_tried_until_it_is_taken(store: DatabaseStore, failure: Exception) -> None:
    reply, channel = await claimed(store), FakeChannel(needs_placeholder=True)
    channel.fails = [failure, None, failure, failure, None]
    async with StreamingMessage(delivery(store), reply, channel, Controls(), asyncio.Event()) as live:
        await live.finish("final")
    assert (channel.history, channel.messages) == ([PLACEHOLDER, "final"], {"1": "final"})


async def test_a_message_that_somebody_deleted_is_sent_again(store: DatabaseStore) -> None:
    reply, channel = await claimed(store), FakeChannel()
    async with message(store, reply, channel) as live:
        await settled(live, channel, "one")
        channel.messages.clear()
        await live.finish("one two")
    assert channel.messages == {"2": "one two"}
    async with store.begin() as tx:
        assert [chunk.message_id for chunk in (await tx.replies.get(reply.id)).chunks] == ["2"]


async def test_a_penalty_ends_the_previews_and_the_final_text_waits(store: DatabaseStore) -> None:
    reply, channel, clock = await claimed(store), FakeChannel(), FakeClock()
    channel.fails = [NotSent(0.5), None]
    start, paced = clock.now, delivery(store, clock=clock)
    async with StreamingMessage(paced, reply, channel, RUNNING, asyncio.Event()) as live:
        live.write("preview")
        await turns_until(lambda: paced.rate_limiter.is_held(channel.key))
        await live.finish("final")
    assert channel.history == ["final"] and clock.now - start == 0.5


async def test_who_can_not_be_reached_is_noticed_while_it_grows(store: DatabaseStore) -> None:
    channel, lost = FakeChannel(needs_placeholder=True), asyncio.Event()
    channel.fails = [Unreachable()]
    async with StreamingMessage(delivery(store), await claimed(store), channel, RUNNING, lost) as live:
        async with limit():
            await lost.wait()
        with pytest.raises(Unreachable):
            await live.finish("final")
    assert channel.history == []


async def test_a_message_gone_in_a_preview_costs_nothing(store: DatabaseStore) -> None:
    channel = FakeChannel()
    channel.fails = [MessageGone(), None]
    async with message(store, await claimed(store), channel) as live:
        live.write("one")
        await channel.until(lambda: channel.failed)
        await live.finish("one two")
    assert list(channel.messages.values()) == ["one two"]


class CountingChannel(FakeChannel):
    """Counts how often each text is formatted."""

    def __init__(self) -> None:
        super().__init__()
        self.formatted: list[str] = []

    def format(self, markdown: str) -> list[OutgoingMessage]:
        self.formatted.append(markdown)
        return super().format(markdown)


async def test_each_text_is_formatted_and_judged_once(store: DatabaseStore) -> None:
    reply, channel, judged = await claimed(store), CountingChannel(), list[str]()

    class Judging(OpenFilter):
        def check(self, text: str, policy: Policy) -> Verdict:
            judged.append(text)
            return super().check(text, policy)

    works_with = replace(delivery(store), filter=Judging())
    async with StreamingMessage(works_with, reply, channel, RUNNING, asyncio.Event()) as live:
        await settled(live, channel, "one")
        await settled(live, channel, " two")
        assert await live.allows("one two") and await live.permitted("one two") == "one two"
        await live.finish("one two", ENDED)
    assert channel.formatted == judged == ["one", "one two"]
    assert list(channel.messages.values()) == ["one two"]


async def test_a_penalty_that_comes_while_a_long_text_is_read_is_waited_for(store: DatabaseStore) -> None:
    clock, sent_at = FakeClock(), list[float]()
    works_with = delivery(store, clock=clock)

    class Penalised(FakeChannel):
        def format(self, markdown: str) -> list[OutgoingMessage]:
            if not self.history and clock() < 1030:  # somebody else has met it meanwhile
                works_with.rate_limiter.hold(self.key, 30)
            return super().format(markdown)

        async def send(self, index: int, message: OutgoingMessage, nonce: str) -> str:
            sent_at.append(clock())
            return await super().send(index, message, nonce)

    reply, channel = await claimed(store), Penalised()
    async with StreamingMessage(works_with, reply, channel, RUNNING, asyncio.Event()) as live:
        await settled(live, channel, "word " * 500)
    assert sent_at[0] >= 1030
