"""The parts of a command's argument: as typed values of a slash command, and as text. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from core.domain.conversation import OptionValue


class Kind(StrEnum):
    """What an option takes. A flag is written as its own name; a command is the name of one."""

    TEXT = "text"
    NUMBER = "number"
    INTEGER = "integer"
    FLAG = "flag"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Option:
    """A part of the argument, for platforms that have a field for each."""

    name: str
    kind: Kind = Kind.TEXT
    least: int | None = None
    """The smallest number."""
    most: int | None = None
    """The largest number, or the length of the longest text in characters."""
    choices: tuple[str, ...] = ()
    required: bool = False
    word: str = ""
    """The word before the value where the command is written; "" has none."""

    def written(self, value: object) -> str:
        """The value as a person would write it; "" for a flag that is not set."""
        if self.kind is Kind.FLAG:
            return self.name if value else ""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = f"{round(float(value), 4):g}"  # no platform's float shows rounding errors there
        return f"{self.word} {value}".strip()


def read_options(options: Sequence[Option], text: str) -> Mapping[str, OptionValue]:
    """The values of a written argument by the option's name; {} where there is none.

    Only one option is read, and all of the text belongs to it, but where the word of an option comes second, as in
    "vi reply en". A flag with a word keeps the text behind it as its value: its handler refuses that.
    """
    word, rest = _split_word(text)
    for option in options:
        is_flag = option.kind is Kind.FLAG
        if option.word and option.word == word.lower():
            return {option.name: True if is_flag and not rest else rest}
        if is_flag and option.name == text.lower():
            return {option.name: True}
    unnamed = next((option for option in options if not option.word and option.kind is not Kind.FLAG), None)
    if unnamed is None or not text:
        return {}
    if rest and _split_word(rest)[0].lower() in {option.word for option in options}:
        return {unnamed.name: word, **read_options(options, rest)}
    return {unnamed.name: text}


def has_value(value: OptionValue | None) -> bool:
    """Whether an option was used: a flag that is not set, and an empty text, count as left out."""
    return bool(value.strip()) if isinstance(value, str) else value is not None and value is not False


def _split_word(text: str) -> tuple[str, str]:
    """The first word, and what follows it; "" where there is none."""
    word, *rest = text.split(None, 1) or [""]
    return word, rest[0].strip() if rest else ""
