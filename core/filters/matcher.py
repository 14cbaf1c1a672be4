"""Finding what the word list names in a text. Pure.

Every rule sees at most REACH characters to its left and one word to its right (an allowed phrase: all its words),
so that what stands before is decided before what comes after is known.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from core.filters.deobfuscate import REACH, Form, Token, chunks, form, runs, unmasked
from core.filters.lexicon import GAP, LEAST, WORDS_MOST, Entry, Lexicon, allows, syllable_in
from core.filters.normalize import Folded, bare

_WORD = re.compile(r"[^\W_]+")
_END = re.compile(r"[\s\"'”’)\]*_~|`]*(?:[.!?…\n]|$)")
_MARKED = re.compile("[àáảãạăằắẳẵặâầấẩẫậèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵđ]")
_VIETNAMESE = frozenset(re.findall(r"\w+", """
    khong ko hong la va cua cho thi ma cai nay kia thang may tao toi minh em anh chi ong ba oi di roi vay nhe nha
    gi sao ngu qua lam noi dich tu sang tieng giup im thoi do duoc voi nguoi nhu cung dang biet lai con het luon
    day ai ban
"""))  # fmt: skip
GAP_MOST = 3
"""Words that a gap stands for, at most."""
_CODE_ALONE = 3
"""Letters of an abbreviation that counts where it is all that is said."""
_REMEMBERED_MOST, _REMEMBERED_LONGEST = 20_000, 24


@dataclass(frozen=True, slots=True)
class Hit:
    """What was found, and where in the text."""

    start: int
    end: int
    entry: Entry

    def order(self) -> tuple[int, int, str]:
        """As they stand in the text, the longest first."""
        return self.start, -self.end, self.entry.rule


class Places:
    """Stretches of a text, as those that they make up together."""

    def __init__(self, stretches: Iterable[tuple[int, int]]) -> None:
        self._starts, self._ends = list[int](), list[int]()
        for start, end in sorted(stretches):
            if self._ends and start < self._ends[-1]:
                self._ends[-1] = max(end, self._ends[-1])
            else:
                self._starts.append(start)
                self._ends.append(end)

    def touch(self, start: int, end: int) -> bool:
        """Whether something of another stretch is in them."""
        at = bisect_right(self._ends, start)
        return at < len(self._starts) and self._starts[at] < end


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as words: plainly, and, where anything is odd, with what may be in disguise (else the same)."""

    text: str
    plain: Sequence[Token]
    disguised: Sequence[Token]


def read(text: str, folded: Folded, words: Lexicon, *, strange: bool) -> Reading:
    """The words of a text. `strange`: something may be in disguise."""
    plain = [_token(folded, match, words) for match in _WORD.finditer(folded.accented)]
    if strange and (found := _apart([*runs(folded), *chunks(folded), *unmasked(text, words)])):
        return Reading(text, plain, _replaced(plain, found))
    return Reading(text, plain, plain)


def _token(folded: Folded, match: re.Match[str], words: Lexicon) -> Token:
    """A word, and what it would be had the keyboard turned it into Vietnamese."""
    word, (start, end) = match[0], match.span()
    if folded.places is not None:
        start, end = folded.raw(start, end)
    return Token(start, end, _forms(word, words.telex.get(word)))


@lru_cache(20_000)
def _forms(word: str, telexed: str | None) -> tuple[Form, ...]:
    return (form(word),) if telexed is None else (form(word), form(telexed))


def suspicious(folded: Folded, words: Lexicon) -> bool:
    """Whether there may be any hit of what is written plainly: most texts end here."""
    found = set(_WORD.findall(folded.accented))
    for word in found - words.harmless:
        triggers = words.triggers.get(word, ())
        if _all_there(triggers, found) or _partly(word, words):
            return True
        if not triggers and len(word) <= _REMEMBERED_LONGEST:
            if len(words.harmless) >= _REMEMBERED_MOST:
                words.harmless.clear()
            words.harmless.add(word)
    return False


def _partly(word: str, words: Lexicon) -> bool:
    """Whether a part of a word is on the list."""
    if any(_begun_or_ended(word, words)):
        return True
    if len(word) <= LEAST:
        return False
    if not word.isascii() and syllable_in(words, word):
        return True
    return any(word.startswith(part, at) for at, part in _parts(word, words))


def _parts(word: str, words: Lexicon) -> Iterator[tuple[int, str]]:
    """Where a stem, or a phrase written as one word, may stand in a word: its first letters do."""
    for at in range(len(word) - LEAST):
        for part in words.inside.get(word[at : at + LEAST], ()):
            yield at, part


def _all_there(entries: Sequence[tuple[frozenset[str], ...]], found: set[str]) -> bool:
    return any(all(not forms.isdisjoint(found) for forms in needed) for needed in entries)


def find(reading: Reading, words: Lexicon, *, suspect: bool) -> list[Hit]:
    """Every hit, those within others too; in no order. `suspect`: there may be some without disguise."""
    hits = list(_plain(reading, words)) if suspect else []
    if reading.disguised is not reading.plain:
        hits += _odd(reading, words)
    if not hits:
        return []
    allowed = allowances(reading, words, hits)
    return list({hit for hit in hits if hit.end - hit.start <= REACH and not allowed.touch(hit.start, hit.end)})


def allowances(reading: Reading, words: Lexicon, hits: Sequence[Hit]) -> Places:
    """Where something stands near the hits that is never one."""
    if not hits:
        return Places(())
    first, last = min(hit.start for hit in hits) - REACH, max(hit.end for hit in hits) + REACH
    near = [token for token in reading.plain if first <= token.start < last]
    places = Places((hit.start, hit.end) for hit in hits)
    singly = [
        (token.start, token.end)
        for token in near
        if places.touch(token.start, token.end) and allows(words, token.forms[0].accented)
    ]
    return Places([*singly, *_allowed_phrases(near, words)])


def _plain(reading: Reading, words: Lexicon) -> Iterator[Hit]:
    text, tokens = reading.text, reading.plain
    for at, token in enumerate(tokens):
        for shape in token.forms:
            if shape.accented not in words.harmless:
                yield from _word(text, tokens, at, shape, words)
                yield from _within(token, shape.accented, words)
            if shape.skeleton in words.openers:
                yield from _phrases(text, tokens, at, shape, words)


def _within(token: Token, word: str, words: Lexicon) -> Iterator[Hit]:
    """Stems, and phrases written as one word, anywhere in a word."""
    if len(word) > LEAST and not word.isascii() and (entry := syllable_in(words, word)):
        yield Hit(token.start, token.end, entry)
    for at, part in _parts(word, words):
        if word.startswith(part, at):
            entry = words.stems.get(part) or words.joined[part]
            start, end = token.start, token.end
            if end - start > REACH:  # more than a rule sees: where it stands in the word
                start, end = min(start + at, end - 1), min(start + at + len(part), end)
            yield Hit(start, end, entry)


def _apart(tokens: Sequence[Token]) -> list[Token]:
    """In order, without those that overlap an earlier, longer one of another reading."""
    return sorted(tokens, key=lambda token: (token.start, -token.end))


def _replaced(tokens: Sequence[Token], disguised: Sequence[Token]) -> list[Token]:
    """The words of a text, with those in disguise in place of their pieces."""
    merged = list[Token]()
    at = 0
    for odd_one in disguised:
        while at < len(tokens) and tokens[at].end <= odd_one.start:
            merged.append(tokens[at])
            at += 1
        if merged and merged[-1].start == odd_one.start and merged[-1].end == odd_one.end:
            merged[-1] = Token(odd_one.start, odd_one.end, merged[-1].forms + odd_one.forms, odd_one.run, odd=True)
            continue
        if merged and merged[-1].end > odd_one.start:
            merged.append(odd_one)  # another reading of the same place
            continue
        merged.append(odd_one)
        while at < len(tokens) and tokens[at].start < odd_one.end:
            at += 1
    return merged + list(tokens[at:])


def _odd(reading: Reading, words: Lexicon) -> Iterator[Hit]:
    """Words and phrases in which something in disguise takes part."""
    text, tokens = reading.text, reading.disguised
    reach = WORDS_MOST + GAP_MOST - 1
    odd_ones = [at for at, token in enumerate(tokens) if token.odd]
    for at in sorted({at for last in odd_ones for at in range(max(0, last - reach), last + 1)}):
        for shape in tokens[at].forms:
            if tokens[at].odd:
                yield from _disguised(text, tokens, at, shape, words)
            if shape.skeleton in words.openers:
                yield from _phrases(text, tokens, at, shape, words)


def _phrases(text: str, tokens: Sequence[Token], at: int, shape: Form, words: Lexicon) -> Iterator[Hit]:
    """Those that begin there."""
    for entry in _beginning(tokens, at, shape, words):
        end = _phrase(tokens, at, entry) if is_word(shape, entry, 0) else None
        if end is not None and _holds(text, tokens, at, end, entry):
            yield Hit(tokens[at].start, tokens[end].end, entry)


def _beginning(tokens: Sequence[Token], at: int, shape: Form, words: Lexicon) -> Iterator[Entry]:
    """Phrases that may begin there, by their first words."""
    nodes = [words.phrases.following[shape.skeleton]]
    while nodes:
        for node in nodes:
            yield from node.entries
        at += 1
        skeletons = {other.skeleton for other in tokens[at].forms} if at < len(tokens) else ()
        nodes = [node.following[skeleton] for node in nodes for skeleton in skeletons if skeleton in node.following]


def _word(text: str, tokens: Sequence[Token], at: int, shape: Form, words: Lexicon) -> Iterator[Hit]:
    """A word by itself, and what it begins or ends with."""
    token, skeleton = tokens[at], shape.skeleton
    entries = [entry for entry in words.words.get(skeleton, ()) if is_word(shape, entry, 0)]
    entries += [e for e in _begun_or_ended(shape.accented, words) if e.accents or shape.accented == skeleton]
    for entry in entries:
        if _holds(text, tokens, at, at, entry):
            yield Hit(token.start, token.end, entry)


def _disguised(text: str, tokens: Sequence[Token], at: int, shape: Form, words: Lexicon) -> Iterator[Hit]:
    """What a word in disguise may be: also a phrase without its spaces, or with letters repeated."""
    token, written = tokens[at], shape.accented
    yield from _word(text, tokens, at, shape, words)
    if written in words.joined:
        yield Hit(token.start, token.end, words.joined[written])
    for word in words.squeezed.get(written, ()) if shape.drawn else ():
        if token.end - token.start > len(word):
            yield from _word(text, tokens, at, form(word), words)
            if word in words.joined:
                yield Hit(token.start, token.end, words.joined[word])
    if token.run or not written.isascii():
        yield from _within(token, written, words)


def _begun_or_ended(word: str, words: Lexicon) -> Iterator[Entry]:
    """Entries that the word begins or ends with."""
    if word[:LEAST] in words.heads:
        for length in words.prefix_lengths:
            if length <= len(word) and (entry := words.prefixes.get(word[:length])) is not None:
                yield entry
    if word[-LEAST:] in words.tails:
        for length in words.suffix_lengths:
            if length <= len(word) and (entry := words.suffixes.get(word[-length:])) is not None:
                yield entry


def _phrase(tokens: Sequence[Token], at: int, entry: Entry) -> int | None:
    """The index of a phrase's last token, where it begins at `at`."""
    for index, word in enumerate(entry.words[1:], 1):
        at += 1
        if word == GAP:
            continue
        reach = GAP_MOST if entry.words[index - 1] == GAP else 1
        for step in range(at, min(at + reach, len(tokens))):
            if any(is_word(shape, entry, index) for shape in tokens[step].forms):
                at = step
                break
        else:
            return None
    return at if at < len(tokens) else None


def is_word(shape: Form, entry: Entry, index: int) -> bool:
    """Whether a token's shape is a word of an entry."""
    word = entry.words[index]
    if entry.accents:
        return shape.accented == word or (not shape.sure and agrees(shape.accented, word))
    if word.endswith("*"):
        return shape.accented == shape.skeleton and shape.skeleton.startswith(word[:-1])
    if bare(word) != shape.skeleton:
        return False
    if entry.target:
        return agrees(shape.accented, entry.target[index])
    return shape.accented in (word, shape.skeleton)


def agrees(typed: str, word: str) -> bool:
    """Whether nothing that was typed contradicts the word: a letter without a mark may stand for one with it."""
    return len(typed) == len(word) and all(a == b or a == bare(b) for a, b in zip(typed, word, strict=True))


def _holds(text: str, tokens: Sequence[Token], start: int, end: int, entry: Entry) -> bool:
    """The conditions of an entry besides its words."""
    if entry.end and not _END.match(text, tokens[end].end):
        return False
    return not entry.code or _in_vietnamese(text, tokens, start, end)


def _in_vietnamese(text: str, tokens: Sequence[Token], start: int, end: int) -> bool:
    """Whether what stands around looks Vietnamese, or nothing does, and the word itself is not written in capitals."""
    first, last = tokens[start], tokens[end]
    if text[first.start : last.end].isupper():
        return False
    if _alone(tokens, start, end):
        return last.end - first.start >= _CODE_ALONE
    near = [
        shape.accented
        for token in tokens[max(0, start - 12) : end + 2]
        for shape in token.forms[:1]
        if token.start >= first.start - REACH
    ]
    return any(map(_looks_vietnamese, near))


@lru_cache(20_000)
def _looks_vietnamese(word: str) -> bool:
    return word in _VIETNAMESE or _MARKED.search(word) is not None


def _alone(tokens: Sequence[Token], start: int, end: int) -> bool:
    """Whether there is no word around."""
    near = tokens[start].start - REACH
    return end == len(tokens) - 1 and all(token.start < near for token in tokens[:start])


def _allowed_phrases(tokens: Sequence[Token], words: Lexicon) -> Iterator[tuple[int, int]]:
    """Where phrases stand that are never hits."""
    for at, token in enumerate(tokens):
        for phrase in words.allowed_phrases.get(token.forms[0].skeleton, ()):
            here = tokens[at : at + len(phrase)]
            if len(here) == len(phrase) and all(reads(t, w) for t, w in zip(here, phrase, strict=True)):
                yield token.start, here[-1].end


def reads(token: Token, word: str) -> bool:
    """Whether a token is a word of a phrase that is allowed."""
    accented = token.forms[0].accented
    return accented.startswith(word[:-1]) if word.endswith("*") else accented == word
