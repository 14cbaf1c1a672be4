"""The word list, read once: what blocks, in which category and how severely, and what never does.

The format is documented in docs/filter.md. An entry's flags: `end` (only at the end of a sentence), `code` (only in a
message that looks Vietnamese), `bare` (typed without accents), `joined` (only as one word).
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files

from core.filters.normalize import bare, fold

LANGUAGES = ("en", "vi")
ALWAYS = "sexual_minors"
"""The category that is blocked at every level, never repeated and never logged."""
CUSTOM = "custom"
"""The category of a conversation's own words."""
GAP = "_"
"""Stands for one to three words of a phrase."""
WORDS_MOST = 5
WORD_LONGEST = 60
"""Characters of a conversation's own word or phrase."""

LEAST = 3
"""Letters of which a part of a word is known."""
_COMMON = frozenset(re.findall(r"\w+", """
    the and you your i a an to of in on for with how what where can make made get want need this that is are
    was be do it my me him her them us we they go off up all shut kill die con cai thang may tao cha bo no gi
    di nhau ma nhu
"""))  # fmt: skip
FLAGS = {"bare", "code", "end", "joined"}
_SECTION = re.compile(r"\[([a-z_]+)(?: ([123]))?((?: [a-z]+)*)\]")


@dataclass(frozen=True, slots=True)
class Entry:
    """A word or phrase. `words` are folded; `accents`: they hold only with exactly these."""

    rule: str
    words: tuple[str, ...]
    category: str
    severity: int
    accents: bool = False
    end: bool = False
    code: bool = False
    target: tuple[str, ...] = ()
    """The accented form that a bare one stands for: typed accents must not contradict it."""


@dataclass(slots=True)
class Node:
    """Phrases that begin with the same words: those for which no more is known, and what may follow."""

    entries: list[Entry] = field(default_factory=list)
    following: dict[str, "Node"] = field(default_factory=dict)


@dataclass(slots=True)
class Lexicon:
    """Entries by how they are found. Words and phrases are looked up by their words' skeletons."""

    words: dict[str, list[Entry]] = field(default_factory=dict)
    phrases: Node = field(default_factory=Node)
    """Word by word, up to the first that may be many."""
    openers: dict[str, list[Entry]] = field(default_factory=dict)
    """By the first."""
    prefixes: dict[str, Entry] = field(default_factory=dict)
    stems: dict[str, Entry] = field(default_factory=dict)
    joined: dict[str, Entry] = field(default_factory=dict)
    masks: dict[str, set[str]] = field(default_factory=dict)
    squeezed: dict[str, set[str]] = field(default_factory=dict)
    telex: dict[str, str] = field(default_factory=dict)
    allowed: set[str] = field(default_factory=set)
    allowed_parts: list[tuple[bool, str, bool]] = field(default_factory=list)
    """Of words that are allowed with whatever stands before or after them: (before, part, after)."""
    allowed_phrases: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    suffixes: dict[str, Entry] = field(default_factory=dict)
    triggers: dict[str, list[tuple[frozenset[str], ...]]] = field(default_factory=dict)
    """Of every entry the word that is met least elsewhere, with all words that must be there too."""
    heads: set[str] = field(default_factory=set)
    tails: set[str] = field(default_factory=set)
    inside: dict[str, list[str]] = field(default_factory=dict)
    syllables: dict[str, Entry] = field(default_factory=dict)
    """Accented words that are found in a longer one, too: Vietnamese writes its syllables apart."""
    allows: dict[str, bool] = field(default_factory=dict)
    """Words met before, and whether they are allowed."""
    harmless: set[str] = field(default_factory=set)
    """Words met before that nothing here is part of."""
    prefix_lengths: tuple[int, ...] = ()
    suffix_lengths: tuple[int, ...] = ()


def read(lines: Iterable[str], language: str, lexicon: Lexicon) -> None:
    """Add a file's entries; without a language each is taken as what it looks like. Raises ValueError with the line
    that can't be read."""
    category, severity, flags = "", 0, frozenset[str]()
    for number, raw in enumerate(lines, 1):
        line = raw.split("#")[0].strip().casefold()
        try:
            if line.startswith("["):
                category, severity, flags = _section(line)
            elif line:
                looks = "en" if line.isascii() else "vi"
                _add(lexicon, line, language or looks, category, severity, flags)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None


def _section(line: str) -> tuple[str, int, frozenset[str]]:
    match = _SECTION.fullmatch(line)
    if not match or not set(match[3].split()) <= FLAGS or (match[1] == "allow") is bool(match[2]):
        raise ValueError(f"{line} is no section")
    return match[1], int(match[2] or 0), frozenset(match[3].split())


def _add(lexicon: Lexicon, line: str, language: str, category: str, severity: int, flags: frozenset[str]) -> None:
    if not category:
        raise ValueError("an entry before the first section")
    written, _, target = (part.strip() for part in line.partition("="))
    folded = fold(written, markup=False).accented
    if not folded.strip("* ") or len(folded.split()) > WORDS_MOST:
        raise ValueError(f"{written}: one to {WORDS_MOST} words")
    if category == "allow":
        _allow(lexicon, folded, language)
        return
    words = tuple(folded.split())
    stem, prefix = len(words) == 1 and folded.startswith("*"), len(words) == 1 and folded.endswith("*")
    if len(words) == 1:
        words = (folded.strip("*"),)
    entry = Entry(
        rule=f"{CUSTOM if category == CUSTOM else language}:{written}",
        words=tuple(map(bare, words)) if "bare" in flags or "joined" in flags or language == "en" else words,
        category=category,
        severity=severity,
        accents=language == "vi" and not flags & {"bare", "joined", "code"},
        end="end" in flags,
        code="code" in flags,
        target=tuple(fold(target, markup=False).accented.split()),
    )
    if "joined" in flags:
        lexicon.joined.setdefault(bare("".join(words)), entry)
    elif len(words) > 1:
        _add_phrase(lexicon, entry)
    else:
        _add_word(lexicon, entry, stem=stem, prefix=prefix)


def _add_phrase(lexicon: Lexicon, entry: Entry) -> None:
    first, *_ = words = tuple(map(bare, entry.words))
    if first == GAP or first.endswith("*"):
        raise ValueError(f"{entry.rule}: a phrase must begin with a whole word")
    node = lexicon.phrases
    for word in itertools.takewhile(lambda word: word != GAP and not word.endswith("*"), words):
        node = node.following.setdefault(word, Node())
    node.entries.append(entry)
    lexicon.openers.setdefault(first, []).append(entry)


def _add_word(lexicon: Lexicon, entry: Entry, *, stem: bool, prefix: bool) -> None:
    word = entry.words[0]
    if stem and prefix:
        lexicon.stems[word] = entry
    if prefix:
        lexicon.prefixes[word] = entry
    elif stem:
        lexicon.suffixes[word] = entry
    else:
        lexicon.words.setdefault(bare(word), []).append(entry)


def _allow(lexicon: Lexicon, folded: str, language: str) -> None:
    words = tuple(folded.split())
    if len(words) > 1:
        lexicon.allowed_phrases.setdefault(bare(words[0]), []).append(words)
    elif "*" in folded:
        lexicon.allowed_parts.append((folded.startswith("*"), folded.strip("*"), folded.endswith("*")))
    else:
        lexicon.allowed.add(folded)


def syllable_in(words: Lexicon, accented: str) -> Entry | None:
    """The entry that a word of several syllables, written together, begins or ends with ("địtmẹ", "concặc").

    What follows must be a syllable of its own: "lồng" is none of "lồn" and "g".
    """
    for length in range(2, min(7, len(accented))):
        if (entry := words.syllables.get(accented[:length])) and _ONSET.match(accented, length):
            return entry
        if (entry := words.syllables.get(accented[-length:])) and accented[-length] not in _VOWELS:
            return entry
    return None


_VOWELS = "aeiouyàáảãạăằắẳẵặâầấẩẫậèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵ"
_ONSET = re.compile(rf"[^{_VOWELS}\W\d_]+[{_VOWELS}]")


def allows(words: Lexicon, accented: str) -> bool:
    """Whether a word is never a hit."""
    known = words.allows.get(accented)
    if known is None:
        if len(words.allows) >= 20_000:
            words.allows.clear()
        known = words.allows[accented] = accented in words.allowed or any(
            part in accented and (before or accented.startswith(part)) and (after or accented.endswith(part))
            for before, part, after in words.allowed_parts
        )
    return known


@cache
def lexicon() -> Lexicon:
    """The list that comes along, with what is derived from it."""
    made = Lexicon()
    for language in LANGUAGES:
        text = files("core.filters").joinpath("words", f"{language}.txt").read_text("utf-8")
        read(text.splitlines(), language, made)
    complete(made)
    return made


def normal(word: str) -> str:
    """A conversation's own word or phrase as it can be found; "" where it can't, or where nearly all would be."""
    written = word.strip()
    found = re.findall(r"[^\W_]+", fold(written, markup=False).accented)
    before, after = ("*" if len(found) == 1 and sign else "" for sign in (written[:1] == "*", written[-1:] == "*"))
    if "*" in written.strip("*") or len(found) > WORDS_MOST or len("".join(found)) < (LEAST if before or after else 2):
        return ""
    return before + " ".join(found) + after


@lru_cache(4)
def owners(lines: Sequence[str]) -> Lexicon:
    """The owner's own list, in the same format: entries in ASCII as in en.txt, others as in vi.txt.

    Raises ValueError with the line that can't be read.
    """
    made = Lexicon()
    read(lines, "", made)
    complete(made)
    return made


@lru_cache(64)
def custom(words: Sequence[str], allowed: Sequence[str]) -> Lexicon:
    """A conversation's own words, whole words, with * at their beginning or end for whatever stands there.

    One with accents holds with exactly these, one without only where none were typed. What is not as `normal` writes
    it is left out: a damaged list must not stop a conversation.
    """
    made = Lexicon()
    for listed, category in ((words, CUSTOM), (allowed, "allow")):
        for word in filter(lambda word: normal(word) == word, listed):
            _add(made, word, "en" if word.isascii() else "vi", category, 2, frozenset())
    complete(made)
    return made


def complete(made: Lexicon) -> None:
    """What follows from the entries: masked and repeated forms, telex typing, phrases written as one word."""
    made.prefix_lengths = tuple(sorted({len(prefix) for prefix in made.prefixes}))
    made.suffix_lengths = tuple(sorted({len(suffix) for suffix in made.suffixes}))
    for entries in [*made.words.values(), *made.openers.values()]:
        for entry in entries:
            _trigger(made, entry)
            if GAP not in entry.words:
                _derive(made, entry)
    for word in [*made.prefixes, *made.suffixes, *made.joined]:
        made.squeezed.setdefault(squeeze(word), set()).add(word)
    for word in [*made.prefixes, *made.suffixes]:
        for masked in _masked(word):
            made.masks.setdefault(masked, set()).add(word)
    made.masks = {pattern: _likely(made, words) for pattern, words in made.masks.items()}
    made.heads = {prefix[:LEAST] for prefix in made.prefixes}
    made.tails = {suffix[-LEAST:] for suffix in made.suffixes}
    for part in [*made.stems, *made.joined]:
        made.inside.setdefault(part[:LEAST], []).append(part)


def _likely(made: Lexicon, words: set[str]) -> set[str]:
    """Of the words that a mask may hide one is enough, the worst, where it is found wherever it stands."""
    alone = {
        word: (entry.severity, entry.category, word)
        for word in words
        for entry in made.words.get(bare(word), ())
        if entry.severity >= 2 and not (entry.end or entry.code) and entry.words[0] == word
    }
    return {max(alone, key=alone.__getitem__)} if alone else words


def _trigger(made: Lexicon, entry: Entry) -> None:
    """A text has a hit of the entry only if all of these are words of it, whichever way each is written."""
    seen = [_surfaces(entry, at) for at in range(len(entry.words))]
    needed = [(forms, word) for forms, word in zip(seen, entry.words, strict=True) if forms]
    rarest = max(needed, key=lambda each: (each[1] not in _COMMON, len(each[1])))[0]
    for surface in rarest:
        made.triggers.setdefault(surface, []).append(tuple(forms for forms, _ in needed if forms is not rarest))


def _surfaces(entry: Entry, at: int) -> frozenset[str]:
    """How a word of an entry may be written; nothing for one that may be many."""
    word = entry.words[at]
    if word == GAP or (word.endswith("*") and len(entry.words) > 1):
        return frozenset()
    forms = {word.rstrip("*")}
    if entry.accents:
        forms |= telex(word)
    if entry.target:
        accented, plain = entry.target[at], bare(word)
        forms |= {accented, plain, *(plain[:cut] + accented[cut:] for cut in range(1, len(plain)))}
    return frozenset(forms)


def _derive(made: Lexicon, entry: Entry) -> None:
    plain = [word.rstrip("*") for word in entry.words]
    whole = "".join(plain)
    if len(entry.words) > 1 and not (entry.end or entry.code) and (entry.accents or len(whole) >= 8):
        made.joined.setdefault(whole, entry)
    for word in plain:
        made.squeezed.setdefault(squeeze(word), set()).add(word)
        if entry.accents and len(entry.words) == 1 and not (entry.end or entry.code or word == bare(word)):
            made.syllables.setdefault(word, entry)
        for masked in _masked(word):
            made.masks.setdefault(masked, set()).add(word)
        if entry.accents:
            made.telex |= {typed: word for typed in telex(word) if typed != bare(word)}


def squeeze(word: str) -> str:
    """Every letter once in a row."""
    return "".join(char for at, char in enumerate(word) if not at or char != word[at - 1])


def _masked(word: str) -> Iterator[str]:
    """The word with one or two of its inner letters masked; the first and last stay."""
    if not 3 <= len(word) <= 12:
        return
    inner = range(1, len(word) - 1)
    for first in inner:
        yield word[:first] + "*" + word[first + 1 :]
        for second in range(first + 1, len(word) - 1):
            yield word[:first] + "*" + word[first + 1 : second] + "*" + word[second + 1 :]


_TONES = {"\u0301": "s", "\u0300": "f", "\u0309": "r", "\u0303": "x", "\u0323": "j"}


def telex(word: str) -> frozenset[str]:
    """A syllable as it comes out when the keyboard does not turn it into Vietnamese, with its tone behind the vowel or
    at the end: "loofn", "loonf"."""
    out, early, tone = "", "", ""
    for char in word:
        letter, *marks = list(unicodedata.normalize("NFD", char))
        typed = "dd" if char == "đ" else letter
        typed += "".join(letter if mark == "\u0302" else "w" for mark in marks if mark not in _TONES)
        here = "".join(_TONES[mark] for mark in marks if mark in _TONES)
        out, early, tone = out + typed, early + typed + here, tone + here
    return frozenset((out + tone, early))
