"""What the values of settings must look like: types for the fields of Config, each with its check.

A check returns the value as it is used, or raises ValueError with what is wrong. The message never holds the value,
which may be a token.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationInfo
from pydantic_settings import NoDecode

from core.domain.errors import ChatError
from core.domain.settings import MAX_TOKENS_CHOICES, SETTING_PARSERS
from core.filters import Level, owner_lexicon
from core.i18n import t

TELEGRAM_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]+", re.ASCII)
DISCORD_TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


def _ids(value: Any) -> Any:
    return frozenset(value.replace(",", " ").split()) if isinstance(value, str) else value


def _token(shape: re.Pattern[str], message: str) -> Callable[[SecretStr], SecretStr]:
    # A token with white space in it would break the address that it is part of.
    def check(value: SecretStr) -> SecretStr:
        if not shape.fullmatch(value.get_secret_value()):
            raise ValueError(message)
        return value

    return check


def _http_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", value):
        raise ValueError("an address such as https://api.telegram.org or http://localhost:8081")
    return value.rstrip("/")


def _websocket_url(value: str) -> str:
    if not re.fullmatch(r"wss?://[^\s/?#]+[^\s?#]*", value):
        raise ValueError("an address such as wss://gateway.discord.gg/ or ws://localhost:8082/")
    return value


def _conversation_setting(value: str, info: ValidationInfo) -> str:
    # The deployment's defaults obey the same ranges as a conversation's values.
    try:
        return str(SETTING_PARSERS[str(info.field_name)](value))
    except ChatError as error:
        raise ValueError(t("en", error.key, **error.values)) from error


def _word_list(value: Path) -> Path:
    try:
        owner_lexicon(read_lines(value))
    except OSError as error:
        raise ValueError(f"{value} can't be read: {error.strerror}") from None
    return value


def _lower_case(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _filter_minimum(value: Level, info: ValidationInfo) -> Level:
    # A default below the minimum would silently be another.
    levels = list(Level)
    if levels.index(Level(info.data.get("filter", value))) < levels.index(value):
        raise ValueError(f"FILTER is below it; FILTER_MINIMUM={info.data['filter']} would allow that")
    return value


def _max_tokens_cap(value: int, info: ValidationInfo) -> int:
    if value not in MAX_TOKENS_CHOICES:
        raise ValueError(f"one of {', '.join(map(str, MAX_TOKENS_CHOICES))}")
    if info.data.get("context", 2 * value) < 2 * value:
        raise ValueError(f"CONTEXT must be at least twice MAX_TOKENS_CAP, {2 * value}")
    return value


def read_lines(file: Path | None) -> tuple[str, ...]:
    """The lines of a text file; none where there is no file. Raises OSError."""
    return tuple(file.read_text("utf-8").splitlines()) if file else ()


Ids = Annotated[frozenset[str], NoDecode, BeforeValidator(_ids)]
"""Separated by commas or spaces."""
TelegramToken = Annotated[
    SecretStr, AfterValidator(_token(TELEGRAM_TOKEN, "looks like 123456789:AA..., as @BotFather gives it"))
]
DiscordToken = Annotated[
    SecretStr,
    AfterValidator(
        _token(DISCORD_TOKEN, "looks like MTIz....Gabc12.x-yz..., as the Developer Portal gives it (Bot, Reset Token)")
    ),
]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
WebSocketUrl = Annotated[str, AfterValidator(_websocket_url)]
ConversationSetting = Annotated[str, AfterValidator(_conversation_setting)]
"""The default of a setting that a conversation may change; the field has the setting's name."""
WordList = Annotated[Path, AfterValidator(_word_list)]
FilterMinimum = Annotated[Level, BeforeValidator(_lower_case), AfterValidator(_filter_minimum)]
MaxTokensCap = Annotated[int, AfterValidator(_max_tokens_cap)]
