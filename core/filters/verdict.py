"""The verdict on a text: what is done about it, and where. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from core.domain.filter_policy import STANDARD, Level, Policy
from core.filters.context import apply_context
from core.filters.danger import Danger
from core.filters.deobfuscate import BROKEN, ORDINARY_DISGUISES, Reading, has_long_mask, may_hold_rare_disguise, read
from core.filters.lexicon import ALWAYS_BLOCKED, CUSTOM, Entry, Lexicon
from core.filters.lexicon_parser import MAX_CONVERSATIONS, builtin_lexicon, conversation_lexicon, owner_lexicon
from core.filters.matcher import Hit, allowed_spans, choose_hits, find_candidates, may_match
from core.filters.tokenize import WORD, Folded, fold

SELF_HARM = "self_harm"
"""The category that is answered, with help lines, instead of blocked."""
NEVER_ALLOWED = (ALWAYS_BLOCKED, SELF_HARM)
"""Categories that no list of a conversation or an owner lets through."""
MASKABLE = ("profanity", CUSTOM)
"""Categories that an answer may hold in masked form; so it may terms, and words that are only mentioned."""


class FilterAction(StrEnum):
    """What is done about a text, the mildest first."""

    PASS = "pass"
    SUPPORT = "support"
    MASK = "mask"
    STOP = "stop"


_ACTION_ORDER = tuple(FilterAction)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one text. `spans` are the blocked stretches, start and exclusive end in the text; category,
    severity (1 to 3) and rule are those of the worst entry found."""

    action: FilterAction = FilterAction.PASS
    category: str = ""
    severity: int = 0
    spans: tuple[tuple[int, int], ...] = ()
    rule: str = ""
    support: bool = False
    """Whether a person may be in danger, whatever else was found."""
    danger: Danger | None = None
    """Who may be in danger; only in the verdict on a question."""

    @property
    def blocked(self) -> bool:
        """Whether the text must not be shown, or asked, as it is."""
        return self.action in (FilterAction.MASK, FilterAction.STOP)


def check(text: str, policy: Policy = STANDARD) -> Verdict:
    """Judge a whole text."""
    hits = examine(text, policy.level, policy_lexicons(policy)).hits
    return judge(hits) if hits else Verdict()


@dataclass(frozen=True, slots=True)
class Examined:
    """A text and what was found in it.

    `readings`: its tokens by each lexicon; none where no word is disguised and no entry can match, as in most texts.
    `is_harmless`: no entry's words stand in it, nor in any part of it from its start to a white space. `hits`: all that
    count at the level, nested ones too, ordered by position.
    """

    text: str
    folded: Folded
    lexicons: Sequence[Lexicon]
    readings: Sequence[Reading] = ()
    is_harmless: bool = True
    hits: Sequence[Hit] = ()


def examine(text: str, level: Level, lexicons: Sequence[Lexicon]) -> Examined:
    """Look for the entries of these lexicons that count at a level."""
    folded = fold(text)
    disguised = any(disguise.search(folded.accented) for disguise in ORDINARY_DISGUISES) or (
        folded.starts is not None and may_hold_rare_disguise(folded)
    )
    disguised = disguised or has_long_mask(text) or ("\n" in folded.accented and _is_broken(folded, lexicons))
    words = set(WORD.findall(folded.accented))
    plain_matches = [may_match(words, lexicon) for lexicon in lexicons]
    if not disguised and not any(plain_matches):  # as in most texts
        return Examined(text, folded, lexicons)
    readings = [read(text, folded, lexicon, deobfuscate=disguised) for lexicon in lexicons]
    searches = list(zip(readings, lexicons, plain_matches, strict=True))
    candidates = [find_candidates(reading, lexicon, plain=plain) for reading, lexicon, plain in searches]
    if not any(candidates):
        # Letters that stand apart may be another word where the text is cut between them.
        spaced = any(token.spaced for token in readings[0].disguised)
        return Examined(text, folded, lexicons, readings, is_harmless=not spaced)
    found = zip(candidates, readings, lexicons, strict=True)
    hits = [hit for each, reading, lexicon in found for hit in choose_hits(each, reading, lexicon)]
    hits = [hit for hit in hits if applies_at(hit.entry, level)]
    for reading, lexicon in zip(readings[1:], lexicons[1:], strict=True):
        allowed = allowed_spans(reading, lexicon, hits)
        hits = [hit for hit in hits if hit.entry.category in NEVER_ALLOWED or not allowed.overlaps(hit.start, hit.end)]
    shortest = {(hit.start, hit.entry.rule): hit for hit in sorted(hits, key=lambda hit: -hit.end)}
    hits = sorted(apply_context(text, list(shortest.values())), key=Hit.sort_key)
    return Examined(text, folded, lexicons, readings, is_harmless=False, hits=hits)


def _is_broken(folded: Folded, lexicons: Sequence[Lexicon]) -> bool:
    """Whether the end of a line breaks a listed word."""
    broken = {match[1] + match[2] for match in BROKEN.finditer(folded.accented)}
    return any(not lexicon.breakable.isdisjoint(broken) for lexicon in lexicons)


def applies_at(entry: Entry, level: Level) -> bool:
    """Whether an entry counts at a level."""
    return entry.category in (ALWAYS_BLOCKED, SELF_HARM, CUSTOM) or entry.severity >= level.severity


def action_for(hit: Hit) -> FilterAction:
    """What is done about a text with this hit."""
    if hit.entry.category == SELF_HARM:
        return FilterAction.SUPPORT
    maskable = hit.entry.category in MASKABLE or hit.entry.term or hit.mentioned
    return FilterAction.MASK if maskable else FilterAction.STOP


def judge(hits: Sequence[Hit]) -> Verdict:
    """The verdict on a text with these hits, at least one; the worst one decides."""
    worst = max(hits, key=lambda hit: (_ACTION_ORDER.index(action_for(hit)), hit.entry.severity))
    spans = tuple((hit.start, hit.end) for hit in hits if action_for(hit) is not FilterAction.SUPPORT)
    support = any(hit.entry.category == SELF_HARM for hit in hits)
    return Verdict(action_for(worst), worst.entry.category, worst.entry.severity, spans, worst.entry.rule, support)


@lru_cache(MAX_CONVERSATIONS)
def policy_lexicons(policy: Policy) -> tuple[Lexicon, ...]:
    """The lexicons of a policy: the built-in one, then the owner's and the conversation's where there are any."""
    lexicons = [builtin_lexicon()]
    if policy.owners:
        lexicons.append(owner_lexicon(policy.owners))
    if policy.words or policy.allowed:
        lexicons.append(conversation_lexicon(policy.words, policy.allowed))
    return tuple(lexicons)
