"""The work queue: accept, claim, run, recover. One active answer a conversation; commands and notices run beside it."""

import asyncio
import itertools
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

from core.access import Access
from core.assistant import Assistant, Ending
from core.chat import Author, ChatId, Incoming, Reply, Role, Stale, Store
from core.clerk import Clerk
from core.commands import named
from core.errors import outcome_of, trace, words
from core.filters import STANDARD, Policy
from core.gate import Gate
from core.intake import Intake
from core.live_message import TYPING_EVERY, Delivery, LiveMessage
from core.rate import RateGate
from core.retiring import Retiring
from core.splitting import close, finished
from core.states import ACTIVE, OUTCOMES, Event, Lane, State
from core.surface import NO_CONTROLS, Action, ChatMoved, Controls, Platform, Unreachable
from core.texts import choose, say

log = logging.getLogger(__name__)

T = TypeVar("T")

NOTICES_AT_ONCE = 8
REASSURED = 20
"""Waiting conversations at most."""
TRIES = 12
"""So often a commit is tried, over five minutes."""


class _Hand:
    """One of the few that work at once. Let go as soon as the scarce part is over, at the latest at the end."""

    def __init__(self, hands: asyncio.Semaphore) -> None:
        self._hands: asyncio.Semaphore | None = hands

    def let_go(self) -> None:
        """Idempotent."""
        hands, self._hands = self._hands, None
        if hands is not None:
            hands.release()


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
        self._gate = Gate(assistant.filter)
        self._delivery = Delivery(store, self.rate, secrets.token_hex(4), partial(self._gate.opens, STANDARD))
        self._retiring = Retiring(store, self._platforms, self.rate)
        self._stops: dict[int, asyncio.Event] = {}
        self._changed = asyncio.Event()
        self._unfinished: asyncio.Queue[Sequence[Reply]] = asyncio.Queue()
        self._marking: set[asyncio.Task[None]] = set()

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
                    for task in (*loops, *self._marking):
                        task.cancel()
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def serve(self, platform: Platform) -> None:
        """Answer on a platform from now on, beginning with what the last process left unfinished there."""
        async with self._store.begin() as tx:
            unfinished = await tx.replies.recover([platform.name])
        self._platforms[platform.name] = platform
        self._unfinished.put_nowait(unfinished)
        self._pulse()

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
        """A chat is closed to the bot: what waits there is dropped, what runs there is stopped. Its data stay."""
        async with self._store.begin() as tx:
            running = await tx.chats.leave(platform, chat)
        for reply_id in running:
            self.halt(reply_id)
        self._pulse()

    # Claim and run

    async def _resume(self) -> None:
        """What the last process left in mid-air: it needs no model, so it needs no hand."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                for reply in await self._unfinished.get():
                    tasks.create_task(self._run(reply, _Hand(asyncio.Semaphore())))

    async def _serve(self, lane: Lane, at_once: int) -> None:
        hands = asyncio.Semaphore(at_once)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await hands.acquire()
                reply = await self._claim(lane)
                tasks.create_task(self._run(reply, _Hand(hands)))

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
        pauses = _backoff()
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
            pauses = _backoff()
            await changed.wait()

    async def _run(self, reply: Reply, hand: _Hand) -> None:
        """A claimed reply to its end. Whatever goes wrong here stays in this conversation."""
        try:
            await self._bring(reply, hand)
        except Stale as stale:
            log.debug("%s", stale)
        except ChatMoved as moved:
            await self._follow(reply, moved, hand)
        except Unreachable:
            log.info("chat %s can't be reached; it is inactive now", reply.chat)
            await self._insist(reply, lambda: self.leave(reply.chat.platform, reply.chat.chat))
            await self._fail(reply)
        except Exception as error:
            await self._apologise(reply, error)
            await self._fail(reply)
        finally:
            self._stops.pop(reply.id, None)
            hand.let_go()
            self._pulse()

    async def _bring(self, reply: Reply, hand: _Hand) -> None:
        language, policy = await self._insist(reply, lambda: self._manners(reply)) or ("en", STANDARD)
        async with self._live(reply, language, policy) as live:
            if reply.state is State.GENERATING:
                if reply.lane is Lane.ANSWER:
                    reply = await self._answer(reply, live, language, policy)
                else:
                    reply = await self._clerk.carry_out(reply, language, hand.let_go)
            hand.let_go()  # showing takes no model: a slow platform must not keep others from theirs
            if reply.state is not State.SENDING:
                return  # /retry: the command's row waits in the other lane now
            sending = reply
            controls = await self._insist(reply, lambda: self._controls(sending, language)) or NO_CONTROLS
            shown = self._gate.shown(reply.final or "", live, policy) or say(language, "refused.answer")
            await live.finish(shown, controls)
        await self._insist(reply, lambda: self._move(sending, Event.DELIVER))  # C7
        self._pulse()
        await self._retiring.retire_before(reply)

    async def _move(self, reply: Reply, event: Event) -> None:
        async with self._store.begin() as tx:
            await tx.replies.move(await tx.replies.get(reply.id), event)

    async def _insist(self, reply: Reply, step: Callable[[], Awaitable[T]]) -> T | None:
        """What must be stored: a database in trouble is waited for. None where it means nothing any more, or never
        could be; then the next start will see to it."""
        for pause in itertools.islice(_backoff(), TRIES):
            try:
                return await step()
            except Stale as stale:
                log.debug("%s", stale)
                return None
            except Exception as error:
                log.error("reply %s: can't be stored, trying again\n%s", reply.id, trace(error))
            await asyncio.sleep(pause)
        return None

    async def _fail(self, reply: Reply) -> None:
        """Nothing more is owed."""
        await self._insist(reply, lambda: self._move(reply, Event.FAIL))

    async def _controls(self, reply: Reply, language: str) -> Controls:
        """What may be pressed under a final text: asked anew, so that it is the same after a restart."""
        if reply.lane is Lane.NOTICE:
            return await self._panel(reply, language) if named(reply.text) == "settings" else NO_CONTROLS
        if reply.question is None or reply.outcome not in OUTCOMES or reply.outcome is State.REFUSED:
            return NO_CONTROLS
        async with self._store.begin() as tx:
            cut = await tx.turns.cut(reply.question)
        return Controls((Action.CONTINUE, Action.RETRY) if cut else (Action.RETRY,), language=language)

    async def _panel(self, reply: Reply, language: str) -> Controls:
        async with self._store.begin() as tx:
            rows = await tx.preferences.of(reply.chat)
        return Controls(panel=self._assistant.rules.settings(rows), language=language)

    async def _follow(self, reply: Reply, moved: ChatMoved, hand: _Hand) -> None:
        """The chat has another id now: what was to be shown is shown there."""

        async def move() -> Reply:
            async with self._store.begin() as tx:
                await tx.chats.move(reply.chat.platform, reply.chat.chat, moved.chat)
                return await tx.replies.get(reply.id)

        current = await self._insist(reply, move)
        if current and current.attempt == reply.attempt and current.state in ACTIVE and current.chat != reply.chat:
            await self._run(current, hand)

    async def _apologise(self, reply: Reply, error: Exception) -> None:
        """In place of what can't be shown, if even that can be."""
        try:
            async with self._store.begin() as tx:
                reply = await tx.replies.get(reply.id)
            language = choose("auto", reply.author.locale)
            async with self._live(reply, language) as live:
                await live.finish(words(error, language, f"reply {reply.id}"))
        except Exception as again:
            log.error("reply %s can't be shown\n%s", reply.id, trace(again))

    def _live(self, reply: Reply, language: str, policy: Policy = STANDARD) -> LiveMessage:
        surface = self._platforms[reply.chat.platform].surface(reply)
        running = reply.lane is Lane.ANSWER and reply.state is State.GENERATING
        controls = Controls((Action.STOP,), language=language) if running else NO_CONTROLS
        lost = self._stops.setdefault(reply.id, asyncio.Event()) if running else asyncio.Event()
        delivery = replace(self._delivery, allowed=partial(self._gate.opens, policy))
        return LiveMessage(delivery, reply, surface, controls, lost)

    # The answer lane

    async def _answer(self, reply: Reply, live: LiveMessage, language: str, policy: Policy) -> Reply:
        stop = self._stops.setdefault(reply.id, asyncio.Event())
        ending, notice = await self._ending(reply, live, stop, language)
        whole = ending.outcome is State.DONE and not ending.cut
        text = (close if whole else finished)(ending.text)
        if text and (shown := self._gate.shown(text, live, policy)) != text:
            ending, text = replace(ending, text=shown), shown
            notice = notice if shown else say(language, "refused.answer")
        final = "\n\n".join(filter(None, (text, notice)))
        stored = await self._insist(reply, lambda: self._conclude(reply, ending, final))
        if stored is None:
            raise Stale(f"reply {reply.id}: its end means nothing any more")
        return stored

    async def _conclude(self, reply: Reply, ending: Ending, final: str) -> Reply:
        """C6."""
        async with self._store.begin() as tx:
            if ending.outcome is State.REFUSED and reply.question:
                await tx.turns.forget_unanswered(reply.question)
            else:
                await tx.turns.remember(reply, ending.text, cut=ending.cut)
            return await tx.replies.move(reply, Event.FINISH, outcome=ending.outcome, final=final)

    async def _ending(self, reply: Reply, live: LiveMessage, stop: asyncio.Event, language: str) -> tuple[Ending, str]:
        if reply.outcome is State.STOPPED:  # stopped, and then a crash: nothing is generated any more
            return Ending(State.STOPPED), say(language, "mark.stopped")
        try:
            ending = await self._assistant.answer(reply, live, stop)
        except Exception as error:
            # What the last answer had is still there to go on with.
            return Ending(outcome_of(error), reply.begun, cut=bool(reply.begun)), words(
                error, language, f"reply {reply.id}"
            )
        return ending, say(language, ending.notice) if ending.notice else ""

    # Small things

    async def _manners(self, reply: Reply) -> tuple[str, Policy]:
        """The asker's language, and what may be shown there. A command's words are not held against the conversation's
        own list: /filter shows that."""
        async with self._store.begin() as tx:
            wanted = await tx.preferences.language(reply.chat.platform, reply.author.id)
            policy = self._assistant.rules.settings(await tx.preferences.of(reply.chat)).policy
        policy = replace(policy, words=()) if reply.lane is Lane.NOTICE else policy
        return choose(wanted, reply.author.locale), policy

    def halt(self, reply_id: int) -> None:
        """Raise the flag of a reply that is being generated; its run may not have looked for it yet."""
        self._stops.setdefault(reply_id, asyncio.Event()).set()

    def tidy(self, reply: Reply) -> None:
        """What a cancelled reply has shown already, before a crash, gets its mark: else its Stop button would stay.
        `reply` still has its origin."""
        if reply.state is State.CANCELLED and any(chunk.message_id for chunk in reply.chunks):
            task = asyncio.create_task(self._mark(reply))
            self._marking.add(task)
            task.add_done_callback(self._marking.discard)

    async def _mark(self, reply: Reply) -> None:
        try:
            language, _ = await self._manners(reply)
            async with self._live(reply, language) as live:
                await live.finish(say(language, "mark.stopped"))
        except Exception as error:
            log.info("reply %s keeps what it showed: %s", reply.id, type(error).__name__)

    def _pulse(self) -> None:
        """Wake everybody who waits for a change; each looks for himself whether it was his."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _backoff() -> Iterator[float]:
    """Seconds: 1, 2, 4, ... 30, 30, ..."""
    return (min(2.0**n, 30.0) for n in itertools.count())


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
