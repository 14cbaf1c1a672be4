"""What may be asked and what may be shown, in English and Vietnamese (docs/filter.md).

Three gates: `check` judges a question, a `Guard` releases an answer piece by piece while it streams, and `check` judges
once more what a platform will really show (rendering can join what was apart).
"""

import logging
from collections import Counter
from typing import Protocol

from core.domain.filter_policy import STANDARD, Level, Policy
from core.filters.lexicon import ALWAYS, CUSTOM, WORD_LONGEST, normal, owners
from core.filters.stream_guard import StreamGuard, masked
from core.filters.verdict import FilterAction, Verdict, check

__all__ = [
    "SEVERE",
    "STANDARD",
    "WORD_LONGEST",
    "ContentFilter",
    "Filter",
    "FilterAction",
    "Guard",
    "Level",
    "Policy",
    "StreamGuard",
    "Verdict",
    "blocked",
    "check",
    "masked",
    "normal",
    "owners",
    "stream_guard",
]

log = logging.getLogger(__name__)

SEVERE = 3
"""The severity of which nothing that was shown before stays."""


class Guard(Protocol):
    """Releases only text that has been judged. Once it is `blocked` it releases nothing more."""

    blocked: bool
    verdict: Verdict
    """What was found last."""

    def feed(self, piece: str) -> str:
        """The text that this piece sets free."""

    def finish(self) -> str:
        """What was still held, at the end."""


class Filter(Protocol):
    """The seam between the assistant and the content filter."""

    def check(self, text: str, policy: Policy) -> Verdict:
        """Judge a whole text."""

    def guard(self, policy: Policy) -> Guard:
        """A guard for one streamed answer."""

    def count(self, where: str, verdict: Verdict) -> None:
        """Something was found: for the owner, without any text."""

    def counts(self) -> dict[tuple[str, str], int]:
        """How often something was found since the start, by category and rule; "" where no rule is to be named."""


class ContentFilter:
    """By the word list, the conversation's own words, and its level."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def check(self, text: str, policy: Policy) -> Verdict:
        """Judge a whole text."""
        return check(text, policy)

    def guard(self, policy: Policy) -> StreamGuard:
        """A guard for one streamed answer."""
        return StreamGuard(policy)

    def count(self, where: str, verdict: Verdict) -> None:
        """In the log the rule is named, but never one of what is blocked at every level, nor a conversation's own."""
        rule = "" if verdict.category in (ALWAYS, CUSTOM) else verdict.rule
        self._counts[verdict.category, rule] += 1
        log.info("filter: %s: %s, severity %d, rule %s", where, verdict.category, verdict.severity, rule or "-")

    def counts(self) -> dict[tuple[str, str], int]:
        """The most frequent first."""
        return dict(self._counts.most_common())


def blocked(text: str) -> bool:
    """Whether a text is blocked at the standard level: for measuring."""
    return check(text).blocked


def stream_guard() -> StreamGuard:
    """A guard at the standard level: for measuring."""
    return StreamGuard()
