"""What was dealt with long ago is deleted, in small steps between which everything else goes on."""

import asyncio
import logging

from core.dispatch.environment import Environment
from core.domain.store import Pruned, Transaction
from core.runtime.retry import until_stored
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

STEP_ROWS = 100
"""Replies that one transaction looks at: some milliseconds."""
DAY_S = 24 * 3600.0


class Bookkeeping:
    """Prunes messages and their replies once they have been done for so many days. Turns and settings stay."""

    def __init__(self, environment: Environment) -> None:
        self._env = environment

    async def run(self) -> None:
        """Go through all replies every few hours, without end."""
        timing = self._env.timing
        if not timing.kept_days:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(timing.prune_every_s)
            try:
                count = await self._prune()
            except Exception as error:  # the bot goes on; the next round tries again
                log.error("what is done can't be pruned\n%s", safe_traceback(error))
            else:
                if count:
                    log.info("%d messages that were done for %d days are deleted", count, timing.kept_days)

    async def _prune(self) -> int:
        after: int | None = 0
        count = 0
        while after is not None:
            pruned = await self._step(after)
            after, count = pruned.after, count + pruned.count
            await asyncio.sleep(self._env.timing.prune_pause_s)
        return count

    async def _step(self, after: int) -> Pruned:
        before = self._env.now() - round(self._env.timing.kept_days * DAY_S * 1000)

        async def prune(tx: Transaction) -> Pruned:
            return await tx.bookkeeping.prune(before, after, STEP_ROWS)

        return await until_stored(self._env.store, "bookkeeping", prune, self._env.timing.database_backoff)
