"""A text as tokens, disguised words as the words that they may stand for: spaced out, cut by signs, in leet digits,
masked, with repeated letters. Pure.

Only stretches that look disguised are examined, so ordinary text costs nothing. Every step is linear in the length of
the text, and no disguised word is longer than WINDOW_CHARACTERS.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

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
_MIN_UNDOUBTED_MASK = 4
"""A shorter mask that shows only the first letter may be anything, so it counts only in a phrase."""

_LETTER = r"[^\W\d_]"
_LEET_NEIGHBOUR = r"[@$!|+(<0-9]"
_DISGUISES = (
    r"{0}" + _LEET_NEIGHBOUR,
    _LEET_NEIGHBOUR + r"{0}",
    r"(?P<run>{0})(?P=run)(?P=run)",
    r"{0}_+{0}",
    r"{0}[^\w\s'’]+{0}",
    r"(?<![^\W_]){0}[\W_]{{1,4}}{0}(?![^\W_])[\W_]{{1,4}}{0}(?![^\W_])",
    r"(?P<first>{0})(?P=first)(?P<second>{0})(?P=second)",
)
"""What a disguised word has, {0} being a letter."""
_DISGUISE = re.compile("|".join(each.format(_LETTER) for each in _DISGUISES))
ORDINARY_DISGUISES = [re.compile(each.format(f"[a-z{VIETNAMESE_MARKED}]")) for each in _DISGUISES]
"""The same between ordinary letters of a folded text: several times as fast, also because each is looked for by
itself."""
BROKEN = re.compile(rf"(?<![^\W_])(?<![`'’])(?!sh\n)({_LETTER}{{1,7}})-?\n(?=({_LETTER}{{1,7}})(?![^\W_]))")
"""Two short words around the end of a line; "sh" is the language of a code block."""
_CHUNK = re.compile(r"[\"'“‘]*(\S+?)[.,;:?…)\"'”’]*(?=\s|$)")
_SPACED_LETTERS = re.compile(rf"(?<![^\W_]){_LETTER}(?:[\W_]{{1,4}}{_LETTER}(?![^\W_])){{2,27}}")
_MASK_SIGNS = r"(?:[*#@•●▪]|%(?![ds](?![^\W_])))"
"""A sign in place of a letter; "%s" and "%d" stand for a value."""
_MASK = re.compile(rf"[*#@%•●▪]{_LETTER}|{_LETTER}[*•●▪]{{2}}")
_MASKED_WORD = re.compile(
    rf"(?<![^\W_])({_LETTER}+(?:{_MASK_SIGNS}{{1,2}}{_LETTER}+){{1,2}}|{_LETTER}{_MASK_SIGNS}{{2,9}}{_LETTER}*)(?![^\W_])"
)
_MASK_SIGN = re.compile(_MASK_SIGNS)
_LONG_MASK = re.compile(rf"(?<![^\W_]){_LETTER}(?:[*•●▪#][*•●▪#]|[•●▪])")
_SHOWN_MASK = re.compile(rf"{_LETTER}•••")
"""What the filter itself shows in place of a word."""
_ADDRESS = re.compile(r"(?:https?://|www\.)\S*|\S+@\S+\.\S+|\d{1,2}h\d{0,2}")
_DOUBLED = re.compile(r"(.)\1(.)\2")
_REPEATED = re.compile(r"(.)\1\1")
_SIGNS = re.compile(r"[\W_]+")
_LIST_MARK = re.compile(r"\(?\w\)(?=\w)")
"""As in "(c)until"."""
_EDGES = re.compile(r"[\[({<|!$]*(.*?)(?:\+\+)?[!|\[\](){}<>]*")
"""A word between signs that punctuation, markup and code put around words."""
_ACCENTED_BEFORE_C = re.compile(f"[{VIETNAMESE_MARKED}][(<]$")
"""Leet at the end of a syllable: no bracket opens there."""
_CODE = re.compile(r"(?=\D*\d)[\d.,:/#_-]*(?:[a-zđ][\d.,:/#_-]*){1,2}|#[0-9a-f]{3,8}")
"""A code, a measure or a version: digits with one or two letters, or a colour."""
_BETWEEN_DIGITS = re.compile(r"\d[a-z]{2}\d")
"""As in "5hi7", which is no code."""
_ARGUMENTS = re.compile(rf"{_LETTER}?\({_LETTER}(?:, ?{_LETTER})+")
"""Arguments of a function, or a tuple: "f(u, c, k", "(f,u"."""


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
        found = [*spaced_words(folded), *disguised_chunks(folded), *masked_words(text, folded, lexicon)]
        found += broken_words(folded, lexicon)
        if found:
            return Reading(text, plain, _merge(plain, sorted(found, key=lambda token: (token.start, -token.end))))
    return Reading(text, plain, plain)


def may_hold_rare_disguise(folded: Folded) -> bool:
    """Whether a text without ORDINARY_DISGUISES may hold a disguised word all the same: between letters of other
    alphabets."""
    return not is_ordinary(folded.accented) and _DISGUISE.search(folded.accented) is not None


def has_long_mask(text: str) -> bool:
    """Whether a letter stands before a mask of several signs, which `fold` takes for markup."""
    return any(sign in text for sign in ("**", "##", "•", "●", "▪")) and _LONG_MASK.search(text) is not None


def masked_words(text: str, folded: Folded, lexicon: Lexicon) -> Iterator[Token]:
    """Masked words such as "f*ck" and "l*n", each with the listed words that its mask may hide. What looks like markup
    may be a mask."""
    if folded.has_markup:
        folded = fold(text, markup=False)
    if not _MASK.search(folded.accented):
        return
    for match in _MASKED_WORD.finditer(folded.accented):
        if match.end() - match.start() <= WINDOW_CHARACTERS and not _SHOWN_MASK.fullmatch(match[1]):
            forms = _unmasked_forms(_MASK_SIGN.sub("*", match[1]), lexicon)
            if forms:
                start, end = folded.source_span(match.start(), match.end())
                yield Token(start, end, forms, disguised=True)


def _unmasked_forms(pattern: str, lexicon: Lexicon) -> tuple[Form, ...]:
    """The forms of the listed words that a mask may hide."""
    words = lexicon.unmasked_cache.get(pattern)
    if words is None:
        if len(lexicon.unmasked_cache) >= lexicon.cache_entries:
            lexicon.unmasked_cache.clear()
        found = {word for each in {pattern, strip_marks(pattern)} for word in _unmask(each, lexicon)}
        words = lexicon.unmasked_cache[pattern] = tuple(sorted(found))
    return _mask_forms(words, doubtful=len(pattern) < _MIN_UNDOUBTED_MASK and pattern.endswith("**"))


@lru_cache(4096)
def _mask_forms(words: tuple[str, ...], *, doubtful: bool) -> tuple[Form, ...]:
    return tuple(form(word, doubtful=doubtful) for word in words)


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
        if _ARGUMENTS.search(folded.accented, max(0, match.start() - 1), match.end()):
            continue
        start, end = folded.source_span(match.start(), match.end())
        letters = _SIGNS.sub("", match[0])
        yield Token(start, end, _repeat_forms(letters), spaced=True, disguised=True)


def broken_words(folded: Folded, lexicon: Lexicon) -> Iterator[Token]:
    """Listed words that are broken by the end of a line."""
    for match in BROKEN.finditer(folded.accented):
        word = match[1] + match[2]
        if word in lexicon.breakable:
            start, end = folded.source_span(match.start(1), match.end(2))
            yield Token(start, end, (form(word),), disguised=True)


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
    if _ADDRESS.fullmatch(chunk) or _ARGUMENTS.fullmatch(chunk) or not _DISGUISE.search(chunk):
        return ()
    return tuple(dict.fromkeys(_possible_forms(chunk)))


def _possible_forms(chunk: str) -> Iterator[Form]:
    """A chunk without its signs, without digits around it, and with its leet signs as letters."""
    chunk = _LIST_MARK.sub("", chunk, count=1)
    plain = _SIGNS.sub("", chunk)
    yield from _repeat_forms(plain)
    if _DOUBLED.search(plain) and not _REPEATED.search(plain):
        yield form(collapse_repeats(plain), collapsed=True)
    if len(letters := plain.strip("0123456789")) > 2:
        yield from _repeat_forms(letters)
    trimmed = chunk.strip(".,;:?\"'“”‘’)]}").partition("[")[0]
    if _LEET_SIGNS.search(trimmed) and not trimmed.isdigit() and len(trimmed) <= _MAX_LEET_CHARACTERS:
        doubtful = _is_plain_or_code(trimmed)
        for mapped in dict.fromkeys(trimmed.translate(table) for table in _LEET_TABLES):
            yield from _repeat_forms(_SIGNS.sub("", mapped), typed_accents=False, doubtful=doubtful)


def _is_plain_or_code(chunk: str) -> bool:
    """Whether the leet signs of a chunk are more likely punctuation or part of a code than letters.

    Signs at its edges are punctuation, unless there are such signs or digits within too: "đi!!", but "(0cks".
    """
    within = _EDGES.fullmatch(chunk)
    inner = chunk if within is None else within[1]
    if not _LEET_SIGNS.search(inner):
        return not _ACCENTED_BEFORE_C.search(chunk)
    return _CODE.fullmatch(inner) is not None and not _BETWEEN_DIGITS.fullmatch(inner)


@lru_cache(4096)
def _repeat_forms(letters: str, *, typed_accents: bool = True, doubtful: bool = False) -> tuple[Form, ...]:
    """The letters as they are; where a letter is repeated three times or more: every run as one letter, and these runs
    as one and as two letters."""
    if len(letters) < 2:
        return ()
    shape = partial(form, typed_accents=typed_accents, doubtful=doubtful)
    if not _REPEATED.search(letters):
        return (shape(letters),)
    once, twice = re.sub(r"(.)\1{2,}", r"\1", letters), re.sub(r"(.)\1{2,}", r"\1\1", letters)
    others = tuple(shape(each) for each in dict.fromkeys((twice, once)))
    return (shape(collapse_repeats(letters), collapsed=True), *others)


def _merge(plain: Sequence[Token], disguised: Sequence[Token]) -> list[Token]:
    """The plain tokens with the disguised ones in place of their pieces. Overlapping disguised tokens, which are
    several readings of one place, are all kept; one that covers a plain token exactly adds its forms to it."""
    merged, joined = list[Token](), dict[tuple[int, int], tuple[Form, ...]]()
    at = 0
    for token in disguised:
        while at < len(plain) and plain[at].end <= token.start:
            merged.append(plain[at])
            at += 1
        if merged and merged[-1].start == token.start and merged[-1].end == token.end:
            both = id(merged[-1].forms), id(token.forms)  # the same tuple for the same words
            forms = joined.setdefault(both, merged[-1].forms + token.forms)
            merged[-1] = Token(token.start, token.end, forms, token.spaced, disguised=True)
            continue
        overlaps = bool(merged) and merged[-1].end > token.start
        merged.append(token)
        while not overlaps and at < len(plain) and plain[at].start < token.end:
            at += 1
    return merged + list(plain[at:])
