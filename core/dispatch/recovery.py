"""Replies that the last process, an absence or a lost commit has left behind."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from core.delivery.button_cleanup import ButtonCleanup
from core.delivery.rate_limiter import MAX_HOLD_S
from core.dispatch.dispatcher import Dispatcher
from core.dispatch.environment import Environment
from core.domain.conversation import Reply
from core.domain.platform import Platform, TellsTime
from core.domain.reply_states import Lane
from core.domain.store import Penalty, Transaction
from core.i18n import t
from core.i18n.person_language import read_language
from core.inbound.backlog import expired, mergeable
from core.runtime.failpoints import failpoint
from core.runtime.retry import until_stored
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

CLOCK_SLACK_MS = 5_000
"""A clock is set back by as much without anybody noticing."""
MAX_LATEST_REPLIES, MAX_SUPERSEDED = 100, 5
"""Earlier processes may have had no time to remove the buttons of the answers before so many of the newest replies; of
how many answers in each conversation."""


class ReplyRecovery:
    """Takes up what was left behind: at the start of a platform, once its backlog is stored, and every few seconds.

    Made when the bot starts; what was asked before waited while it was away. `clock`: seconds.
    """

    def __init__(
        self,
        environment: Environment,
        dispatcher: Dispatcher,
        button_cleanup: ButtonCleanup,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._env, self._dispatcher, self._clock = environment, dispatcher, clock
        self._button_cleanup = button_cleanup
        self._began = clock()
        self._newest_ids: dict[str, int] = {}
        """The id of the newest reply when a platform began to be served."""
        self._settled: asyncio.Queue[str] = asyncio.Queue()

    async def serve(self, platform: Platform) -> None:
        """Run a platform's replies from now on, those that were left unfinished first.

        Its questions are answered from `settle` on.
        """
        unfinished, penalties, superseded = await until_stored(
            self._env.store,
            f"what is unfinished on {platform.name}",
            partial(self._recover, platform),
            self._env.timing.database_backoff,
        )
        for penalty in penalties:
            key = platform.channel(penalty.reply).key
            if (seconds := remaining_s(penalty, self._env.now())) is None:
                log.warning("%s: a stored penalty lies in the future, so the clock was wrong; it is ignored", key)
            else:
                self._env.rate_limiter.hold(key, seconds)
        there = platform.now() if isinstance(platform, TellsTime) else self._env.now()
        self._env.started[platform.name] = there - round((self._clock() - self._began) * 1000)
        self._env.platforms[platform.name] = platform
        self._dispatcher.stored(unfinished)
        self._button_cleanup.superseded(superseded)
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
    ) -> tuple[Sequence[Reply], Sequence[Penalty], Sequence[Reply]]:
        superseded = await tx.recovery.superseded(platform.name, MAX_LATEST_REPLIES, MAX_SUPERSEDED)
        unfinished = await tx.recovery.recover(platform.name)
        delayed = await tx.recovery.delayed(platform.name, self._env.now())
        self._newest_ids[platform.name] = await tx.recovery.newest_id()
        failpoint("recovering")
        return unfinished, delayed, superseded

    async def _merge(self, platform: str, tx: Transaction) -> Sequence[Reply]:
        """Merge what waits on a platform; the replies that apologise for what waited too long."""
        waiting = await tx.recovery.backlog(platform, self._newest_ids[platform])
        started = self._env.started[platform]
        for batch in mergeable(waiting, started):
            await tx.recovery.merge(batch.into, batch.others)
        apologies = []
        for batch in expired(waiting, started):
            language = await read_language(tx, platform, batch.into.author)
            apologies.append(await tx.recovery.expire(batch.into, batch.others, t(language, "error.late")))
        failpoint("merging")
        return apologies

    async def _find_orphaned(self, tx: Transaction) -> Sequence[Reply]:
        before = self._env.now() - round(self._env.timing.orphaned_after_s * 1000)
        return await tx.recovery.find_orphaned(self._env.platforms, self._dispatcher.running, before)


def remaining_s(penalty: Penalty, now: int) -> float | None:
    """Seconds that a stored penalty has left; None where it lies further ahead than it is long, so that the clock was
    wrong when it was stored or is now. If it still runs, the platform says so to the next call. `now`: ms UTC."""
    left = penalty.until - now
    length = round(MAX_HOLD_S * 1000) if penalty.set_at is None else penalty.until - penalty.set_at
    return None if left > length + CLOCK_SLACK_MS else min(left, length) / 1000
