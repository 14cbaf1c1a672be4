"""Forwarded messages in private chats: with the comment of whoever forwards them they are one question. Pure.

Telegram sends a comment and each forwarded message as updates of their own, within a second, in either order.
"""

from collections.abc import Sequence
from dataclasses import replace

from telegram import (
    Message,
    MessageOriginChannel,
    MessageOriginChat,
    MessageOriginHiddenUser,
    MessageOriginUser,
)
from telegram.constants import ChatType

from core.domain.conversation import Incoming
from core.inbound.question_text import Forward

MAX_FORWARD_GAP_S = 1
"""Seconds between two messages of one question, at most: Telegram counts whole ones."""


def is_forward(message: Message | None) -> bool:
    """Whether it is a forwarded message in a private chat."""
    return message is not None and message.forward_origin is not None and message.chat.type == ChatType.PRIVATE


def belongs_to_forwards(messages: Sequence[Message], message: Message) -> bool:
    """Whether `message` is a comment on what was forwarded, or something else that was forwarded with it.

    `messages` is what has come before of the same person.
    """
    last, comments = messages[-1], [each for each in messages if not is_forward(each)]
    if not (is_forward(message) or is_forward(last)) or message.media_group_id or last.media_group_id:
        return False
    if comments and not is_forward(message):
        return False
    if any(map(_is_command, (*comments, message))) or not all(_is_comment(each) for each in (*comments, message)):
        return False
    seconds = (message.date - last.date).total_seconds()
    return (
        _topic(last) == _topic(message) and message.message_id > last.message_id and (0 <= seconds <= MAX_FORWARD_GAP_S)
    )


def forwards_of(messages: Sequence[Message]) -> list[Forward]:
    """What was forwarded, and from whom; what has no text is left out."""
    return [forward for message in messages if is_forward(message) and (forward := forward_of(message)).text]


def forward_of(message: Message) -> Forward:
    """What was forwarded by a message, and from whom."""
    return Forward(_sender(message), (message.text or message.caption or "").strip())


def with_comment(forwarded: Incoming, messages: Sequence[Message], before: Incoming | None) -> Incoming:
    """The question that forwarded messages are, with the comment that came by itself just before them, if one did.

    `before`: the person's last message, if it was typed.
    """
    if before is None or not all(map(is_forward, messages)) or before.text.startswith("/"):
        return forwarded
    is_next = forwarded.seq > before.seq and 0 <= forwarded.at - before.at <= MAX_FORWARD_GAP_S * 1000
    if not is_next or (before.chat, before.author.id) != (forwarded.chat, forwarded.author.id):
        return forwarded
    text = "\n\n".join(filter(None, (forwarded.text, before.text)))
    alone = forwarded.text  # which has the words of several messages, but not the comment's
    return replace(forwarded, text=text, joins=(before.external_id, *forwarded.joins), alone=alone)


def _is_comment(message: Message) -> bool:
    """Whether it is a forward, or typed."""
    return is_forward(message) or (bool(message.text) and message.via_bot is None)


def _is_command(message: Message) -> bool:
    return not is_forward(message) and (message.text or "").startswith("/")


def _topic(message: Message) -> tuple[int | None, bool | None]:
    return message.message_thread_id, message.is_topic_message


def _sender(message: Message) -> str:
    """The name of whoever wrote a forwarded message; "" where Telegram does not tell."""
    match message.forward_origin:
        case MessageOriginUser(sender_user=user):
            return user.full_name
        case MessageOriginHiddenUser(sender_user_name=name):
            return name
        case MessageOriginChat(sender_chat=chat) | MessageOriginChannel(chat=chat):
            return chat.title or ""
    return ""
