"""A claimed reply to its end: generated or carried out, stored, shown. An error stays in its conversation."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from core.answering.assistant import AnswerContext, read_answer_context
from core.commands.executor import CommandExecutor
from core.commands.registry import command_name
from core.delivery.button_cleanup import ButtonCleanup
from core.delivery.streaming_message import Delivery, StreamingMessage
from core.dispatch.answer_runner import AnswerRunner, is_last_question
from core.dispatch.dispatcher import Dispatcher, Slot
from core.dispatch.engine_deaths import EngineDeaths
from core.dispatch.environment import Environment
from core.domain.conversation import ChatId, Reply
from core.domain.platform import (
    NO_CONTROLS,
    ButtonAction,
    ChatIdChanged,
    Controls,
    Platform,
    ReplyChannel,
    ThreadClosed,
    Unreachable,
)
from core.domain.reply_states import ACTIVE, Lane, ReplyEvent, State
from core.domain.settings import Rules, Settings
from core.domain.store import Stale, Transaction
from core.filters import STANDARD, Policy
from core.i18n import t
from core.i18n.error_texts import describe_error
from core.i18n.person_language import read_language
from core.runtime.failpoints import failpoint
from core.runtime.retry import until_stored
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

TAKING_BACK = ("clear", "undo")
"""Commands after which the last answer can't be repeated any more."""
NO_SETTINGS = AnswerContext(Settings({}))


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """What showing a reply takes, and what an answer is made from."""

    language: str
    """Of the person who asked: "en" or "vi"."""
    channel: ReplyChannel
    answer: AnswerContext
    """Without turns for a reply that is not generated."""
    policy: Policy
    """For the reply's text."""
    truncated: bool = False
    """Whether the history has an answer to the reply's question that the token limit ended."""
    repeatable: bool = True
    """Whether the reply's question may be answered again: only the last one, a withdrawn reply's only if it had an
    answer before."""


class ReplyMessages:
    """Opens the messages of replies. `platforms`: by name, those that are served."""

    def __init__(
        self, delivery: Delivery, platforms: Mapping[str, Platform], rules: Rules, deaths: EngineDeaths
    ) -> None:
        self._delivery, self._platforms, self._rules, self._deaths = delivery, platforms, rules, deaths

    async def read_context(self, tx: Transaction, reply: Reply) -> ReplyContext:
        """The context of a reply, as the store has it now."""
        language = await read_language(tx, reply.chat.platform, reply.author)
        if reply.state is State.GENERATING and reply.lane is Lane.ANSWER and reply.question is not None:
            answer = await read_answer_context(tx, self._rules, reply, reply.question)
            channel = self._platforms[reply.chat.platform].channel(reply)
            return ReplyContext(language, channel, answer, answer.settings.policy)
        context = self.context(reply, language, self._rules.settings(await tx.preferences.settings(reply.chat)))
        if reply.state is State.SENDING and reply.is_answer and reply.question is not None:
            # It was withdrawn, or concluded before a restart.
            truncated, repeatable = await tx.turns.is_truncated(reply.question), await is_last_question(tx, reply)
            context = replace(context, truncated=truncated, repeatable=repeatable)
        if reply.outcome is State.CANCELLED:
            last = await tx.turns.last_question(reply.chat)
            context = replace(context, repeatable=last is not None and last.id == reply.question)
        return context

    def context(self, reply: Reply, language: str, settings: Settings) -> ReplyContext:
        """The context of a reply that is not generated, and of which this much is read already.

        A command's words are not held against the conversation's own list: /filter shows that.
        """
        policy = settings.policy
        if not reply.is_answer:
            policy = replace(policy, words=())
        channel = self._platforms[reply.chat.platform].channel(reply)
        return ReplyContext(language, channel, AnswerContext(settings), policy)

    def open(self, reply: Reply, context: ReplyContext, unreachable: asyncio.Event | None = None) -> StreamingMessage:
        """The reply's messages, to be entered. An answer that is being generated has a Stop button.

        `unreachable` is set once the chat turns out to be closed to the bot.
        """
        growing = reply.lane is Lane.ANSWER and reply.state is State.GENERATING
        controls = Controls((ButtonAction.STOP,) if growing else (), language=context.language)
        unreachable = unreachable or asyncio.Event()
        message = StreamingMessage(self._delivery, reply, context.channel, controls, unreachable, context.policy)
        message.shown_characters = self._deaths.shown.get(reply.id, 0)
        return message

    async def show_final(
        self, reply: Reply, context: ReplyContext, message: StreamingMessage, checked_text: str = ""
    ) -> None:
        """Show the stored final text with its buttons. `checked_text` has passed the final check already.

        Raises what StreamingMessage.finish raises.
        """
        text = reply.final or ""
        if not text and reply.outcome is State.CANCELLED:  # discarded
            await message.finish("")
            return
        if text != checked_text:
            text = await message.permitted(text)
        controls = NO_CONTROLS
        if not reply.is_answer:
            if command_name(reply.text) == "settings":
                controls = Controls(panel=context.answer.settings, language=context.language)
        elif reply.question is not None and reply.outcome is not State.REFUSED and context.repeatable:
            actions = (ButtonAction.CONTINUE, ButtonAction.RETRY) if context.truncated else (ButtonAction.RETRY,)
            controls = Controls(actions, language=context.language)
        await message.finish(text or t(context.language, "refused.answer"), controls)

    async def apologise(self, reply: Reply, error: Exception) -> None:
        """Describe an error in place of what can't be shown. Raises whatever goes wrong.

        `reply` is read anew: its messages may have changed since it was claimed.
        """

        async def read(tx: Transaction) -> tuple[Reply, str]:
            current = await tx.replies.get(reply.id)
            return current, await read_language(tx, current.chat.platform, current.author)

        current, language = await until_stored(
            self._delivery.store, f"reply {reply.id}", read, self._delivery.database_backoff, retries=0
        )
        channel = self._platforms[current.chat.platform].channel(current)
        context = ReplyContext(language, channel, NO_SETTINGS, STANDARD)  # the settings may be what is wrong
        async with self.open(current, context) as message:
            await message.finish(describe_error(error, language, f"reply {current.id}"))


class ReplyRunner:
    """Runs claimed replies."""

    def __init__(
        self,
        environment: Environment,
        dispatcher: Dispatcher,
        messages: ReplyMessages,
        answers: AnswerRunner,
        commands: CommandExecutor,
        button_cleanup: ButtonCleanup,
    ) -> None:
        self._env, self._dispatcher, self._messages = environment, dispatcher, messages
        self._answers, self._commands, self._button_cleanup = answers, commands, button_cleanup
        self._store, self._backoff = environment.store, environment.timing.database_backoff
        self._assistant = answers.assistant

    async def run(self, reply: Reply, slot: Slot) -> None:
        """Run a claimed reply to its end. Raises only what keeps that from being stored."""
        try:
            if reply.state is State.GENERATING and reply.lane is not Lane.ANSWER:
                await self._run_command(reply, slot)
            else:
                context = await until_stored(
                    self._store,
                    f"reply {reply.id}",
                    lambda tx: self._messages.read_context(tx, reply),
                    self._backoff,
                )
                if reply.state is State.GENERATING:
                    await self._run_answer(reply, context, slot)
                else:
                    await self._show(reply, context)
        except Stale as stale:  # a commit that seemed to have failed may have queued it again
            log.debug("%s", stale)
            self._dispatcher.wake_all()
        except ChatIdChanged as moved:
            await self._follow(reply, moved, slot)
        except Unreachable:
            log.info("chat %s can't be reached; it is inactive now", reply.chat)
            await self._close_chat(reply)
            await self._fail(reply)
        except Exception as error:
            # What a cancelled one shows is better than an apology: it may be a good answer. In a closed thread, with no
            # place around it, none can be shown.
            if reply.outcome is State.CANCELLED or isinstance(error, ThreadClosed):
                log.info("reply %s keeps what it shows: %s", reply.id, type(error).__name__)
            else:
                await self._apologise(reply, error)
            await self._fail(reply)
        finally:
            self._dispatcher.ended(reply)
            slot.release()

    async def _run_answer(self, reply: Reply, context: ReplyContext, slot: Slot) -> None:
        async with self._messages.open(reply, context, self._env.control.stop_flags[reply.id]) as message:
            generated = await self._answers.run(reply, message, context.language, context.answer)
            slot.release()  # showing takes no model: a slow platform must not keep others from theirs
            if reply.isolated or generated.reply.state is State.QUEUED:
                self._dispatcher.wake(Lane.ANSWER)  # others may begin beside it; or it waits once more itself
            if generated.reply.state is State.QUEUED:
                return
            context = replace(context, truncated=generated.truncated, repeatable=generated.repeatable)
            await self._messages.show_final(generated.reply, context, message, generated.checked_text)
        await self._deliver(generated.reply, extends_history=generated.extends_history)

    async def _run_command(self, reply: Reply, slot: Slot) -> None:
        done = await self._commands.carry_out(reply, slot.release)
        slot.release()
        if done.reply.state is State.SENDING:
            await self._show(done.reply, self._messages.context(done.reply, done.language, done.settings))
        else:  # /retry or /continue: the row waits as an answer now
            self._dispatcher.wake(done.reply.lane)

    async def _show(self, reply: Reply, context: ReplyContext) -> None:
        """Show a final text that is stored."""
        async with self._messages.open(reply, context) as message:
            await self._messages.show_final(reply, context, message)
        await self._deliver(reply)

    async def _deliver(self, reply: Reply, *, extends_history: bool = False) -> None:
        """C7, and what follows it."""
        failpoint("shown")
        earlier = None
        try:
            earlier = await until_stored(
                self._store,
                f"reply {reply.id}",
                lambda tx: tx.replies.deliver(reply) if reply.lane is Lane.ANSWER else _close(tx, reply),
                self._backoff,
            )
        except Stale as stale:  # stored before, by a commit that seemed to have failed
            log.debug("%s", stale)
        failpoint("delivered")
        self._dispatcher.ended(reply)
        if extends_history and not self._dispatcher.closing:
            try:  # the next question is answered sooner then
                await self._assistant.warm(reply)
            except Exception as error:
                log.debug("nothing is warmed after reply %s: %s", reply.id, type(error).__name__)
        # A repeat of an earlier question may be answered after a later one, whose answer keeps its buttons.
        if earlier is not None and not (reply.question and (earlier.question or 0) > reply.question):
            await self._button_cleanup.remove_earlier_buttons(reply, earlier)

    # What goes wrong

    async def leave(self, platform: str, chat: str) -> None:
        """A chat is closed to the bot: cancel what waits there, stop what runs. Its data stay. Raises Unavailable."""
        async with self._store.begin() as tx:
            running = await tx.chats.deactivate(platform, chat)
        self._left(platform, chat, running)

    async def _close_chat(self, reply: Reply) -> None:
        """As `leave`, however long it takes to store."""
        platform, chat = reply.chat.platform, reply.chat.chat
        running = await until_stored(
            self._store, f"reply {reply.id}", lambda tx: tx.chats.deactivate(platform, chat), self._backoff
        )
        self._left(platform, chat, running)

    def _left(self, platform: str, chat: str, running: Collection[int]) -> None:
        """A chat is stored as closed; the replies `running` were being generated there."""
        for reply_id in running:
            self._env.control.halt(reply_id)
        self._assistant.forget(ChatId(platform, chat))  # its topics' go when others need the room
        self._env.control.notify_changed()
        self._dispatcher.wake_all()

    async def _follow(self, reply: Reply, moved: ChatIdChanged, slot: Slot) -> None:
        """The chat has another id now: run the reply there."""

        async def move(tx: Transaction) -> Reply:
            await tx.chats.change_id(reply.chat.platform, reply.chat.chat, moved.chat)
            return await tx.replies.get(reply.id)

        current = await until_stored(self._store, f"reply {reply.id}", move, self._backoff)
        if current.attempt == reply.attempt and current.state in ACTIVE and current.chat != reply.chat:
            await self.run(current, slot)

    async def _apologise(self, reply: Reply, error: Exception) -> None:
        try:
            await self._messages.apologise(reply, error)
        except Exception as again:
            log.error("reply %s can't be shown\n%s", reply.id, safe_traceback(again))

    async def _fail(self, reply: Reply) -> None:
        """Give the reply up: nothing can be shown for it."""
        try:
            await until_stored(
                self._store, f"reply {reply.id}", lambda tx: tx.replies.move(reply, ReplyEvent.FAIL), self._backoff
            )
        except Stale as stale:
            log.debug("%s", stale)
            self._dispatcher.wake_all()
        except Exception as error:
            log.error("reply %s can't be ended\n%s", reply.id, safe_traceback(error))


async def _close(tx: Transaction, reply: Reply) -> Reply | None:
    """C7 of what is no answer. Returns the answer whose buttons do nothing from now on."""
    earlier = await tx.replies.deliver(reply)
    if earlier is None and command_name(reply.text) in TAKING_BACK:
        return next(iter(await tx.recovery.superseded_answers(reply.chat, 1)), None)
    return earlier
