"""A reply that grows on its platform: previews while there is time for them, the final text always."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType

from core.delivery.partial_markdown import close_open_markup
from core.delivery.plan import Delete, Edit, Send, Step, plan
from core.delivery.rate_limiter import ChatRateLimiter
from core.delivery.sent_messages import SentMessages
from core.domain.conversation import Reply
from core.domain.platform import (
    NO_CONTROLS,
    PLACEHOLDER,
    Ambiguous,
    Controls,
    Drafts,
    MessageGone,
    NotSent,
    OutgoingMessage,
    ReplyChannel,
    SentMessageLookup,
    Unacceptable,
    Unreachable,
)
from core.domain.reply_states import Lane
from core.domain.store import Store
from core.runtime.cancellation import uncancelled
from core.runtime.failpoints import failpoint
from core.runtime.retry import DATABASE_BACKOFF, Backoff

log = logging.getLogger(__name__)

TYPING_EVERY_S = 4.0
"""Platforms show a typing indicator for five seconds."""
SEND_BACKOFF = Backoff(1.0, 60.0)
"""Between attempts at a final text."""
GIVE_UP_AFTER_MS = 24 * 3600 * 1000
"""A final text that could not be shown for this long is given up."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What every streaming message works with.

    `instance` makes the nonces of one process differ from another's. `allowed` is the last check of a message, as a
    person would read it. `now`: milliseconds UTC.
    """

    store: Store
    rate_limiter: ChatRateLimiter
    instance: str
    allowed: Callable[[str], bool]
    now: Callable[[], int]
    send_backoff: Backoff = SEND_BACKOFF
    database_backoff: Backoff = DATABASE_BACKOFF
    typing_every_s: float = TYPING_EVERY_S


class StreamingMessage:
    """One reply on its channel, as one or more messages.

    Inside the block `write` shows what grows, with the buttons `controls`; `finish` shows the final text, always.
    `unreachable` is set where a preview finds that the chat is closed to the bot.
    """

    def __init__(
        self,
        delivery: Delivery,
        reply: Reply,
        channel: ReplyChannel,
        controls: Controls,
        unreachable: asyncio.Event,
    ) -> None:
        self._delivery, self._reply, self._channel = delivery, reply, channel
        self._controls, self._unreachable = controls, unreachable
        self._is_answer = reply.lane is Lane.ANSWER
        self._sent = SentMessages(delivery.store, reply, delivery.instance, delivery.database_backoff)
        self._drafts = channel if isinstance(channel, Drafts) and channel.drafts else None
        maybe_sent = any(state.maybe_sent for state in self._sent.states)
        self._needs_placeholder = channel.needs_placeholder and (self._is_answer or maybe_sent)
        self._text = ""
        self._changed = asyncio.Event()
        self._previews: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "StreamingMessage":
        self._previews = asyncio.create_task(self._show_previews())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop_previews()

    def write(self, piece: str) -> None:
        """Let the text grow. Never waits: a slow platform does not hold up the model."""
        self._text += piece
        if piece.strip():
            self._changed.set()

    def restart(self) -> None:
        """Forget what was written; the next text takes its place."""
        self._text = ""
        self._changed.clear()

    async def stop_previews(self) -> None:
        """Show no more previews; return when the last one has ended. Idempotent."""
        if self._previews is not None:
            previews, self._previews = self._previews, None
            previews.cancel()
            await asyncio.gather(previews, return_exceptions=True)

    def allows(self, text: str) -> bool:
        """Whether every message of `text` passes the last check as it will be formatted."""
        return self._are_allowed(self._channel.format(text))

    def rendered(self, text: str) -> str:
        """`text` as a person would read it, all of its messages."""
        return "\n".join(message.text for message in self._channel.format(text))

    async def finish(self, text: str, controls: Controls = NO_CONTROLS) -> None:
        """Show the final text; return when the platform has accepted all of it.

        Raises Unacceptable, Unreachable or ChatIdChanged where it never will be.
        """
        await self.stop_previews()
        messages = self._format(text, controls)
        while steps := plan(messages, self._sent.states):
            await self._until_accepted(steps[0])

    # Previews

    async def _show_previews(self) -> None:
        try:
            if self._begins_with_placeholder():
                await self._wait_for_turn()
                await uncancelled(self._take(Send(0, self._placeholder())))
            while True:
                await self._wait_for_text()
                if self._preview():
                    await self._wait_for_turn(preview=True)
                self._changed.clear()
                if messages := self._preview():
                    await uncancelled(self._show_preview(messages))
        except Unreachable:
            self._unreachable.set()
        except Exception as error:
            # Previews are optional: the final edit will meet the same trouble, and it is the one that counts.
            if isinstance(error, NotSent):
                await self._hold(error.wait)
            log.info("reply %s: no more previews: %s", self._reply.id, type(error).__name__)

    def _begins_with_placeholder(self) -> bool:
        if self._drafts is not None or self._sent.states:
            return False
        return self._needs_placeholder and bool(self._controls.actions)

    def _preview(self) -> list[OutgoingMessage]:
        """What a preview should show; empty where that is shown already, or may not be."""
        messages = self._format(close_open_markup(self._text), self._controls) if self._text.strip() else []
        is_new = self._shows_drafts() or bool(plan(messages, self._sent.states))
        return messages if is_new and self._are_allowed(messages) else []

    def _shows_drafts(self) -> bool:
        return self._drafts is not None and not self._sent.states

    async def _show_preview(self, messages: list[OutgoingMessage]) -> None:
        """One call to the platform. Further ones wait for their turn."""
        if self._drafts is not None and not self._sent.states:
            await self._drafts.draft(messages[-1])
            return
        await self._take(plan(messages, self._sent.states)[0])
        if plan(messages, self._sent.states):
            self._changed.set()

    async def _wait_for_text(self) -> None:
        while not self._changed.is_set():
            if not self._text:
                await self._show_typing()
            try:
                async with asyncio.timeout(self._delivery.typing_every_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _show_typing(self) -> None:
        """A courtesy, and none for a command, which is answered at once."""
        if self._is_answer and not self._delivery.rate_limiter.is_held(self._channel.key):
            try:
                await uncancelled(self._channel.typing())  # a penalty must not be missed
            except NotSent as error:
                await self._hold(error.wait)
            except Exception as error:
                log.debug("reply %s: no typing indicator: %s", self._reply.id, type(error).__name__)

    # Steps

    async def _until_accepted(self, step: Step) -> None:
        """Try a step until the platform has accepted it, or has said that it never will.

        What may have been accepted is tried again. That changes nothing for an edit, nor for a send that the platform
        knows by its nonce. Elsewhere an answer is sent as a placeholder, and a notice is from the second attempt on, so
        that its text shows twice at most.
        """
        give_up_at = self._delivery.now() + GIVE_UP_AFTER_MS
        for pause in self._delivery.send_backoff.pauses():
            await self._wait_for_turn()
            if self._delivery.now() > give_up_at:
                raise Unacceptable
            try:
                return await uncancelled(self._take(step))
            except NotSent as error:
                await self._hold(error.wait or pause)
            except Ambiguous:
                self._needs_placeholder = self._needs_placeholder or self._channel.needs_placeholder
                await self._hold(pause)
            except MessageGone as gone:
                return self._sent.replace(step.index, gone)

    async def _take(self, step: Step) -> None:
        match step:
            case Send(index, message):
                await self._send(index, self._placeholder() if self._needs_placeholder else message)
            case Edit(index, message_id, message):
                await self._channel.edit(message_id, message)
                failpoint("edited")
                self._sent.states[index].shows = message
            case Delete(index, message_id):
                await self._channel.delete(message_id)
                await self._sent.remove(index)

    async def _send(self, index: int, message: OutgoingMessage) -> None:
        nonce = await self._sent.intend(index)
        state = self._sent.states[index]
        if state.maybe_sent and isinstance(self._channel, SentMessageLookup):
            found = await self._channel.find(index, message, nonce)
            if found is not None:
                await self._sent.set_sent(index, found, None)
                return
        try:
            message_id = await self._channel.send(index, message, nonce)
        except Ambiguous:
            state.maybe_sent = True
            raise
        failpoint("sent")
        await self._sent.set_sent(index, message_id, None if state.maybe_sent else message)

    # Small things

    def _format(self, text: str, controls: Controls) -> list[OutgoingMessage]:
        *messages, last = self._channel.format(text)
        return [*messages, replace(last, controls=controls)]

    def _placeholder(self) -> OutgoingMessage:
        return self._format(PLACEHOLDER, self._controls)[0]

    def _are_allowed(self, messages: Sequence[OutgoingMessage]) -> bool:
        return all(self._delivery.allowed(message.text) for message in messages)

    async def _wait_for_turn(self, *, preview: bool = False) -> None:
        await self._delivery.rate_limiter.wait(self._channel.key, self._channel.pace, preview=preview)

    async def _hold(self, seconds: float) -> None:
        self._delivery.rate_limiter.hold(self._channel.key, seconds)
        if seconds >= 1:
            await self._sent.delay(self._delivery.now() + round(seconds * 1000))
