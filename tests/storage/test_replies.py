"""The work queue on a real database: the state table walked whole, the order of claims, the fence, the chunks."""

import itertools
from dataclasses import replace

import pytest

from core.delivery.withdrawal import discard, end_reply, withdraw
from core.domain.conversation import ChatId, Chunk, Reply
from core.domain.reply_states import OUTCOMES, Lane, ReplyEvent, State
from core.domain.store import Stale, Transaction, Unstorable
from core.inbound.backlog import EXPIRE_AFTER_MS, MERGE_AFTER_MS, expired, mergeable
from storage.store import DatabaseStore
from tests import drawn_states
from tests.fakes import BOB, CHAT, claim_next, incoming, owe
from tests.tables import each_row

pytestmark = pytest.mark.databases("sqlite", "postgresql")

OTHER = ChatId("fake", "2")
TO: dict[State, tuple[ReplyEvent, ...]] = {
    State.QUEUED: (),
    State.GENERATING: (ReplyEvent.CLAIM,),
    State.SENDING: (ReplyEvent.CLAIM, ReplyEvent.FINISH),
    State.CANCELLED: (ReplyEvent.STOP,),
    State.MERGED: (ReplyEvent.MERGE,),
    State.DONE: (ReplyEvent.CLAIM, ReplyEvent.FINISH, ReplyEvent.DELIVER),
    State.REFUSED: (ReplyEvent.CLAIM, ReplyEvent.FINISH, ReplyEvent.DELIVER),
    State.STOPPED: (ReplyEvent.CLAIM, ReplyEvent.FINISH, ReplyEvent.DELIVER),
    State.FAILED: (ReplyEvent.CLAIM, ReplyEvent.FAIL),
}
"""How a reply gets into each state."""


_numbers = itertools.count()


async def add(tx: Transaction, text: str, chat: ChatId = CHAT) -> Reply:
    reply = await owe(tx, incoming(text, chat=chat), Lane.NOTICE if text.startswith("/") else Lane.ANSWER)
    assert reply
    return reply


async def bring(store: DatabaseStore, row: str, outcome: State) -> Reply:
    """A reply in that row of docs/states.md in a chat of its own, its final text stored with that outcome."""
    chat = ChatId("fake", f"chat {next(_numbers)}")
    async with store.begin() as tx:
        match row:
            case drawn_states.PENDING:
                reply = await pending(tx, chat)
            case drawn_states.WAITING_REPEAT:
                reply = await waiting_repeat(tx, chat)
            case drawn_states.MARK_OWED:
                reply = await withdraw(tx, await pending(tx, chat))
            case _:
                reply = await walk(tx, await add(tx, "hello", chat), State(row), outcome)
    return reply


async def walk(tx: Transaction, reply: Reply, state: State, outcome: State = State.DONE) -> Reply:
    """Move a queued reply to a state."""
    for event in TO[state]:
        ended = {"outcome": state if state in OUTCOMES else outcome, "final": "said"}
        reply = await tx.replies.move(reply, event, **(ended if event is ReplyEvent.FINISH else {}))  # type: ignore[arg-type]
    assert reply.state is state
    return reply


async def pending(tx: Transaction, chat: ChatId) -> Reply:
    """Queued again after a crash, with a message."""
    reply = await walk(tx, await add(tx, "hello", chat), State.GENERATING)
    await tx.messages.add_intent(reply, "a-0")
    await tx.messages.set_id(reply, "a-0", "77")
    return await tx.replies.move(reply, ReplyEvent.CRASH)


async def waiting_repeat(tx: Transaction, chat: ChatId) -> Reply:
    """A /retry that waits."""
    begun = await tx.replies.move(await pending(tx, chat), ReplyEvent.CLAIM)
    await tx.turns.save_answer(begun, "said")
    await tx.replies.move(await tx.replies.move(begun, ReplyEvent.FINISH, final="said"), ReplyEvent.DELIVER)
    command = await tx.replies.move(await add(tx, "/retry", chat), ReplyEvent.CLAIM)
    question = await tx.turns.last_question(chat)
    assert question
    return await tx.replies.become_answer(command, question)


async def apply(tx: Transaction, reply: Reply, event: ReplyEvent) -> Reply:
    """Have an event happen as the program does. Raises Stale where it does not happen."""
    old = replace(reply, at=0)
    match event:
        case ReplyEvent.STOP | ReplyEvent.CLEAR:
            return await end_reply(tx, reply, event)
        case ReplyEvent.WITHDRAW:
            return await withdraw(tx, reply)
        case ReplyEvent.DISCARD:
            return await discard(tx, reply)
        case ReplyEvent.EXPIRE if reply.state is State.QUEUED:
            for batch in expired([old], EXPIRE_AFTER_MS):
                return await tx.recovery.expire(batch.into, batch.others, "too late")
            raise Stale("it is never too old")
        case ReplyEvent.MERGE if reply.state is State.QUEUED:
            if not mergeable([old, replace(old, chunks=(), reply_token="", attempt=0)], MERGE_AFTER_MS):
                raise Stale("it stays alone")
    return await tx.replies.move(reply, event)


@each_row(("row", "event"), itertools.product(drawn_states.ROWS, ReplyEvent))
async def test_every_event_in_every_state(store: DatabaseStore, row: str, event: ReplyEvent) -> None:
    """As docs/states.md draws it."""
    reply, cell = await bring(store, row, State.STOPPED), drawn_states.drawn()[row, event]
    expected = {"-": reply.state, "outcome": State.STOPPED}.get(cell) or State(cell)
    if cell == "-":
        with pytest.raises(Stale):
            async with store.begin() as tx:
                await apply(tx, reply, event)
    else:
        async with store.begin() as tx:
            moved = await apply(tx, reply, event)
        is_withdrawn = moved.outcome is State.CANCELLED and reply.state is State.QUEUED
        assert moved.attempt == reply.attempt + (event is ReplyEvent.CLAIM or is_withdrawn)
        if event is ReplyEvent.CLAIM or (event in (ReplyEvent.STOP, ReplyEvent.CLEAR) and moved.state.open):
            assert moved.outcome is (None if event is ReplyEvent.CLAIM else State.STOPPED) or is_withdrawn
    async with store.begin() as tx:
        assert (await tx.replies.get(reply.id)).state is expected


@each_row("outcome", OUTCOMES)
async def test_a_delivery_leads_to_the_stored_outcome(store: DatabaseStore, outcome: State) -> None:
    reply = await bring(store, State.SENDING, outcome)
    async with store.begin() as tx:
        assert (await tx.replies.move(reply, ReplyEvent.DELIVER)).state is outcome


async def test_what_is_done_keeps_no_text_but_the_history(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        reply = await owe(tx, replace(incoming("/system be a pirate"), reply_token="1::key"), Lane.NOTICE)
        assert reply and (reply.text, reply.reply_token) == ("/system be a pirate", "1::key")
        for event in TO[State.DONE]:
            reply = await tx.replies.move(reply, event, final="ok")
    assert (reply.text, reply.reply_token, reply.final) == ("", "", None)


async def test_a_stale_attempt_changes_nothing(store: DatabaseStore) -> None:
    first = await bring(store, State.GENERATING, State.DONE)
    async with store.begin() as tx:
        await tx.replies.move(await tx.replies.move(first, ReplyEvent.CRASH), ReplyEvent.CLAIM)
    for work in (ReplyEvent.FINISH, ReplyEvent.FAIL):
        with pytest.raises(Stale):
            async with store.begin() as tx:
                await tx.replies.move(first, work)
    with pytest.raises(Stale):
        async with store.begin() as tx:
            await tx.messages.add_intent(first, "nonce")


async def test_the_same_message_is_stored_once(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        assert await owe(tx, incoming("hello", external_id="m:7"), Lane.ANSWER)
        assert await owe(tx, incoming("hello", external_id="m:7"), Lane.ANSWER) is None
    async with store.begin() as tx:
        assert await owe(tx, incoming("hello", external_id="m:7"), Lane.ANSWER) is None
        assert len(await tx.replies.open_answers(CHAT)) == 1


async def test_one_answer_a_conversation_least_recently_served_first(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        first, second = await add(tx, "one"), await add(tx, "two")
        other = await add(tx, "three", OTHER)
        claimed = [await claim_next(tx, now=1000 + i) for i in range(3)]
        assert [reply and reply.id for reply in claimed] == [first.id, other.id, None]
        await tx.replies.move(await tx.replies.get(other.id), ReplyEvent.FAIL)
        await tx.replies.move(await tx.replies.get(first.id), ReplyEvent.FAIL)
        late = await add(tx, "four", OTHER)
        claimed = [await claim_next(tx, now=2000 + i) for i in range(2)]
        assert [reply and reply.id for reply in claimed] == [second.id, late.id]


async def test_the_chat_that_was_served_longest_ago_is_next(store: DatabaseStore) -> None:
    third = ChatId("fake", "3")
    async with store.begin() as tx:
        for at, chat in ((10, OTHER), (20, third), (30, CHAT)):  # served at these times
            await add(tx, "before", chat)
            served = await claim_next(tx, now=at)
            assert served and served.chat == chat
            await tx.replies.move(served, ReplyEvent.FAIL)
        for chat in (CHAT, OTHER, third):
            await add(tx, "now", chat)
        claimed = [await claim_next(tx, now=40 + i) for i in range(3)]
        assert [reply and reply.chat for reply in claimed] == [OTHER, third, CHAT]


async def test_what_belongs_to_a_platform_that_is_not_served_waits(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        reply = await add(tx, "one")
        await add(tx, "/temp")
        assert [await claim_next(tx, lane, platform="other") for lane in Lane] == [None] * len(Lane)
        await tx.replies.move(reply, ReplyEvent.CLAIM)
        assert await tx.recovery.recover("other") == []
        assert (await tx.replies.get(reply.id)).state is State.GENERATING


async def test_an_answer_waits_for_earlier_commands_and_a_command_for_no_answer(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        running = await add(tx, "one")
        await claim_next(tx, now=1)
        command, question = await add(tx, "/temp 0"), await add(tx, "two")
        await tx.replies.move(await tx.replies.get(running.id), ReplyEvent.FAIL)
        assert await claim_next(tx, now=2) is None
        claimed = await claim_next(tx, Lane.NOTICE, now=2)
        assert claimed and claimed.id == command.id
        claimed = await tx.replies.move(claimed, ReplyEvent.FINISH, final="ok")
        assert await claim_next(tx, now=3) is None
        await tx.replies.move(claimed, ReplyEvent.DELIVER)
        answer = await claim_next(tx, now=4)
        assert answer and answer.id == question.id


async def test_commands_of_a_conversation_come_in_order(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        first, _, third = [await add(tx, t, c) for t, c in (("/temp 0", CHAT), ("/temp 1", CHAT), ("/temp", OTHER))]
        claimed = [await claim_next(tx, Lane.NOTICE, now=1) for _ in range(3)]
        assert [reply and reply.id for reply in claimed] == [first.id, third.id, None]


async def test_the_database_itself_refuses_a_second_active_answer(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        for text in ("one", "two"):
            await add(tx, text)
    with pytest.raises(Unstorable):
        async with store.begin() as tx:
            for reply in await tx.replies.open_answers(CHAT):
                await tx.replies.move(reply, ReplyEvent.CLAIM)


async def test_intents_and_message_ids_survive(store: DatabaseStore) -> None:
    reply = await bring(store, State.GENERATING, State.DONE)
    async with store.begin() as tx:
        await tx.messages.add_intent(reply, "a-0")
        await tx.messages.add_intent(reply, "a-1")
        await tx.messages.set_id(reply, "a-0", "77")
    async with store.begin() as tx:
        assert (await tx.replies.get(reply.id)).chunks == (Chunk("a-0", "77"), Chunk("a-1"))


async def test_a_crash_requeues_what_was_generated_and_keeps_its_messages(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        await add(tx, "one")
        reply = await claim_next(tx, now=1)
        assert reply
        await tx.messages.add_intent(reply, "a-0")
        await tx.messages.set_id(reply, "a-0", "77")
        sending = await add(tx, "two", OTHER)
        sending = await tx.replies.move(
            await tx.replies.move(sending, ReplyEvent.CLAIM), ReplyEvent.FINISH, final="said"
        )
    async with store.begin() as tx:
        assert [(reply.id, reply.state) for reply in await tx.recovery.recover("fake")] == [(sending.id, State.SENDING)]
        again = await claim_next(tx, now=2)
        assert again and again.id == reply.id and again.attempt == 2 and again.chunks == (Chunk("a-0", "77"),)


async def test_what_was_stopped_before_a_crash_is_not_generated_again(store: DatabaseStore) -> None:
    reply = await bring(store, State.GENERATING, State.DONE)
    async with store.begin() as tx:
        await tx.replies.move(reply, ReplyEvent.STOP)
    async with store.begin() as tx:
        (found,) = await tx.recovery.recover("fake")
        assert (found.state, found.outcome) == (State.GENERATING, State.STOPPED)


async def test_the_load_counts_answers_only(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        for text in ("one", "two", "/temp"):
            await add(tx, text)
        await claim_next(tx, now=1)
        assert await tx.replies.count_active() == (1, 1)


async def test_a_reply_knows_its_author(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        reply = await owe(tx, incoming("xin chào", BOB, private=False), Lane.ANSWER)
        assert reply and (reply.author, reply.private) == (BOB, False)
        assert reply.asker and reply.asker.name == "Bob"
