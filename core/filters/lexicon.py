"""The word lists in memory: entries indexed by how they are found, and look-ups of single words.

`core/filters/lexicon_parser.py` builds a Lexicon from lines of text; docs/filter.md describes their format.
"""

import re
from dataclasses import dataclass, field

LANGUAGES = ("en", "vi")
ALWAYS_BLOCKED = "sexual_minors"
"""The category that is blocked at every level, never repeated and never logged."""
CUSTOM = "custom"
"""The category of a conversation's own words."""
GAP = "_"
"""Stands for one to MAX_GAP_WORDS words of a phrase."""
MAX_GAP_WORDS = 3
MAX_PHRASE_WORDS = 5
MIN_PART_LETTERS = 3
"""A part of a word is indexed by this many of its letters, so no part is shorter."""

_VOWELS = "aeiouyàáảãạăằắẳẵặâầấẩẫậèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵ"
_SYLLABLE_START = re.compile(rf"[^{_VOWELS}\W\d_]+[{_VOWELS}]")
_MAX_SYLLABLE_LETTERS = 6


@dataclass(frozen=True, slots=True)
class Entry:
    """A listed word or phrase. `words` are folded; `rule` is the entry as written, with its language before it."""

    rule: str
    words: tuple[str, ...]
    skeletons: tuple[str, ...] = field(compare=False)
    """`words` without their marks."""
    category: str
    severity: int
    exact_accents: bool = False
    """Found only with exactly the accents of `words`."""
    at_sentence_end: bool = False
    """Found only at the end of a sentence."""
    abbreviation: bool = False
    """Found only in a text that looks Vietnamese."""
    term: bool = False
    """Whether it is the name of a thing that can be spoken of decently; an answer masks it."""
    mistyped: bool = False
    """Whether it is also found with letters doubled, swapped, or spelt by their sound."""
    name: bool = False
    """Whether it is also a name or an acronym: not found in capitals, nor with a capital letter among such words."""
    accented_form: tuple[str, ...] = ()
    """The form that unaccented `words` stand for: accents that were typed must not contradict it."""

    def __hash__(self) -> int:
        """Entries that are equal have the same rule. Hits are put into sets, so this must not take long."""
        return hash(self.rule)


@dataclass(slots=True)
class PhraseNode:
    """A node of the phrase trie: `entries` end here, or continue with a word that is not fixed."""

    entries: list[Entry] = field(default_factory=list)
    children: dict[str, "PhraseNode"] = field(default_factory=dict)


@dataclass(slots=True)
class Lexicon:
    """Entries, indexed by how they are found. Words and phrases are looked up by their skeletons, that is without
    marks."""

    words: dict[str, list[Entry]] = field(default_factory=dict)
    phrase_trie: PhraseNode = field(default_factory=PhraseNode)
    """By one word after another, up to the first that is not fixed (a gap, or a word with *)."""
    phrases_by_first: dict[str, list[Entry]] = field(default_factory=dict)
    prefixes: dict[str, Entry] = field(default_factory=dict)
    suffixes: dict[str, Entry] = field(default_factory=dict)
    substrings: dict[str, Entry] = field(default_factory=dict)
    """Found anywhere in a word."""
    joined: dict[str, Entry] = field(default_factory=dict)
    """Phrases written as one word."""
    syllables: dict[str, Entry] = field(default_factory=dict)
    """Accented words that are found in a longer word too: Vietnamese writes its syllables apart."""
    masked: dict[str, set[str]] = field(default_factory=dict)
    """The words that a masked form such as "f*ck" may stand for."""
    collapsed: dict[str, set[str]] = field(default_factory=dict)
    """The words by their form without repeated letters."""
    respelled: dict[str, str] = field(default_factory=dict)
    """Listed words by other ways to write them: as keystrokes, mistyped, or with a wrong tone."""
    breakable: set[str] = field(default_factory=set)
    """Words that are also found where the end of a line breaks them."""
    allowed: set[str] = field(default_factory=set)
    allowed_parts: list[tuple[bool, str, bool]] = field(default_factory=list)
    """(any start, part, any end): words with this part are allowed, whatever stands before or after it."""
    allowed_phrases: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    """By the skeleton of the first word."""
    triggers: dict[str, list[tuple[frozenset[str], ...]]] = field(default_factory=dict)
    """For each spelling of an entry's rarest word: the spellings of the other words that the text must have too."""
    prefix_heads: set[str] = field(default_factory=set)
    """The first MIN_PART_LETTERS letters of each prefix."""
    suffix_tails: set[str] = field(default_factory=set)
    """The last MIN_PART_LETTERS letters of each suffix."""
    openers: set[str] = field(default_factory=set)
    """The skeletons that an entry or an allowed phrase is, or begins with."""
    parts_by_head: dict[str, list[str]] = field(default_factory=dict)
    """Substrings and joined phrases by their first MIN_PART_LETTERS letters."""
    prefix_lengths: tuple[int, ...] = ()
    suffix_lengths: tuple[int, ...] = ()
    cache_entries: int = 20_000
    """How many entries each of the caches may have; one that is full is emptied."""
    allowed_cache: dict[str, bool] = field(default_factory=dict)
    """Words looked up before, and whether they are allowed."""
    unmasked_cache: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Masks seen before, and the listed words that they may hide."""
    entries_cache: dict[tuple[object, ...], tuple[Entry, ...]] = field(default_factory=dict)
    """Forms of words looked up before, and the entries that they are."""
    partless_cache: set[str] = field(default_factory=set)
    """Words looked up before of which no part is listed."""


def is_allowed(lexicon: Lexicon, accented: str) -> bool:
    """Whether a folded word is never a hit."""
    allowed = lexicon.allowed_cache.get(accented)
    if allowed is None:
        if len(lexicon.allowed_cache) >= lexicon.cache_entries:
            lexicon.allowed_cache.clear()
        allowed = lexicon.allowed_cache[accented] = accented in lexicon.allowed or any(
            part in accented and (any_start or accented.startswith(part)) and (any_end or accented.endswith(part))
            for any_start, part, any_end in lexicon.allowed_parts
        )
    return allowed


def find_syllable(lexicon: Lexicon, accented: str) -> Entry | None:
    """The entry that a word of several syllables written together begins or ends with ("địtmẹ", "concặc").

    What remains must be a syllable of its own: "lồng" is not "lồn" and "g".
    """
    for length in range(2, min(_MAX_SYLLABLE_LETTERS + 1, len(accented))):
        if (entry := lexicon.syllables.get(accented[:length])) and _SYLLABLE_START.match(accented, length):
            return entry
        if (entry := lexicon.syllables.get(accented[-length:])) and accented[-length] not in _VOWELS:
            return entry
    return None
