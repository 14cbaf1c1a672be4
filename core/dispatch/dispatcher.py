"""The work queue: stored replies are claimed (C2) and run, as many at once as each lane allows."""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence

from core.dispatch.environment import Environment
from core.dispatch.reply_runner import ReplyRunner, Slot, Slots
from core.domain.conversation import Reply
from core.domain.reply_states import ACTIVE, Lane, State
from core.runtime.failpoints import failpoint
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

MAX_RUNNING_COMMANDS = 8


class Dispatcher:
    """Has every stored reply run: one active answer a conversation, commands and notices beside the answers."""

    def __init__(self, environment: Environment, runner: ReplyRunner, answers_at_once: int) -> None:
        self._env, self._runner = environment, runner
        self._slots = {Lane.ANSWER: Slots(answers_at_once), Lane.NOTICE: Slots(MAX_RUNNING_COMMANDS)}
        self._claimable: Mapping[Lane, Collection[str]] = {
            Lane.ANSWER: environment.settled,
            Lane.NOTICE: environment.platforms,
        }
        self._to_show: asyncio.Queue[Reply] = asyncio.Queue()

    def stored(self, replies: Sequence[Reply]) -> None:
        """New replies are stored: show at once those that need no model, wake the lanes of the rest.

        Those that are shown count as running from now on.
        """
        for reply in replies:
            if reply.state in ACTIVE:
                self._env.running.add((reply.id, reply.attempt))
                self._to_show.put_nowait(reply)
            elif reply.state is State.QUEUED:
                self._env.signals.notify(reply.lane)

    async def run_lane(self, lane: Lane) -> None:
        """Claim and run the replies of a lane, as many at once as it has slots, without end."""
        slots = self._slots[lane]
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._env.signals.wait(lane)
                await slots.wait_free()
                if replies := await self._claim(lane, slots.free):
                    failpoint("claimed")
                for reply in replies:
                    self._env.running.add((reply.id, reply.attempt))
                    tasks.create_task(self._runner.run(reply, Slot(slots)))

    async def show_ready(self) -> None:
        """Run what needs no model, and therefore no slot, without end."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._runner.run(await self._to_show.get(), Slot()))

    async def drain(self, seconds: float) -> None:
        """Begin nothing more, and return once what is running has ended, after `seconds` at the latest."""
        self._runner.closing = True
        try:
            async with asyncio.timeout(seconds):
                while self._env.running:
                    await self._env.control.wait_for_change()
        except TimeoutError:
            log.warning("%d replies are not finished; the next start goes on with them", len(self._env.running))

    async def _claim(self, lane: Lane, limit: int) -> Sequence[Reply]:
        """C2: up to `limit` replies of a lane. A database in trouble is waited for."""
        signals = self._env.signals
        for pause in self._env.timing.database_backoff.pauses():
            signals.claiming(lane)
            if self._runner.closing:
                return ()
            try:
                async with self._env.store.begin() as tx:
                    claimed = await tx.replies.claim(lane, self._claimable[lane], self._env.now(), limit)
            except Exception as error:
                log.error("nothing can be claimed; trying again\n%s", safe_traceback(error))
                await asyncio.sleep(pause)
                continue
            signals.claimed(lane, waiting=claimed.waiting)
            if claimed.waiting and len(claimed.replies) == limit:
                signals.notify(lane)  # the next free slot may take another
            return claimed.replies
        raise AssertionError("a back-off never ends")
