"""What a conversation's filter finds: a level, and its own words."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a conversation lets through."""

    OFF = "off"
    STANDARD = "standard"
    STRICT = "strict"

    @property
    def severity(self) -> int:
        """What is this severe, or more, is found."""
        return {Level.OFF: 4, Level.STANDARD: 2, Level.STRICT: 1}[self]


@dataclass(frozen=True, slots=True)
class Policy:
    """What is to be found in a conversation: its level, its own words, and what it allows."""

    level: Level = Level.STANDARD
    words: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    """The lines of the owner's own list."""


STANDARD = Policy()
