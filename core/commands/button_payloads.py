"""What a button of ours carries: one codec for all adapters. Pure. Whatever comes back may be forged.

Everything that a press means is in its payload, so that buttons survive a restart. Payloads are at most 64 characters
of ASCII: Telegram's callback_data holds 64 bytes, Discord's custom_id 100 characters.
"""

import re
from dataclasses import dataclass

from core.domain.platform import ButtonAction

_ACTION_LETTERS = {ButtonAction.STOP: "s", ButtonAction.RETRY: "r", ButtonAction.CONTINUE: "c"}
_SETTING_LETTERS = {"temperature": "t", "max_tokens": "k", "memory": "m", "reply_language": "l"}
_ACTIONS = {letter: action for action, letter in _ACTION_LETTERS.items()}
_SETTINGS = {letter: name for name, letter in _SETTING_LETTERS.items()}
_ACTION = re.compile(r"a:([src]):([0-9]{1,18})", re.ASCII)
_SETTING = re.compile(r"p:([tkml]):(?:([0-9a-z.]{1,8}):)?([0-9a-f]{8})", re.ASCII)
_FORM = re.compile(r"([of]):([0-9a-f]{8})", re.ASCII)
_QUESTION = re.compile(r"q:([0-9]{1,20})", re.ASCII)
_INERT = "n"


@dataclass(frozen=True, slots=True)
class ActionPayload:
    """A button under an answer."""

    action: ButtonAction
    reply_id: int


@dataclass(frozen=True, slots=True)
class SettingPayload:
    """A button or list on a panel that showed a setting's value of this revision. `value` is "" for a list: the press
    carries it."""

    name: str
    value: str
    revision: str


@dataclass(frozen=True, slots=True)
class OpenFormPayload:
    """The button that opens the form of a panel."""

    revision: str


@dataclass(frozen=True, slots=True)
class FormPayload:
    """That form, filled in. The press carries the text."""

    revision: str


@dataclass(frozen=True, slots=True)
class QuestionFormPayload:
    """The form that asks about a message, filled in."""

    message_id: int


@dataclass(frozen=True, slots=True)
class InertPayload:
    """A button that only shows something."""


ButtonPayload = ActionPayload | SettingPayload | OpenFormPayload | FormPayload | QuestionFormPayload | InertPayload


def encode_payload(payload: ButtonPayload) -> str:
    """The text that a button carries."""
    match payload:
        case ActionPayload(action, reply_id):
            return f"a:{_ACTION_LETTERS[action]}:{reply_id}"
        case SettingPayload(name, value, revision):
            return ":".join(filter(None, ("p", _SETTING_LETTERS[name], value, revision)))
        case OpenFormPayload(revision):
            return f"o:{revision}"
        case FormPayload(revision):
            return f"f:{revision}"
        case QuestionFormPayload(message_id):
            return f"q:{message_id}"
        case InertPayload():
            return _INERT


def decode_payload(text: str) -> ButtonPayload | None:
    """What a button's text means; None for a text that no button of ours ever carried."""
    if text == _INERT:
        return InertPayload()
    if match := _ACTION.fullmatch(text):
        return ActionPayload(_ACTIONS[match[1]], int(match[2]))
    if match := _SETTING.fullmatch(text):
        return SettingPayload(_SETTINGS[match[1]], match[2] or "", match[3])
    if match := _FORM.fullmatch(text):
        return OpenFormPayload(match[2]) if match[1] == "o" else FormPayload(match[2])
    return QuestionFormPayload(int(match[1])) if (match := _QUESTION.fullmatch(text)) else None
