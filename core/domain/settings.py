"""The settings of a conversation: what each accepts, where its value comes from, and the owner's caps. Pure."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from core.domain.conversation import OptionValue, Setting
from core.domain.errors import Refused
from core.domain.filter_policy import STANDARD, Level, Policy

MAX_TOKENS_CHOICES = (256, 512, 1024)
REPLY_LANGUAGES = ("auto", "en", "vi")
MAX_MEMORY_TURNS = 10
MAX_SYSTEM_CHARACTERS = 2_000
FILTER_LISTS = ("filter_words", "filter_allowed")
"""The names under which a conversation's own words, and those it allows, are stored as JSON lists."""

SettingValue = float | int | str

_TEMPERATURE = re.compile(r"[01](?:[.,]\d{1,4})?|[.,]\d{1,4}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Limits:
    """How many questions and commands are accepted; 0 is without a limit."""

    chat: int = 0
    """Queued questions in one conversation."""
    user: int = 0
    """Questions of one person in ten minutes."""
    waiting: int = 0
    """Queued questions in all conversations."""
    commands: int = 0
    """Commands of one person in one conversation in ten seconds."""


NO_LIMITS = Limits()
MAX_COMMANDS = 5
"""Commands of one person in one conversation in ten seconds, on every platform where people share the bot."""


class Source(StrEnum):
    """Where a value comes from."""

    CONVERSATION = "conversation"
    CHAT = "chat"
    DEPLOYMENT = "deployment"


def parse_temperature(value: OptionValue) -> float:
    """A number from 0 (greedy) to 1, rounded to two decimals; a text may have a decimal comma. Raises Refused."""
    if isinstance(value, str) and _TEMPERATURE.fullmatch(value):
        value = float(value.replace(",", "."))
    if isinstance(value, (str, bool)) or not 0 <= value <= 1:
        raise Refused("bad.temperature")
    return abs(round(float(value), 2))  # -0.0 would be stored as a text that is refused


def parse_max_tokens(value: OptionValue) -> int:
    """One of MAX_TOKENS_CHOICES, as a number or its digits. Raises Refused."""
    if (number := _find_choice(value, MAX_TOKENS_CHOICES)) is None:
        raise Refused("bad.max_tokens", choices=", ".join(map(str, MAX_TOKENS_CHOICES)))
    return number


def parse_memory(value: OptionValue) -> int:
    """1 to MAX_MEMORY_TURNS turns, as a number or its digits. Raises Refused."""
    if (number := _find_choice(value, range(1, MAX_MEMORY_TURNS + 1))) is None:
        raise Refused("bad.memory", most=MAX_MEMORY_TURNS)
    return number


def _find_choice(value: OptionValue, choices: Collection[int]) -> int | None:
    """The choice that `value` is or spells, else None; a bool or a float is none."""
    if isinstance(value, str):
        return next((each for each in choices if str(each) == value), None)
    return value if type(value) is int and value in choices else None


def _text(value: OptionValue) -> str:
    """`value` where a text is needed; a number is none."""
    return value if isinstance(value, str) else ""


def parse_system(value: OptionValue) -> str:
    """1 to MAX_SYSTEM_CHARACTERS characters without control characters. Raises Refused."""
    text = _text(value)
    if not text.strip() or len(text) > MAX_SYSTEM_CHARACTERS or _CONTROL.search(text):
        raise Refused("bad.system", most=MAX_SYSTEM_CHARACTERS, length=len(text))
    return text.strip()


def parse_reply_language(value: OptionValue) -> str:
    """One of REPLY_LANGUAGES, in any case. Raises Refused."""
    if (language := _text(value).lower()) not in REPLY_LANGUAGES:
        raise Refused("bad.reply_language")
    return language


def parse_filter_level(value: OptionValue) -> str:
    """A Level's value, in any case. Raises Refused."""
    if (level := _text(value).lower()) not in tuple(Level):
        raise Refused("bad.filter")
    return level


SETTING_PARSERS: Mapping[str, Callable[[OptionValue], SettingValue]] = {
    "temperature": parse_temperature,
    "max_tokens": parse_max_tokens,
    "memory": parse_memory,
    "system": parse_system,
    "reply_language": parse_reply_language,
    "filter": parse_filter_level,
}
"""The parser of each setting by its name. It takes a text or a slash command's typed value, and raises Refused, whose
text names the range and an example."""

SETTING_NAMES = tuple(SETTING_PARSERS)


def _parse_words(row: str) -> tuple[str, ...]:
    """A stored list of words. Anything but a list of texts counts as empty, so that a conversation goes on."""
    try:
        words = json.loads(row)
    except ValueError:
        return ()
    return tuple(word for word in words if isinstance(word, str) and word) if isinstance(words, list) else ()


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a setting that is in force."""

    name: str
    value: SettingValue
    requested: SettingValue
    """What was set; differs from `value` where the owner's cap clamps it."""
    source: Source
    by: str = ""
    """The name of the person who set it; "" for the deployment's."""
    at: int = 0
    """When it was set; milliseconds UTC, 0 for the deployment's."""

    @property
    def clamped(self) -> bool:
        """Whether the owner's cap changes it."""
        return self.value != self.requested


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that are in force in one conversation, made by Rules. `values` says where each comes from."""

    values: Mapping[str, Value]
    """By the setting's name, for each of SETTING_NAMES."""
    policy: Policy = STANDARD
    """What the conversation's filter blocks."""
    temperature: float = 0.0
    """The sampling temperature, from 0 (greedy) to 1."""
    max_tokens: int = MAX_TOKENS_CHOICES[0]
    """The token limit of an answer."""
    memory: int = 1
    """How many turns of history a prompt holds at least, if there are so many and they fit."""
    system: str = ""
    """The system prompt."""
    reply_language: str = "auto"
    """The language of answers: "auto", "en" or "vi"."""


@dataclass(frozen=True)
class Rules:
    """What the owner decides for the whole deployment."""

    defaults: Mapping[str, str] = field(default_factory=dict)
    """The text of each setting by its name."""
    caps: Mapping[str, float] = field(default_factory=dict)
    """The highest value of a number setting by its name, where there is one."""
    min_level: Level = Level.STANDARD
    """The filter level that no conversation goes below."""
    help_lines: str = ""
    """Whom a person in danger can call; "" for the built-in text."""
    owner_wordlist: tuple[str, ...] = ()
    """The lines of the owner's own word list."""
    limits: Limits = NO_LIMITS
    """How many questions are accepted."""

    @cached_property
    def deployment(self) -> Settings:
        """The settings of a conversation that has set none of its own. Raises Refused for a damaged default."""
        parsed = {name: SETTING_PARSERS[name](self.defaults[name]) for name in SETTING_NAMES}
        return self._in_force({name: self._clamped(name, value, Source.DEPLOYMENT) for name, value in parsed.items()})

    def settings(self, rows: Mapping[str, Setting]) -> Settings:
        """The settings of a conversation, from its stored values by name. Raises Refused for a damaged value."""
        if not rows:
            return self.deployment
        words, allowed = (_parse_words(rows[name].value) if name in rows else () for name in FILTER_LISTS)
        return self._in_force({name: self.value(name, rows.get(name)) for name in SETTING_NAMES}, words, allowed)

    def value(self, name: str, row: Setting | None) -> Value:
        """One setting's value: the stored one, else the deployment's default. Raises Refused for a damaged one."""
        if row is None:
            return self.deployment.values[name]
        source = Source.CHAT if row.inherited else Source.CONVERSATION
        return self._clamped(name, SETTING_PARSERS[name](row.value), source, row)

    def _in_force(
        self, values: Mapping[str, Value], words: tuple[str, ...] = (), allowed: tuple[str, ...] = ()
    ) -> Settings:
        return Settings(
            values,
            Policy(Level(str(values["filter"].value)), words, allowed, self.owner_wordlist),
            temperature=float(values["temperature"].value),
            max_tokens=int(values["max_tokens"].value),
            memory=int(values["memory"].value),
            system=str(values["system"].value),
            reply_language=str(values["reply_language"].value),
        )

    def _clamped(self, name: str, requested: SettingValue, source: Source, row: Setting | None = None) -> Value:
        value = requested
        if (cap := self.caps.get(name)) is not None and isinstance(requested, (int, float)):
            value = type(requested)(min(requested, cap))
        if name == "filter":
            value = str(max(Level(str(requested)), self.min_level, key=list(Level).index))
        return Value(name, value, requested, source, row.by if row else "", row.at if row else 0)
