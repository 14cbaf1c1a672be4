"""Words in disguise, as the words that they may be: spaced out, cut by signs, in leet digits, masked, repeated. Pure.

Only what looks odd is looked at, so that ordinary text costs nothing; every step is linear, and nothing longer than
REACH is one disguise.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from core.filters.lexicon import Lexicon, squeeze
from core.filters.normalize import Folded, bare, fold

REACH = 64
"""Characters that a rule sees at most."""

_LETTER = r"[^\W\d_]"
_ODD = re.compile(
    rf"{_LETTER}[^\w\s'’]+{_LETTER}|{_LETTER}_+{_LETTER}|{_LETTER}[@$!|+(<0-9]|[@$!|+(<0-9]{_LETTER}|({_LETTER})\1\1"
    rf"|(?<![^\W_]){_LETTER}(?:[\W_]{{1,4}}{_LETTER}(?![^\W_])){{2,}}"
)
_CHUNK = re.compile(r"[\"'“‘]*(\S+?)[.,;:?…)\"'”’]*(?=\s|$)")
_RUN = re.compile(rf"(?<![^\W_]){_LETTER}(?:[\W_]{{1,4}}{_LETTER}(?![^\W_])){{2,27}}")
_MASK = re.compile(rf"(?<![^\W_])({_LETTER}+(?:[*#@%]{{1,2}}{_LETTER}+){{1,2}})(?![^\W_])")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S*|\S+@\S+\.\S+|\d{1,2}h\d{0,2}")
_REPEATED = re.compile(r"(.)\1\1")
_SIGNS = re.compile(r"[\W_]+")


def _leet(one: str, v: str) -> dict[int, int]:
    return str.maketrans("@48(<3960$57+2" + "1!|v", "aabccegg" + "o" + "ss" + "tt" + "z" + one * 3 + v)


_MAPS = [_leet("i", "v"), _leet("l", "v"), _leet("i", "u"), _leet("l", "u")]
_LEET_SIGNS = re.compile(r"[@48(<3960$57+21!|]")


class Form(NamedTuple):
    """What a token may be, with and without marks."""

    accented: str
    skeleton: str
    sure: bool = True
    """Its accents are as they were typed."""
    drawn: bool = False
    """Every letter once: some were repeated."""


def form(accented: str, *, sure: bool = True, drawn: bool = False) -> Form:
    """A form from its accents."""
    return Form(accented, accented if accented.isascii() else bare(accented), sure, drawn)


class Token(NamedTuple):
    """A word, or what may be one. Places are in the text itself."""

    start: int
    end: int
    forms: tuple[Form, ...]
    run: bool = False
    """Letters that stood apart."""
    odd: bool = False
    """In disguise."""


def odd(folded: Folded) -> bool:
    """Whether anything may be in disguise."""
    return _ODD.search(folded.accented) is not None


def unmasked(text: str, words: Lexicon) -> Iterator[Token]:
    """Masked words: "f*ck", "l*n"."""
    folded = fold(text, markup=False)
    for match in _MASK.finditer(folded.accented):
        if match.end() - match.start() <= REACH:
            pattern = re.sub(r"[*#@%]", "*", match[1])
            found = {word for each in {pattern, bare(pattern)} for word in _masked_words(each, words)}
            if found:
                start, end = folded.raw(match.start(), match.end())
                yield Token(start, end, tuple(form(word) for word in sorted(found)), odd=True)


def _masked_words(pattern: str, words: Lexicon) -> Iterator[str]:
    """What the mask may hide: a word of the list, or one that begins like that."""
    yield from words.masks.get(pattern, ())
    for length in words.prefix_lengths:
        if "*" not in (rest := pattern[length:]) and rest:
            for beginning in words.masks.get(pattern[:length], ()):
                if beginning in words.prefixes:
                    yield beginning + rest


def runs(folded: Folded) -> Iterator[Token]:
    """Letters that stand apart: "f u c k", also with signs, line ends and pictures between them."""
    for match in _RUN.finditer(folded.accented):
        start, end = folded.raw(match.start(), match.end())
        letters = _SIGNS.sub("", match[0])
        yield Token(start, end, _repeated(letters), run=True, odd=True)


def chunks(folded: Folded) -> Iterator[Token]:
    """What stands between two spaces, where that is odd."""
    for match in _CHUNK.finditer(folded.accented):
        chunk = match[1]
        if len(chunk) > REACH or _ADDRESS.fullmatch(chunk) or not _ODD.search(chunk):
            continue
        start, end = folded.raw(match.start(1), match.end(1))
        if forms := tuple(dict.fromkeys(_readings(chunk))):
            yield Token(start, end, forms, odd=True)


def _readings(chunk: str) -> Iterator[Form]:
    plain = _SIGNS.sub("", chunk)
    yield from _repeated(plain)
    if len(letters := plain.strip("0123456789")) > 2:
        yield from _repeated(letters)
    trimmed = chunk.strip(".,;:?\"'“”‘’)]}")
    if _LEET_SIGNS.search(trimmed) and not trimmed.isdigit() and len(trimmed) <= 24:
        for mapped in dict.fromkeys(trimmed.translate(table) for table in _MAPS):
            yield from _repeated(_SIGNS.sub("", mapped), sure=False)


def _repeated(letters: str, *, sure: bool = True) -> tuple[Form, ...]:
    """As it is, and with repeated letters once and twice."""
    if len(letters) < 2:
        return ()
    if not _REPEATED.search(letters):
        return (form(letters, sure=sure),)
    once, twice = re.sub(r"(.)\1{2,}", r"\1", letters), re.sub(r"(.)\1{2,}", r"\1\1", letters)
    others = tuple(form(each, sure=sure) for each in dict.fromkeys((twice, once)))
    return (form(squeeze(letters), sure=sure, drawn=True), *others)
