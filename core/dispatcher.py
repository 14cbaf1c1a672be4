"""The work queue: accept, claim, run, recover. One active answer a conversation; commands and notices run beside it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from core.access import Access
from core.assistant import Assistant
from core.chat import Author, ChatId, Incoming, Reply, Role, Stale, Store
from core.clerk import Clerk
from core.crash import crash_point
from core.errands import Errands, Hand
from core.errors import trace
from core.insist import backoff
from core.intake import Intake
from core.live_message import TYPING_EVERY
from core.rate import RateGate
from core.states import Event, Lane, State
from core.surface import Platform

log = logging.getLogger(__name__)

NOTICES_AT_ONCE = 8
REASSURED = 20
"""Waiting conversations at most."""


class Dispatcher:
    """Sees to it that every stored message gets its outcome. Knows platforms only through their protocol."""

    def __init__(
        self,
        store: Store,
        assistant: Assistant,
        platforms: Mapping[str, Platform],
        access: Access,
        *,
        now: Callable[[], int],
        name: str = "Qwentin",
    ) -> None:
        self._store, self._assistant, self._now = store, assistant, now
        self._platforms = dict(platforms)
        self.name, self.access = name, access
        self._clerk = Clerk(store, assistant, self._platforms, access, self, now)
        self._intake = Intake(store, access, self._pulse)
        self.rate = RateGate()
        """What else is sent to a chat has to keep to it too."""
        self._errands = Errands(store, assistant, self._platforms, self.rate, self._clerk, self._pulse)
        self._changed = asyncio.Event()
        self._unfinished: asyncio.Queue[Sequence[Reply]] = asyncio.Queue()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Recover, then work until the block is left. What is then unfinished stays in the store for the next start.

        If one of the loops dies, the block is cancelled and its error raised.
        """
        for platform in list(self._platforms.values()):
            await self.serve(platform)
        work = (
            self._intake.write(),
            self._resume(),
            self._serve(Lane.ANSWER, self._assistant.model.slots),
            self._serve(Lane.NOTICE, NOTICES_AT_ONCE),
            self._reassure(),
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                loops = [tasks.create_task(each) for each in work]
                try:
                    yield
                finally:
                    for task in loops:
                        task.cancel()
                    self._errands.end()
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def serve(self, platform: Platform) -> None:
        """Answer on a platform from now on, beginning with what the last process left unfinished there."""
        async with self._store.begin() as tx:
            unfinished = await tx.replies.recover([platform.name])
            crash_point("recovering")
        self._platforms[platform.name] = platform
        self._unfinished.put_nowait(unfinished)
        self._pulse()

    def settle(self, platform: str) -> None:
        """All that waited on a platform while the bot was away has been handed over. Idempotent."""

    async def amend(self, incoming: Incoming) -> None:
        """A message was edited: its question, where it still waits, is answered as it stands now."""
        async with self._store.begin() as tx:
            await tx.replies.amend(incoming.cleaned())

    async def accept(self, incoming: Incoming) -> Reply | None:
        """C1: returns when the message is stored. None: it was stored before, or nothing is owed for it."""
        return await self._intake.accept(incoming)

    async def outcome(self, reply: Reply) -> Reply:
        """The reply, once nothing is owed for it any more."""
        while True:
            changed = self._changed
            async with self._store.begin() as tx:
                current = await tx.replies.get(reply.id)
            if not current.state.open:
                return current
            await changed.wait()

    async def stop(self, reply: Reply) -> None:
        """Stop a reply as /stop does, without a notice of its own (Ctrl-C, a button). Idempotent."""
        try:
            async with self._store.begin() as tx:
                before = await tx.replies.get(reply.id)
                moved = await tx.replies.move(before, Event.STOP)
        except Stale:
            return
        if moved.state is State.GENERATING:
            self.halt(reply.id)
        self.tidy(replace(moved, origin=before.origin))
        self._pulse()

    async def role(self, chat: ChatId, author: Author, *, private: bool) -> Role:
        """What a person may do in a chat, asked at this moment. Raises Refused where the platform can't tell."""
        return await self._clerk.role(chat, author, private=private)

    async def leave(self, platform: str, chat: str) -> None:
        """A chat is closed to the bot."""
        await self._errands.leave(platform, chat)

    def halt(self, reply_id: int) -> None:
        """See Errands."""
        self._errands.halt(reply_id)

    def tidy(self, reply: Reply) -> None:
        """See Errands."""
        self._errands.tidy(reply)

    # Claim and run

    async def _resume(self) -> None:
        """What the last process left in mid-air: it needs no model, so it needs no hand."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                for reply in await self._unfinished.get():
                    tasks.create_task(self._errands.run(reply, Hand(asyncio.Semaphore())))

    async def _serve(self, lane: Lane, at_once: int) -> None:
        hands = asyncio.Semaphore(at_once)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await hands.acquire()
                reply = await self._claim(lane)
                crash_point("claimed")
                tasks.create_task(self._errands.run(reply, Hand(hands)))

    async def _reassure(self) -> None:
        """Who waits for others' answers sees that something is coming."""
        while True:
            await asyncio.sleep(TYPING_EVERY)
            try:
                async with self._store.begin() as tx:
                    waiting = await tx.replies.waiting(self._platforms, REASSURED)
                surfaces = [self._platforms[reply.chat.platform].surface(reply) for reply in waiting]
                free = [surface for surface in surfaces if not self.rate.held(surface.key)]
                await asyncio.gather(*(surface.typing() for surface in free), return_exceptions=True)
            except Exception as error:
                log.debug("nobody is reassured: %s", type(error).__name__)

    async def _claim(self, lane: Lane) -> Reply:
        """The next reply, however long it takes; a database in trouble is tried again, ever more slowly."""
        pauses = backoff()
        while True:
            changed = self._changed
            try:
                async with self._store.begin() as tx:
                    reply = await tx.replies.claim(lane, self._platforms, self._now())
            except Exception as error:
                log.error("nothing can be claimed; trying again\n%s", trace(error))
                await asyncio.sleep(next(pauses))
                continue
            if reply is not None:
                return reply
            pauses = backoff()
            await changed.wait()

    def _pulse(self) -> None:
        """Wake everybody who waits for a change; each looks for himself whether it was his."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
