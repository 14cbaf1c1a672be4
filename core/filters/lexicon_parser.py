"""From the lines of a word list to a Lexicon: the built-in lists, the owner's list, a conversation's own words.

docs/filter.md describes the format. An entry's flags: `end` (only at the end of a sentence), `code` (an abbreviation,
only in a text that looks Vietnamese), `bare` (typed without accents), `joined` (only as one word), `mistyped` (also
with its letters doubled or swapped), `name` (also a name or an acronym), `term` (the name of a thing, which an answer
masks).
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

from core.filters.lexicon import (
    CUSTOM,
    GAP,
    LANGUAGES,
    MAX_PHRASE_WORDS,
    MIN_PART_LETTERS,
    Entry,
    Lexicon,
    PhraseNode,
)
from core.filters.respellings import MASKED_TO_ONE_LETTER, keystrokes, mistyped, wrong_tones
from core.filters.tokenize import collapse_repeats, fold, strip_marks

MAX_WORD_CHARACTERS = 60
"""The longest word or phrase of a conversation."""

_COMMON_WORDS = frozenset(re.findall(r"\w+", """
    the and you your i a an to of in on for with how what where can make made get want need this that is are
    was be do it my me him her them us we they go off up all shut kill die con cai thang may tao cha bo no gi
    di nhau ma nhu
"""))  # fmt: skip
_FLAGS = {"bare", "code", "end", "joined", "mistyped", "name", "term"}
_SECTION_HEADER = re.compile(r"\[([a-z_]+)(?: ([123]))?((?: [a-z]+)*)\]")


MAX_CONVERSATIONS = 512
"""Conversations with words of their own whose lexicons are kept: to build one takes milliseconds."""
CONVERSATION_CACHE_ENTRIES = 1000
"""Their caches are small, for there are many."""


class Section(NamedTuple):
    """A section of a word list, as its header declares it."""

    category: str
    severity: int = 0
    flags: frozenset[str] = frozenset()


@cache
def builtin_lexicon() -> Lexicon:
    """The English and Vietnamese lists that come with the program."""
    lexicon = Lexicon()
    for language in LANGUAGES:
        text = files("core.filters").joinpath("words", f"{language}.txt").read_text("utf-8")
        parse_wordlist(text.splitlines(), language, lexicon)
    add_derived_forms(lexicon)
    return lexicon


@lru_cache(4)
def owner_lexicon(lines: Sequence[str]) -> Lexicon:
    """The owner's own list, in the same format: entries in ASCII as in en.txt, others as in vi.txt.

    Raises ValueError with the number of a line that can't be parsed.
    """
    lexicon = Lexicon()
    parse_wordlist(lines, "", lexicon)
    add_derived_forms(lexicon)
    return lexicon


@lru_cache(MAX_CONVERSATIONS)
def conversation_lexicon(words: Sequence[str], allowed: Sequence[str]) -> Lexicon:
    """A conversation's own words. A * at the beginning or end of one stands for any letters there.

    A word with accents is found with exactly these, one without only where none were typed. A word that
    `normalize_word` would change is left out: a damaged list must not stop a conversation.
    """
    lexicon = Lexicon(cache_entries=CONVERSATION_CACHE_ENTRIES)
    for listed, section in ((words, Section(CUSTOM, 2)), (allowed, Section("allow", 2))):
        for word in filter(lambda word: normalize_word(word) == word, listed):
            _add(lexicon, word, _guess_language(word), section)
    add_derived_forms(lexicon)
    return lexicon


def normalize_word(word: str) -> str:
    """The form in which a conversation's own word or phrase is stored; "" for one that can't be found, or that would
    find nearly everything."""
    written = word.strip()
    parts = re.findall(r"[^\W_]+", fold(written, markup=False).accented)
    before, after = ("*" if len(parts) == 1 and sign else "" for sign in (written[:1] == "*", written[-1:] == "*"))
    min_letters = MIN_PART_LETTERS if before or after else 2
    if "*" in written.strip("*") or len(parts) > MAX_PHRASE_WORDS or len("".join(parts)) < min_letters:
        return ""
    return before + " ".join(parts) + after


def parse_wordlist(lines: Iterable[str], language: str, lexicon: Lexicon) -> None:
    """Add the entries of a list. With `language` "" an entry in ASCII is English and any other Vietnamese.

    Raises ValueError with the number of a line that can't be parsed.
    """
    section: Section | None = None
    for number, raw in enumerate(lines, 1):
        line = raw.split("#")[0].strip().casefold()
        try:
            if line.startswith("["):
                section = _parse_section(line)
            elif line:
                if section is None:
                    raise ValueError("an entry before the first section")
                _add(lexicon, line, language or _guess_language(line), section)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None


def _guess_language(line: str) -> str:
    return "en" if line.isascii() else "vi"


def _parse_section(line: str) -> Section:
    match = _SECTION_HEADER.fullmatch(line)
    if not match or not set(match[3].split()) <= _FLAGS or (match[1] == "allow") is bool(match[2]):
        raise ValueError(f"{line} is no section")
    return Section(match[1], int(match[2] or 0), frozenset(match[3].split()))


def _add(lexicon: Lexicon, line: str, language: str, section: Section) -> None:
    written, _, accented_form = (part.strip() for part in line.partition("="))
    folded = fold(written, markup=False).accented
    if not folded.strip("* ") or len(folded.split()) > MAX_PHRASE_WORDS:
        raise ValueError(f"{written}: one to {MAX_PHRASE_WORDS} words")
    if section.category == "allow":
        _add_allowed(lexicon, folded)
        return
    entry = _entry(written, folded, accented_form, language, section)
    if "joined" in section.flags:
        lexicon.joined.setdefault(strip_marks("".join(entry.words)), entry)
    elif len(entry.words) > 1:
        _add_phrase(lexicon, entry)
    else:
        _add_word(lexicon, entry, any_start=folded.startswith("*"), any_end=folded.endswith("*"))


def _entry(written: str, folded: str, accented_form: str, language: str, section: Section) -> Entry:
    flags, words = section.flags, tuple(folded.split())
    if len(words) == 1:
        words = (folded.strip("*"),)
    skeletons = tuple(map(strip_marks, words))
    return Entry(
        rule=f"{CUSTOM if section.category == CUSTOM else language}:{written}",
        words=skeletons if flags & {"bare", "joined"} or language == "en" else words,
        skeletons=skeletons,
        category=section.category,
        severity=section.severity,
        exact_accents=language == "vi" and not flags & {"bare", "joined", "code"},
        at_sentence_end="end" in flags,
        abbreviation="code" in flags,
        term="term" in flags,
        name="name" in flags,
        mistyped="mistyped" in flags,
        accented_form=tuple(fold(accented_form, markup=False).accented.split()),
    )


def _add_phrase(lexicon: Lexicon, entry: Entry) -> None:
    first, *_ = words = entry.skeletons
    if first == GAP or first.endswith("*"):
        raise ValueError(f"{entry.rule}: a phrase must begin with a whole word")
    node = lexicon.phrase_trie
    for word in itertools.takewhile(lambda word: word != GAP and not word.endswith("*"), words):
        node = node.children.setdefault(word, PhraseNode())
    node.entries.append(entry)
    lexicon.phrases_by_first.setdefault(first, []).append(entry)


def _add_word(lexicon: Lexicon, entry: Entry, *, any_start: bool, any_end: bool) -> None:
    word = entry.words[0]
    if any_start and any_end:
        lexicon.substrings[word] = entry
    if any_end:
        lexicon.prefixes[word] = entry
    elif any_start:
        lexicon.suffixes[word] = entry
    else:
        lexicon.words.setdefault(strip_marks(word), []).append(entry)


def _add_allowed(lexicon: Lexicon, folded: str) -> None:
    words = tuple(folded.split())
    if len(words) > 1:
        lexicon.allowed_phrases.setdefault(strip_marks(words[0]), []).append(words)
    elif "*" in folded:
        lexicon.allowed_parts.append((folded.startswith("*"), folded.strip("*"), folded.endswith("*")))
    else:
        lexicon.allowed.add(folded)


def add_derived_forms(lexicon: Lexicon) -> None:
    """Index what follows from the entries: triggers, masked and repeated forms, Telex typing, phrases written as one
    word. Call it once, after the last entry."""
    lexicon.prefix_lengths = tuple(sorted({len(prefix) for prefix in lexicon.prefixes}))
    lexicon.suffix_lengths = tuple(sorted({len(suffix) for suffix in lexicon.suffixes}))
    for entries in [*lexicon.words.values(), *lexicon.phrases_by_first.values()]:
        for entry in entries:
            _add_triggers(lexicon, entry)
            if GAP not in entry.words:
                _add_spellings(lexicon, entry)
    for word in [*lexicon.prefixes, *lexicon.suffixes, *lexicon.joined]:
        lexicon.collapsed.setdefault(collapse_repeats(word), set()).add(word)
    for word in [*lexicon.prefixes, *lexicon.suffixes]:
        for masked in _masked_forms(word):
            lexicon.masked.setdefault(masked, set()).add(word)
    lexicon.masked = {pattern: _worst_of(lexicon, words) for pattern, words in lexicon.masked.items()}
    lexicon.openers = {*lexicon.words, *lexicon.phrases_by_first, *lexicon.allowed_phrases}
    lexicon.prefix_heads = {prefix[:MIN_PART_LETTERS] for prefix in lexicon.prefixes}
    lexicon.suffix_tails = {suffix[-MIN_PART_LETTERS:] for suffix in lexicon.suffixes}
    for part in [*lexicon.substrings, *lexicon.joined]:
        lexicon.parts_by_head.setdefault(part[:MIN_PART_LETTERS], []).append(part)


def _worst_of(lexicon: Lexicon, words: set[str]) -> set[str]:
    """The worst of the words that a mask may hide, where it is found without conditions; else all of them."""
    unconditional = {
        word: (entry.severity, entry.category, word)
        for word in words
        for entry in lexicon.words.get(strip_marks(word), ())
        if entry.severity >= 2 and not _conditional(entry) and entry.words[0] == word
    }
    return {max(unconditional, key=unconditional.__getitem__)} if unconditional else words


def _conditional(entry: Entry) -> bool:
    return entry.at_sentence_end or entry.abbreviation


def _add_triggers(lexicon: Lexicon, entry: Entry) -> None:
    """Index the entry by its rarest word: a text has a hit only if some spelling of each of its words is there."""
    spellings = [(_spellings(entry, index), word) for index, word in enumerate(entry.words)]
    fixed = [(forms, word) for forms, word in spellings if forms]
    rarest = max(fixed, key=lambda each: (each[1] not in _COMMON_WORDS, len(each[1])))[0]
    for form in rarest:
        lexicon.triggers.setdefault(form, []).append(tuple(forms for forms, _ in fixed if forms is not rarest))


def _spellings(entry: Entry, index: int) -> frozenset[str]:
    """The ways to write a word of an entry; empty where the word is not fixed."""
    word = entry.words[index]
    if word == GAP or (word.endswith("*") and len(entry.words) > 1):
        return frozenset()
    forms = {word.rstrip("*"), *_respellings(entry, word)}
    if entry.accented_form:
        accented, plain = entry.accented_form[index], strip_marks(word)
        forms |= {accented, plain, *(plain[:cut] + accented[cut:] for cut in range(1, len(plain)))}
    return frozenset(forms)


def _respellings(entry: Entry, word: str) -> frozenset[str]:
    """Other ways to write a word of an entry, which stand for nothing else: `core/filters/respellings.py`."""
    found = set[str]()
    if entry.exact_accents:
        found |= keystrokes(word) | wrong_tones(word)
    if entry.mistyped:
        found |= set(mistyped(word))
    return frozenset(found - {word, strip_marks(word)})


def _add_spellings(lexicon: Lexicon, entry: Entry) -> None:
    """Index an entry without gaps by its joined, collapsed, masked and Telex forms."""
    words = [word.rstrip("*") for word in entry.words]
    joined = "".join(words)
    if len(entry.words) > 1 and not _conditional(entry) and (entry.exact_accents or len(joined) >= 8):
        lexicon.joined.setdefault(joined, entry)
    for word in words:
        lexicon.collapsed.setdefault(collapse_repeats(word), set()).add(word)
        if entry.exact_accents and len(entry.words) == 1 and not (_conditional(entry) or word == strip_marks(word)):
            lexicon.syllables.setdefault(word, entry)
        for masked in _masked_forms(word):
            lexicon.masked.setdefault(masked, set()).add(word)
        if len(entry.words) == 1 and entry.severity >= 2 and len(word) >= 3 and not _conditional(entry):
            lexicon.breakable.add(word)
        for written in sorted(_respellings(entry, word)):
            lexicon.respelled.setdefault(written, word)


def _masked_forms(word: str) -> Iterator[str]:
    """The word with one or two of its inner letters replaced by *, or all of them; the first and the last letter stay.
    Of well-known words the last one may be replaced too."""
    if word in MASKED_TO_ONE_LETTER:
        yield word[0] + "*" * (len(word) - 1)
    if not 3 <= len(word) <= 12:
        return
    yield word[0] + "*" * (len(word) - 2) + word[-1]
    inner = range(1, len(word) - 1)
    for first in inner:
        yield word[:first] + "*" + word[first + 1 :]
        for second in range(first + 1, len(word) - 1):
            yield word[:first] + "*" + word[first + 1 : second] + "*" + word[second + 1 :]
