"""A reply that grows on its platform: previews while there is time for them, the final text always."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType

from core.delivery.long_text import LONG_TEXT_CHARACTERS, format_long, in_thread_if_long
from core.delivery.partial_markdown import close_open_markup
from core.delivery.rate_limiter import ChatRateLimiter
from core.delivery.sent_messages import Delete, Edit, Send, SentMessages, Step, plan
from core.domain.conversation import Reply
from core.domain.platform import (
    NO_CONTROLS,
    PLACEHOLDER,
    Ambiguous,
    ButtonAction,
    Controls,
    DeliveryError,
    Drafts,
    FinalLook,
    LeavesThread,
    Look,
    MessageGone,
    NotSent,
    OutgoingMessage,
    QuestionGone,
    QuotesQuestion,
    ReplyChannel,
    SentMessageLookup,
    ThreadClosed,
    Unacceptable,
    Unreachable,
)
from core.domain.reply_states import Lane, State
from core.domain.store import Store
from core.filters import STANDARD, Filter, Policy
from core.i18n import t
from core.i18n.markdown import escape
from core.runtime.cancellation import uncancelled
from core.runtime.failpoints import failpoint
from core.runtime.retry import DATABASE_BACKOFF, Backoff

log = logging.getLogger(__name__)

TYPING_EVERY_S = 4.0
"""Platforms show a typing indicator for five seconds."""
SEND_BACKOFF = Backoff(1.0, 60.0)
"""Between attempts at a final text."""
DRAFT_KEPT_S = 20.0
"""After so long without a new one a draft is shown again: Telegram takes it away after thirty seconds."""
GIVE_UP_AFTER_S = 24 * 3600.0
"""A final text that could not be shown for this long is given up."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What every streaming message works with.

    `instance` makes the nonces of one process differ from another's. `now`: milliseconds UTC, for what is stored.
    `clock`: seconds, for how long something lasts.
    """

    store: Store
    rate_limiter: ChatRateLimiter
    instance: str
    filter: Filter
    now: Callable[[], int]
    send_backoff: Backoff = SEND_BACKOFF
    database_backoff: Backoff = DATABASE_BACKOFF
    typing_every_s: float = TYPING_EVERY_S
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class Draft:
    """Unfinished text is due on a channel that can show it without sending a message."""

    message: OutgoingMessage


@dataclass(frozen=True, slots=True)
class Typing:
    """The typing indicator is due."""


class StreamingMessage:
    """One reply on its channel, as one or more messages.

    Inside the block `write` shows what grows, with the buttons `controls`; `finish` shows the final text, always.
    `unreachable` is set where a preview finds that the chat is closed to the bot. `policy`: what the filter blocks.
    """

    def __init__(
        self,
        delivery: Delivery,
        reply: Reply,
        channel: ReplyChannel,
        controls: Controls,
        unreachable: asyncio.Event,
        policy: Policy = STANDARD,
    ) -> None:
        self._delivery, self._reply, self._channel = delivery, reply, channel
        self._controls, self._unreachable, self._policy = controls, unreachable, policy
        self._sent = SentMessages(delivery.store, reply, delivery.instance, delivery.database_backoff)
        self._draft = channel.draft if isinstance(channel, Drafts) else None
        self._final_look = channel.final if isinstance(channel, FinalLook) else None
        maybe_sent = any(state.maybe_sent for state in self._sent.states)
        self._needs_placeholder = channel.needs_placeholder and (reply.is_answer or maybe_sent)
        self._pieces: list[str] = []
        self._changed = asyncio.Event()
        self._previews: asyncio.Task[None] | None = None
        self._drafted_at: float | None = None
        """When unfinished text was last shown without a message; None where it never was."""
        self._formatted: tuple[str, Sequence[OutgoingMessage]] | None = None
        self._judged: tuple[str, bool] | None = None
        """The text that was formatted last, and the one that was judged last."""
        self.shown_characters = 0
        """How many characters of the answer people have seen, in an earlier run too: previews show no less."""
        self._asked_where = ""
        """What stands above a text that is shown outside the thread in which it was asked for; else ""."""
        if self._sent.is_elsewhere and isinstance(channel, LeavesThread):
            self._leave_thread(channel)

    async def __aenter__(self) -> "StreamingMessage":
        self._previews = asyncio.create_task(self._show_previews())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop_previews()

    def write(self, piece: str) -> None:
        """Let the text grow. Never waits: a slow platform does not hold up the model."""
        if piece:
            self._pieces.append(piece)
            if not piece.isspace():
                self._changed.set()

    def restart(self) -> None:
        """Forget what was written; the next text takes its place."""
        self._pieces.clear()
        self._changed.clear()

    async def stop_previews(self) -> None:
        """Show no more previews; return when the last one has ended. Idempotent."""
        if self._previews is not None:
            previews, self._previews = self._previews, None
            previews.cancel()
            await asyncio.gather(previews, return_exceptions=True)

    async def permitted(self, text: str) -> str:
        """The final check: `text` if it may be shown, else what may be shown of it: plain text, masked where that is
        enough; or "".

        It judges what a person will read: formatting can join what was apart, and commands repeat what people wrote.
        """
        if await self.allows(text):
            return text
        guard = self._delivery.filter.guard(self._policy)
        rendered = "\n".join(message.text for message in await self._messages(text))
        plain = escape(guard.feed(rendered) + guard.finish())
        self._delivery.filter.count("gate", guard.verdict)
        return "" if guard.blocked or not await self.allows(plain) else plain

    async def allows(self, text: str) -> bool:
        """Whether every message of `text` may be shown as it will be formatted."""
        if self._judged is None or self._judged[0] != text:
            check, policy = self._delivery.filter.check, self._policy
            read = [part for each in await self._messages(text) for part in (each.text, each.hidden_text) if part]
            self._judged = text, not any(check(part, policy).blocked for part in read)
        return self._judged[1]

    async def finish(self, text: str, controls: Controls = NO_CONTROLS) -> None:
        """Show the final text; return when the platform has accepted all of it. For "", what was sent is deleted.

        Raises Unacceptable, Unreachable, ThreadClosed or ChatIdChanged where it never will be.

        What may have been accepted is tried again. That changes nothing for an edit, nor for a send that the platform
        knows by its nonce. Elsewhere an answer is sent as a placeholder, and a notice is from the second attempt on, so
        that its text shows twice at most.
        """
        await self.stop_previews()
        delivery, messages, give_up_at = self._delivery, await self._messages(text, controls, self._final_look), None
        while steps := plan(messages, self._sent.states, self._doubtful_notice):
            if give_up_at is None:  # a step begins
                give_up_at, pauses = delivery.clock() + GIVE_UP_AFTER_S, delivery.send_backoff.pauses()
            await delivery.rate_limiter.wait(self._channel.key, self._channel.pace)
            if delivery.clock() > give_up_at:
                raise Unacceptable
            try:
                await uncancelled(self._take(steps[0]))
                give_up_at = None
            except NotSent as error:
                if not error.wait:
                    await self._hold(next(pauses))
            except Ambiguous:
                self._needs_placeholder = self._needs_placeholder or self._channel.needs_placeholder
                await self._hold(next(pauses))
            except MessageGone as gone:
                text = await self._do_without(steps[0], gone, text)
                messages, give_up_at = await self._messages(text, controls, self._final_look), None

    async def _do_without(self, step: Step, gone: MessageGone, text: str) -> str:
        """A message is gone: another takes its place, but where it was only to be restored, nobody misses it. Returns
        the text that is to be shown: none where the question is gone, and nothing is shown yet.

        Where its thread is closed, what stands there goes, and all is shown outside. Raises ThreadClosed where it can't
        be.
        """
        if isinstance(gone, QuestionGone) and isinstance(self._channel, QuotesQuestion):
            self._channel.stop_quoting()
            return "" if await self._sent.delete_question() else text
        if isinstance(step, Edit) and self._reply.outcome is State.CANCELLED:
            self._sent.states[step.index].shows = step.message
            return text
        if isinstance(gone, ThreadClosed):
            if self._asked_where or not isinstance(self._channel, LeavesThread):
                raise gone
            for message_id in filter(None, [state.id for state in self._sent.states]):
                with suppress(DeliveryError):
                    await self._channel.delete(message_id)
            if not self._leave_thread(self._channel):
                raise gone
        self._sent.replace(step.index, gone)
        return text

    def _leave_thread(self, channel: LeavesThread) -> bool:
        """Whether the reply is shown outside its thread from now on."""
        language, name = self._controls.language, self._reply.author.name
        if self._delivery.filter.check(name, self._policy).blocked:
            name = t(language, "thread.somebody")
        if channel.leave_thread():
            self._asked_where = t(language, "thread.closed", name=escape(name))
            self._sent.is_elsewhere, self._formatted, self._judged = True, None, None
        return bool(self._asked_where)

    # Previews

    async def _show_previews(self) -> None:
        limiter, key, pace = self._delivery.rate_limiter, self._channel.key, self._channel.pace
        try:
            if self._needs_placeholder and self._controls.actions and not self._sent.states and self._draft is None:
                await limiter.wait(key, pace)
                placeholder, *_ = await self._messages(PLACEHOLDER, self._controls)
                await uncancelled(self._take(Send(0, placeholder)))
            while True:
                await self._wait_for_text()
                await limiter.wait(key, pace, preview=True, counted=False)
                self._changed.clear()
                messages = await self._preview()
                if limiter.delay(key, pace, preview=True) > 0:  # somebody else called while a long text was read
                    self._changed.set()
                    continue
                if steps := plan(messages, self._sent.states) if messages else []:
                    is_draft = self._draft is not None and not self._sent.states
                    limiter.count(key, pace, preview=True)
                    await uncancelled(self._take(Draft(messages[-1]) if is_draft else steps[0]))
                    if not is_draft and plan(messages, self._sent.states):
                        self._changed.set()  # one call a turn: what is left waits for the next one
        except Unreachable:
            self._unreachable.set()
        except Exception as error:
            # Previews are optional: the final edit will meet the same trouble, and it is the one that counts.
            log.info("reply %s: no more previews: %s", self._reply.id, type(error).__name__)

    async def _preview(self) -> list[OutgoingMessage]:
        """What a preview should show; empty where there is nothing yet, or where it may not be shown."""
        self._pieces = [text := "".join(self._pieces)]
        if len(text) < self.shown_characters:
            return []
        closed = await in_thread_if_long(close_open_markup, text)
        if not text.strip() or not await self.allows(closed):
            return []
        self.shown_characters = len(text)
        return await self._messages(closed, self._controls)

    async def _wait_for_text(self) -> None:
        while not self._changed.is_set():
            if not any(self._pieces):
                await self._show_typing()
            try:
                async with asyncio.timeout(self._delivery.typing_every_s):
                    await self._changed.wait()
            except TimeoutError:
                if self._drafted_at is not None and self._delivery.clock() - self._drafted_at >= DRAFT_KEPT_S:
                    return  # the draft is to be shown again, before it vanishes

    async def _show_typing(self) -> None:
        """A courtesy, and none for a command, which is answered at once."""
        if self._reply.lane is Lane.ANSWER and not self._delivery.rate_limiter.is_held(self._channel.key):
            try:
                await uncancelled(self._take(Typing()))
            except Exception as error:
                log.debug("reply %s: no typing indicator: %s", self._reply.id, type(error).__name__)

    # Steps

    async def _take(self, step: Step | Draft | Typing) -> None:
        """One call to the platform. A penalty that it meets counts, also where the previews are over meanwhile."""
        try:
            match step:
                case Send(index, message):
                    await self._send(index, message)
                case Edit(index, message_id, message):
                    await self._channel.edit(message_id, message)
                    failpoint("edited")
                    self._sent.states[index].shows = message
                case Delete(index, message_id):
                    await self._channel.delete(message_id)
                    await self._sent.remove(index)
                case Draft(message) if self._draft is not None:
                    self._drafted_at = self._delivery.clock()
                    await self._draft(message)
                case Typing():
                    await self._channel.typing()
        except NotSent as error:
            if error.wait:
                await self._hold(error.wait)
            raise

    async def _send(self, index: int, message: OutgoingMessage) -> None:
        state = self._sent.states[index] if index < len(self._sent.states) else None
        doubtful = state is not None and state.doubtful
        if doubtful and self._sent.is_whole(index):
            self._sent.doubt(index)
        whole = self._needs_placeholder and self._drafted_at is not None and not doubtful
        if self._needs_placeholder and not whole:
            # Also a notice's has the button that removes it, should a crash leave it behind, see core.commands.buttons.
            controls = replace(self._controls, actions=(ButtonAction.STOP,))
            message, *_ = await self._messages(PLACEHOLDER, controls)
        nonce = await self._sent.intend(index, whole=whole)
        state = self._sent.states[index]
        if state.maybe_sent and isinstance(self._channel, SentMessageLookup):
            found = await self._channel.find(index, message, nonce)
            if found is not None:
                await self._sent.set_sent(index, found, None)
                return
        try:
            message_id = await self._channel.send(index, message, nonce)
        except NotSent:
            if whole:
                await self._sent.remove(index)  # after a restart nobody is to think that it may have come
            raise
        except Ambiguous:
            state.maybe_sent, state.doubtful = True, state.doubtful or self._sent.is_whole(index)
            raise
        failpoint("sent")
        await self._sent.set_sent(index, message_id, None if state.maybe_sent else message)

    async def _messages(
        self,
        text: str,
        controls: Controls = NO_CONTROLS,
        final_look: Look | None = None,
    ) -> list[OutgoingMessage]:
        """The messages of a text, the last one with the controls; none of an empty one. The last text's are kept: it is
        judged, and then shown."""
        if not text:
            return []
        if self._formatted is None or self._formatted[0] != text:
            whole = f"{self._asked_where}\n\n{text}" if self._asked_where and text != PLACEHOLDER else text
            if len(whole) <= LONG_TEXT_CHARACTERS:
                formatted = self._channel.format(whole)
            else:
                notice = t(self._controls.language, "mark.cut")
                formatted = await asyncio.to_thread(format_long, self._channel.format, notice, whole)
            self._formatted = text, formatted
        *before, last = self._formatted[1]
        if self._asked_where and text != PLACEHOLDER:  # a press there would be of another conversation
            controls = NO_CONTROLS
        messages = [*before, replace(last, controls=controls)]
        return list(map(final_look, messages)) if final_look else messages

    def _doubtful_notice(self) -> OutgoingMessage:
        return self._channel.format(t(self._controls.language, "error.doubtful"))[0]

    async def _hold(self, seconds: float) -> None:
        """Let nobody call the chat for so long. A longer time is stored: a restart must not forget it."""
        held = self._delivery.rate_limiter.hold(self._channel.key, seconds)
        if held >= 1:
            now = self._delivery.now()
            await self._sent.delay(now, now + round(held * 1000))
