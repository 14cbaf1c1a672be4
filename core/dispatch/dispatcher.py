"""The work queue: accept, claim, run, recover. One active answer a conversation; commands and notices run beside it."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from core.answering.assistant import Assistant
from core.commands.executor import CommandExecutor
from core.delivery.final_check import FinalCheck
from core.delivery.rate_limiter import ChatRateLimiter
from core.delivery.streaming_message import TYPING_EVERY, Delivery
from core.dispatch.reply_runner import ReplyRunner, Slot
from core.domain.conversation import Author, ChatId, Incoming, Reply, Role
from core.domain.permissions import Access
from core.domain.platform import NotSent, Platform, ReplyChannel
from core.domain.reply_states import ACTIVE, Event, Lane, State
from core.domain.store import Stale, Store, Unavailable
from core.filters import STANDARD
from core.i18n import choose_language, t
from core.inbound.admission import AdmissionControl, ThroughputEstimate
from core.inbound.backlog import MERGE_AFTER_MS, expired, mergeable
from core.inbound.ingest import Ingest
from core.runtime.failpoints import failpoint
from core.runtime.retry import DATABASE_BACKOFF, until_stored, while_unavailable
from core.runtime.safe_traceback import safe_traceback
from core.runtime.supervision import must_not_end

log = logging.getLogger(__name__)

NOTICES_AT_ONCE = 8
SETTLED_WITHIN = 60.0
"""Seconds after which a platform that can't be reached holds up no answers any more."""
SWEEP = 2.0
ADRIFT = 3.0
"""Seconds after which a reply that nobody runs is taken up: what was just claimed may be about to be run."""
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
        self._clerk = CommandExecutor(store, assistant, self._platforms, access, self, now)
        self._started = now()
        speed = ThroughputEstimate(assistant.model.slots)
        door = AdmissionControl(assistant.rules.limits, speed, now, self._started - MERGE_AFTER_MS, self._platforms)
        self._intake = Ingest(store, access, door, self._admitted)
        self.rate = ChatRateLimiter()
        """What else is sent to a chat has to keep to it too."""
        gate = partial(FinalCheck(assistant.filter).opens, STANDARD)
        delivery = Delivery(store, self.rate, secrets.token_hex(4), gate, now)
        self._errands = ReplyRunner(assistant, self._platforms, delivery, self._clerk, speed, self._pulse)
        self._changed = asyncio.Event()
        self._unfinished: asyncio.Queue[Sequence[Reply]] = asyncio.Queue()
        self._handed_over: asyncio.Queue[str] = asyncio.Queue()
        self._settled: set[str] = set()
        """Platforms on which nothing piles up any more: their questions may be answered."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Recover, then work until the block is left. What is then unfinished stays in the store for the next start.

        If one of the loops ends, the block is cancelled and its error raised.
        """
        for platform in list(self._platforms.values()):
            await self.serve(platform)
            self.settle(platform.name)
        work: dict[str, Callable[[], Awaitable[None]]] = {
            "intake": self._intake.run,
            "recovery": self._resume,
            "what piled up": self._put_together,
            "answers": partial(self._serve, Lane.ANSWER, self._assistant.model.slots),
            "notices": partial(self._serve, Lane.NOTICE, NOTICES_AT_ONCE),
            "typing": self._reassure,
            "sweep": self._sweep,
        }
        try:
            async with asyncio.TaskGroup() as tasks:
                loops = [
                    tasks.create_task(must_not_end(f"the dispatcher's {name}", loop)) for name, loop in work.items()
                ]
                try:
                    yield
                finally:
                    for task in loops:
                        task.cancel()
                    self._errands.end()
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def serve(self, platform: Platform) -> None:
        """Answer on a platform from now on, beginning with what the last process left unfinished there. What waited
        is answered once all of it has been handed over (`settle`)."""
        left = await until_stored(f"what is unfinished on {platform.name}", partial(self._recover, platform))
        unfinished, held = left or ((), ())
        for reply, until in held:
            self.rate.hold(platform.channel(reply).key, (until - self._now()) / 1000)
        self._take_up(unfinished)
        self._platforms[platform.name] = platform
        asyncio.get_running_loop().call_later(SETTLED_WITHIN, self.settle, platform.name)
        self._pulse()

    async def _recover(self, platform: Platform) -> tuple[Sequence[Reply], Sequence[tuple[Reply, int]]]:
        async with self._store.begin() as tx:
            unfinished = await tx.recovery.recover(platform.name)
            held = await tx.recovery.delayed(platform.name, self._now())
            failpoint("recovering")
        return unfinished, held

    def settle(self, platform: str) -> None:
        """All that waited on a platform while the bot was away has been handed over. Idempotent."""
        if platform not in self._settled:
            self._handed_over.put_nowait(platform)

    async def drain(self, seconds: float) -> None:
        """Begin nothing more, and let what is in progress come to its end, for so long at most."""
        self._errands.closing = True
        try:
            async with asyncio.timeout(seconds):
                while self._errands.running:
                    await self._changed.wait()
        except TimeoutError:
            log.warning("%d replies are not finished; the next start goes on with them", len(self._errands.running))

    async def accept(self, incoming: Incoming) -> Reply | None:
        """C1: returns when the message is stored. None: it was stored before, or nothing is owed for it."""
        return await self._intake.accept(incoming)

    async def amend(self, incoming: Incoming) -> None:
        """A message was edited: its question, where it still waits, is answered as it stands now."""
        await self._intake.edit(incoming)

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
        except Unavailable:
            self.halt(reply.id)  # it may be stored
            raise
        if moved.state is State.GENERATING:
            self.halt(reply.id)
        self.tidy(replace(moved, reply_token=before.reply_token))
        self._pulse()

    async def role(self, chat: ChatId, author: Author, *, private: bool) -> Role:
        """What a person may do in a chat, asked at this moment. Raises Refused where the platform can't tell."""
        return await self._clerk.role(chat, author, private=private)

    async def leave(self, platform: str, chat: str) -> None:
        """A chat is closed to the bot."""
        await self._errands.leave(platform, chat)

    def halt(self, reply_id: int) -> None:
        """See ReplyRunner."""
        self._errands.halt(reply_id)

    def tidy(self, reply: Reply) -> None:
        """See ReplyRunner."""
        self._errands.tidy(reply)

    # What piled up

    async def _put_together(self) -> None:
        while True:
            platform = await self._handed_over.get()
            if platform in self._settled:
                continue
            try:
                await until_stored(f"what waits on {platform}", partial(self._merge, platform))
            except Exception as error:  # each is answered by itself then
                log.error("what waits on %s can't be put together\n%s", platform, safe_traceback(error))
            self._settled.add(platform)
            self._pulse()

    async def _merge(self, platform: str) -> None:
        async with self._store.begin() as tx:
            waiting = await tx.recovery.backlog(platform, self._started)
            for pile in mergeable(waiting, self._started):
                await tx.recovery.merge(pile.into, pile.others)
            late = []
            for pile in expired(waiting, self._started):
                wanted = await tx.preferences.language(platform, pile.into.author.id)
                said = t(choose_language(wanted, pile.into.author.locale), "error.late")
                late.append(await tx.recovery.expire(pile.into, pile.others, said))
            failpoint("merging")
        self._take_up(late)

    # Claim and run

    def _admitted(self, replies: Sequence[Reply]) -> None:
        """What is said at once needs no hand."""
        self._take_up([reply for reply in replies if reply.state is State.SENDING])

    async def _resume(self) -> None:
        """What the last process left in mid-air: it needs no model, so it needs no hand."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                for reply in await self._unfinished.get():
                    self._errands.start(tasks, reply, Slot(asyncio.Semaphore()))

    async def _serve(self, lane: Lane, at_once: int) -> None:
        hands = asyncio.Semaphore(at_once)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await hands.acquire()
                reply = await self._claim(lane)
                failpoint("claimed")
                self._errands.start(tasks, reply, Slot(hands))

    async def _reassure(self) -> None:
        """Who waits for others' answers sees that something is coming."""
        while True:
            await asyncio.sleep(TYPING_EVERY)
            try:
                async with self._store.begin() as tx:
                    waiting = await tx.replies.longest_waiting(self._platforms, REASSURED)
                surfaces = [self._platforms[reply.chat.platform].channel(reply) for reply in waiting]
                free = [surface for surface in surfaces if not self.rate.held(surface.key)]
                await asyncio.gather(*map(self._type, free))
            except Exception as error:
                log.debug("nobody is reassured: %s", type(error).__name__)

    async def _type(self, surface: ReplyChannel) -> None:
        try:
            await surface.typing()
        except NotSent as error:
            self.rate.hold(surface.key, error.wait)
        except Exception as error:
            log.debug("nobody is reassured: %s", type(error).__name__)

    async def _claim(self, lane: Lane) -> Reply:
        """The next reply, however long it takes; a database in trouble is tried again, ever more slowly."""
        pauses = DATABASE_BACKOFF.pauses()
        while True:
            changed = self._changed
            try:
                reply = None if self._errands.closing else await self._next(lane)
            except Exception as error:
                log.error("nothing can be claimed; trying again\n%s", safe_traceback(error))
                await asyncio.sleep(next(pauses))
                continue
            if reply is not None:
                return reply
            pauses = DATABASE_BACKOFF.pauses()
            await changed.wait()

    async def _next(self, lane: Lane) -> Reply | None:
        """C2."""
        served = self._settled if lane is Lane.ANSWER else set(self._platforms)
        async with self._store.begin() as tx:
            return await tx.replies.claim(lane, served, self._now())

    async def _sweep(self) -> None:
        """What is claimed, or waits to be shown, and nobody runs: the database was lost in a commit, and nobody learned
        that it had happened."""
        while True:
            await asyncio.sleep(SWEEP)
            await while_unavailable("what nobody runs", self._find_adrift)

    async def _find_adrift(self) -> None:
        async with self._store.begin() as tx:
            before = self._now() - round(ADRIFT * 1000)
            adrift = await tx.recovery.find_orphaned(self._platforms, self._errands.running, before)
        if adrift:
            self._take_up([reply for reply in adrift if reply.state in ACTIVE])

    def _take_up(self, replies: Sequence[Reply]) -> None:
        """What is to be shown, and needs no model. From now on it is known to be run."""
        self._errands.running.update((reply.id, reply.attempt) for reply in replies)
        self._unfinished.put_nowait(replies)
        self._pulse()

    def _pulse(self) -> None:
        """Wake everybody who waits for a change; each looks for himself whether it was his."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
