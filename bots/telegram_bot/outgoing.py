"""The messages of one reply in a Telegram chat: text and entities, never a parse_mode, so that no text is refused."""

from collections.abc import Sequence
from dataclasses import replace

from telegram import Bot, LinkPreviewOptions, ReplyParameters
from telegram.constants import ChatAction
from telegram.error import TelegramError

from bots.telegram_bot.buttons import keyboard
from bots.telegram_bot.errors import delivery_errors, is_unchanged, to_delivery_error
from bots.telegram_bot.formatting import Rendered, messages
from bots.telegram_bot.incoming import PLATFORM
from core.domain.conversation import Reply
from core.domain.platform import MessageGone, OutgoingMessage, Pace, Unacceptable

EMPTIED_TEXT = "…"
"""What a message shows that should be deleted and can't be."""
_FOREIGN = "a message that another channel has formatted"
NO_PREVIEW = LinkPreviewOptions(is_disabled=True)
"""An answer with a link must not make Telegram's servers, and with them a stranger's, fetch it."""


class TelegramReplyChannel:
    """Implements core.domain.platform.ReplyChannel and Drafts."""

    needs_placeholder = True

    def __init__(self, bot: Bot, reply: Reply, pace: Pace, *, drafts: bool) -> None:
        self._bot, self._reply = bot, reply
        self._chat = int(reply.chat.chat)
        self._thread = int(reply.chat.thread) if reply.chat.thread else None
        self.key = f"{PLATFORM}:{reply.chat.chat}"  # all topics of a group share its limit
        self.pace = pace
        self.drafts = drafts and reply.private

    def format(self, markdown: str) -> Sequence[OutgoingMessage]:
        """The text rendered and split into messages."""
        return [OutgoingMessage(rendered.text, rendered) for rendered in messages(markdown)]

    async def send(self, index: int, message: OutgoingMessage, nonce: str) -> str:
        """Send a message; plain, where Telegram refuses its entities. In groups the first one quotes the question."""
        assert isinstance(message.body, Rendered), _FOREIGN
        entities, quote = message.body.entities, None
        if not self._reply.private and index == 0 and self._reply.seq:
            quote = ReplyParameters(self._reply.seq, allow_sending_without_reply=True)
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

    async def draft(self, message: OutgoingMessage) -> None:
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

    async def typing(self) -> None:
        """Show "typing" for five seconds."""
        with delivery_errors():
            await self._bot.send_chat_action(self._chat, ChatAction.TYPING, message_thread_id=self._thread)
