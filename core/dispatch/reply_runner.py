"""A claimed reply to its end: generated or carried out, stored, shown. An error stays in its conversation."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from core.answering.assistant import AnswerContext, Assistant
from core.commands.executor import CommandExecutor
from core.delivery.button_cleanup import ButtonCleanup
from core.dispatch.answer_runner import AnswerRunner
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


class Slots:
    """A lane's places for replies that run at once. `free`: how many are not taken."""

    def __init__(self, free: int) -> None:
        self.free = free
        self._freed = asyncio.Event()

    async def wait_free(self) -> None:
        """Return when a place is free."""
        while not self.free:
            self._freed.clear()
            await self._freed.wait()

    def release(self) -> None:
        """A place is free again."""
        self.free += 1
        self._freed.set()


class Slot:
    """One of a lane's places, taken; or none, for a reply that needs no place."""

    def __init__(self, places: Slots | None = None) -> None:
        self._places = places
        if places is not None:
            places.free -= 1

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
        button_cleanup: ButtonCleanup,
    ) -> None:
        self._env, self._assistant, self._messages = environment, assistant, messages
        self._answers, self._commands, self._button_cleanup = answers, commands, button_cleanup
        self.closing = False
        """Nothing more is begun."""

    async def run(self, reply: Reply, slot: Slot) -> None:
        """Run a claimed reply to its end. Raises only what keeps that from being stored."""
        try:
            if reply.state is not State.GENERATING:
                await self._show(reply, await self._messages.read_context(reply))
            elif reply.lane is Lane.ANSWER:
                await self._run_answer(reply, slot)
            else:
                await self._run_command(reply, slot)
        except Stale as stale:  # a commit that seemed to have failed may have queued it again
            log.debug("%s", stale)
            self._env.signals.notify_all()
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

    async def _run_command(self, reply: Reply, slot: Slot) -> None:
        done = await self._commands.carry_out(reply, slot.release)
        slot.release()
        if done.reply.state is State.SENDING:
            known = AnswerContext(done.settings)
            await self._show(done.reply, self._messages.context(done.reply, done.language, known))
        else:  # /retry or /continue: the row waits as an answer now
            self._env.signals.notify(done.reply.lane)

    async def _run_answer(self, reply: Reply, slot: Slot) -> None:
        context = await self._messages.read_context(reply)
        async with self._messages.open(reply, context, self._env.control.stop_flags[reply.id]) as message:
            generated = await self._answers.run(reply, message, context)
            slot.release()  # showing takes no model: a slow platform must not keep others from theirs
            if reply.isolated or generated.reply.state is State.QUEUED:
                self._env.signals.notify(Lane.ANSWER)  # others may begin beside it; or it waits once more itself
            if generated.reply.state is State.QUEUED:
                return
            context = replace(context, truncated=generated.truncated)
            await self._messages.show_final(generated.reply, context, message, generated.checked_text)
        await self._deliver(generated.reply, extends_history=generated.extends_history)

    async def _show(self, reply: Reply, context: ReplyContext) -> None:
        """Show a final text that is stored."""
        async with self._messages.open(reply, context) as message:
            await self._messages.show_final(reply, context, message)
        await self._deliver(reply)

    async def _deliver(self, reply: Reply, *, extends_history: bool = False) -> None:
        """C7, and what follows it."""
        failpoint("shown")

        async def deliver() -> Reply | None:
            async with self._env.store.begin() as tx:
                return await tx.replies.deliver(reply)

        earlier = None
        try:
            earlier = await self._store(reply, deliver)
        except Stale as stale:  # stored before, by a commit that seemed to have failed
            log.debug("%s", stale)
        failpoint("delivered")
        self._ended(reply)
        if extends_history and not self.closing:
            await self._warm(reply)
        if earlier is not None:
            await self._button_cleanup.remove_earlier_buttons(reply, earlier)

    def _ended(self, reply: Reply) -> None:
        """The reply runs no more. Idempotent."""
        ended_now = (reply.id, reply.attempt) in self._env.running
        self._env.running.discard((reply.id, reply.attempt))
        if all(running_id != reply.id for running_id, _ in self._env.running):  # /retry goes on under the same id
            self._env.control.stop_flags.pop(reply.id, None)
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

        async def fail() -> None:
            async with self._env.store.begin() as tx:
                await tx.replies.move(reply, ReplyEvent.FAIL)

        try:
            await self._store(reply, fail)
        except Stale as stale:
            log.debug("%s", stale)
            self._env.signals.notify_all()
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

    async def _store(self, reply: Reply, step: Callable[[], Awaitable[T]]) -> T:
        return await until_stored(f"reply {reply.id}", step, self._env.timing.database_backoff)
