"""The messages of one reply in a Telegram chat: text and entities, never a parse_mode, so that no text is refused."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from telegram import Bot, LinkPreviewOptions, ReplyParameters
from telegram.constants import ChatAction
from telegram.error import EndPointNotFound, TelegramError

from bots.telegram_bot.buttons import keyboard
from bots.telegram_bot.errors import delivery_errors, is_unchanged, to_delivery_error
from bots.telegram_bot.formatting import Rendered, messages
from bots.telegram_bot.incoming import PLATFORM
from bots.telegram_bot.rich_messages import RichMessage, formula_letters, rich_message
from core.domain.conversation import Reply
from core.domain.platform import MessageGone, OutgoingMessage, Pace, Unacceptable
from core.domain.reply_states import Lane

log = logging.getLogger(__name__)

EMPTIED_TEXT = "…"
"""What a message shows that should be deleted and can't be."""
_FOREIGN = "a message that another channel has formatted"
NO_PREVIEW = LinkPreviewOptions(is_disabled=True)
"""An answer with a link must not make Telegram's servers, and with them a stranger's, fetch it."""


_REFUSED_CONTENT = "rich_message_"
"""In Telegram's words for a rich message whose content it refuses; it takes others."""


@dataclass(slots=True)
class RichSupport:
    """Whether rich messages are sent: where the owner wishes them, and until the server turns out not to know them."""

    is_on: bool

    def refused(self, error: TelegramError) -> bool:
        """Whether it was the rich message that the server did not take, so that a plain one may be."""
        if isinstance(error, EndPointNotFound):
            self._give_up(error)
            return True
        if is_unchanged(error) or not isinstance(to_delivery_error(error), Unacceptable):
            return False
        if _REFUSED_CONTENT not in str(error).lower():
            self._give_up(error)
        return True

    def _give_up(self, error: TelegramError) -> None:
        log.warning("Telegram takes no rich messages (%s); answers are plain until the next start.", error)
        self.is_on = False


class TelegramReplyChannel:
    """Implements core.domain.platform.ReplyChannel, Drafts, FinalLook, LeavesThread and QuotesQuestion."""

    needs_placeholder = True

    def __init__(self, bot: Bot, reply: Reply, pace: Pace, *, drafts: bool, rich: RichSupport) -> None:
        self._bot, self._reply = bot, reply
        self._chat = int(reply.chat.chat)
        self._thread = int(reply.chat.thread) if reply.chat.thread else None
        self._quoted = 0 if reply.private else reply.seq
        """The number of the message that the reply's first message quotes; 0 where it quotes none."""
        # Telegram tells bots of no deletion: an answer whose question is gone is known by its first send alone.
        self._needs_question = reply.lane is Lane.ANSWER and not reply.is_repeat
        self.key = f"{PLATFORM}:{reply.chat.chat}"  # all topics of a group share its limit
        self.pace = pace
        self.draft = self._show_draft if drafts and reply.private else None
        self.final = self._as_rich if rich.is_on else None
        self._rich = rich

    def format(self, markdown: str) -> Sequence[OutgoingMessage]:
        """The text rendered and split into messages."""
        return [
            OutgoingMessage(each.text, each, hidden_text=formula_letters(each.blocks) if self._rich.is_on else "")
            for each in messages(markdown)
        ]

    def _as_rich(self, message: OutgoingMessage) -> OutgoingMessage:
        """A message with a table or a formula as a rich one, where the server takes those."""
        assert isinstance(message.body, Rendered), _FOREIGN
        rich = rich_message(message.body) if self._rich.is_on else None
        return replace(message, body=rich) if rich else message

    async def send(self, index: int, message: OutgoingMessage, nonce: str) -> str:
        """Send a message; plain, where Telegram refuses its entities. In groups the first one quotes the question."""
        quote = None
        if index == 0 and self._quoted:
            quote = ReplyParameters(self._quoted, allow_sending_without_reply=not self._needs_question)
        if isinstance(message.body, RichMessage):
            message_id = await self._send_rich(message.body, message, quote)
            return message_id or await self.send(index, replace(message, body=message.body.plain), nonce)
        assert isinstance(message.body, Rendered), _FOREIGN
        entities = message.body.entities
        try:
            sent = await self._bot.send_message(
                self._chat,
                message.text,
                entities=entities,
                message_thread_id=self._thread,
                reply_parameters=quote,
                reply_markup=keyboard(message.controls, self._reply.chat, self._reply.id),
                link_preview_options=NO_PREVIEW,
            )
        except TelegramError as error:
            failure = to_delivery_error(error)
            if not (entities and isinstance(failure, Unacceptable)):
                raise failure from error
            return await self.send(index, replace(message, body=Rendered(message.text)), nonce)
        return str(sent.message_id)

    async def edit(self, message_id: str, message: OutgoingMessage) -> None:
        """Change a message; to plain text, where Telegram refuses the entities."""
        if isinstance(message.body, RichMessage):
            if not await self._edit_rich(message_id, message.body, message):
                await self.edit(message_id, replace(message, body=message.body.plain))
            return
        assert isinstance(message.body, Rendered), _FOREIGN
        entities = message.body.entities
        try:
            await self._bot.edit_message_text(
                message.text,
                self._chat,
                int(message_id),
                entities=entities,
                reply_markup=keyboard(message.controls, self._reply.chat, self._reply.id),
                link_preview_options=NO_PREVIEW,
            )
        except TelegramError as error:
            if is_unchanged(error):
                return
            failure = to_delivery_error(error)
            if not (entities and isinstance(failure, Unacceptable)):
                raise failure from error
            await self.edit(message_id, replace(message, body=Rendered(message.text)))

    async def delete(self, message_id: str) -> None:
        """Delete a message of the bot; empty one that is too old for that."""
        try:
            with delivery_errors():
                await self._bot.delete_message(self._chat, int(message_id))
        except MessageGone:
            return
        except Unacceptable:
            await self.edit(message_id, OutgoingMessage(EMPTIED_TEXT, Rendered(EMPTIED_TEXT)))

    async def remove_buttons(self, message_id: str) -> None:
        """Remove the buttons under a message."""
        with delivery_errors(unchanged_is_success=True):
            await self._bot.edit_message_reply_markup(self._chat, int(message_id))

    async def _show_draft(self, message: OutgoingMessage) -> None:
        """Show unfinished text as Telegram's own preview of a message that is being written; in private chats only."""
        assert isinstance(message.body, Rendered), _FOREIGN
        draft_id = self._reply.id % 2**31 or 1  # a 32-bit integer that is not 0
        with delivery_errors():
            await self._bot.send_message_draft(
                self._chat,
                draft_id,
                message.text,
                message_thread_id=self._thread,
                entities=message.body.entities,
            )

    def leave_thread(self) -> bool:
        """Send to General from now on, or to the private chat outside its topics."""
        was_in_thread = self._thread is not None
        self._thread, self._quoted = None, 0  # to quote the question would lead back into its topic
        return was_in_thread

    def stop_quoting(self) -> None:
        """Send also where the question is gone."""
        self._needs_question = False

    async def typing(self) -> None:
        """Show "typing" for five seconds."""
        with delivery_errors():
            await self._bot.send_chat_action(self._chat, ChatAction.TYPING, message_thread_id=self._thread)

    # Rich messages: the library does not know them yet

    async def _send_rich(
        self, body: RichMessage, message: OutgoingMessage, quote: ReplyParameters | None
    ) -> str | None:
        """The id of the message; None where Telegram takes no rich one, and nothing was sent."""
        optional = {
            "message_thread_id": self._thread,
            "reply_parameters": quote,
            "reply_markup": keyboard(message.controls, self._reply.chat, self._reply.id),
        }
        values = {name: value for name, value in optional.items() if value is not None}
        call = {"chat_id": self._chat, "rich_message": _input(body), **values}
        try:
            sent = await self._bot.do_api_request("sendRichMessage", api_kwargs=call)
        except TelegramError as error:
            if self._rich.refused(error):
                return None
            raise to_delivery_error(error) from error
        return str(sent["message_id"])

    async def _edit_rich(self, message_id: str, body: RichMessage, message: OutgoingMessage) -> bool:
        """Whether the message is as it should be now; else Telegram takes no rich one, and nothing was changed."""
        try:
            await self._bot.edit_message_text(
                cast(str, None),  # left out: the rich content stands in its place
                self._chat,
                int(message_id),
                reply_markup=keyboard(message.controls, self._reply.chat, self._reply.id),
                api_kwargs={"rich_message": _input(body)},
            )
        except TelegramError as error:
            if self._rich.refused(error):
                return False
            if not is_unchanged(error):
                raise to_delivery_error(error) from error
        return True


def _input(body: RichMessage) -> dict[str, Any]:
    """An InputRichMessage. What looks like an address, a mention or a number of a card in it stays text: Telegram
    refuses some of what it finds by itself."""
    return {"html": body.html, "skip_entity_detection": True}
