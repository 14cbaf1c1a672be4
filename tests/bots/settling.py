"""When a bot has come to rest: what a test waits for that shows that something does not happen."""

import itertools
from typing import Protocol

from core.domain.reply_states import Lane
from core.domain.store import Store
from storage.store import DatabaseStore
from tests.changes import WatchedStore
from tests.fakes import FakeModel, FlakyStore
from tests.waiting import idle, until_answer


class TroubledStore(WatchedStore):
    """A store whose next commits fail, as many as `fails` says."""

    def __init__(self, store: Store) -> None:
        self._flaky = FlakyStore(store)
        super().__init__(self._flaky)

    @property
    def fails(self) -> int:
        return self._flaky.fails

    @fails.setter
    def fails(self, commits: int) -> None:
        self._flaky.fails = commits


class Watched(Protocol):
    """A bot, as far as its rest needs it."""

    store: DatabaseStore
    trouble: TroubledStore
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
