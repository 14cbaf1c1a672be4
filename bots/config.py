"""Every setting of a deployment with its default, read once from environment and .env; all mistakes listed at once."""

import difflib
import logging
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.checkpoints import DEFAULT_MODEL
from core.domain.errors import ChatError, SetupError
from core.domain.permissions import Access
from core.domain.settings import MAX_MEMORY_TURNS, MAX_TOKENS_CHOICES, SETTING_NAMES, SETTING_PARSERS, Limits, Rules
from core.filters import Level, owner_lexicon
from core.i18n import t

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[1]
ENV_FILES = (ROOT / ".env", Path(".env"))
SYSTEM_PROMPT = "You are a helpful assistant. Your answers are concise, friendly and to the point."

_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]+", re.ASCII)
_DISCORD_TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)

Ids = Annotated[frozenset[str], NoDecode]


class Config(BaseSettings):
    """Read from environment variables of the same names in capitals; .env.example explains each."""

    model_config = SettingsConfigDict(env_file=ENV_FILES, extra="ignore", env_ignore_empty=True, frozen=True)

    telegram_token: SecretStr | None = None
    telegram_api_url: str = "https://api.telegram.org"
    telegram_drafts: bool = False
    discord_token: SecretStr | None = None
    discord_api_url: str = "https://discord.com/api/v10"
    discord_gateway_url: str = "wss://gateway.discord.gg/"

    model: str = DEFAULT_MODEL
    context: int = Field(default=4096, ge=1024, le=131_072)
    weights: Literal["auto", "float32", "bf16", "int8", "int4"] = "auto"
    threads: int | None = Field(default=None, ge=1, le=1024)
    nice: int = Field(default=0, ge=0, le=19)
    kv_cache: int | None = Field(default=None, ge=64, le=1_048_576)

    data_dir: Path = ROOT / "data"
    database_url: str | None = None

    bot_name: str = Field(default="Qwentin", min_length=1, max_length=64)
    allowed_users: Ids = frozenset()
    allowed_chats: Ids = frozenset()
    owners: Ids = frozenset()

    temperature: str = "0.7"
    max_tokens: str = "512"
    memory: str = "3"
    system: str = Field(default=SYSTEM_PROMPT, validation_alias="system_prompt")
    reply_language: str = "auto"
    filter: str = "standard"

    filter_minimum: Level = Field(default=Level.STANDARD, validate_default=True)
    filter_words: Path | None = None
    help_lines: str = Field(default="", max_length=1000)
    temperature_cap: float = Field(default=1.0, ge=0, le=1)
    max_tokens_cap: int = Field(default=MAX_TOKENS_CHOICES[-1], validate_default=True)
    memory_cap: int = Field(default=MAX_MEMORY_TURNS, ge=1, le=MAX_MEMORY_TURNS)

    waiting_per_chat: int = Field(default=5, ge=0, le=1000)
    questions_per_user: int = Field(default=20, ge=0, le=100_000)
    waiting_in_all: int = Field(default=1000, ge=0, le=1_000_000)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("allowed_users", "allowed_chats", "owners", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Ids separated by commas or spaces."""
        return frozenset(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("telegram_token")
    @classmethod
    def _shaped(cls, value: SecretStr | None) -> SecretStr | None:
        """A token with white space in it would break the address that it is part of."""
        if value and not _TOKEN.fullmatch(value.get_secret_value()):
            raise ValueError("looks like 123456789:AA..., as @BotFather gives it")
        return value

    @field_validator("discord_token")
    @classmethod
    def _three_parts(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not _DISCORD_TOKEN.fullmatch(value.get_secret_value()):
            raise ValueError("looks like MTIz....Gabc12.x-yz..., as the Developer Portal gives it (Bot, Reset Token)")
        return value

    @field_validator("telegram_api_url", "discord_api_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", value):
            raise ValueError("an address such as https://api.telegram.org or http://localhost:8081")
        return value.rstrip("/")

    @field_validator("discord_gateway_url")
    @classmethod
    def _socket(cls, value: str) -> str:
        if not re.fullmatch(r"wss?://[^\s/?#]+[^\s?#]*", value):
            raise ValueError("an address such as wss://gateway.discord.gg/ or ws://localhost:8082/")
        return value

    @field_validator(*SETTING_NAMES)
    @classmethod
    def _parsed(cls, value: str, info: Any) -> str:
        """The deployment's defaults obey the same ranges as a conversation's values."""
        try:
            return str(SETTING_PARSERS[info.field_name](value))
        except ChatError as error:
            raise ValueError(t("en", error.key, **error.values)) from error

    @field_validator("filter_words")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        """Raises ValueError with the line that can't be read."""
        try:
            owner_lexicon(_lines(value))
        except OSError as error:
            raise ValueError(f"{value} can't be read: {error.strerror}") from None
        return value

    @field_validator("filter_minimum", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("filter_minimum")
    @classmethod
    def _no_higher(cls, value: Level, info: Any) -> Level:
        """A default below it would silently be another."""
        levels = list(Level)
        if levels.index(Level(info.data.get("filter", value))) < levels.index(value):
            raise ValueError(f"FILTER is below it; FILTER_MINIMUM={info.data['filter']} would allow that")
        return value

    @field_validator("max_tokens_cap")
    @classmethod
    def _choice(cls, value: int, info: Any) -> int:
        if value not in MAX_TOKENS_CHOICES:
            raise ValueError(f"one of {', '.join(map(str, MAX_TOKENS_CHOICES))}")
        if info.data.get("context", 2 * value) < 2 * value:
            raise ValueError(f"CONTEXT must be at least twice MAX_TOKENS_CAP, {2 * value}")
        return value

    @property
    def rules(self) -> Rules:
        """The deployment's defaults and the owner's caps."""
        caps = {"temperature": self.temperature_cap, "max_tokens": self.max_tokens_cap, "memory": self.memory_cap}
        return Rules(
            {name: getattr(self, name) for name in SETTING_NAMES},
            caps,
            self.filter_minimum,
            self.help_lines,
            _lines(self.filter_words),
            Limits(self.waiting_per_chat, self.questions_per_user, self.waiting_in_all),
        )

    @property
    def access(self) -> Access:
        """Who may use the bot."""
        return Access(self.allowed_users, self.allowed_chats, self.owners)

    @property
    def secrets(self) -> list[str]:
        """What no log may show: tokens, and the part of each that is secret, however the rest is written."""
        tokens = [token.get_secret_value() for token in (self.telegram_token, self.discord_token) if token]
        return tokens + [secret for token in tokens if (secret := re.split("[:.]", token)[-1]) != token]

    @property
    def database(self) -> str:
        """The bots' database: DATABASE_URL, or an SQLite file in the data folder."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir / 'qwentin.db'}"

    @property
    def console_database(self) -> str:
        """The console's own file, whatever the bots use."""
        return f"sqlite+aiosqlite:///{self.data_dir / 'console.db'}"


def _lines(file: Path | None) -> tuple[str, ...]:
    return tuple(file.read_text("utf-8").splitlines()) if file else ()


def read_config() -> Config:
    """The deployment's settings. Raises SetupError with one line for each mistake."""
    try:
        _warn_of_unknown()
        return Config()
    except ValidationError as error:
        raise SetupError("\n".join(_mistake(detail) for detail in error.errors())) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f".env can't be read: {error}") from None


def _mistake(detail: Any) -> str:
    """What is wrong, without the value: it may be a token."""
    name = ".".join(map(str, detail["loc"])).upper()
    message = detail["msg"].removeprefix("Value error, ")
    return f"{name}: {message}" if name else message


def _warn_of_unknown() -> None:
    """A misspelt setting in .env would otherwise be ignored in silence."""
    known = {(field.validation_alias or name) for name, field in Config.model_fields.items()}
    for file in filter(Path.is_file, ENV_FILES):
        for name in {key.lower() for key in dotenv_values(file)} - known:
            nearest = difflib.get_close_matches(name, map(str, known), 1, 0.8)
            if nearest:
                log.warning("%s: %s is no setting; did you mean %s?", file, name.upper(), nearest[0].upper())
