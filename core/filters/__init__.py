"""What may be asked and what may be shown. The content filter is not written yet: its places are, and all passes.

Three gates: `check` judges a question, a `Guard` releases an answer piece by piece while it streams, and `check` judges
once more what a platform will really show (rendering can join what was apart).
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement on one text."""

    blocked: bool = False
    category: str = ""


class Guard(Protocol):
    """Releases only text that has been judged. Once it is `blocked` it releases nothing more."""

    blocked: bool

    def feed(self, piece: str) -> str:
        """The text that this piece sets free."""

    def finish(self) -> str:
        """What was still held, at the end."""


class Filter(Protocol):
    """The seam between the assistant and the content filter."""

    def check(self, text: str) -> Verdict:
        """Judge a whole text."""

    def guard(self) -> Guard:
        """A guard for one streamed answer."""


class _Open:
    blocked = False

    def feed(self, piece: str) -> str:
        return piece

    def finish(self) -> str:
        return ""


class OpenFilter:
    """Lets everything through."""

    def check(self, text: str) -> Verdict:
        """Nothing is blocked."""
        return Verdict()

    def guard(self) -> Guard:
        """Nothing is held."""
        return _Open()
