"""How one reply is shown: the asker's language, the filter's policy, the channel, the final text and its buttons."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.answering.assistant import AnswerContext, read_answer_context
from core.commands.registry import command_name
from core.delivery.streaming_message import Delivery, StreamingMessage
from core.domain.conversation import Reply
from core.domain.platform import NO_CONTROLS, ButtonAction, Controls, Platform, ReplyChannel
from core.domain.reply_states import OUTCOMES, Lane, State
from core.domain.settings import Rules, Settings
from core.filters import STANDARD, Policy
from core.i18n import t
from core.i18n.error_texts import describe_error
from core.i18n.person_language import read_language
from core.runtime.retry import until_stored, while_unavailable

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


class ReplyMessages:
    """Opens the messages of replies. `platforms`: by name, those that are served."""

    def __init__(self, delivery: Delivery, platforms: Mapping[str, Platform], rules: Rules) -> None:
        self._delivery, self._platforms, self._rules = delivery, platforms, rules

    async def read_context(self, reply: Reply) -> ReplyContext:
        """Read a reply's context in one transaction. A database in trouble is waited for."""
        question = reply.question if reply.lane is Lane.ANSWER else None

        async def read() -> ReplyContext:
            truncated = False
            async with self._delivery.store.begin() as tx:
                language = await read_language(tx, reply.chat.platform, reply.author)
                if question is not None and reply.state is State.GENERATING:
                    answer = await read_answer_context(tx, self._rules, reply, question)
                else:
                    answer = AnswerContext(self._rules.settings(await tx.preferences.settings(reply.chat)))
                    if question is not None and reply.state is State.SENDING:  # concluded before a restart
                        truncated = await tx.turns.is_truncated(question)
            return replace(self.context(reply, language, answer), truncated=truncated)

        return await until_stored(f"reply {reply.id}", read, self._delivery.database_backoff)

    def context(self, reply: Reply, language: str, answer: AnswerContext) -> ReplyContext:
        """The context of a reply of which this much is read already.

        A command's words are not held against the conversation's own list: /filter shows that.
        """
        policy = answer.settings.policy
        if reply.lane is Lane.NOTICE:
            policy = replace(policy, words=())
        return ReplyContext(language, self._platforms[reply.chat.platform].channel(reply), answer, policy)

    def open(self, reply: Reply, context: ReplyContext, unreachable: asyncio.Event | None = None) -> StreamingMessage:
        """The reply's messages, to be entered. An answer that is being generated has a Stop button.

        `unreachable` is set once the chat turns out to be closed to the bot.
        """
        growing = reply.lane is Lane.ANSWER and reply.state is State.GENERATING
        controls = Controls((ButtonAction.STOP,), language=context.language) if growing else NO_CONTROLS
        unreachable = unreachable or asyncio.Event()
        return StreamingMessage(self._delivery, reply, context.channel, controls, unreachable, context.policy)

    async def show_final(
        self, reply: Reply, context: ReplyContext, message: StreamingMessage, checked_text: str = ""
    ) -> None:
        """Show the stored final text with its buttons. `checked_text` has passed the final check already.

        Raises what StreamingMessage.finish raises.
        """
        text = reply.final or ""
        if text != checked_text:
            text = message.permitted(text)
        await message.finish(text or t(context.language, "refused.answer"), _controls(reply, context))

    async def mark_stopped(self, reply: Reply) -> None:
        """Show on the messages of a cancelled reply that it was stopped. Raises whatever goes wrong."""
        context = await self.read_context(reply)
        async with self.open(reply, context) as message:
            await message.finish(t(context.language, "mark.stopped"))

    async def apologise(self, reply: Reply, error: Exception) -> None:
        """Describe an error in place of what can't be shown. Raises whatever goes wrong.

        `reply` is read anew: its messages may have changed since it was claimed.
        """

        async def read() -> tuple[Reply, str]:
            async with self._delivery.store.begin() as tx:
                current = await tx.replies.get(reply.id)
                return current, await read_language(tx, current.chat.platform, current.author)

        current, language = await while_unavailable(f"reply {reply.id}", read, self._delivery.database_backoff)
        channel = self._platforms[current.chat.platform].channel(current)
        context = ReplyContext(language, channel, NO_SETTINGS, STANDARD)  # the settings may be what is wrong
        async with self.open(current, context) as message:
            await message.finish(describe_error(error, language, f"reply {current.id}"))


def _controls(reply: Reply, context: ReplyContext) -> Controls:
    """The buttons under a final text."""
    if reply.lane is Lane.NOTICE:
        shows_panel = command_name(reply.text) == "settings"
        return Controls(panel=context.answer.settings, language=context.language) if shows_panel else NO_CONTROLS
    if reply.question is None or reply.outcome not in OUTCOMES or reply.outcome is State.REFUSED:
        return NO_CONTROLS
    actions = (ButtonAction.CONTINUE, ButtonAction.RETRY) if context.truncated else (ButtonAction.RETRY,)
    return Controls(actions, language=context.language)
