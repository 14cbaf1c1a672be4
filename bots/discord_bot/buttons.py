"""Buttons, the panel and forms: what stands on them, and what they send back. Pure. Whatever comes back may be forged.

Everything that a press means is in its custom_id, so that buttons survive a restart.
"""

import re
from dataclasses import dataclass
from typing import TypeVar

from discord import ButtonStyle, SelectOption, TextStyle
from discord.ui import ActionRow, Button, Container, Label, LayoutView, Modal, Select, TextDisplay, TextInput, View

from core.commands import settings_view as panel
from core.commands.settings_view import TYPED, revision
from core.domain.conversation import ChatId
from core.domain.platform import ButtonAction, Controls
from core.domain.settings import (
    MAX_MEMORY_TURNS,
    MAX_SYSTEM_CHARACTERS,
    MAX_TOKENS_CHOICES,
    REPLY_LANGUAGES,
    Settings,
    Value,
)
from core.i18n import t

V = TypeVar("V", bound=View | LayoutView | Modal)

QUESTION_MOST = 1000
"""Characters of a question about a message."""
PANEL_MOST = 3800
"""Characters of text on a panel: Discord takes 4,000 in all."""

_ACTIONS = {"s": ButtonAction.STOP, "r": ButtonAction.RETRY, "c": ButtonAction.CONTINUE}
_STYLES = {ButtonAction.STOP: ButtonStyle.danger}
_FIELDS = {"t": "temperature", "k": "max_tokens", "m": "memory", "l": "reply_language"}
_TENTHS = tuple(round(tenth / 10, 1) for tenth in range(11))
_ACTED = re.compile(r"a:([src]):([0-9]{1,18})", re.ASCII)
_CHANGED = re.compile(r"p:([tkml]):([0-9a-f]{8})", re.ASCII)
_FORM = re.compile(r"([of]):([0-9a-f]{8})", re.ASCII)
_ABOUT = re.compile(r"q:([0-9]{1,20})", re.ASCII)
_FIELD = "text"


@dataclass(frozen=True, slots=True)
class Acted:
    """A button under an answer."""

    action: ButtonAction
    reply: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """A choice on a panel that showed a setting's value of this revision."""

    name: str
    revision: str


@dataclass(frozen=True, slots=True)
class Opened:
    """The button that opens the form of a panel."""

    revision: str


@dataclass(frozen=True, slots=True)
class Filled:
    """That form, filled in."""

    revision: str


@dataclass(frozen=True, slots=True)
class About:
    """The form that asks about a message, filled in."""

    message: int


Sent = Acted | Chosen | Opened | Filled | About


def read(custom_id: str) -> Sent | None:
    """What was pressed or filled in; None for what no message of ours ever had."""
    if match := _ACTED.fullmatch(custom_id):
        return Acted(_ACTIONS[match[1]], int(match[2]))
    if match := _CHANGED.fullmatch(custom_id):
        return Chosen(_FIELDS[match[1]], match[2])
    if match := _FORM.fullmatch(custom_id):
        return Opened(match[2]) if match[1] == "o" else Filled(match[2])
    return About(int(match[1])) if (match := _ABOUT.fullmatch(custom_id)) else None


def view(controls: Controls, text: str, chat: ChatId, reply: int) -> View | LayoutView | None:
    """What goes with a message of `reply` whose text is `text`; None where nothing may be pressed."""
    if controls.panel is not None:
        return settings_panel(controls.panel, text, chat, controls.language)
    return _described(_actions(controls, reply)) if controls.actions else None


def settings_panel(settings: Settings, text: str, chat: ChatId, language: str) -> LayoutView:
    """The settings with a choice for each, and a button that opens the form of the system prompt."""
    letters = {name: letter for letter, name in _FIELDS.items()}
    rows = [
        ActionRow[LayoutView](
            Select[LayoutView](
                custom_id=f"p:{letters[name]}:{revision(chat, settings, name)}",
                options=_options(settings.values[name], language),
            )
        )
        for name in panel.PANEL
    ]
    prompt = Button[LayoutView](label=t(language, "form.prompt"), custom_id=f"o:{revision(chat, settings, TYPED)}")
    made = LayoutView(timeout=None)
    shown = text if len(text) <= PANEL_MOST else f"{text[: PANEL_MOST - 1]}…"
    made.add_item(Container(TextDisplay(shown), *rows, ActionRow[LayoutView](prompt)))
    return _described(made)


def prompt_form(settings: Settings, chat: ChatId, language: str) -> Modal:
    """Where the system prompt is typed."""
    field = TextInput[Modal](
        custom_id=_FIELD,
        style=TextStyle.paragraph,
        default=settings.system[:MAX_SYSTEM_CHARACTERS],
        required=False,
        max_length=MAX_SYSTEM_CHARACTERS,
    )
    form = Modal(title=t(language, f"name.{TYPED}"), custom_id=f"f:{revision(chat, settings, TYPED)}", timeout=None)
    form.add_item(
        Label[Modal](text=t(language, f"name.{TYPED}"), description=t(language, "form.empty"), component=field)
    )
    return _described(form)


def question_form(message: int, language: str) -> Modal:
    """Where a question about a message is typed."""
    field = TextInput[Modal](custom_id=_FIELD, style=TextStyle.paragraph, required=False, max_length=QUESTION_MOST)
    form = Modal(title=t(language, "menu.ask"), custom_id=f"q:{message}", timeout=None)
    label = t(language, "form.question")
    form.add_item(Label[Modal](text=label, description=t(language, "form.explain"), component=field))
    return _described(form)


def _actions(controls: Controls, reply: int) -> View:
    letters = {action: letter for letter, action in _ACTIONS.items()}
    made = View(timeout=None)
    for action in controls.actions:
        label = t(controls.language, f"button.{action}")
        style = _STYLES.get(action, ButtonStyle.secondary)
        made.add_item(Button[View](label=label, style=style, custom_id=f"a:{letters[action]}:{reply}"))
    return made


def _options(value: Value, language: str) -> list[SelectOption]:
    """A setting's choices, each with the setting's name: once one is chosen, nothing else says what it is of."""
    name = panel.named(value, language)
    return [
        SelectOption(label=f"{name}: {_shown(value.name, choice, language)}", value=str(choice), default=choice == now)
        for choice, now in ((choice, value.value) for choice in _choices(value))
    ]


def _choices(value: Value) -> tuple[float | int | str, ...]:
    if value.name == "temperature":
        return tuple(sorted({*_TENTHS, float(value.value)}))
    choices: dict[str, tuple[float | int | str, ...]] = {
        "max_tokens": MAX_TOKENS_CHOICES,
        "memory": tuple(range(1, MAX_MEMORY_TURNS + 1)),
        "reply_language": REPLY_LANGUAGES,
    }
    return choices[value.name]


def _shown(name: str, choice: float | int | str, language: str) -> str:
    return t(language, f"language.{choice}") if name == "reply_language" else t(language, f"value.{name}", value=choice)


def _described(made: V) -> V:
    """As a description alone: the library keeps no view that is stopped."""
    made.stop()
    return made
