"""Reading presses and edits: where, of what, and what of it counts."""

import pytest

from bots.telegram_bot.incoming import Edited, Press, parse_updates
from core.domain.conversation import Author, ChatId
from core.i18n import t
from tests.bots.telegram_bot.test_telegram_incoming import (
    ANN,
    BOT,
    GROUP,
    ME,
    NAMED,
    OTHER_BOT,
    PHOTO,
    PRIVATE,
    TOPIC,
    Json,
    captioned,
    said,
    update,
)


@pytest.mark.parametrize(
    ("where", "chat", "message_id", "private", "shows"),
    [
        ({"message": said("x", by=BOT)}, ChatId("telegram", "-100"), "5", False, "x"),
        ({"message": said("…", by=BOT, **TOPIC)}, ChatId("telegram", "-100", "77"), "5", False, "…"),
        ({"message": said("x", PRIVATE, by=BOT)}, ChatId("telegram", "7"), "5", True, "x"),
        ({"message": said("…", by=ANN)}, ChatId("telegram", "-100"), "5", False, None),
        ({"message": said("…", by=None)}, ChatId("telegram", "-100"), "5", False, None),
        ({"message": {"chat": GROUP, "message_id": 5, "date": 0}}, ChatId("telegram", "-100"), "5", False, None),
        ({"inline_message_id": "i"}, None, "", False, None),
    ],
)
def test_presses(where: Json, chat: ChatId | None, message_id: str, private: bool, shows: str | None) -> None:
    for more, data in (({"data": "stop:1"}, "stop:1"), ({"game_short_name": "g"}, "")):
        made = update("callback_query", id="77", **{"from": ANN, "chat_instance": "x"}, **where, **more)
        assert parse_updates([made], ME) == Press(
            "77", chat, message_id, data, Author("7", "Ann Lee", "en"), private, shows
        )


@pytest.mark.parametrize(
    ("message", "asked"),
    [
        (said(f"{NAMED} and now?"), "and now?"),
        (said("and now?", PRIVATE), "and now?"),
        (captioned("/ask this"), "/ask this\n\n" + t("en", "media.unseen")),
        (said("/ask x"), "/ask x"),
        (said("/help"), "/help"),  # the core knows that no question is one
        (said("and now?"), None),
        (said(f"{NAMED} and now?", by=OTHER_BOT), None),
        (said("", PRIVATE, **PHOTO), ""),
        (said("x" * 4000, PRIVATE), None),  # it may be the first piece of a paste
    ],
)
def test_an_edited_question(message: Json, asked: str | None) -> None:
    got = parse_updates([update("edited_message", **message, edit_date=2)], ME)
    assert (got.incoming.text, got.incoming.external_id[-2:]) == (asked, ":5") if isinstance(got, Edited) else not asked
