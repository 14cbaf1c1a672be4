"""What a guard model says of a question, and what is done about it at each level. Pure.

A guard model is a second reader, a small language model that is trained to judge texts. It judges what a question
means, where the word list judges its words. Its own words for labels and categories are in core/llm/guard_families.py.
"""

import unicodedata
from dataclasses import dataclass, replace
from enum import StrEnum

from core.domain.filter_policy import Level
from core.filters.danger import Danger
from core.filters.tokenize import VIETNAMESE_MARKED
from core.filters.verdict import SELF_HARM, FilterAction, Verdict

GUARD_RULE = "guard model"
"""The rule of a verdict that is a guard model's."""

ACTS_FROM: dict[str, Level | None] = {
    "sexual_minors": Level.OFF,
    SELF_HARM: Level.OFF,
    "violence": Level.STANDARD,
    "weapons": Level.STANDARD,
    "drugs": Level.STANDARD,
    "illegal": Level.STANDARD,
    "sexual": Level.STANDARD,
    "hate": Level.STANDARD,
    "privacy": Level.STRICT,
    "jailbreak": Level.STRICT,
    "politics": None,
    "copyright": None,
}
"""The level from which on an unsafe question of each category is acted on; None: at no level.

Somebody in danger, and children, are protected at every level, as by the word list. Personal data and attempts to get
around a model's rules wait for `strict`: most such questions are about the asker's own data, or harm nobody here.
Politics and copyright harm nobody who asks.
"""


class GuardLabel(StrEnum):
    """How a guard model labels a question, the mildest first."""

    SAFE = "safe"
    CONTROVERSIAL = "controversial"
    """Whether it harms depends on who asks, and where."""
    UNSAFE = "unsafe"


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a guard model says of one question. `category`: a key of ACTS_FROM; "" where none was asked for."""

    label: GuardLabel = GuardLabel.SAFE
    category: str = ""


def needs_category(label: GuardLabel, level: Level) -> bool:
    """Whether a label is acted on at a level in any category, so that the category matters."""
    return label is GuardLabel.UNSAFE or (label is GuardLabel.CONTROVERSIAL and level is Level.STRICT)


def is_acted_on(assessment: Assessment, level: Level) -> bool:
    """Whether anything is done about a question. What is controversial waits for `strict`."""
    acts_from = ACTS_FROM[assessment.category] if assessment.category else None
    if acts_from is None or not needs_category(assessment.label, level):
        return False
    return acts_from.severity >= level.severity


def add_assessment(verdict: Verdict, assessment: Assessment, level: Level, danger: Danger) -> Verdict:
    """The verdict on a question by the word list and by a guard model together.

    `danger`: whom the help lines are for where the guard model alone sees danger. What the word list has found stays:
    who may be in danger is in danger still.
    """
    if not is_acted_on(assessment, level):
        return verdict
    if assessment.category != SELF_HARM:
        return Verdict(FilterAction.STOP, assessment.category, 2, (), GUARD_RULE, verdict.support, verdict.danger)
    if not verdict.category:
        verdict = Verdict(FilterAction.SUPPORT, SELF_HARM, 2, (), GUARD_RULE)
    return replace(verdict, support=True, danger=verdict.danger or danger)


def likely_language(text: str, otherwise: str) -> str:
    """The language of a text: "vi" where it has a Vietnamese letter with a mark; else `otherwise`."""
    letters = unicodedata.normalize("NFC", text).lower()
    return "vi" if any(letter in letters for letter in VIETNAMESE_MARKED) else otherwise
