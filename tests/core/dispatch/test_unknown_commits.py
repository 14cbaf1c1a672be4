"""A database that is lost in mid-commit: what was asked may be stored or not, and the bot does not know which."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from core.domain.conversation import Reply
from core.domain.reply_states import State
from core.domain.store import Store, Transaction, Unavailable
from storage.database import open_database
from storage.store import DatabaseStore
from tests.conftest import QUICK, Bot, running_bot
from tests.fakes import FakeModel, incoming
from tests.watching import history, now

SAID = ("/temp 0.1", "one two", "/undo", "three")


class DoubtfulStore:
    """Its nth commit is lost: done (or not) and answered with an error, as a cut connection would."""

    def __init__(self, store: Store, nth: int, *, stored: bool) -> None:
        self._store, self._nth, self._stored = store, nth, stored
        self.commits = 0

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        async with self._store.begin() as tx:
            yield tx
            self.commits += 1
            if lost := self.commits == self._nth and not self._stored:
                raise Unavailable("before it was stored")
        if not lost and self.commits == self._nth:
            raise Unavailable("after it was stored")


@asynccontextmanager
async def doubtful(database: str, nth: int, *, stored: bool) -> AsyncIterator[tuple[Bot, DoubtfulStore]]:
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        trouble = DoubtfulStore(store, nth, stored=stored)
        async with running_bot(trouble, store, FakeModel(), timing=QUICK) as bot:
            yield bot, trouble


async def say(bot: Bot, text: str) -> Reply:
    """As an adapter does: what can't be stored is handed over again, and its outcome is asked of a whole store."""
    message, reply = incoming(text), None
    for _ in range(3):
        try:
            reply = await bot.service.ingest.accept(message) or reply
            break
        except Unavailable:
            continue

    async def find() -> Reply | None:
        async with bot.store.begin() as tx:
            found = await tx.replies.find(reply.id if reply else SAID.index(text) + 1)
        return found if found and not found.state.open else None

    await bot.commits.until_stored(find)
    found = await find()
    assert found
    return found


QUICK_ONES = ((4, True), (7, False))
LOST = [
    pytest.param(nth, stored, marks=() if (nth, stored) in QUICK_ONES else pytest.mark.slow)
    for nth, stored in [*((nth, True) for nth in range(1, 31)), *((nth, False) for nth in range(1, 31, 6))]
]


@pytest.mark.parametrize(("nth", "stored"), LOST)
async def test_each_thing_happens_once(database: str, nth: int, stored: bool) -> None:
    async with doubtful(database, nth, stored=stored) as (bot, store):
        replies = [await say(bot, text) for text in SAID]
        assert [await now(bot, reply) for reply in replies] == [State.DONE] * len(SAID)
        assert [(turn.question, turn.answer) for turn in await history(bot)] == [("three",) * 2]
        shown = [bot.platform.text(reply) for reply in replies]
        assert (shown[1], shown[3]) == ("one two", "three")
        assert shown[0].endswith("→ 0.1.") and "one two" in shown[2]
        assert all(len(channel.messages) == 1 for channel in bot.platform.channels.values())
        assert store.commits >= nth, "the fault was met"
