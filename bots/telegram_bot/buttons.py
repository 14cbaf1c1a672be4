"""Buttons: what stands on them, and what they send back. Pure. Whatever comes back may be forged."""

import re
from dataclasses import dataclass

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from core.commands.settings_view import revision
from core.domain.conversation import ChatId
from core.domain.platform import ButtonAction, Controls
from core.domain.settings import MAX_MEMORY_TURNS, MAX_TOKENS_CHOICES, REPLY_LANGUAGES, Settings
from core.i18n import t

STEP = 0.1
NOTHING = "n"
_ACTIONS = {"s": ButtonAction.STOP, "r": ButtonAction.RETRY, "c": ButtonAction.CONTINUE}
_FIELDS = {"t": "temperature", "k": "max_tokens", "m": "memory", "l": "reply_language"}
_ACTED = re.compile(r"a:([src]):([0-9]{1,18})", re.ASCII)
_CHANGED = re.compile(r"p:([tkml]):([0-9a-z.]{1,8}):([0-9a-f]{8})", re.ASCII)

Row = tuple[InlineKeyboardButton, ...]


@dataclass(frozen=True, slots=True)
class Acted:
    """A button under an answer."""

    action: ButtonAction
    reply: int


@dataclass(frozen=True, slots=True)
class Changed:
    """A button of a panel that showed a setting's value of this revision."""

    name: str
    value: str
    revision: str


def read(data: str) -> Acted | Changed | None:
    """What a button's data say; None for what no button of ours ever sent."""
    if match := _ACTED.fullmatch(data):
        return Acted(_ACTIONS[match[1]], int(match[2]))
    if match := _CHANGED.fullmatch(data):
        return Changed(_FIELDS[match[1]], match[2], match[3])
    return None


def keyboard(controls: Controls, chat: ChatId, reply: int) -> InlineKeyboardMarkup | None:
    """The buttons under a message of `reply`; None where there are none."""
    if controls.panel is not None:
        return InlineKeyboardMarkup(_panel(controls.panel, chat, controls.language))
    letters = {action: letter for letter, action in _ACTIONS.items()}
    row = [
        _button(t(controls.language, f"button.{action}"), f"a:{letters[action]}:{reply}") for action in controls.actions
    ]
    return InlineKeyboardMarkup([row]) if row else None


def _panel(settings: Settings, chat: ChatId, language: str) -> list[Row]:
    temperature, memory = settings.temperature, settings.memory

    def set_to(field: str, value: object, now: object) -> str:
        return NOTHING if value == now else f"p:{field}:{value}:{revision(chat, settings, _FIELDS[field])}"

    colder, warmer = (round(min(max(temperature + step, 0.0), 1.0), 2) for step in (-STEP, STEP))
    return [
        (
            _button(f"− {STEP}", set_to("t", colder, temperature)),
            _button(f"🌡 {temperature:g}", NOTHING),
            _button(f"+ {STEP}", set_to("t", warmer, temperature)),
        ),
        tuple(
            _button(_marked(count, settings.max_tokens), set_to("k", count, settings.max_tokens))
            for count in MAX_TOKENS_CHOICES
        ),
        (
            _button("− 1", set_to("m", max(memory - 1, 1), memory)),
            _button(f"🧠 {memory}", NOTHING),
            _button("+ 1", set_to("m", min(memory + 1, MAX_MEMORY_TURNS), memory)),
        ),
        tuple(
            _button(
                "🗣 " + _marked(t(language, f"language.{name}"), t(language, f"language.{settings.reply_language}")),
                set_to("l", name, settings.reply_language),
            )
            for name in REPLY_LANGUAGES
        ),
    ]


def _marked(value: object, now: object) -> str:
    return f"✓ {value}" if value == now else str(value)


def _button(text: str, data: str) -> InlineKeyboardButton:
    return InlineKeyboardButton(text, callback_data=data)
