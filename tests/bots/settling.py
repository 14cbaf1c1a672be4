"""When a bot has come to rest: what a test waits for that shows that something does not happen."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from core.domain.reply_states import Lane
from core.domain.store import Transaction, Unavailable
from storage.store import DatabaseStore
from tests.fakes import FakeModel, FlakyStore
from tests.waiting import idle, until_answer


class WatchedStore(FlakyStore):
    """Counts its transactions."""

    under_way = ended = 0
    failing = False
    """Whether the last one failed."""

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        self.under_way += 1
        try:
            async with super().begin() as tx:
                yield tx
            self.failing = False
        except Unavailable:
            self.failing = True
            raise
        finally:
            self.under_way -= 1
            self.ended += 1


class Watched(Protocol):
    """A bot, as far as its rest needs it."""

    store: DatabaseStore
    trouble: WatchedStore
    model: FakeModel


async def settled(bot: Watched) -> None:
    """Return once all that was told is stored, and all that is owed is shown, or waits for a model that is held."""
    await _resting(bot)
    await until_answer(lambda: _nothing_owed(bot), lambda: (bot.trouble.ended, bot.model.running))
    await _resting(bot)


async def _resting(bot: Watched) -> None:
    await idle(lambda: not bot.trouble.under_way and not bot.trouble.failing)


async def _nothing_owed(bot: Watched) -> bool:
    held = bot.model.gate is not None and bot.model.gate.locked() and bot.model.running > 0
    async with bot.store.begin() as tx:
        for id in itertools.count(1):
            if (reply := await tx.replies.find(id)) is None:
                return True
            if reply.state.open and not (held and reply.lane is Lane.ANSWER):
                return False
    raise AssertionError
