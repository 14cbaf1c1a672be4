"""Every setting of a deployment with its default, read once from the environment and .env."""

import difflib
import logging
import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from bots.config_checks import (
    ConversationSetting,
    DiscordToken,
    FilterMinimum,
    HttpUrl,
    Ids,
    MaxTokensCap,
    TelegramToken,
    WebSocketUrl,
    WordList,
    read_lines,
)
from bots.folders import FOLDERS
from core.checkpoints import DEFAULT_MODEL
from core.domain.errors import SetupError
from core.domain.permissions import Access
from core.domain.settings import (
    MAX_COMMANDS,
    MAX_MEMORY_TURNS,
    MAX_TOKENS_CHOICES,
    SETTING_NAMES,
    Limits,
    Rules,
)
from core.filters import Level

log = logging.getLogger(__name__)

ENV_FILES = (FOLDERS.config / ".env", Path(".env"))
"""The second one, of the folder that the bot is started in, comes first."""
MIN_SECRET_CHARACTERS = 8
"""A shorter password is hidden only inside its address: it may be a word that a log needs, such as "bot"."""
SYSTEM_PROMPT = "You are a helpful assistant. Your answers are concise, friendly and to the point."


class Config(BaseSettings):
    """Read from environment variables of the same names in capitals; .env.example explains each."""

    model_config = SettingsConfigDict(env_file=ENV_FILES, extra="ignore", env_ignore_empty=True, frozen=True)

    telegram_token: TelegramToken | None = None
    telegram_api_url: HttpUrl = "https://api.telegram.org"
    telegram_drafts: bool = False
    telegram_rich: bool = False
    discord_token: DiscordToken | None = None
    discord_api_url: HttpUrl = "https://discord.com/api/v10"
    discord_gateway_url: WebSocketUrl = "wss://gateway.discord.gg/"

    model: str = DEFAULT_MODEL
    context: int = Field(default=4096, ge=1024, le=131_072)
    weights: Literal["auto", "float32", "bf16", "int8", "int4"] = "auto"
    threads: int | None = Field(default=None, ge=1, le=1024)
    nice: int = Field(default=0, ge=0, le=19)
    gpu_graphs: bool = False
    kv_cache: int | None = Field(default=None, ge=64, le=1_048_576)

    guard_model: str | None = None
    guard_on_failure: Literal["open", "closed"] = "open"
    guard_timeout: float = Field(default=10.0, gt=0, le=60)

    data_dir: Path = FOLDERS.data
    database_url: SecretStr | None = None
    bookkeeping_days: int = Field(default=30, ge=0, le=36_500)

    bot_name: str = Field(default="Qwentin", min_length=1, max_length=64)
    allowed_users: Ids = frozenset()
    allowed_chats: Ids = frozenset()
    owners: Ids = frozenset()

    temperature: ConversationSetting = "0.7"
    max_tokens: ConversationSetting = "512"
    memory: ConversationSetting = "3"
    system: ConversationSetting = Field(default=SYSTEM_PROMPT, validation_alias="system_prompt")
    reply_language: ConversationSetting = "auto"
    filter: ConversationSetting = "standard"

    filter_minimum: FilterMinimum = Field(default=Level.STANDARD, validate_default=True)
    filter_words: WordList | None = None
    help_lines: str = Field(default="", max_length=1000)
    temperature_cap: float = Field(default=1.0, ge=0, le=1)
    max_tokens_cap: MaxTokensCap = Field(default=MAX_TOKENS_CHOICES[-1], validate_default=True)
    memory_cap: int = Field(default=MAX_MEMORY_TURNS, ge=1, le=MAX_MEMORY_TURNS)

    waiting_per_chat: int = Field(default=5, ge=0, le=1000)
    questions_per_user: int = Field(default=20, ge=0, le=100_000)
    waiting_in_all: int = Field(default=1000, ge=0, le=1_000_000)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def rules(self) -> Rules:
        """The deployment's defaults and the owner's caps."""
        caps = {"temperature": self.temperature_cap, "max_tokens": self.max_tokens_cap, "memory": self.memory_cap}
        return Rules(
            {name: getattr(self, name) for name in SETTING_NAMES},
            caps,
            self.filter_minimum,
            self.help_lines,
            read_lines(self.filter_words),
            Limits(self.waiting_per_chat, self.questions_per_user, self.waiting_in_all, MAX_COMMANDS),
        )

    @property
    def access(self) -> Access:
        """Who may use the bot."""
        return Access(self.allowed_users, self.allowed_chats, self.owners)

    @property
    def secrets(self) -> list[str]:
        """What no log may show: tokens, the part of each that is secret, however the rest is written, and the
        database's password."""
        tokens = [token.get_secret_value() for token in (self.telegram_token, self.discord_token) if token]
        parts = [secret for token in tokens if (secret := re.split("[:.]", token)[-1]) != token]
        return [*tokens, *parts, *_database_secrets(self.database)]

    @property
    def database(self) -> str:
        """The bots' database: DATABASE_URL, or an SQLite file in the data folder."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite+aiosqlite:///{self.data_dir / 'qwentin.db'}"

    @property
    def model_cache(self) -> Path:
        """Where converted models are kept, and what was measured of the machine; inside DATA_DIR where it is set."""
        return (FOLDERS.cache if self.data_dir == FOLDERS.data else self.data_dir) / "models"

    @property
    def console_database(self) -> str:
        """The console's own file, whatever the bots use."""
        return f"sqlite+aiosqlite:///{self.data_dir / 'console.db'}"


def _database_secrets(address: str) -> list[str]:
    """The password of an address, as it is written and as it reads, and the part of the address that has it."""
    written = address.partition("://")[2].rpartition("@")[0].partition(":")[2]
    found = [f":{written}@"] if written else []
    return found + [each for each in dict.fromkeys((written, unquote(written))) if len(each) >= MIN_SECRET_CHARACTERS]


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
