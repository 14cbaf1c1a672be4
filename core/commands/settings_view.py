"""The settings of a conversation as people read them, and which of them a panel offers. Pure."""

import zlib
from datetime import UTC, datetime

from core.domain.conversation import ChatId
from core.domain.settings import SETTING_NAMES, Settings, Value
from core.i18n import t
from core.i18n.markdown import escape

CHOICE_SETTINGS = ("temperature", "max_tokens", "memory", "reply_language")
"""The settings that a panel offers a choice for."""
FORM_SETTING = "system"
"""The setting that a panel offers a form for."""


def describe_settings(settings: Settings, language: str) -> str:
    """All settings in Markdown, each with its value and where it comes from."""
    lines = []
    for name in SETTING_NAMES:
        value = settings.values[name]
        texts = {"value": format_value(value, language), "source": describe_source(value, language)}
        lines.append(t(language, "settings.line", name=t(language, f"name.{name}"), **texts))
    return "\n".join([f"**{t(language, 'settings.title')}**", "", *(f"- {line}" for line in lines)])


def format_value(value: Value, language: str) -> str:
    """The value in force, in Markdown."""
    text = escape(value.value) if isinstance(value.value, str) else value.value
    return t(language, f"value.{value.name}", value=text)


def format_requested(value: Value, language: str) -> str:
    """The value that was asked for, where the owner's cap clamps it."""
    return t(language, f"value.{value.name}", value=value.requested)


def describe_source(value: Value, language: str) -> str:
    """Who set the value and when, or that it is the default, in Markdown."""
    at = datetime.fromtimestamp(value.at / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    text = t(language, f"source.{value.source}", by=escape(value.by), at=at)
    if not value.clamped:
        return text
    return t(language, "source.clamped", wanted=format_requested(value, language), source=text)


def setting_revision(chat: ChatId, settings: Settings, name: str) -> str:
    """Eight hexadecimal digits that stand for a conversation and the value of one of its settings.

    A button that carries another revision is out of date, or belongs to another conversation.
    """
    return f"{zlib.crc32(chr(0).join((str(chat), name, str(settings.values[name].value))).encode()):08x}"
