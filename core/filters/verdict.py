"""The judgement on a text: what is done about it, and where. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from core.domain.filter_policy import STANDARD, Level, Policy
from core.filters.deobfuscate import odd
from core.filters.lexicon import ALWAYS, CUSTOM, Entry, Lexicon, custom, lexicon, owners
from core.filters.matcher import Hit, allowances, find, read, suspicious
from core.filters.normalize import fold

SUPPORTED = "self_harm"
"""Answered, with help."""
KEPT = (ALWAYS, SUPPORTED)
"""What no list of a conversation or an owner lets through."""
MASKED = ("profanity", CUSTOM)
"""What an answer may hold in a masked form."""


class FilterAction(StrEnum):
    """What is done about a text."""

    PASS = "pass"
    SUPPORT = "support"
    MASK = "mask"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement on one text. `spans`: where it was found, in the text itself; `rule` names the entry."""

    action: FilterAction = FilterAction.PASS
    category: str = ""
    severity: int = 0
    spans: tuple[tuple[int, int], ...] = ()
    rule: str = ""
    support: bool = False
    """Whether somebody may be in danger, whatever else is found."""

    @property
    def blocked(self) -> bool:
        """Whether it must not be shown, or asked, as it is."""
        return self.action in (FilterAction.MASK, FilterAction.STOP)


_ORDER = (FilterAction.PASS, FilterAction.SUPPORT, FilterAction.MASK, FilterAction.STOP)


def check(text: str, policy: Policy = STANDARD) -> Verdict:
    """Judge a whole text."""
    return verdict(found(text, policy))


def found(text: str, policy: Policy) -> list[Hit]:
    """All that matters at the policy's level, in order; those within others too."""
    layers, folded = known(policy), fold(text)
    strange, suspects = odd(folded), [suspicious(folded, words) for words in layers]
    if not strange and not any(suspects):
        return []  # as with most texts
    readings = [read(text, folded, words, strange=strange) for words in layers]
    seen = zip(readings, layers, suspects, strict=True)
    hits = [hit for reading, words, suspect in seen for hit in find(reading, words, suspect=suspect)]
    hits = [hit for hit in hits if matters(hit.entry, policy.level)]
    for reading, words in zip(readings[1:], layers[1:], strict=True):
        allowed = allowances(reading, words, hits)
        hits = [hit for hit in hits if hit.entry.category in KEPT or not allowed.touch(hit.start, hit.end)]
    shortest = {(hit.start, hit.entry.rule): hit for hit in sorted(hits, key=lambda hit: -hit.end)}
    return sorted(shortest.values(), key=Hit.order)


def matters(entry: Entry, level: Level) -> bool:
    """Whether an entry is found at a level."""
    return entry.category in (ALWAYS, SUPPORTED, CUSTOM) or entry.severity >= level.severity


def action_on(entry: Entry) -> FilterAction:
    """What a hit of an entry asks for."""
    if entry.category == SUPPORTED:
        return FilterAction.SUPPORT
    return FilterAction.MASK if entry.category in MASKED else FilterAction.STOP


def verdict(hits: Sequence[Hit]) -> Verdict:
    """The worst of them decides."""
    if not hits:
        return Verdict()
    worst = max(hits, key=lambda hit: (_ORDER.index(action_on(hit.entry)), hit.entry.severity))
    spans = tuple((hit.start, hit.end) for hit in hits if action_on(hit.entry) is not FilterAction.SUPPORT)
    support = any(hit.entry.category == SUPPORTED for hit in hits)
    return Verdict(action_on(worst.entry), worst.entry.category, worst.entry.severity, spans, worst.entry.rule, support)


def known(policy: Policy) -> tuple[Lexicon, ...]:
    """The words that a policy knows: those that come along, the owner's, and the conversation's."""
    layers = [lexicon()]
    if policy.owners:
        layers.append(owners(policy.owners))
    if policy.words or policy.allowed:
        layers.append(custom(policy.words, policy.allowed))
    return tuple(layers)
