"""Replies that the last process, an absence or a lost commit has left behind."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from core.dispatch.dispatcher import Dispatcher
from core.dispatch.environment import Environment
from core.domain.conversation import Reply
from core.domain.platform import Platform
from core.domain.reply_states import Lane
from core.domain.store import Transaction
from core.i18n import t
from core.i18n.person_language import read_language
from core.inbound.backlog import expired, mergeable
from core.runtime.failpoints import failpoint
from core.runtime.retry import until_stored
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)


class ReplyRecovery:
    """Takes up what was left behind: at the start of a platform, once its backlog is stored, and every few seconds.

    `started`: milliseconds UTC; what was asked before waited while the bot was away.
    """

    def __init__(self, environment: Environment, dispatcher: Dispatcher, started: int) -> None:
        self._env, self._dispatcher, self._started = environment, dispatcher, started
        self._settled: asyncio.Queue[str] = asyncio.Queue()

    async def serve(self, platform: Platform) -> None:
        """Run a platform's replies from now on, those that were left unfinished first.

        Its questions are answered from `settle` on.
        """
        unfinished, delayed = await until_stored(
            self._env.store,
            f"what is unfinished on {platform.name}",
            partial(self._recover, platform),
            self._env.timing.database_backoff,
        )
        for reply, until in delayed:
            self._env.rate_limiter.hold(platform.channel(reply).key, (until - self._env.now()) / 1000)
        self._env.platforms[platform.name] = platform
        self._dispatcher.stored(unfinished)
        self._dispatcher.wake(Lane.NOTICE)
        self._dispatcher.wake(Lane.LOOK)
        asyncio.get_running_loop().call_later(self._env.timing.settled_after_s, self.settle, platform.name)

    def settle(self, platform: str) -> None:
        """Everything that waited on a platform while the bot was away is stored. Idempotent, does not wait."""
        if platform not in self._env.settled:
            self._settled.put_nowait(platform)

    async def merge_backlogs(self) -> None:
        """Merge the backlog of each platform once it is settled, and let its questions be answered; without end."""
        while True:
            platform = await self._settled.get()
            if platform in self._env.settled:
                continue
            try:
                apologies = await until_stored(
                    self._env.store,
                    f"what waits on {platform}",
                    partial(self._merge, platform),
                    self._env.timing.database_backoff,
                )
            except Exception as error:  # each question is answered by itself then
                log.error("what waits on %s can't be merged\n%s", platform, safe_traceback(error))
            else:
                self._dispatcher.stored(apologies)
                self._env.control.notify_changed()
            self._env.settled.add(platform)
            self._dispatcher.wake(Lane.ANSWER)

    async def sweep(self) -> None:
        """Take up orphaned replies every few seconds, without end.

        They are claimed, or wait to be shown, but don't run: the connection to the database was lost in a commit which
        had happened all the same.
        """
        while True:
            await asyncio.sleep(self._env.timing.sweep_s)
            orphans = await until_stored(
                self._env.store, "orphaned replies", self._find_orphaned, self._env.timing.database_backoff, retries=0
            )
            self._dispatcher.stored(orphans)
            for reply in orphans:
                if not reply.state.open:  # attempted too often
                    self._dispatcher.wake_held_up(reply.lane)
                    self._env.control.notify_changed()

    async def _recover(
        self, platform: Platform, tx: Transaction
    ) -> tuple[Sequence[Reply], Sequence[tuple[Reply, int]]]:
        unfinished = await tx.recovery.recover(platform.name)
        delayed = await tx.recovery.delayed(platform.name, self._env.now())
        failpoint("recovering")
        return unfinished, delayed

    async def _merge(self, platform: str, tx: Transaction) -> Sequence[Reply]:
        """Merge what waits on a platform; the replies that apologise for what waited too long."""
        waiting = await tx.recovery.backlog(platform, self._started)
        for batch in mergeable(waiting, self._started):
            await tx.recovery.merge(batch.into, batch.others)
        apologies = []
        for batch in expired(waiting, self._started):
            language = await read_language(tx, platform, batch.into.author)
            apologies.append(await tx.recovery.expire(batch.into, batch.others, t(language, "error.late")))
        failpoint("merging")
        return apologies

    async def _find_orphaned(self, tx: Transaction) -> Sequence[Reply]:
        before = self._env.now() - round(self._env.timing.orphaned_after_s * 1000)
        return await tx.recovery.find_orphaned(self._env.platforms, self._dispatcher.running, before)
