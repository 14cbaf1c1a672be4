"""One reply in a Telegram chat."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from telegram import Bot, LinkPreviewOptions, MessageEntity, ReplyParameters
from telegram.constants import ChatAction
from telegram.error import BadRequest, TelegramError

from bots.telegram_bot.buttons import keyboard
from bots.telegram_bot.errors import to_delivery_error, unchanged
from bots.telegram_bot.formatting import Rendered, messages
from core.domain.conversation import Reply
from core.domain.platform import MessageGone, OutgoingMessage, Pace, Unacceptable

T = TypeVar("T")

EMPTY = "…"
NO_PREVIEW = LinkPreviewOptions(is_disabled=True)
"""An answer with a link must not make Telegram's servers, and with them a stranger's, fetch it."""


PRIVATE = Pace(preview_interval_s=1.5, gap_s=1.0)
GROUP = Pace(preview_interval_s=4.0, gap_s=1.0, previews_per_minute=15, calls_per_minute=20)


@dataclass(frozen=True, slots=True)
class Paces:
    """Telegram lets a bot send one message a second to a chat and twenty a minute to a group; edits count."""

    private: Pace = PRIVATE
    group: Pace = GROUP

    def of(self, private: bool) -> Pace:
        """A chat's."""
        return self.private if private else self.group


class TelegramReplyChannel:
    """See core.domain.platform.ReplyChannel. Text and entities, never a parse_mode: no text can fail."""

    needs_placeholder = True

    def __init__(self, bot: Bot, reply: Reply, pace: Pace, *, drafts: bool) -> None:
        self._bot, self._reply = bot, reply
        self._chat = int(reply.chat.chat)
        self._thread = int(reply.chat.thread) if reply.chat.thread else None
        self.key = f"telegram:{reply.chat.chat}"
        self.pace = pace
        self.drafts = drafts and reply.private

    def format(self, markdown: str) -> Sequence[OutgoingMessage]:
        """Rendered and split."""
        return [OutgoingMessage(rendered.text, rendered) for rendered in messages(markdown)]

    async def send(self, index: int, part: OutgoingMessage, nonce: str) -> str:
        """A new message; in groups the first one quotes the question."""
        quote = None
        if not self._reply.private and index == 0 and self._reply.seq:
            quote = ReplyParameters(self._reply.seq, allow_sending_without_reply=True)

        async def send(entities: Sequence[MessageEntity]) -> str:
            message = await self._bot.send_message(
                self._chat,
                part.text,
                entities=entities,
                message_thread_id=self._thread,
                reply_parameters=quote,
                reply_markup=keyboard(part.controls, self._reply.chat, self._reply.id),
                link_preview_options=NO_PREVIEW,
            )
            return str(message.message_id)

        return await _rendered(part, send)

    async def edit(self, message_id: str, part: OutgoingMessage) -> None:
        """The same text again is success."""

        async def edit(entities: Sequence[MessageEntity]) -> None:
            await self._bot.edit_message_text(
                part.text,
                self._chat,
                int(message_id),
                entities=entities,
                reply_markup=keyboard(part.controls, self._reply.chat, self._reply.id),
                link_preview_options=NO_PREVIEW,
            )

        await _rendered(part, _unless_unchanged(edit))

    async def delete(self, message_id: str) -> None:
        """Delete one of our own; one that is too old for that is emptied."""
        try:
            await _classed(self._bot.delete_message(self._chat, int(message_id)))
        except MessageGone:
            return
        except Unacceptable:
            await self.edit(message_id, OutgoingMessage(EMPTY, Rendered(EMPTY, ())))

    async def remove_buttons(self, message_id: str) -> None:
        """Take away its buttons."""

        async def strip(entities: Sequence[MessageEntity]) -> None:
            await self._bot.edit_message_reply_markup(self._chat, int(message_id))

        await _classed(_unless_unchanged(strip)(()))

    async def draft(self, part: OutgoingMessage) -> None:
        """Telegram's own preview of a message that is being written, in private chats."""
        rendered = _body(part)
        draft_id = self._reply.id % 2**31 or 1
        await _classed(
            self._bot.send_message_draft(
                self._chat, draft_id, part.text, message_thread_id=self._thread, entities=rendered.entities
            )
        )

    async def typing(self) -> None:
        """Shown for five seconds."""
        await _classed(self._bot.send_chat_action(self._chat, ChatAction.TYPING, message_thread_id=self._thread))


async def _rendered(part: OutgoingMessage, call: Callable[[Sequence[MessageEntity]], Awaitable[T]]) -> T:
    """The call with the part's entities; plain, where Telegram refuses it with them."""
    entities = _body(part).entities
    try:
        return await _classed(call(entities))
    except Unacceptable:
        if not entities:
            raise
        return await _classed(call(()))


def _unless_unchanged(
    call: Callable[[Sequence[MessageEntity]], Awaitable[None]],
) -> Callable[[Sequence[MessageEntity]], Awaitable[None]]:
    async def tolerant(entities: Sequence[MessageEntity]) -> None:
        try:
            await call(entities)
        except BadRequest as error:
            if not unchanged(error):
                raise

    return tolerant


async def _classed(call: Awaitable[T]) -> T:
    try:
        return await call
    except TelegramError as error:
        raise to_delivery_error(error) from error


def _body(part: OutgoingMessage) -> Rendered:
    assert isinstance(part.body, Rendered), "a part of another surface"
    return part.body
