"""A claimed reply to its end: generated or carried out, stored, shown. What goes wrong stays in its conversation."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from core.answering.assistant import AnswerResult, Assistant
from core.commands.handlers import named
from core.delivery.button_cleanup import ButtonCleanup
from core.delivery.final_check import FinalCheck
from core.delivery.partial_markdown import close, finished
from core.delivery.streaming_message import Delivery, StreamingMessage
from core.domain.conversation import ChatId, Reply
from core.domain.errors import EngineDied, outcome_of
from core.domain.platform import NO_CONTROLS, ButtonAction, ChatMoved, Controls, Platform, Unreachable
from core.domain.reply_states import ACTIVE, OUTCOMES, Event, Lane, State
from core.domain.store import Stale
from core.filters import STANDARD, Policy
from core.i18n import choose_language, t
from core.i18n.error_texts import describe_error
from core.inbound.admission import ThroughputEstimate
from core.runtime.failpoints import failpoint
from core.runtime.retry import until_stored, while_unavailable
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

T = TypeVar("T")


class Slot:
    """One of the few that work at once. Let go as soon as the scarce part is over, at the latest at the end."""

    def __init__(self, hands: asyncio.Semaphore) -> None:
        self._hands: asyncio.Semaphore | None = hands

    def let_go(self) -> None:
        """Idempotent."""
        hands, self._hands = self._hands, None
        if hands is not None:
            hands.release()


class Commands(Protocol):
    """Who carries out commands."""

    async def carry_out(self, reply: Reply, language: str, let_go: Callable[[], None]) -> Reply: ...


STRIKES = 3
"""So often the engine may die under a question that runs by itself."""


class Requeued(Exception):
    """The engine died under it, and it will be answered later."""


class ReplyRunner:
    """Runs replies. `pulse` tells everybody who waits that something has changed."""

    def __init__(
        self,
        assistant: Assistant,
        platforms: Mapping[str, Platform],
        delivery: Delivery,
        commands: Commands,
        speed: ThroughputEstimate,
        pulse: Callable[[], None],
    ) -> None:
        self._assistant, self._platforms, self._delivery, self._pulse = assistant, platforms, delivery, pulse
        self._store, self._commands, self._speed = delivery.store, commands, speed
        self._gate = FinalCheck(assistant.filter)
        self._retiring = ButtonCleanup(delivery.store, platforms, delivery.rate)
        self._stops: dict[int, asyncio.Event] = {}
        self._marking: set[asyncio.Task[None]] = set()
        self.running: set[tuple[int, int]] = set()
        """The replies that are being run, or about to be: id and attempt."""
        self.closing = False
        """Nothing more is begun."""

    def start(self, tasks: asyncio.TaskGroup, reply: Reply, hand: Slot) -> None:
        """Run a claimed reply beside the others. From now on it is known to be run."""
        self.running.add((reply.id, reply.attempt))
        tasks.create_task(self.run(reply, hand))

    async def run(self, reply: Reply, hand: Slot) -> None:
        """A claimed reply to its end. Whatever goes wrong here stays in this conversation."""
        try:
            await self._bring(reply, hand)
        except (Stale, Requeued) as over:
            log.debug("%s", over)
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
            self._over(reply)
            hand.let_go()

    def _over(self, reply: Reply) -> None:
        self.running.discard((reply.id, reply.attempt))
        if all(id != reply.id for id, _ in self.running):  # /retry runs on as an answer under the same id
            self._stops.pop(reply.id, None)
        self._pulse()

    async def leave(self, platform: str, chat: str) -> None:
        """A chat is closed to the bot: what waits there is dropped, what runs there is stopped. Its data stay."""
        async with self._store.begin() as tx:
            running = await tx.chats.deactivate(platform, chat)
        for reply_id in running:
            self.halt(reply_id)
        self._assistant.forget(ChatId(platform, chat))  # its topics' go when others need the room
        self._pulse()

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

    def end(self) -> None:
        """Nothing more is tidied."""
        for task in self._marking:
            task.cancel()

    async def _bring(self, reply: Reply, hand: Slot) -> None:
        language, policy = await self._insist(reply, lambda: self._manners(reply)) or ("en", STANDARD)
        kept = False
        async with self._live(reply, language, policy) as live:
            if reply.state is State.GENERATING:
                if reply.lane is Lane.ANSWER:
                    reply, kept = await self._answer(reply, live, language, policy)
                else:
                    reply = await self._commands.carry_out(reply, language, hand.let_go)
            hand.let_go()  # showing takes no model: a slow platform must not keep others from theirs
            if reply.state is not State.SENDING:
                return  # /retry: the command's row waits in the other lane now
            sending = reply
            controls = await self._insist(reply, lambda: self._controls(sending, language)) or NO_CONTROLS
            shown = self._gate.shown(reply.final or "", live, policy) or t(language, "refused.answer")
            await live.finish(shown, controls)
        failpoint("shown")
        await self._insist(reply, lambda: self._move(sending, Event.DELIVER))  # C7
        failpoint("delivered")
        self._over(reply)
        if kept and not self.closing:
            await self._warm(reply)
        await self._retiring.retire_before(reply)

    async def _warm(self, reply: Reply) -> None:
        """So that who asks next waits for his question alone. Nothing of this may cost the answer that is shown."""
        try:
            await self._assistant.warm(reply)
        except Exception as error:
            log.debug("nothing is warmed after reply %s: %s", reply.id, type(error).__name__)

    async def _move(self, reply: Reply, event: Event) -> None:
        async with self._store.begin() as tx:
            await tx.replies.move(reply, event)

    async def _insist(self, reply: Reply, step: Callable[[], Awaitable[T]]) -> T | None:
        return await until_stored(f"reply {reply.id}", step)

    async def _fail(self, reply: Reply) -> None:
        """Nothing more is owed."""
        try:
            await self._insist(reply, lambda: self._move(reply, Event.FAIL))
        except Exception as error:
            log.error("reply %s can't be ended\n%s", reply.id, safe_traceback(error))

    async def _controls(self, reply: Reply, language: str) -> Controls:
        """What may be pressed under a final text: asked anew, so that it is the same after a restart."""
        if reply.lane is Lane.NOTICE:
            return await self._panel(reply, language) if named(reply.text) == "settings" else NO_CONTROLS
        if reply.question is None or reply.outcome not in OUTCOMES or reply.outcome is State.REFUSED:
            return NO_CONTROLS
        async with self._store.begin() as tx:
            cut = await tx.turns.is_truncated(reply.question)
        return Controls(
            (ButtonAction.CONTINUE, ButtonAction.RETRY) if cut else (ButtonAction.RETRY,), language=language
        )

    async def _panel(self, reply: Reply, language: str) -> Controls:
        async with self._store.begin() as tx:
            rows = await tx.preferences.settings(reply.chat)
        return Controls(panel=self._assistant.rules.settings(rows), language=language)

    async def _follow(self, reply: Reply, moved: ChatMoved, hand: Slot) -> None:
        """The chat has another id now: what was to be shown is shown there."""

        async def move() -> Reply:
            async with self._store.begin() as tx:
                await tx.chats.change_id(reply.chat.platform, reply.chat.chat, moved.chat)
                return await tx.replies.get(reply.id)

        current = await self._insist(reply, move)
        if current and current.attempt == reply.attempt and current.state in ACTIVE and current.chat != reply.chat:
            await self.run(current, hand)

    async def _apologise(self, reply: Reply, error: Exception) -> None:
        """In place of what can't be shown, if even that can be."""
        try:
            reply = await while_unavailable(f"reply {reply.id}", lambda: self._found(reply.id))
            language = choose_language("auto", reply.author.locale)
            async with self._live(reply, language) as live:
                await live.finish(describe_error(error, language, f"reply {reply.id}"))
        except Exception as again:
            log.error("reply %s can't be shown\n%s", reply.id, safe_traceback(again))

    async def _found(self, reply_id: int) -> Reply:
        async with self._store.begin() as tx:
            return await tx.replies.get(reply_id)

    def _live(self, reply: Reply, language: str, policy: Policy = STANDARD) -> StreamingMessage:
        surface = self._platforms[reply.chat.platform].channel(reply)
        running = reply.lane is Lane.ANSWER and reply.state is State.GENERATING
        controls = Controls((ButtonAction.STOP,), language=language) if running else NO_CONTROLS
        lost = self._stops.setdefault(reply.id, asyncio.Event()) if running else asyncio.Event()
        delivery = replace(self._delivery, allowed=partial(self._gate.opens, policy))
        return StreamingMessage(delivery, reply, surface, controls, lost)

    # The answer lane

    async def _answer(self, reply: Reply, live: StreamingMessage, language: str, policy: Policy) -> tuple[Reply, bool]:
        """The reply as it is stored then, and whether history keeps an answer of it."""
        stop = self._stops.setdefault(reply.id, asyncio.Event())
        ending, notice = await self._ending(reply, live, stop, language)
        whole = ending.outcome is State.DONE and not ending.truncated
        text = (close if whole else finished)(ending.text)
        if text and (shown := self._gate.shown(text, live, policy)) != text:
            ending, text = replace(ending, text=shown), shown
            notice = notice if shown else t(language, "refused.answer")
        final = "\n\n".join(filter(None, (text, notice)))
        failpoint("concluding")
        stored = await self._insist(reply, lambda: self._conclude(reply, ending, final))
        failpoint("concluded")
        if stored is None:
            raise Stale(f"reply {reply.id}: its end means nothing any more")
        return stored, ending.changes_history

    async def _conclude(self, reply: Reply, ending: AnswerResult, final: str) -> Reply:
        """C6."""
        async with self._store.begin() as tx:
            if ending.outcome is State.REFUSED and reply.question:
                await tx.turns.delete_unanswered(reply.question)
            else:
                await tx.turns.save_answer(reply, ending.text, cut=ending.truncated)
            return await tx.replies.move(reply, Event.FINISH, outcome=ending.outcome, final=final)

    async def _ending(
        self, reply: Reply, live: StreamingMessage, stop: asyncio.Event, language: str
    ) -> tuple[AnswerResult, str]:
        if reply.outcome is State.STOPPED:  # stopped, and then a crash: nothing is generated any more
            return AnswerResult(State.STOPPED), t(language, "mark.stopped")
        try:
            began = time.monotonic()
            ending = await self._assistant.answer(reply, live, stop)
            self._speed.took(time.monotonic() - began)
        except EngineDied:
            await live.rest()  # whoever runs it next must know what was sent
            return await self._lost(reply, stop, language)
        except Exception as error:
            # What the last answer had is still there to go on with.
            return AnswerResult(outcome_of(error), reply.prefix, truncated=bool(reply.prefix)), describe_error(
                error, language, f"reply {reply.id}"
            )
        return ending, t(language, ending.notice) if ending.notice else ""

    async def _lost(self, reply: Reply, stop: asyncio.Event, language: str) -> tuple[AnswerResult, str]:
        """Its question runs again by itself, so that it costs no other one anything; not for ever."""
        if stop.is_set():
            return AnswerResult(State.STOPPED), t(language, "mark.stopped")
        if reply.isolated and reply.engine_deaths + 1 >= STRIKES:
            log.error("reply %s: the engine died %d times while it ran alone; given up", reply.id, STRIKES)
            return AnswerResult(State.FAILED, reply.prefix, truncated=bool(reply.prefix)), t(language, "error.lost")

        async def lose() -> Reply:
            async with self._store.begin() as tx:
                return await tx.replies.requeue_isolated(reply)

        lost = await self._insist(reply, lose)
        if lost is not None and lost.state is State.GENERATING:
            return AnswerResult(State.STOPPED), t(language, "mark.stopped")
        raise Requeued(f"reply {reply.id}: the engine is lost; it will run by itself")

    # Small things

    async def _manners(self, reply: Reply) -> tuple[str, Policy]:
        """The asker's language, and what may be shown there. A command's words are not held against the conversation's
        own list: /filter shows that."""
        async with self._store.begin() as tx:
            wanted = await tx.preferences.language(reply.chat.platform, reply.author.id)
            policy = self._assistant.rules.settings(await tx.preferences.settings(reply.chat)).policy
        policy = replace(policy, words=()) if reply.lane is Lane.NOTICE else policy
        return choose_language(wanted, reply.author.locale), policy

    async def _mark(self, reply: Reply) -> None:
        try:
            language, _ = await self._manners(reply)
            async with self._live(reply, language) as live:
                await live.finish(t(language, "mark.stopped"))
        except Exception as error:
            log.info("reply %s keeps what it showed: %s", reply.id, type(error).__name__)
