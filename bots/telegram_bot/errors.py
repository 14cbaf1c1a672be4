"""Errors of the library as delivery errors: not taken, refused for good, or nobody knows.

Judged by the kind of error and, for lost connections, by httpx's own error in its cause: a BadRequest is a NetworkError
to the library, but no reason to try again. The texts are those of the public server (tdlib/telegram-bot-api).
"""

from collections.abc import Iterator
from contextlib import contextmanager
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

from core.domain.platform import (
    Ambiguous,
    ChatIdChanged,
    DeliveryError,
    MessageGone,
    NotSent,
    QuestionGone,
    ThreadClosed,
    Unacceptable,
    Unreachable,
)

RETRY_MARGIN_S = 0.5
"""Added to the wait that Telegram asks for."""
_CLASSES: tuple[tuple[tuple[type[Exception], ...], type[DeliveryError]], ...] = (
    ((Forbidden,), Unreachable),
    ((InvalidToken,), Unacceptable),  # polling meets it too, and ends the process
    ((Conflict, httpx.PoolTimeout, httpx.ConnectTimeout, httpx.ConnectError), NotSent),
)
_CHAT_CLOSED_TEXTS = (
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
_THREAD_CLOSED_TEXTS = ("thread not found", "topic_closed", "topic_deleted", "topic_id_invalid")
_QUESTION_GONE_TEXT = "message to be replied not found"
_MESSAGE_GONE_TEXTS = (
    "message to edit not found",
    "message to delete not found",
    "message can't be edited",
    "message_id_invalid",
)


@contextmanager
def delivery_errors(*, unchanged_is_success: bool = False) -> Iterator[None]:
    """Raise the library's errors in the block as DeliveryError.

    `unchanged_is_success`: an edit that is refused because it changes nothing raises nothing.
    """
    try:
        yield
    except TelegramError as error:
        if not (unchanged_is_success and is_unchanged(error)):
            raise to_delivery_error(error) from error


def to_delivery_error(error: TelegramError) -> DeliveryError:
    """The delivery error that a library error stands for."""
    if isinstance(error, RetryAfter):
        return NotSent(retry_after_s(error))
    if isinstance(error, ChatMigrated):
        return ChatIdChanged(str(error.new_chat_id))
    if isinstance(error, BadRequest) and error.__cause__ is None:  # with one, the server's text could not be read
        return _to_refusal(str(error).lower())
    for kinds, failure in _CLASSES:
        if isinstance(error, kinds) or isinstance(error.__cause__, kinds):
            return failure()
    return Ambiguous()  # read and write errors, 5xx, an answer that can't be read


def retry_after_s(error: RetryAfter) -> float:
    """Seconds to wait before the call is repeated."""
    wait = error.retry_after
    return (wait.total_seconds() if isinstance(wait, timedelta) else wait) + RETRY_MARGIN_S


def is_unchanged(error: TelegramError) -> bool:
    """Whether an edit was refused because it changes nothing."""
    return isinstance(error, BadRequest) and "message is not modified" in str(error).lower()


def _to_refusal(text: str) -> DeliveryError:
    if any(part in text for part in _MESSAGE_GONE_TEXTS):
        return MessageGone()
    if _QUESTION_GONE_TEXT in text:
        return QuestionGone()
    if any(part in text for part in _THREAD_CLOSED_TEXTS):
        return ThreadClosed()
    return Unreachable() if any(part in text for part in _CHAT_CLOSED_TEXTS) else Unacceptable()
