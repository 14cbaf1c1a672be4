"""Reading presses and edits: where, of what, and what of it counts."""

from typing import Any

from bots.telegram_bot.incoming import ChatlessPress, EditedMessage, parse_updates
from core.commands.button_payloads import ActionPayload, ButtonPayload, InertPayload, SettingPayload
from core.commands.press import Press
from core.domain.conversation import Author, ChatId
from core.domain.platform import ButtonAction
from tests.bots.telegram_bot.test_telegram_incoming import (
    ANN,
    BOT,
    GROUP,
    ME,
    NAMED,
    NOW_MS,
    OTHER_BOT,
    PHOTO,
    PRIVATE,
    TOPIC,
    UNSEEN,
    Json,
    captioned,
    said,
    shown,
    update,
)
from tests.tables import each_row


@each_row(
    ("where", "chat", "message_id", "private", "shows"),
    [
        ({"message": said("x", by=BOT)}, ChatId("telegram", "-100"), "5", False, "x"),
        ({"message": said("…", by=BOT, **TOPIC)}, ChatId("telegram", "-100", "77"), "5", False, "…"),
        ({"message": said("x", PRIVATE, by=BOT)}, ChatId("telegram", "7"), "5", True, "x"),
        ({"message": said("…", by=ANN)}, ChatId("telegram", "-100"), "5", False, None),
        ({"message": said("…", by=None)}, ChatId("telegram", "-100"), "5", False, None),
        ({"message": {"chat": GROUP, "message_id": 5, "date": 0}}, ChatId("telegram", "-100"), "5", False, None),
    ],
)
def test_presses(where: Json, chat: ChatId, message_id: str, private: bool, shows: str | None) -> None:
    stop = ActionPayload(ButtonAction.STOP, 1)
    for more, payload in (({"data": "a:s:1"}, stop), ({"data": "stop:1"}, None), ({"game_short_name": "g"}, None)):
        assert pressed(**where, **more) == Press(
            id="77",
            chat=chat,
            message_id=message_id,
            author=Author("7", "Ann Lee", "en"),
            private=private,
            bot="42",
            at=NOW_MS,
            payload=payload,
            seq=5,
            message_text=shows,
        )


def pressed(**more: Any) -> object:
    made = update("callback_query", id="77", **{"from": ANN, "chat_instance": "x"}, **more)
    return parse_updates([made], ME, NOW_MS)


@each_row(("data", "payload"), [("n", InertPayload()), ("junk", None)])
def test_a_press_under_an_inline_message_has_no_chat(data: str, payload: ButtonPayload | None) -> None:
    assert pressed(inline_message_id="i", data=data) == ChatlessPress("77", Author("7", "Ann Lee", "en"), payload)


@each_row(
    ("data", "payload"),
    [
        ("n", InertPayload()),
        ("a:r:7", ActionPayload(ButtonAction.RETRY, 7)),
        ("p:t:0.5:00000000", SettingPayload("temperature", "0.5", "00000000")),
        ("p:t:00000000", None),  # a list
        ("o:00000000", None),  # forms
        ("f:00000000", None),
        ("q:5", None),
    ],
)
def test_telegram_has_no_lists_and_no_forms(data: str, payload: ButtonPayload | None) -> None:
    press = pressed(message=said("x", by=BOT), data=data)
    assert isinstance(press, Press) and press.payload == payload


@each_row(
    ("message", "asked"),
    [
        (said(f"{NAMED} and now?"), "and now?"),
        (said("and now?", PRIVATE), "and now?"),
        (captioned("/ask this"), f"/ask this{UNSEEN}"),
        (said("/ask x"), "/ask x"),
        (said("/help"), "/help"),  # the core knows that no question is one
        (said("and now?"), None),
        (said(f"{NAMED} and now?", by=OTHER_BOT), None),
        (said("", PRIVATE, **PHOTO), ""),
        (said("x" * 4000, PRIVATE), None),  # it may be the first piece of a paste
    ],
)
def test_an_edited_question(message: Json, asked: str | None) -> None:
    got = parse_updates([update("edited_message", **message, edit_date=2)], ME, NOW_MS)
    if isinstance(got, EditedMessage):
        assert (shown(got.incoming), got.incoming.external_id[-2:]) == (asked, ":5")
    else:
        assert got is None and asked is None
