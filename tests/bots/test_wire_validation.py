"""Which fields of a message are as Telegram and Discord promise them."""

from dataclasses import replace
from typing import Any

from bots.wire_validation import has_valid_fields, is_id
from core.domain.conversation import Author, ChatId, Incoming
from tests.tables import each_row

VALID = Incoming(ChatId("telegram", "-100", "77"), "42", "m:-100:5", 5, Author("7", "Ann", "en"), "Hi", False, 1)


def test_what_the_platforms_send_is_valid() -> None:
    assert has_valid_fields(VALID) and has_valid_fields(replace(VALID, chat=ChatId("discord", "1", "u5"), text=""))


@each_row(
    "changes",
    [
        {"chat": ChatId("telegram", "x")},
        {"chat": ChatId("telegram", "1" * 21)},
        {"chat": ChatId("telegram", "1", "x")},
        {"chat": ChatId("telegram", "1", 5)},  # type: ignore[arg-type]
        {"bot": ""},
        {"author": Author("Ann", "Ann")},
        {"author": Author("7", None)},  # type: ignore[arg-type]
        {"author": Author("7", "Ann", 1)},  # type: ignore[arg-type]
        {"text": None},
        {"external_id": 5},
        {"seq": -1},
        {"seq": True},
        {"seq": 2**63},
        {"at": 1.5},
    ],
    ids=str,
)
def test_what_they_never_send_is_not(changes: dict[str, Any]) -> None:
    assert not has_valid_fields(replace(VALID, **changes))


@each_row(("value", "valid"), [("7", True), ("-100", True), ("", False), ("7 ", False), ("٣", False), (7, False)])
def test_ids(value: object, valid: bool) -> None:
    assert is_id(value) is valid
