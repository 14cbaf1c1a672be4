"""The work queue: what is stored wakes its lane, which claims replies (C2) and has as many run as it allows at once."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field

from core.dispatch.environment import Environment
from core.domain.conversation import Reply
from core.domain.reply_states import ACTIVE, Lane, State
from core.domain.store import Unavailable
from core.runtime.database_trouble import DATABASE_TROUBLE
from core.runtime.failpoints import failpoint
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

MAX_RUNNING_COMMANDS = 8

_MAY_GO_ON = {
    Lane.ANSWER: (Lane.ANSWER,),
    Lane.NOTICE: (Lane.NOTICE, Lane.LOOK, Lane.ANSWER),
    Lane.LOOK: (Lane.LOOK,),
}
"""By the lane of a reply that has ended, the lanes in which its conversation may go on: an open answer holds up other
answers, an open command that changes something holds up everything behind it, one that only looks others like it."""


@dataclass(slots=True)
class LaneQueue:
    """What the claim loop of one lane goes by."""

    platforms: Collection[str]
    """Names of the platforms whose replies it may claim now."""
    free: int
    """Its places for replies that run at once: how many are not taken."""
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a place becomes free."""
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a reply may have become claimable since the last claim began."""
    may_wait: bool = True
    """Whether replies may be held up: the last claim has left some in the queue, or a claim is under way."""


@dataclass(slots=True)
class Slot:
    """One of a lane's places, taken; or none, for a reply that needs no place."""

    _lane: LaneQueue | None = None

    def release(self) -> None:
        """Let another reply run, as soon as the scarce part of this one is over. Idempotent."""
        lane, self._lane = self._lane, None
        if lane is not None:
            lane.free += 1
            lane.freed.set()


Run = Callable[[Reply, Slot], Coroutine[object, object, None]]
"""Runs a reply to its end, and calls `Dispatcher.ended` then."""


class Dispatcher:
    """Has every stored reply run: one active answer a conversation, commands and notices beside the answers.

    A reply that ends wakes a lane only where it may have held something up there (LaneQueue.may_wait).
    """

    def __init__(self, environment: Environment, answers_at_once: int) -> None:
        self._env = environment
        self._lanes = {
            Lane.ANSWER: LaneQueue(environment.settled, answers_at_once),
            Lane.NOTICE: LaneQueue(environment.platforms, MAX_RUNNING_COMMANDS),
            Lane.LOOK: LaneQueue(environment.platforms, MAX_RUNNING_COMMANDS),
        }
        self._to_show: asyncio.Queue[Reply] = asyncio.Queue()
        self.running: set[tuple[int, int]] = set()
        """Id and attempt of each reply that is being run, or is about to be."""
        self.closing = False
        """Nothing more is begun."""

    def stored(self, replies: Sequence[Reply]) -> None:
        """New replies are stored: show at once those that need no model, wake the lanes of the rest.

        Those that are shown count as running from now on.
        """
        for reply in replies:
            if reply.state in ACTIVE:
                self.running.add((reply.id, reply.attempt))
                self._to_show.put_nowait(reply)
            elif reply.state is State.QUEUED:
                self._lanes[reply.lane].woken.set()

    async def run_lane(self, lane: Lane, run: Run) -> None:
        """Claim and run the replies of a lane, as many at once as it has places, without end."""
        queue = self._lanes[lane]
        async with asyncio.TaskGroup() as tasks:
            while True:
                await queue.woken.wait()
                while not queue.free:
                    queue.freed.clear()
                    await queue.freed.wait()
                deaths = self._env.engine_deaths if lane is Lane.ANSWER and self._env.engine_deaths.suspects else None
                for reply in await self._claim(lane, queue, 1 if deaths else queue.free):
                    queue.free -= 1
                    self.running.add((reply.id, reply.attempt))
                    if deaths:
                        deaths.begin(reply.id)
                    tasks.create_task(run(reply, Slot(queue)))
                    if deaths:
                        await deaths.settled()
                if deaths and not queue.may_wait:
                    deaths.forget_all()

    async def _claim(self, lane: Lane, queue: LaneQueue, limit: int) -> Sequence[Reply]:
        """C2: up to `limit` replies of a lane. A database in trouble is waited for."""
        for pause in self._env.timing.database_backoff.pauses():
            queue.woken.clear()  # the claim will see what it was about
            queue.may_wait = True  # what ends from here on may have been missed by the claim
            if self.closing:
                return ()
            try:
                async with self._env.store.begin() as tx:
                    claimed = await tx.replies.claim(lane, queue.platforms, self._env.now(), limit)
            except Unavailable as error:
                DATABASE_TROUBLE.report("what is to be done next", error)
                await asyncio.sleep(pause)
                continue
            except Exception as error:
                log.error("nothing can be claimed; trying again\n%s", safe_traceback(error))
                await asyncio.sleep(pause)
                continue
            queue.may_wait = claimed.waiting
            if claimed.waiting and len(claimed.replies) == limit:
                queue.woken.set()  # the next free place may take another
            if claimed.replies:
                failpoint("claimed")
            return claimed.replies
        raise AssertionError("a back-off never ends")

    async def show_ready(self, run: Run) -> None:
        """Run what needs no model, and therefore no place, without end."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(run(await self._to_show.get(), Slot()))

    def ended(self, reply: Reply) -> None:
        """The reply runs no more. Idempotent."""
        ended_now = (reply.id, reply.attempt) in self.running
        self.running.discard((reply.id, reply.attempt))
        if all(running_id != reply.id for running_id, _ in self.running):  # /retry goes on under the same id
            self._env.control.stop_flags.pop(reply.id, None)
        if ended_now:
            if self._env.engine_deaths.on_probation is not None:
                self._env.engine_deaths.ended(reply.id)
            self.wake_held_up(reply.lane)
            self._env.control.notify_changed()

    def wake_held_up(self, ended: Lane) -> None:
        """A reply of the lane `ended` is open no more: what it held up may be claimable."""
        for lane in _MAY_GO_ON[ended]:
            if self._lanes[lane].may_wait:
                self._lanes[lane].woken.set()

    def wake(self, lane: Lane) -> None:
        """A reply may be claimable in a lane. Where nothing waits for that now, the lane's next wait ends at once."""
        self._lanes[lane].woken.set()

    def wake_all(self) -> None:
        """A reply may be claimable in any lane."""
        for queue in self._lanes.values():
            queue.woken.set()

    def may_wait(self, lane: Lane) -> bool:
        """Whether a reply may be queued in the lane, as far as is known without asking the store."""
        return self._lanes[lane].may_wait or self._lanes[lane].woken.is_set()

    async def drain(self, seconds: float) -> None:
        """Begin nothing more, and return once what is running has ended, after `seconds` at the latest."""
        self.closing = True
        try:
            async with asyncio.timeout(seconds):
                while self.running:
                    await self._env.control.wait_for_change()
        except TimeoutError:
            log.warning("%d replies are not finished; the next start goes on with them", len(self.running))
