"""The settings of a conversation as a person reads them, and which of them a panel changes. Pure."""

import zlib
from datetime import UTC, datetime

from core.domain.conversation import ChatId
from core.domain.settings import SETTING_NAMES, Settings, Value
from core.i18n import t
from core.i18n.markdown import escape

PANEL = ("temperature", "max_tokens", "memory", "reply_language")
"""What can be chosen without typing."""
TYPED = "system"
"""What a panel with a form can change too."""


def described(settings: Settings, language: str) -> str:
    """All settings, each with where it comes from."""
    values = [settings.values[name] for name in SETTING_NAMES]
    lines = [
        t(
            language,
            "settings.line",
            name=named(value, language),
            value=shown(value, language),
            source=source(value, language),
        )
        for value in values
    ]
    return "\n".join([f"**{t(language, 'settings.title')}**", "", *(f"- {line}" for line in lines)])


def named(value: Value, language: str) -> str:
    """A setting's name."""
    return t(language, f"name.{value.name}")


def shown(value: Value, language: str) -> str:
    """Its value."""
    return t(
        language, f"value.{value.name}", value=escape(value.value) if isinstance(value.value, str) else value.value
    )


def wanted(value: Value, language: str) -> str:
    """The value that the owner's cap does not let through."""
    return t(language, f"value.{value.name}", value=value.requested)


def source(value: Value, language: str) -> str:
    """Who set it, or that it is the default."""
    at = datetime.fromtimestamp(value.at / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    text = t(language, f"source.{value.source}", by=escape(value.by), at=at)
    return t(language, "source.clamped", wanted=wanted(value, language), source=text) if value.clamped else text


def revision(chat: ChatId, settings: Settings, name: str) -> str:
    """Eight characters that differ as soon as this value of the conversation does: a button that carries others is
    stale, or another conversation's."""
    return f"{zlib.crc32(chr(0).join((str(chat), name, str(settings.values[name].value))).encode()):08x}"
