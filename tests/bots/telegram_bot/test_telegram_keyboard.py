"""Buttons: within Telegram's limits, read back as they were meant, and nothing else is read."""

from hypothesis import given
from hypothesis import strategies as st
from telegram import InlineKeyboardButton

from bots.telegram_bot.buttons import keyboard
from core.commands.button_payloads import ActionPayload, InertPayload, SettingPayload, decode_payload
from core.commands.settings_view import CHOICE_SETTINGS, setting_revision
from core.domain.conversation import ChatId, Setting
from core.domain.platform import NO_CONTROLS, ButtonAction, Controls
from core.domain.settings import MAX_TOKENS_CHOICES, REPLY_LANGUAGES, SETTING_PARSERS, Settings
from core.i18n import t
from tests.conftest import RULES
from tests.tables import each_row

CHAT = ChatId("telegram", "-1001234567890", "77")


def buttons(controls: Controls, reply: int = 2**31) -> list[list[InlineKeyboardButton]]:
    markup = keyboard(controls, CHAT, reply)
    assert markup
    return [list(row) for row in markup.inline_keyboard]


def data(button: InlineKeyboardButton) -> str:
    assert isinstance(button.callback_data, str)
    return button.callback_data


def settings(**values: str) -> Settings:
    return RULES.settings({name: Setting(value, "Ann", 1) for name, value in values.items()})


def panel(now: Settings, language: str = "en") -> list[list[InlineKeyboardButton]]:
    return buttons(Controls(panel=now, language=language))


@each_row("language", ["en", "vi"])
def test_what_is_under_an_answer(language: str) -> None:
    [row] = buttons(Controls((ButtonAction.CONTINUE, ButtonAction.RETRY), language=language), 17)
    assert [button.text for button in row] == [t(language, "button.continue"), t(language, "button.retry")]
    assert [decode_payload(data(button)) for button in row] == [
        ActionPayload(ButtonAction.CONTINUE, 17),
        ActionPayload(ButtonAction.RETRY, 17),
    ]
    assert keyboard(NO_CONTROLS, CHAT, 17) is None


@given(
    st.floats(0, 1).map(lambda value: f"{value:.2f}"),
    st.sampled_from(MAX_TOKENS_CHOICES).map(str),
    st.integers(1, 10).map(str),
    st.sampled_from(REPLY_LANGUAGES),
    st.sampled_from(["en", "vi"]),
)
def test_every_button_of_a_panel_sets_what_may_be_set(t: str, k: str, m: str, lang: str, language: str) -> None:
    now = settings(temperature=t, max_tokens=k, memory=m, reply_language=lang)
    for button in (button for row in panel(now, language) for button in row):
        assert 1 <= len(data(button).encode()) <= 64 and button.text
        asked = decode_payload(data(button))
        if isinstance(asked, InertPayload):
            continue
        assert isinstance(asked, SettingPayload) and asked.name in CHOICE_SETTINGS
        assert asked.revision == setting_revision(CHAT, now, asked.name)
        assert SETTING_PARSERS[asked.name](asked.value) != now.values[asked.name].value


def test_a_panel_shows_what_is_in_force() -> None:
    rows = panel(settings(temperature="0.3", max_tokens="1024", memory="10", reply_language="vi"))
    assert [[button.text for button in row] for row in rows] == [
        ["− 0.1", "🌡 0.3", "+ 0.1"],
        ["256", "512", "✓ 1024"],
        ["− 1", "🧠 10", "+ 1"],
        ["🗣 automatic", "🗣 English", "🗣 ✓ Vietnamese"],
    ]
    assert decode_payload(data(rows[2][2])) == InertPayload(), "there is no eleventh turn"
    assert decode_payload(data(rows[0][2])) == SettingPayload("temperature", "0.4", data(rows[0][2])[-8:])


FORGED = ["", "a", "a:s", "a:s:1\n",
           "a:x:1", "a:s:-1", "a:s:1 ", "a:s:" + "9" * 19, "a:s:1:2", "a:s:¹", "p:t:0.5", "p:t:0.5:xyz",
          "p:z:1:00000000", "p:t:0.5:0000000", "p:t:0.5:000000000", "P:t:1:00000000", "p:t:'; DROP:00000000", "x" * 64,
          "p:t:٣:00000000"]  # fmt: skip


@each_row("forged", FORGED)
def test_what_no_button_ever_sent_is_not_read(forged: str) -> None:
    assert decode_payload(forged) is None


@given(st.text(max_size=64))
def test_reading_never_fails(text: str) -> None:
    decode_payload(text)
