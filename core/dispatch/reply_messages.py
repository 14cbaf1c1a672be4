"""How one reply is shown: the asker's language, the filter's policy, the channel, the final text and its buttons."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from core.commands.registry import command_name
from core.delivery.final_check import FinalCheck
from core.delivery.streaming_message import Delivery, StreamingMessage
from core.domain.conversation import Reply
from core.domain.platform import NO_CONTROLS, ButtonAction, Controls, Platform, ReplyChannel
from core.domain.reply_states import OUTCOMES, Lane, State
from core.domain.settings import Rules
from core.filters import STANDARD, Policy
from core.i18n import t
from core.i18n.error_texts import describe_error
from core.i18n.person_language import read_language
from core.runtime.retry import until_stored, while_unavailable


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """What showing a reply takes: the asker's language ("en" or "vi"), the policy for its text, its channel."""

    language: str
    policy: Policy
    channel: ReplyChannel


class ReplyMessages:
    """Opens the messages of replies. `platforms`: by name, those that are served."""

    def __init__(
        self, delivery: Delivery, platforms: Mapping[str, Platform], rules: Rules, final_check: FinalCheck
    ) -> None:
        self._delivery, self._platforms, self._rules, self._final_check = delivery, platforms, rules, final_check

    async def context(self, reply: Reply) -> ReplyContext:
        """Read a reply's context. A database in trouble is waited for."""
        language, policy = await until_stored(
            f"reply {reply.id}", partial(self._language_and_policy, reply), self._delivery.database_backoff
        )
        return ReplyContext(language, policy, self._channel(reply))

    def open(self, reply: Reply, context: ReplyContext, unreachable: asyncio.Event | None = None) -> StreamingMessage:
        """The reply's messages, to be entered. An answer that is being generated has a Stop button.

        `unreachable` is set once the chat turns out to be closed to the bot.
        """
        growing = reply.lane is Lane.ANSWER and reply.state is State.GENERATING
        controls = Controls((ButtonAction.STOP,), language=context.language) if growing else NO_CONTROLS
        delivery = replace(self._delivery, allowed=partial(self._final_check.allows, context.policy))
        return StreamingMessage(delivery, reply, context.channel, controls, unreachable or asyncio.Event())

    async def show_final(
        self, reply: Reply, context: ReplyContext, message: StreamingMessage, checked_text: str = ""
    ) -> None:
        """Show the stored final text with its buttons. `checked_text` has passed the final check already.

        Raises what StreamingMessage.finish raises.
        """
        controls = await until_stored(
            f"reply {reply.id}", partial(self._controls, reply, context.language), self._delivery.database_backoff
        )
        text = reply.final or ""
        if text != checked_text:
            text = self._final_check.permitted(text, message, context.policy)
        await message.finish(text or t(context.language, "refused.answer"), controls)

    async def mark_stopped(self, reply: Reply) -> None:
        """Show on the messages of a cancelled reply that it was stopped. Raises whatever goes wrong."""
        context = await self.context(reply)
        async with self.open(reply, context) as message:
            await message.finish(t(context.language, "mark.stopped"))

    async def apologise(self, reply: Reply, error: Exception) -> None:
        """Describe an error in place of what can't be shown. Raises whatever goes wrong.

        `reply` is read anew: its messages may have changed since it was claimed.
        """
        reply, language = await while_unavailable(
            f"reply {reply.id}", partial(self._read_again, reply.id), self._delivery.database_backoff
        )
        async with self.open(reply, ReplyContext(language, STANDARD, self._channel(reply))) as message:
            await message.finish(describe_error(error, language, f"reply {reply.id}"))

    def _channel(self, reply: Reply) -> ReplyChannel:
        return self._platforms[reply.chat.platform].channel(reply)

    async def _language_and_policy(self, reply: Reply) -> tuple[str, Policy]:
        """A command's words are not held against the conversation's own list: /filter shows that."""
        async with self._delivery.store.begin() as tx:
            language = await read_language(tx, reply.chat.platform, reply.author)
            policy = self._rules.settings(await tx.preferences.settings(reply.chat)).policy
        return language, replace(policy, words=()) if reply.lane is Lane.NOTICE else policy

    async def _read_again(self, reply_id: int) -> tuple[Reply, str]:
        async with self._delivery.store.begin() as tx:
            reply = await tx.replies.get(reply_id)
            return reply, await read_language(tx, reply.chat.platform, reply.author)

    async def _controls(self, reply: Reply, language: str) -> Controls:
        """The buttons under a final text: read from the store, so that they are the same after a restart."""
        if reply.lane is Lane.NOTICE:
            return await self._panel(reply, language) if command_name(reply.text) == "settings" else NO_CONTROLS
        if reply.question is None or reply.outcome not in OUTCOMES or reply.outcome is State.REFUSED:
            return NO_CONTROLS
        async with self._delivery.store.begin() as tx:
            truncated = await tx.turns.is_truncated(reply.question)
        actions = (ButtonAction.CONTINUE, ButtonAction.RETRY) if truncated else (ButtonAction.RETRY,)
        return Controls(actions, language=language)

    async def _panel(self, reply: Reply, language: str) -> Controls:
        async with self._delivery.store.begin() as tx:
            rows = await tx.preferences.settings(reply.chat)
        return Controls(panel=self._rules.settings(rows), language=language)
