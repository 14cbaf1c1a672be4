"""What a failed call means: not taken, refused for good, or nobody knows. Pure.

Judged by the kind of error and, for lost connections, by httpx's own error in its cause: a BadRequest is a NetworkError
to the library, but no reason to try again. The words are those of the public server (tdlib/telegram-bot-api).
"""

from datetime import timedelta

import httpx
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
)

from core.domain.platform import Ambiguous, ChatMoved, DeliveryError, MessageGone, NotSent, Unacceptable, Unreachable

MARGIN = 0.5
"""Seconds on top of what Telegram asks for."""
_KINDS: tuple[tuple[tuple[type[Exception], ...], type[DeliveryError]], ...] = (
    ((Forbidden,), Unreachable),
    ((InvalidToken,), Unacceptable),  # polling meets it too, and ends the process
    ((Conflict, httpx.PoolTimeout, httpx.ConnectTimeout, httpx.ConnectError), NotSent),
)
_CLOSED = (
    "chat not found",
    "not enough rights",
    "need administrator rights",
    "have no rights to send",
    "chat_write_forbidden",
    "chat_restricted",
    "chat_send_plain_forbidden",
    "peer_id_invalid",
    "user_is_blocked",
    "user is deactivated",
    "bot was kicked",
    "group chat was deactivated",
)
_GONE = ("message to edit not found", "message to delete not found", "message can't be edited", "message_id_invalid")


def to_delivery_error(error: TelegramError) -> DeliveryError:
    """The failure that a library error stands for."""
    if isinstance(error, RetryAfter):
        wait = error.retry_after
        return NotSent((wait.total_seconds() if isinstance(wait, timedelta) else wait) + MARGIN)
    if isinstance(error, ChatMigrated):
        return ChatMoved(str(error.new_chat_id))
    if isinstance(error, BadRequest) and error.__cause__ is None:  # with one, its words could not be read
        return _refused(str(error).lower())
    for kinds, failure in _KINDS:
        if isinstance(error, kinds) or isinstance(error.__cause__, kinds):
            return failure()
    return Ambiguous()  # read and write errors, 5xx, an answer that can't be read


def unchanged(error: TelegramError) -> bool:
    """Whether an edit was refused because it changes nothing, which is success."""
    return isinstance(error, BadRequest) and "message is not modified" in str(error).lower()


def _refused(words: str) -> DeliveryError:
    if any(part in words for part in _GONE):
        return MessageGone()
    return Unreachable() if any(part in words for part in _CLOSED) else Unacceptable()
