"""Reads store nothing: a look at a chat, a person or an account that is not stored leaves every table empty."""

import inspect
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import func, select

from core.domain.conversation import Author, ChatId, QueueLoad, Reply
from core.domain.reply_states import Lane, State
from core.domain.store import Claimed
from storage.store import DatabaseStore, SqlTransaction
from storage.tables import metadata
from tests.fakes import incoming
from tests.tables import each_row

pytestmark = pytest.mark.databases("sqlite", "postgresql")

CHAT = ChatId("fake", "unknown", "topic")
MESSAGE = incoming("hello", chat=CHAT)
REPLY = Reply(9, CHAT, True, 1, Lane.ANSWER, State.QUEUED, 0, Author("a", "A"), "why?", "bot", "m:1", 1)

Read = Callable[[SqlTransaction], Awaitable[object]]
READS: dict[str, tuple[Read, object]] = {
    "inbox.stored_keys": (lambda tx: tx.inbox.stored_keys([MESSAGE]), set()),
    "inbox.queue_load": (lambda tx: tx.inbox.queue_load([MESSAGE], 0, ["fake"]), QueueLoad({CHAT: 0}, 0, {})),
    "replies.find": (lambda tx: tx.replies.find(9), None),
    "replies.open_answers": (lambda tx: tx.replies.open_answers(CHAT), []),
    "inbox.find_question": (lambda tx: tx.inbox.find_question("fake", "bot", "m:1"), None),
    "replies.open_commands": (lambda tx: tx.replies.open_commands(CHAT), []),
    "replies.longest_waiting": (lambda tx: tx.replies.longest_waiting(["fake"], 5), []),
    "replies.count_active": (lambda tx: tx.replies.count_active(), (0, 0)),
    "messages.exists": (lambda tx: tx.messages.exists("fake", "unknown", "7"), False),
    "recovery.delayed": (lambda tx: tx.recovery.delayed("fake", 0), []),
    "recovery.backlog": (lambda tx: tx.recovery.backlog("fake", 0), []),
    "recovery.newest_id": (lambda tx: tx.recovery.newest_id(), 0),
    "recovery.superseded_answers": (lambda tx: tx.recovery.superseded_answers(CHAT, 1), []),
    "recovery.superseded": (lambda tx: tx.recovery.superseded("fake", 5, 1), []),
    "turns.recent": (lambda tx: tx.turns.recent(CHAT, 1, 5), []),
    "turns.answer_to": (lambda tx: tx.turns.answer_to(1), None),
    "turns.is_truncated": (lambda tx: tx.turns.is_truncated(1), False),
    "turns.last_question": (lambda tx: tx.turns.last_question(CHAT), None),
    "preferences.settings": (lambda tx: tx.preferences.settings(CHAT), {}),
    "preferences.language": (lambda tx: tx.preferences.language("fake", "ann"), "auto"),
    "preferences.languages": (lambda tx: tx.preferences.languages("fake", 5), {}),
    "chats.active": (lambda tx: tx.chats.active("fake"), []),
    "accounts.logins_since": (lambda tx: tx.accounts.logins_since("fake", "bot", 0), []),
    "accounts.menu_fingerprint": (lambda tx: tx.accounts.menu_fingerprint("fake", "bot"), ""),
}
"""Every read, with what it returns where nothing is stored. `replies.get` raises: see below."""
CHANGES: dict[str, tuple[Read, object]] = {
    "replies.claim": (lambda tx: tx.replies.claim(Lane.ANSWER, ["fake"], 1, 5), Claimed((), waiting=False)),
    "recovery.recover": (lambda tx: tx.recovery.recover("fake"), []),
    "recovery.find_orphaned": (lambda tx: tx.recovery.find_orphaned(["fake"], [], 1), []),
    "inbox.edit_question": (lambda tx: tx.inbox.edit_question(MESSAGE), False),
    "inbox.add": (lambda tx: tx.inbox.add([]), []),
    "preferences.delete": (lambda tx: tx.preferences.delete(CHAT, "memory"), None),
    "chats.deactivate": (lambda tx: tx.chats.deactivate("fake", "unknown"), []),
    "chats.change_id": (lambda tx: tx.chats.change_id("fake", "unknown", "other"), None),
    "turns.delete_pair": (lambda tx: tx.turns.delete_pair(1), None),
    "turns.delete_unanswered": (lambda tx: tx.turns.delete_unanswered(1), None),
}
"""What changes only rows that are there."""
WRITES = {
    "replies.get", "replies.move", "replies.deliver", "replies.become_answer", "replies.requeue",
    "replies.delay", "messages.add_intent", "messages.set_id", "messages.remove", "inbox.set_merged_into",
    "recovery.merge", "recovery.expire", "turns.save_answer", "turns.clear", "preferences.set",
    "preferences.set_language", "accounts.record_login", "accounts.set_menu_fingerprint", "bookkeeping.prune",
}  # fmt: skip
"""The others: they need a stored reply, or store something."""


async def row_counts(tx: SqlTransaction) -> dict[str, int]:
    counts = {name: select(func.count()).select_from(table) for name, table in metadata.tables.items()}
    return {name: (await tx.replies._connection.execute(count)).scalar_one() for name, count in counts.items()}


@each_row("name", READS | CHANGES)
async def test_a_look_at_what_is_not_stored_stores_nothing(store: DatabaseStore, name: str) -> None:
    call, empty = (READS | CHANGES)[name]
    async with store.begin() as tx:
        found = await call(tx)
    assert found == empty
    async with store.begin() as tx:
        assert set((await row_counts(tx)).values()) == {0}


async def test_the_latest_chat_of_an_empty_store(store: DatabaseStore) -> None:
    assert await store.latest_chat("fake") is None
    async with store.begin() as tx:
        assert set((await row_counts(tx)).values()) == {0}


async def test_an_unknown_reply_is_an_error(store: DatabaseStore) -> None:
    with pytest.raises(LookupError):
        async with store.begin() as tx:
            await tx.replies.get(9)


async def test_every_method_of_the_store_is_sorted(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        methods = {
            f"{repository}.{name}"
            for repository, instance in vars(tx).items()
            for name, _ in inspect.getmembers(type(instance), inspect.isfunction)
            if not name.startswith("_")
        }
    assert methods == READS.keys() | CHANGES.keys() | WRITES
