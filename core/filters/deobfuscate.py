"""A text as tokens, disguised words as the words that they may stand for: spaced out, cut by signs, in leet digits,
masked, with repeated letters. Pure.

Only stretches that look disguised are examined, so ordinary text costs nothing. Every step is linear in the length of
the text, and no disguised word is longer than WINDOW_CHARACTERS.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from core.filters.lexicon import Lexicon
from core.filters.tokenize import (
    VIETNAMESE_MARKED,
    Folded,
    Form,
    Token,
    collapse_repeats,
    fold,
    form,
    is_ordinary,
    plain_tokens,
    strip_marks,
)

WINDOW_CHARACTERS = 64
"""The longest hit, and how far a rule looks to its left."""
_MAX_LEET_CHARACTERS = 24

_LETTER = r"[^\W\d_]"
_LEET_NEIGHBOUR = r"[@$!|+(<0-9]"
_DISGUISES = (
    r"{0}" + _LEET_NEIGHBOUR,
    _LEET_NEIGHBOUR + r"{0}",
    r"({0})\1\1",
    r"{0}_+{0}",
    r"{0}[^\w\s'’]+{0}",
    r"(?<![^\W_]){0}[\W_]{{1,4}}{0}(?![^\W_])[\W_]{{1,4}}{0}(?![^\W_])",
)
"""What a disguised word has, {0} being a letter."""
_DISGUISE = re.compile("|".join(each.format(_LETTER) for each in _DISGUISES))
ORDINARY_DISGUISES = [re.compile(each.format(f"[a-z{VIETNAMESE_MARKED}]")) for each in _DISGUISES]
"""The same between ordinary letters of a folded text: several times as fast, also because each is looked for by
itself."""
_CHUNK = re.compile(r"[\"'“‘]*(\S+?)[.,;:?…)\"'”’]*(?=\s|$)")
_SPACED_LETTERS = re.compile(rf"(?<![^\W_]){_LETTER}(?:[\W_]{{1,4}}{_LETTER}(?![^\W_])){{2,27}}")
_MASK = re.compile(rf"[*#@%]{_LETTER}")
_MASKED_WORD = re.compile(rf"(?<![^\W_])({_LETTER}+(?:[*#@%]{{1,2}}{_LETTER}+){{1,2}})(?![^\W_])")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S*|\S+@\S+\.\S+|\d{1,2}h\d{0,2}")
_REPEATED = re.compile(r"(.)\1\1")
_SIGNS = re.compile(r"[\W_]+")


def _leet_table(one: str, v: str) -> dict[int, int]:
    """A translation of leet signs to letters: "1", "!" and "|" to `one`, "v" to `v`."""
    return str.maketrans("@48(<3960$57+2" + "1!|v", "aabccegg" + "o" + "ss" + "tt" + "z" + one * 3 + v)


_LEET_TABLES = [_leet_table("i", "v"), _leet_table("l", "v"), _leet_table("i", "u"), _leet_table("l", "u")]
_LEET_SIGNS = re.compile(r"[@48(<3960$57+21!|]")


@dataclass(frozen=True, slots=True)
class Reading:
    """A tokenised text. `disguised` has disguised words in place of their pieces; without any it is `plain` itself."""

    text: str
    plain: Sequence[Token]
    disguised: Sequence[Token]

    @property
    def sequences(self) -> list[Sequence[Token]]:
        """Both, or the one where they are the same."""
        return [self.plain] if self.disguised is self.plain else [self.plain, self.disguised]


def read(text: str, folded: Folded, lexicon: Lexicon, *, deobfuscate: bool) -> Reading:
    """Tokenise a text. `deobfuscate` says whether to look for disguised words."""
    plain = plain_tokens(folded, lexicon)
    if deobfuscate:
        found = [*spaced_words(folded), *disguised_chunks(folded), *masked_words(text, lexicon)]
        if found:
            return Reading(text, plain, _merge(plain, sorted(found, key=lambda token: (token.start, -token.end))))
    return Reading(text, plain, plain)


def may_hold_rare_disguise(folded: Folded) -> bool:
    """Whether a text without ORDINARY_DISGUISES may hold a disguised word all the same: between letters of other
    alphabets."""
    return not is_ordinary(folded.accented) and _DISGUISE.search(folded.accented) is not None


def masked_words(text: str, lexicon: Lexicon) -> Iterator[Token]:
    """Masked words such as "f*ck" and "l*n", each with the listed words that its mask may hide."""
    folded = fold(text, markup=False)
    if not _MASK.search(folded.accented):
        return
    for match in _MASKED_WORD.finditer(folded.accented):
        if match.end() - match.start() <= WINDOW_CHARACTERS:
            pattern = re.sub(r"[*#@%]", "*", match[1])
            candidates = {word for each in {pattern, strip_marks(pattern)} for word in _unmask(each, lexicon)}
            if candidates:
                start, end = folded.source_span(match.start(), match.end())
                yield Token(start, end, tuple(form(word) for word in sorted(candidates)), disguised=True)


def _unmask(pattern: str, lexicon: Lexicon) -> Iterator[str]:
    """The words that a mask may hide: listed words, and words that begin with a listed prefix."""
    yield from lexicon.masked.get(pattern, ())
    for length in lexicon.prefix_lengths:
        if "*" not in (rest := pattern[length:]) and rest:
            for beginning in lexicon.masked.get(pattern[:length], ()):
                if beginning in lexicon.prefixes:
                    yield beginning + rest


def spaced_words(folded: Folded) -> Iterator[Token]:
    """Words with their letters apart: by spaces, signs, line ends or pictures."""
    for match in _SPACED_LETTERS.finditer(folded.accented):
        start, end = folded.source_span(match.start(), match.end())
        letters = _SIGNS.sub("", match[0])
        yield Token(start, end, _repeat_forms(letters), spaced=True, disguised=True)


def disguised_chunks(folded: Folded) -> Iterator[Token]:
    """What stands between two spaces, where it may be disguised; addresses and times are not."""
    for match in _CHUNK.finditer(folded.accented):
        chunk = match[1]
        if len(chunk) <= WINDOW_CHARACTERS and (forms := _chunk_forms(chunk)):
            start, end = folded.source_span(match.start(1), match.end(1))
            yield Token(start, end, forms, disguised=True)


@lru_cache(4096)
def _chunk_forms(chunk: str) -> tuple[Form, ...]:
    """The forms that a chunk may stand for; none where it is not disguised."""
    if _ADDRESS.fullmatch(chunk) or not _DISGUISE.search(chunk):
        return ()
    return tuple(dict.fromkeys(_possible_forms(chunk)))


def _possible_forms(chunk: str) -> Iterator[Form]:
    """A chunk without its signs, without digits around it, and with its leet signs as letters."""
    plain = _SIGNS.sub("", chunk)
    yield from _repeat_forms(plain)
    if len(letters := plain.strip("0123456789")) > 2:
        yield from _repeat_forms(letters)
    trimmed = chunk.strip(".,;:?\"'“”‘’)]}")
    if _LEET_SIGNS.search(trimmed) and not trimmed.isdigit() and len(trimmed) <= _MAX_LEET_CHARACTERS:
        for mapped in dict.fromkeys(trimmed.translate(table) for table in _LEET_TABLES):
            yield from _repeat_forms(_SIGNS.sub("", mapped), typed_accents=False)


def _repeat_forms(letters: str, *, typed_accents: bool = True) -> tuple[Form, ...]:
    """The letters as they are; where a letter is repeated three times or more: every run as one letter, and these runs
    as one and as two letters."""
    if len(letters) < 2:
        return ()
    if not _REPEATED.search(letters):
        return (form(letters, typed_accents=typed_accents),)
    once, twice = re.sub(r"(.)\1{2,}", r"\1", letters), re.sub(r"(.)\1{2,}", r"\1\1", letters)
    others = tuple(form(each, typed_accents=typed_accents) for each in dict.fromkeys((twice, once)))
    return (form(collapse_repeats(letters), typed_accents=typed_accents, collapsed=True), *others)


def _merge(plain: Sequence[Token], disguised: Sequence[Token]) -> list[Token]:
    """The plain tokens with the disguised ones in place of their pieces. Overlapping disguised tokens, which are
    several readings of one place, are all kept; one that covers a plain token exactly adds its forms to it."""
    merged = list[Token]()
    at = 0
    for token in disguised:
        while at < len(plain) and plain[at].end <= token.start:
            merged.append(plain[at])
            at += 1
        if merged and merged[-1].start == token.start and merged[-1].end == token.end:
            merged[-1] = Token(token.start, token.end, merged[-1].forms + token.forms, token.spaced, disguised=True)
            continue
        overlaps = bool(merged) and merged[-1].end > token.start
        merged.append(token)
        while not overlaps and at < len(plain) and plain[at].start < token.end:
            at += 1
    return merged + list(plain[at:])
