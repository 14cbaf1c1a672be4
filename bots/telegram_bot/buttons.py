"""The keyboards under the bot's messages. Pure."""

from functools import cache

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from core.commands.button_payloads import ActionPayload, InertPayload, SettingPayload, encode_payload
from core.commands.settings_view import setting_revision
from core.domain.conversation import ChatId
from core.domain.platform import ButtonAction, Controls
from core.domain.settings import MAX_MEMORY_TURNS, MAX_TOKENS_CHOICES, REPLY_LANGUAGES, Settings
from core.i18n import t

TEMPERATURE_STEP = 0.1
INERT = encode_payload(InertPayload())
"""What a button carries that only shows something."""

Row = tuple[InlineKeyboardButton, ...]


def keyboard(controls: Controls, chat: ChatId, reply_id: int) -> InlineKeyboardMarkup | None:
    """The buttons under a message of a reply; None where there are none."""
    if controls.panel is not None:
        return InlineKeyboardMarkup(_panel(controls.panel, chat, controls.language))
    if not controls.actions:
        return None
    row = [
        InlineKeyboardButton(
            _label(action, controls.language), callback_data=encode_payload(ActionPayload(action, reply_id))
        )
        for action in controls.actions
    ]
    return InlineKeyboardMarkup([row])


@cache
def _label(action: ButtonAction, language: str) -> str:
    return t(language, f"button.{action}")


def _panel(settings: Settings, chat: ChatId, language: str) -> list[Row]:
    def setter(label: str, name: str, value: float | str, icon: str | None = None) -> InlineKeyboardButton:
        """A button that sets a value; inert where that is the value already. With an icon it is one of a choice, and
        shows whether it is chosen."""
        is_set = settings.values[name].value == value
        if icon is not None:
            label = f"{icon}{'✓ ' if is_set else ''}{label}"
        revision = setting_revision(chat, settings, name)
        return InlineKeyboardButton(
            label, callback_data=INERT if is_set else encode_payload(SettingPayload(name, str(value), revision))
        )

    temperature, memory = settings.temperature, settings.memory
    colder = round(max(temperature - TEMPERATURE_STEP, 0.0), 2)
    warmer = round(min(temperature + TEMPERATURE_STEP, 1.0), 2)
    return [
        (
            setter(f"− {TEMPERATURE_STEP}", "temperature", colder),
            InlineKeyboardButton(f"🌡 {temperature:g}", callback_data=INERT),
            setter(f"+ {TEMPERATURE_STEP}", "temperature", warmer),
        ),
        tuple(setter(str(count), "max_tokens", count, "") for count in MAX_TOKENS_CHOICES),
        (
            setter("− 1", "memory", max(memory - 1, 1)),
            InlineKeyboardButton(f"🧠 {memory}", callback_data=INERT),
            setter("+ 1", "memory", min(memory + 1, MAX_MEMORY_TURNS)),
        ),
        tuple(setter(t(language, f"language.{name}"), "reply_language", name, "🗣 ") for name in REPLY_LANGUAGES),
    ]
