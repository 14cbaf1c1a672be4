"""Buttons, the settings panel and forms as Discord's components. Pure.

Their custom_ids are the core's button payloads: everything that a press means, so that buttons survive a restart.
"""

from typing import TypeVar

from discord import ButtonStyle, SelectOption, TextStyle
from discord.ui import ActionRow, Button, Container, Label, LayoutView, Modal, Select, TextDisplay, TextInput, View

from core.commands import settings_view as panel
from core.commands.button_payloads import (
    ActionPayload,
    FormPayload,
    OpenFormPayload,
    QuestionFormPayload,
    SettingPayload,
    encode_payload,
)
from core.commands.settings_view import FORM_SETTING, setting_revision
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

MAX_QUESTION_CHARACTERS = 1000
"""Of a question about a message."""
MAX_PANEL_CHARACTERS = 3800
"""Of the text on a panel: Discord takes 4,000 in all."""

_STYLES = {ButtonAction.STOP: ButtonStyle.danger}
_TENTHS = tuple(round(tenth / 10, 1) for tenth in range(11))
_FIELD = "text"
"""The custom_id of a form's only field."""


def view(controls: Controls, text: str, chat: ChatId, reply: int) -> View | LayoutView | None:
    """The components of a message of `reply` whose text is `text`; None where nothing can be pressed."""
    if controls.panel is not None:
        return settings_panel(controls.panel, text, chat, controls.language)
    return _finished(_action_buttons(controls, reply)) if controls.actions else None


def settings_panel(settings: Settings, text: str, chat: ChatId, language: str) -> LayoutView:
    """The settings with a list of choices for each, and a button that opens the form of the system prompt."""
    rows = [
        ActionRow[LayoutView](
            Select[LayoutView](
                custom_id=encode_payload(SettingPayload(name, "", setting_revision(chat, settings, name))),
                options=_options(settings.values[name], language),
            )
        )
        for name in panel.CHOICE_SETTINGS
    ]
    open_form = encode_payload(OpenFormPayload(setting_revision(chat, settings, FORM_SETTING)))
    prompt = Button[LayoutView](label=t(language, "form.prompt"), custom_id=open_form)
    layout = LayoutView(timeout=None)
    text = text if len(text) <= MAX_PANEL_CHARACTERS else f"{text[: MAX_PANEL_CHARACTERS - 1]}…"
    layout.add_item(Container(TextDisplay(text), *rows, ActionRow[LayoutView](prompt)))
    return _finished(layout)


def prompt_form(settings: Settings, chat: ChatId, language: str) -> Modal:
    """The form in which the system prompt is typed, filled in with the one in force."""
    field = TextInput[Modal](
        custom_id=_FIELD,
        style=TextStyle.paragraph,
        default=settings.system[:MAX_SYSTEM_CHARACTERS],
        required=False,
        max_length=MAX_SYSTEM_CHARACTERS,
    )
    custom_id = encode_payload(FormPayload(setting_revision(chat, settings, FORM_SETTING)))
    form = Modal(title=t(language, f"name.{FORM_SETTING}"), custom_id=custom_id, timeout=None)
    form.add_item(
        Label[Modal](text=t(language, f"name.{FORM_SETTING}"), description=t(language, "form.empty"), component=field)
    )
    return _finished(form)


def question_form(message: int, language: str) -> Modal:
    """The form in which a question about a message is typed."""
    field = TextInput[Modal](
        custom_id=_FIELD, style=TextStyle.paragraph, required=False, max_length=MAX_QUESTION_CHARACTERS
    )
    form = Modal(title=t(language, "menu.ask"), custom_id=encode_payload(QuestionFormPayload(message)), timeout=None)
    label = t(language, "form.question")
    form.add_item(Label[Modal](text=label, description=t(language, "form.explain"), component=field))
    return _finished(form)


def _action_buttons(controls: Controls, reply: int) -> View:
    row = View(timeout=None)
    for action in controls.actions:
        label = t(controls.language, f"button.{action}")
        style = _STYLES.get(action, ButtonStyle.secondary)
        custom_id = encode_payload(ActionPayload(action, reply))
        row.add_item(Button[View](label=label, style=style, custom_id=custom_id))
    return row


def _options(value: Value, language: str) -> list[SelectOption]:
    """A setting's choices. Each names the setting: once one is chosen, the list shows nothing else."""
    name = t(language, f"name.{value.name}")
    return [
        SelectOption(
            label=f"{name}: {_choice_text(value.name, choice, language)}",
            value=str(choice),
            default=choice == value.value,
        )
        for choice in _choices(value)
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


def _choice_text(name: str, choice: float | int | str, language: str) -> str:
    if name == "reply_language":
        return t(language, f"language.{choice}")
    return t(language, f"value.{name}", value=choice)


def _finished(view: V) -> V:
    """As a description alone: the library keeps no view that is stopped."""
    view.stop()
    return view
