"""The parts of a command's argument, for platforms that have a field for each. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an option takes. A flag is written as its own name; a command is the name of one."""

    TEXT = "text"
    NUMBER = "number"
    INTEGER = "integer"
    FLAG = "flag"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Option:
    """A part of the argument, for platforms that have a field for each. `least` and `most` bound numbers, `most` a
    text's characters. `word` goes before the value where the command is written."""

    name: str
    kind: Kind = Kind.TEXT
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()
    required: bool = False
    word: str = ""

    def written(self, value: object) -> str:
        """The value as a person would write it."""
        if self.kind is Kind.FLAG:
            return self.name if value else ""
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return f"{self.word} {f'{round(float(str(value)), 4):g}' if number else value}".strip()
