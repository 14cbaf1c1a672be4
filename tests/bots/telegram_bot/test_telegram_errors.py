"""What a failed call means, for every kind that the library raises."""

import httpx
import pytest
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
    TimedOut,
)

from bots.telegram_bot.errors import delivery_errors, is_unchanged, to_delivery_error
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
from tests.tables import each_row


def caused(error: TelegramError, cause: Exception) -> TelegramError:
    error.__cause__ = cause
    return error


CASES: list[tuple[TelegramError, type[DeliveryError]]] = [
    # not sent: may be tried again
    (RetryAfter(3), NotSent),
    (Conflict("another"), NotSent),
    (caused(TimedOut(), httpx.PoolTimeout("full")), NotSent),
    (caused(TimedOut(), httpx.ConnectTimeout("slow")), NotSent),
    (caused(NetworkError("refused"), httpx.ConnectError("refused")), NotSent),
    # refused: never again
    (BadRequest("Message text is empty"), Unacceptable),
    (BadRequest("TOPIC_CLOSED"), ThreadClosed),
    (BadRequest("Message thread not found"), ThreadClosed),
    (BadRequest("Message to be replied not found"), QuestionGone),
    (InvalidToken("rejected"), Unacceptable),
    (BadRequest("Message to edit not found"), MessageGone),
    (BadRequest("Message to delete not found"), MessageGone),
    (BadRequest("Message can't be edited"), MessageGone),
    (Forbidden("Forbidden: bot was blocked by the user"), Unreachable),
    (Forbidden("Forbidden: bot was kicked from the supergroup chat"), Unreachable),
    (BadRequest("Chat not found"), Unreachable),
    (BadRequest("Not enough rights to send text messages to the chat"), Unreachable),
    (BadRequest("Group chat was deactivated"), Unreachable),
    (ChatMigrated(-100), ChatIdChanged),
    # nobody knows
    (caused(TimedOut(), httpx.ReadTimeout("hang")), Ambiguous),
    (caused(TimedOut(), httpx.WriteTimeout("hang")), Ambiguous),
    (caused(NetworkError("reset"), httpx.ReadError("reset")), Ambiguous),
    (caused(NetworkError("reset"), httpx.WriteError("reset")), Ambiguous),
    (caused(NetworkError("dropped"), httpx.RemoteProtocolError("dropped")), Ambiguous),
    (NetworkError("Bad Gateway"), Ambiguous),
    (NetworkError("Internal Server Error"), Ambiguous),
    (TelegramError("Invalid server response"), Ambiguous),
]


@each_row(("error", "kind"), CASES, ids=lambda case: str(case)[:40])
def test_every_failure_has_its_class(error: TelegramError, kind: type[DeliveryError]) -> None:
    assert type(to_delivery_error(error)) is kind


def test_what_a_failure_carries() -> None:
    penalty, moved = to_delivery_error(RetryAfter(3)), to_delivery_error(ChatMigrated(-100123))
    assert isinstance(penalty, NotSent) and penalty.wait == 3.5
    assert isinstance(moved, ChatIdChanged) and moved.chat == "-100123"


def test_an_edit_that_changes_nothing_is_success() -> None:
    unchanged = BadRequest("Message is not modified: specified new message content and reply markup are ...")
    assert is_unchanged(unchanged)
    assert not is_unchanged(BadRequest("Message to edit not found")) and not is_unchanged(TimedOut())
    edited(unchanged, unchanged_is_success=True)
    with pytest.raises(Unacceptable):
        edited(unchanged, unchanged_is_success=False)
    with pytest.raises(MessageGone):
        edited(BadRequest("Message to edit not found"), unchanged_is_success=True)


def edited(error: TelegramError, *, unchanged_is_success: bool) -> None:
    with delivery_errors(unchanged_is_success=unchanged_is_success):
        raise error
