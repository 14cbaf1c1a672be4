"""The settings of a conversation: what each accepts, where its value comes from, and the owner's caps. Pure."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from core.domain.conversation import OptionValue, Setting
from core.domain.errors import Refused
from core.domain.filter_policy import Level, Policy


@dataclass(frozen=True, slots=True)
class Limits:
    """Questions at most: that wait in a conversation, that a person asks in ten minutes, that wait in all; 0 is without
    bound."""

    chat: int = 0
    user: int = 0
    waiting: int = 0


NO_LIMITS = Limits()


MAX_TOKENS = (256, 512, 1024)
REPLY_LANGUAGES = ("auto", "en", "vi")
MEMORY_MOST = 10
SYSTEM_MOST = 2_000
"""Characters."""

FILTER_LISTS = ("filter_words", "filter_allowed")
"""The rows, as JSON lists, of a conversation's own words and of those that it allows."""

_NUMBER = re.compile(r"[01](?:[.,]\d{1,4})?|[.,]\d{1,4}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Source(StrEnum):
    """Where a value comes from."""

    CONVERSATION = "conversation"
    CHAT = "chat"
    DEPLOYMENT = "deployment"


def temperature(value: OptionValue) -> float:
    """0 to 1; a comma is accepted, 0 is greedy."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value.replace(",", "."))
    if isinstance(value, (str, bool)) or not 0 <= value <= 1:
        raise Refused("bad.temperature")
    return abs(round(float(value), 2))  # -0.0 would be stored as a text that is refused


def max_tokens(value: OptionValue) -> int:
    """One of MAX_TOKENS."""
    if (number := _find_choice(value, MAX_TOKENS)) is None:
        raise Refused("bad.max_tokens", choices=", ".join(map(str, MAX_TOKENS)))
    return number


def memory(value: OptionValue) -> int:
    """1 to MEMORY_MOST turns."""
    if (number := _find_choice(value, range(1, MEMORY_MOST + 1))) is None:
        raise Refused("bad.memory", most=MEMORY_MOST)
    return number


def _find_choice(value: OptionValue, choices: Collection[int]) -> int | None:
    """The choice that `value` is or spells, else None; a bool or a float is none."""
    if isinstance(value, str):
        return next((each for each in choices if str(each) == value), None)
    return value if type(value) is int and value in choices else None


def _text(value: OptionValue) -> str:
    """`value` where a text is needed; a number is none."""
    return value if isinstance(value, str) else ""


def system(value: OptionValue) -> str:
    """1 to SYSTEM_MOST characters, without control characters."""
    text = _text(value)
    if not text.strip() or len(text) > SYSTEM_MOST or _CONTROL.search(text):
        raise Refused("bad.system", most=SYSTEM_MOST, length=len(text))
    return text.strip()


def reply_language(value: OptionValue) -> str:
    """auto, en or vi."""
    if (language := _text(value).lower()) not in REPLY_LANGUAGES:
        raise Refused("bad.reply_language")
    return language


def filter_level(value: OptionValue) -> str:
    """off, standard or strict."""
    if (level := _text(value).lower()) not in tuple(Level):
        raise Refused("bad.filter")
    return level


PARSERS: Mapping[str, Callable[[OptionValue], float | int | str]] = {
    "temperature": temperature,
    "max_tokens": max_tokens,
    "memory": memory,
    "system": system,
    "reply_language": reply_language,
    "filter": filter_level,
}
"""Every setting by name, with what reads it. Raises Refused with the range and an example."""

NAMES = tuple(PARSERS)


def _listed(row: str) -> tuple[str, ...]:
    """A list of words as it is stored. What is no list of texts counts as none: it must not stop a conversation."""
    try:
        words = json.loads(row)
    except ValueError:
        return ()
    return tuple(word for word in words if isinstance(word, str) and word) if isinstance(words, list) else ()


@dataclass(frozen=True, slots=True)
class Value:
    """A value in force. `wanted` differs from `value` where the owner's cap clamps it."""

    name: str
    value: float | int | str
    wanted: float | int | str
    source: Source
    by: str = ""
    at: int = 0

    @property
    def clamped(self) -> bool:
        """Whether the owner's cap holds it down."""
        return self.value != self.wanted


@dataclass(frozen=True, slots=True)
class Settings:
    """What is in force in one conversation."""

    values: Mapping[str, Value]
    words: tuple[str, ...] = ()
    """What its filter finds besides."""
    allowed: tuple[str, ...] = ()
    """What it lets through."""
    own_list: tuple[str, ...] = ()
    """See Rules."""

    @property
    def temperature(self) -> float:
        """0 is greedy."""
        return float(self.values["temperature"].value)

    @property
    def max_tokens(self) -> int:
        """Generated tokens at most."""
        return int(self.values["max_tokens"].value)

    @property
    def memory(self) -> int:
        """Turns of history in a prompt, at most."""
        return int(self.values["memory"].value)

    @property
    def system(self) -> str:
        """The system prompt."""
        return str(self.values["system"].value)

    @property
    def reply_language(self) -> str:
        """auto, en or vi."""
        return str(self.values["reply_language"].value)

    @property
    def policy(self) -> Policy:
        """What its filter finds."""
        return Policy(Level(str(self.values["filter"].value)), self.words, self.allowed, self.own_list)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the owner decides for the whole deployment: defaults, and caps that no conversation passes.

    `least`: the level that no conversation's filter goes below. `help_lines`: whom
    somebody in danger can call; the texts' own where it is empty.
    """

    defaults: Mapping[str, str] = field(default_factory=dict)
    caps: Mapping[str, float] = field(default_factory=dict)
    least: Level = Level.STANDARD
    help_lines: str = ""
    own_list: tuple[str, ...] = ()
    """The lines of the owner's own list of words."""
    limits: Limits = NO_LIMITS
    """How many questions may wait."""

    def settings(self, rows: Mapping[str, Setting]) -> Settings:
        """The conversation's own values over the deployment's, clamped."""
        words, allowed = (_listed(rows[name].value) if name in rows else () for name in FILTER_LISTS)
        return Settings({name: self.value(name, rows.get(name)) for name in NAMES}, words, allowed, self.own_list)

    def value(self, name: str, row: Setting | None) -> Value:
        """One value, with where it comes from."""
        if row is None:
            return self._clamped(name, PARSERS[name](self.defaults[name]), Source.DEPLOYMENT)
        source = Source.CHAT if row.inherited else Source.CONVERSATION
        return self._clamped(name, PARSERS[name](row.value), source, row)

    def _clamped(self, name: str, wanted: float | int | str, source: Source, row: Setting | None = None) -> Value:
        value = wanted
        if (cap := self.caps.get(name)) is not None and isinstance(wanted, (int, float)):
            value = type(wanted)(min(wanted, cap))
        if name == "filter":
            value = str(max(Level(str(wanted)), self.least, key=list(Level).index))
        return Value(name, value, wanted, source, row.by if row else "", row.at if row else 0)
