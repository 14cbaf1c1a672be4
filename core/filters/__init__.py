"""The content filter: what may be asked and what may be shown, in English and Vietnamese (docs/filter.md).

It works at three points. `judge_question` judges a question; a `Guard` releases an answer piece by piece while it
streams; `check` judges again what a platform will show, because rendering can join what stood apart.
"""

import logging
from collections import Counter
from typing import Protocol

from core.domain.filter_policy import STANDARD, Level, Policy
from core.filters import verdict
from core.filters.danger import Danger
from core.filters.lexicon import ALWAYS_BLOCKED, CUSTOM
from core.filters.lexicon_parser import MAX_WORD_CHARACTERS, normalize_word, owner_lexicon
from core.filters.question import judge_question
from core.filters.stream_guard import StreamGuard, mask_word
from core.filters.verdict import FilterAction, Verdict, check

__all__ = [
    "MAX_WORD_CHARACTERS",
    "SEVERITY_SEVERE",
    "STANDARD",
    "ContentFilter",
    "Danger",
    "Filter",
    "FilterAction",
    "Guard",
    "Level",
    "Policy",
    "StreamGuard",
    "Verdict",
    "blocked",
    "check",
    "judge_question",
    "mask_word",
    "normalize_word",
    "owner_lexicon",
    "refused",
    "stream_guard",
    "supported",
]

log = logging.getLogger(__name__)

SEVERITY_SEVERE = 3
"""From this severity on the whole answer is withdrawn, also what was shown of it before."""


class Guard(Protocol):
    """Releases only text that has been judged. Once it is `blocked` it releases nothing more."""

    blocked: bool
    verdict: Verdict
    """What was found last."""

    def feed(self, piece: str) -> str:
        """Take the next piece; returns the text that may be shown by now."""

    def finish(self) -> str:
        """The rest of the text that may be shown, at the end."""


class Filter(Protocol):
    """The content filter, as the rest of the bot uses it."""

    def check(self, text: str, policy: Policy) -> Verdict:
        """Judge a whole text that is shown."""

    def judge_question(self, text: str, policy: Policy) -> Verdict:
        """Judge a question by what it does; it may be answered though `check` would block it where it is shown."""

    def guard(self, policy: Policy) -> Guard:
        """A guard for one streamed answer."""

    def count(self, where: str, verdict: Verdict) -> None:
        """Log and count what was found, without any text. `where` is "question", "answer" or "gate"."""

    def counts(self) -> dict[tuple[str, str], int]:
        """Counts since the start by (category, rule); the rule is "" where it must not be named."""


class ContentFilter:
    """The Filter that judges by the built-in word lists, the owner's, and the conversation's."""

    # What the rest of the bot calls is what works: no method stands between.
    check = staticmethod(verdict.check)
    judge_question = staticmethod(judge_question)
    guard = StreamGuard

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, where: str, verdict: Verdict) -> None:
        """See Filter. Rules that are blocked at every level, and a conversation's own words, are never named."""
        rule = "" if verdict.category in (ALWAYS_BLOCKED, CUSTOM) else verdict.rule
        self._counts[verdict.category, rule] += 1
        log.info("filter: %s: %s, severity %d, rule %s", where, verdict.category, verdict.severity, rule or "-")

    def counts(self) -> dict[tuple[str, str], int]:
        """See Filter. The most frequent first."""
        return dict(self._counts.most_common())


# For tests and benchmarks/filter.py


def blocked(text: str) -> bool:
    """Whether a text that is shown is masked or stopped at the standard level."""
    return check(text).blocked


def refused(text: str) -> bool:
    """Whether a question is refused at the standard level."""
    verdict = judge_question(text, STANDARD)
    return verdict.blocked and verdict.danger is None


def supported(text: str) -> bool:
    """Whether the asker of a question sees the help lines."""
    return judge_question(text, STANDARD).danger is not None


def stream_guard() -> StreamGuard:
    """A guard for one streamed answer at the standard level."""
    return StreamGuard()
