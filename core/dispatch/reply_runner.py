"""A claimed reply to its end: generated or carried out, stored, shown. An error stays in its conversation."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from core.answering.assistant import Assistant
from core.commands.executor import CommandExecutor
from core.delivery.button_cleanup import ButtonCleanup
from core.delivery.streaming_message import StreamingMessage
from core.dispatch.answer_runner import AnswerRunner, Generated
from core.dispatch.environment import Environment
from core.dispatch.reply_messages import ReplyContext, ReplyMessages
from core.domain.conversation import ChatId, Reply
from core.domain.platform import ChatIdChanged, Unreachable
from core.domain.reply_states import ACTIVE, Lane, ReplyEvent, State
from core.domain.store import Stale
from core.runtime.failpoints import failpoint
from core.runtime.retry import until_stored
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

T = TypeVar("T")


class Slot:
    """One of a lane's few places for replies that run at once; or none, for a reply that needs no place."""

    def __init__(self, places: asyncio.Semaphore | None = None) -> None:
        self._places = places

    def release(self) -> None:
        """Let another reply run, as soon as the scarce part of this one is over. Idempotent."""
        places, self._places = self._places, None
        if places is not None:
            places.release()


class ReplyRunner:
    """Runs claimed replies."""

    def __init__(
        self,
        environment: Environment,
        assistant: Assistant,
        messages: ReplyMessages,
        answers: AnswerRunner,
        commands: CommandExecutor,
    ) -> None:
        self._env, self._assistant, self._messages = environment, assistant, messages
        self._answers, self._commands = answers, commands
        self._button_cleanup = ButtonCleanup(environment.store, environment.platforms, environment.rate_limiter)
        self.closing = False
        """Nothing more is begun."""

    def start(self, tasks: asyncio.TaskGroup, reply: Reply, slot: Slot) -> None:
        """Run a claimed reply in a task. From now on it counts as running."""
        self._env.running.add((reply.id, reply.attempt))
        tasks.create_task(self.run(reply, slot))

    async def run(self, reply: Reply, slot: Slot) -> None:
        """Run a claimed reply to its end. Raises only what keeps that from being stored."""
        try:
            await self._run(reply, slot)
        except Stale as stale:
            log.debug("%s", stale)
        except ChatIdChanged as moved:
            await self._follow(reply, moved, slot)
        except Unreachable:
            log.info("chat %s can't be reached; it is inactive now", reply.chat)
            await self._store(reply, lambda: self.leave(reply.chat.platform, reply.chat.chat))
            await self._fail(reply)
        except Exception as error:
            await self._apologise(reply, error)
            await self._fail(reply)
        finally:
            self._ended(reply)
            slot.release()

    async def leave(self, platform: str, chat: str) -> None:
        """A chat is closed to the bot: cancel what waits there, stop what runs. Its data stay. Raises Unavailable."""
        async with self._env.store.begin() as tx:
            running = await tx.chats.deactivate(platform, chat)
        for reply_id in running:
            self._env.control.halt(reply_id)
        self._assistant.forget(ChatId(platform, chat))  # its topics' go when others need the room
        self._env.control.notify_changed()
        self._env.signals.notify_all()

    async def _run(self, reply: Reply, slot: Slot) -> None:
        context = await self._messages.context(reply)
        growing = reply.lane is Lane.ANSWER and reply.state is State.GENERATING
        unreachable = self._env.control.stop_flag(reply.id) if growing else None
        async with self._messages.open(reply, context, unreachable) as message:
            generated = await self._generate(reply, message, context, slot)
            slot.release()  # showing takes no model: a slow platform must not keep others from theirs
            reply = generated.reply
            if reply.state is not State.SENDING:
                return  # requeued after the engine's death; or /retry, whose row waits in the answer lane now
            if reply.isolated:
                self._env.signals.notify(Lane.ANSWER)  # others may begin beside it
            await self._messages.show_final(reply, context, message, generated.checked_text)
        failpoint("shown")
        await self._delivered(reply)
        if generated.extends_history and not self.closing:
            await self._warm(reply)
        await self._button_cleanup.remove_earlier_buttons(reply)

    async def _generate(self, reply: Reply, message: StreamingMessage, context: ReplyContext, slot: Slot) -> Generated:
        if reply.state is not State.GENERATING:
            return Generated(reply)
        if reply.lane is Lane.ANSWER:
            return await self._answers.run(reply, message, context)
        return Generated(await self._commands.carry_out(reply, context.language, slot.release))

    async def _delivered(self, reply: Reply) -> None:
        """C7."""
        try:
            await self._store(reply, lambda: self._move(reply, ReplyEvent.DELIVER))
        except Stale as stale:  # stored before, by a commit that seemed to have failed
            log.debug("%s", stale)
        failpoint("delivered")
        self._ended(reply)

    def _ended(self, reply: Reply) -> None:
        """The reply runs no more. Idempotent."""
        ended_now = (reply.id, reply.attempt) in self._env.running
        self._env.running.discard((reply.id, reply.attempt))
        if all(running_id != reply.id for running_id, _ in self._env.running):  # /retry goes on under the same id
            self._env.control.forget(reply.id)
        if ended_now:
            self._env.signals.notify_ended(reply.lane)
            self._env.control.notify_changed()

    async def _warm(self, reply: Reply) -> None:
        """Let the model read ahead, so that the next question is answered sooner. A failure costs nothing."""
        try:
            await self._assistant.warm(reply)
        except Exception as error:
            log.debug("nothing is warmed after reply %s: %s", reply.id, type(error).__name__)

    async def _fail(self, reply: Reply) -> None:
        """Give the reply up: nothing can be shown for it."""
        try:
            await self._store(reply, lambda: self._move(reply, ReplyEvent.FAIL))
        except Stale as stale:
            log.debug("%s", stale)
        except Exception as error:
            log.error("reply %s can't be ended\n%s", reply.id, safe_traceback(error))

    async def _follow(self, reply: Reply, moved: ChatIdChanged, slot: Slot) -> None:
        """The chat has another id now: run the reply there."""

        async def move() -> Reply:
            async with self._env.store.begin() as tx:
                await tx.chats.change_id(reply.chat.platform, reply.chat.chat, moved.chat)
                return await tx.replies.get(reply.id)

        current = await self._store(reply, move)
        if current.attempt == reply.attempt and current.state in ACTIVE and current.chat != reply.chat:
            await self.run(current, slot)

    async def _apologise(self, reply: Reply, error: Exception) -> None:
        try:
            await self._messages.apologise(reply, error)
        except Exception as again:
            log.error("reply %s can't be shown\n%s", reply.id, safe_traceback(again))

    async def _move(self, reply: Reply, event: ReplyEvent) -> None:
        async with self._env.store.begin() as tx:
            await tx.replies.move(reply, event)

    async def _store(self, reply: Reply, step: Callable[[], Awaitable[T]]) -> T:
        return await until_stored(f"reply {reply.id}", step, self._env.timing.database_backoff)
