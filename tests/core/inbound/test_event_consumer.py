"""The events of an adapter: stored in the order of their chat, acknowledged with what became of them."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from typing import cast

import pytest
from sqlalchemy import text

from core.commands.button_payloads import InertPayload
from core.commands.press import PressResult
from core.domain.conversation import ChatId, Incoming, Reply
from core.domain.permissions import Access
from core.domain.reply_states import Lane
from core.domain.store import Unavailable
from core.i18n import t
from core.i18n.person_language import PersonLanguages
from core.inbound.event_consumer import MAX_ODD_FAILURES, EventConsumer
from core.inbound.events import (
    Acceptance,
    BotAdded,
    BotRemoved,
    ButtonPressed,
    CaughtUp,
    ChatMoved,
    Event,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    PressReceipt,
    Receipt,
)
from core.inbound.ingest import Ingest
from storage.store import DatabaseStore
from tests.changes import turns_until
from tests.core.inbound.consuming import (
    OTHER,
    QUICK,
    Buttons,
    Chats,
    ScriptedAdapter,
    consumed,
    press,
    received,
)
from tests.fakes import ANN, BOB, CHAT, incoming, owe
from tests.patience import LIMIT_S
from tests.sweeps import some_quick
from tests.tables import each_row


async def test_messages_are_stored_in_order_and_in_few_commits(store: DatabaseStore) -> None:
    texts = [f"message {number}" for number in range(50)]
    async with consumed(store) as made:
        receipts = await made.adapter.tell(*received(texts), *received(["elsewhere"], OTHER))
        assert {receipt.acceptance for receipt in receipts} == {Acceptance.STORED}
        assert [receipt.reply.text for receipt in receipts if receipt.reply] == [*texts, "elsewhere"]
        assert [text for text in made.texts if text != "elsewhere"] == texts
        assert made.store.transactions <= 3


async def test_what_is_stored_already_is_ignored(store: DatabaseStore) -> None:
    async with consumed(store) as made:
        event = MessageReceived(message := incoming("once"))
        receipts = await made.adapter.tell(event, MessageReceived(message))
        assert [receipt.acceptance for receipt in receipts] == [Acceptance.STORED, Acceptance.IGNORED]


async def test_a_database_in_trouble_changes_no_order(store: DatabaseStore) -> None:
    async with consumed(store) as made:
        made.store.failures = [Unavailable()] * 5
        receipts = await made.adapter.tell(*received(["one", "two", "three"]))
        assert made.texts == ["one", "two", "three"]
        assert all(receipt.acceptance is Acceptance.STORED for receipt in receipts)


async def test_one_message_in_trouble_changes_no_order_of_its_chat(store: DatabaseStore) -> None:
    """The batch fails, then the first message alone, for another reason than the database's own trouble."""
    async with consumed(store) as made:
        made.store.failures = [KeyError(), KeyError()]
        receipts = await made.adapter.tell(*received(["one", "two", "three"]), *received(["elsewhere"], OTHER))
        assert {receipt.acceptance for receipt in receipts} == {Acceptance.STORED}
        assert [text for text in made.texts if text != "elsewhere"] == ["one", "two", "three"]


async def test_a_commit_that_has_begun_decides(store: DatabaseStore) -> None:
    """Nobody may be told that their message is not stored when it may be."""
    async with consumed(store) as made:
        made.store.after_commit = asyncio.Event()
        accepting = asyncio.create_task(made.ingest.accept(incoming("/temp 1")))
        await made.store.committed.wait()
        accepting.cancel()
        await asyncio.sleep(0)
        assert not accepting.done()
        made.store.after_commit.set()
        reply = await accepting
        assert reply and reply.text == "/temp 1"


class Committing:
    """An ingest whose commit has begun when it is cancelled."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply

    async def accept(self, incoming: Incoming) -> Reply:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return self.reply


async def test_what_is_stored_after_its_deadline_all_the_same_is_told_so(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        reply = await owe(tx, incoming("/temp 1"), Lane.NOTICE)
    assert reply
    adapter = ScriptedAdapter()
    consumer = EventConsumer(cast(Ingest, Committing(reply)), Buttons(), Chats(), PersonLanguages(store), QUICK)
    consuming = asyncio.create_task(consumer.run(adapter))
    assert await adapter.tell(MessageReceived(incoming("/temp 1"), deadline_s=0.001)) == [
        Receipt(Acceptance.STORED, reply=reply)
    ]
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)


FORBIDS = """
CREATE TRIGGER forbids BEFORE INSERT ON messages WHEN NEW.text = 'forbidden' BEGIN SELECT RAISE(ABORT, 'a rule'); END
"""
"""Every insert of this text breaks a rule of the database, as a bug would."""


async def test_poison_is_set_aside_and_its_neighbours_are_stored(store: DatabaseStore) -> None:
    async with consumed(store) as made:
        too_large = MessageReceived(replace(incoming("poison"), seq=2**70))
        before, forbidden, after = received(["before", "forbidden", "after"])
        async with store.begin() as tx:
            await tx.replies._connection.execute(text(FORBIDS))
        receipts = await made.adapter.tell(before, too_large, forbidden, after)
        assert [receipt.acceptance for receipt in receipts] == [
            Acceptance.STORED, Acceptance.REJECTED, Acceptance.REJECTED, Acceptance.STORED
        ]  # fmt: skip
        assert made.texts == ["before", "after"]


async def test_an_edit_waits_for_its_message_and_a_move_for_both(store: DatabaseStore) -> None:
    async with consumed(store) as made:
        message = incoming("tpyo")
        edited = MessageEdited(replace(message, text="typo"))
        moved = ChatMoved("fake", message.chat.chat, "new")
        await made.adapter.tell(MessageReceived(message), edited, moved)
        async with store.begin() as tx:
            assert [reply.text for reply in await tx.replies.open_answers(message.chat)] == ["typo"]
        assert made.chats.done == [("move", message.chat.chat, "new")]


async def test_what_is_written_in_the_new_chat_waits_for_the_move(store: DatabaseStore) -> None:
    old, new = CHAT, ChatId("fake", "new")
    async with consumed(store) as made:
        made.chats.gate = asyncio.Event()
        events: list[Event] = [
            *received(["before"], old), ChatMoved("fake", old.chat, new.chat), *received(["after"], new),
            ChatMoved("fake", new.chat, old.chat), *received(["back"], old),
        ]  # fmt: skip
        telling = asyncio.create_task(made.adapter.tell(*events, *received(["elsewhere"], OTHER)))
        await turns_until(lambda: "elsewhere" in made.texts)
        assert "after" not in made.texts and "back" not in made.texts
        made.chats.gate.set()
        assert {receipt.acceptance for receipt in await telling} == {Acceptance.STORED}
        assert [text for text in made.texts if text != "elsewhere"] == ["before", "after", "back"]
        assert made.chats.done == [("move", old.chat, "new"), ("move", "new", old.chat)]


async def test_chats_that_are_left_and_platforms_that_have_caught_up(store: DatabaseStore) -> None:
    async with consumed(store) as made:
        made.chats.failures = [Unavailable(), Unavailable()]
        events = BotAdded("fake", "7"), BotRemoved("fake", "7"), MessageDeleted(CHAT, "bot", "m:1")
        receipts = await made.adapter.tell(*events)
        assert [receipt.acceptance for receipt in receipts] == [
            Acceptance.IGNORED, Acceptance.STORED, Acceptance.STORED
        ]  # fmt: skip
        await made.adapter.tell(CaughtUp("fake"))
        assert made.chats.done == [("leave", "7"), ("settle", "fake")]


TROUBLE = [
    (Unavailable, Acceptance.STORED),
    (OSError, Acceptance.STORED),
    (RuntimeError, Acceptance.STORED),
    (KeyError, Acceptance.REJECTED),
    (TypeError, Acceptance.REJECTED),
    (OverflowError, Acceptance.REJECTED),
]


@pytest.mark.parametrize(
    ("error", "acceptance"),
    [pytest.param(*each, marks=() if each[0] in (Unavailable, KeyError) else pytest.mark.slow) for each in TROUBLE],
)
async def test_trouble_is_waited_for_and_poison_is_not(
    store: DatabaseStore, error: type[Exception], acceptance: Acceptance, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with consumed(store) as made:
        made.chats.failures = [error() for _ in range(19)]
        [receipt] = await made.adapter.tell(BotRemoved("fake", "7"))
        assert receipt.acceptance is acceptance
        assert ("set aside" in caplog.text) is (acceptance is Acceptance.REJECTED)
        assert len(made.chats.failures) == (19 - MAX_ODD_FAILURES if acceptance is Acceptance.REJECTED else 0)


async def test_what_has_a_deadline_is_stored_at_once_or_not_at_all(store: DatabaseStore) -> None:
    async with consumed(store) as made:
        [receipt] = await made.adapter.tell(MessageReceived(incoming("/temp 0"), deadline_s=LIMIT_S))
        assert receipt.acceptance is Acceptance.STORED and receipt.reply
        blocked = MessageReceived(incoming("hi", private=False), deadline_s=LIMIT_S, answerable=False)
        [receipt] = await made.adapter.tell(blocked)
        assert receipt.acceptance is Acceptance.UNANSWERABLE
        made.store.gate = asyncio.Event()
        late = incoming("/temp 1")
        [receipt] = await made.adapter.tell(MessageReceived(late, deadline_s=0.05))
        assert receipt.acceptance is Acceptance.UNAVAILABLE
        made.store.gate.set()
        [receipt] = await made.adapter.tell(*received(["after it"]))
        assert receipt.reply and receipt.reply.text == "after it"
        async with store.begin() as tx:
            assert not await tx.inbox.stored_keys([late]), "the person was told that it is not stored"


STRANGERS = Access(users=frozenset({BOB.id}))


@pytest.mark.parametrize("event", some_quick(["message", "deadline", "unanswerable", "press"], ["message", "press"]))
async def test_strangers_are_told_so_in_their_own_language(store: DatabaseStore, event: str) -> None:
    async with store.begin() as tx:
        await tx.preferences.set_language("fake", ANN.id, "vi", 0)
    async with consumed(store, STRANGERS) as made:
        message = incoming("hi", private=False)
        events: dict[str, Event] = {
            "message": MessageReceived(message),
            "deadline": MessageReceived(message, deadline_s=LIMIT_S),
            "unanswerable": MessageReceived(message, answerable=False),
            "press": ButtonPressed(press()),
        }
        [receipt] = await made.adapter.tell(events[event])
        assert receipt.acceptance is Acceptance.NOT_ADMITTED and not made.stored
        assert receipt.language == "vi" or event == "message"  # nobody is told anything about that one
        if isinstance(receipt, PressReceipt):
            assert receipt.result == PressResult(t("vi", "refused.access", user=f"fake:{ANN.id}"), alert=True)


async def test_where_the_bot_may_not_write_nothing_is_stored(store: DatabaseStore) -> None:
    async with consumed(store) as made:
        blocked = MessageReceived(incoming("hi", private=False), answerable=False)
        receipts = await made.adapter.tell(blocked, *received(["elsewhere"], OTHER))
        assert [receipt.acceptance for receipt in receipts] == [Acceptance.UNANSWERABLE, Acceptance.STORED]
        assert made.texts == ["elsewhere"]


async def test_presses_are_answered_whatever_happens(store: DatabaseStore) -> None:
    async with consumed(store) as made:
        [receipt] = await made.adapter.tell(ButtonPressed(press()))
        assert isinstance(receipt, PressReceipt) and receipt.result == PressResult("pressed 1")
        busy = PressResult(t("en", "error.busy"), alert=True)
        made.buttons.failure = ValueError()
        inert = replace(press(), payload=InertPayload())
        [receipt] = await made.adapter.tell(ButtonPressed(inert))
        assert isinstance(receipt, PressReceipt) and receipt.result == PressResult()
        [receipt] = await made.adapter.tell(ButtonPressed(press()))
        assert isinstance(receipt, PressReceipt) and receipt.result == busy
        made.buttons.failure, made.buttons.never = None, asyncio.Event()
        [receipt] = await made.adapter.tell(ButtonPressed(press(), deadline_s=0.05))
        assert (receipt.acceptance, isinstance(receipt, PressReceipt) and receipt.result) == (
            Acceptance.UNAVAILABLE, busy
        )  # fmt: skip


async def test_a_picture_without_words_gets_one_line_in_private_and_silence_in_groups(store: DatabaseStore) -> None:
    async with consumed(store) as made:
        messages = [replace(incoming("", private=private), has_unseen_media=True) for private in (True, False)]
        receipts = await made.adapter.tell(*map(MessageReceived, messages))
        assert [receipt.acceptance for receipt in receipts] == [Acceptance.STORED, Acceptance.IGNORED]
        assert [reply.final for reply in made.stored] == [t("en", "media.only_text")]


@each_row("language", ["en", "vi"])
async def test_a_question_about_a_picture_says_so_in_the_persons_language(store: DatabaseStore, language: str) -> None:
    async with store.begin() as tx:
        await tx.preferences.set_language("fake", ANN.id, language, 0)
    async with consumed(store) as made:
        await made.adapter.tell(MessageReceived(replace(incoming("what is it?"), has_unseen_media=True)))
        assert made.texts == [f"what is it?\n\n{t(language, 'media.unseen')}"]


def test_a_receipt_is_given_once() -> None:
    async def twice() -> Receipt:
        event = MessageReceived(_message())
        event.acknowledge(Receipt(Acceptance.STORED))
        event.acknowledge(Receipt(Acceptance.REJECTED))
        return await event.acknowledged()

    assert asyncio.run(twice()) == Receipt(Acceptance.STORED)


def _message() -> Incoming:
    return incoming("hi")
