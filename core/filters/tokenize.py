"""From a text to its words: folded letters, each with its position in the source text, and the words as tokens. Pure.

A folded text has two channels of the same length: `accented` keeps the eight marks of Vietnamese, `skeleton` has none.
Confusable letters are mapped before NFKC, which turns a lunate sigma into an ordinary one. Invisible characters,
foreign marks and the markup that a platform renders are dropped.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from core.filters.lexicon import Lexicon

MARKS = "\u0300\u0301\u0302\u0303\u0306\u0309\u031b\u0323"
"""Grave, acute, circumflex, tilde, breve, hook, horn, dot below."""
_MARK_ORDER = {mark: at for at, mark in enumerate("\u031b\u0302\u0306\u0300\u0301\u0309\u0303\u0323")}
"""The order in which NFC composes them."""

_LOOK_ALIKES = {
    "a": "аɑαᴀ", "b": "ЬьƄɓвВʙ", "c": "сϲсⅽᴄ¢", "d": "ԁɗⅾɖᴅ", "e": "еєεёҽ℮ɛᴇ", "f": "ƒſϝꜰ", "g": "ɡցǥԍɢ", "h": "һհнНʜ",
    "i": "іιїıӏіɩɪ", "j": "јϳʝᴊ", "k": "кκкқᴋ", "l": "ӏⅼʟ", "m": "мⅿᴍ", "n": "ոпηɴ", "o": "оοօσøᴏ", "p": "рρᴘ",
    "q": "ԛգꞯǫ", "r": "гᴦʀ", "s": "ѕꜱʂ", "t": "тτᴛ", "u": "υսцᴜʋ", "v": "ѵνᴠ", "w": "ԝѡωшᴡ", "x": "хχ×", "y": "уүγʏ",
    "z": "ᴢʐ", "A": "АΑ", "B": "Β", "C": "СϹ", "D": "Ɖ", "E": "ЕΕ", "H": "Η", "I": "ІΙ", "J": "Ј", "K": "КΚ", "M": "МΜ",
    "N": "Ν", "O": "ОΟ", "P": "РΡ", "S": "Ѕ", "T": "ТΤ", "X": "ХΧ", "Y": "УΥ", "Z": "Ζ",
}  # fmt: skip
_CONFUSABLE = {alike: letter.lower() for letter, others in _LOOK_ALIKES.items() for alike in others}
_CONFUSABLE |= {chr(0x1F150 + at): chr(97 + at) for at in range(26)}  # negative circled
_CONFUSABLE |= {chr(0x1F170 + at): chr(97 + at) for at in range(26)}  # negative squared
_CONFUSABLE |= {chr(0x1F1E6 + at): chr(97 + at) for at in range(26)}  # regional indicators
VIETNAMESE_MARKED = "àáảãạăằắẳẵặâầấẩẫậèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵđ"
"""The small Vietnamese letters that ASCII lacks."""
_WITHOUT_MARKS = str.maketrans(
    {char: "d" if char == "đ" else unicodedata.normalize("NFD", char)[0] for char in VIETNAMESE_MARKED}
)
_ORDINARY = re.compile(rf"[\x20-\x7e\n\t{VIETNAMESE_MARKED}{VIETNAMESE_MARKED.upper()}–—“”‘’…•°€→≥≤]*")
_ONE_TO_ONE = re.compile(rf"([\x20-\x7e\n\t{VIETNAMESE_MARKED}{VIETNAMESE_MARKED.upper()}]+)|.", re.DOTALL)
"""A stretch of characters that stand for one letter each, or any other character."""
WORD = re.compile(r"[^\W_]+")
_MARKUP = re.compile(r"\*\*+|__+|~~+|\|\|+|`+|</?[a-zA-Z]{1,6}>")
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180e\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_MAX_LETTERS_PER_CHARACTER = 4
"""One Arabic ligature stands for a sentence of 18 letters."""
_CACHE_ENTRIES = 20_000
_decomposed: dict[str, tuple[str, ...]] = {}
_composed: dict[tuple[str, str], str] = {}


@dataclass(frozen=True, slots=True)
class Folded:
    """A folded text. Letter `i` is source characters `starts[i]` to `ends[i]` (exclusive), its marks included. `starts`
    is None where letter `i` is source character `i`."""

    skeleton: str
    accented: str
    starts: Sequence[int] | None = None
    ends: Sequence[int] = ()
    has_markup: bool = False
    """Whether markup was dropped."""

    def source_span(self, start: int, end: int) -> tuple[int, int]:
        """The span of the source text that folded letters `start` to `end` (exclusive) come from."""
        if self.starts is None:
            return start, end
        return self.starts[start], self.ends[end - 1]


def fold(text: str, *, markup: bool = True) -> Folded:
    """Fold a text. `markup` drops the Markdown and HTML markup that a platform renders instead of showing."""
    dropped = _MARKUP.search(text) if markup else None
    if dropped is None and _ORDINARY.fullmatch(text):
        accented = text.lower()
        return Folded(accented if text.isascii() else accented.translate(_WITHOUT_MARKS), accented)
    return _fold_characters(
        text, _outside_markup(text) if dropped else [(0, len(text))], has_markup=dropped is not None
    )


def is_ordinary(text: str) -> bool:
    """Whether a text has only characters that English and Vietnamese are usually written with."""
    return _ORDINARY.fullmatch(text) is not None


def strip_marks(text: str) -> str:
    """Folded Vietnamese without its marks; "đ" becomes "d"."""
    return text.translate(_WITHOUT_MARKS)


def collapse_repeats(word: str) -> str:
    """The word with every run of one letter reduced to a single one: "soooo" becomes "so"."""
    return "".join(char for at, char in enumerate(word) if not at or char != word[at - 1])


def _outside_markup(text: str) -> list[tuple[int, int]]:
    """The spans of the text that are not markup."""
    spans, at = list[tuple[int, int]](), 0
    for match in _MARKUP.finditer(text):
        spans.append((at, match.start()))
        at = match.end()
    return [*spans, (at, len(text))]


def _fold_characters(text: str, spans: Sequence[tuple[int, int]], *, has_markup: bool) -> Folded:
    """Fold what stands in these spans of the text."""
    letters, starts, ends = list[str](), list[int](), list[int]()
    for match in (match for start, end in spans for match in _ONE_TO_ONE.finditer(text, start, end)):
        position, end = match.span()
        if match.lastindex:
            letters += match[0].lower()
            starts += range(position, end)
            ends += range(position + 1, end + 1)
            continue
        parts = _decomposed.get(match[0]) or _decompose(match[0])
        if len(parts) == 1 and parts[0] not in MARKS:  # as nearly always
            letters.append(parts[0])
            starts.append(position)
            ends.append(end)
            continue
        for part in parts:
            if part not in MARKS:
                letters.append(part)
                starts.append(position)
                ends.append(position + 1)
            elif letters:
                letters[-1] = _compose(letters[-1], part)
        if ends and not any(part not in MARKS for part in parts):
            ends[-1] = position + 1
    accented = "".join(letters)
    return Folded(accented.translate(_WITHOUT_MARKS), accented, starts, ends, has_markup)


def _decompose(char: str) -> tuple[str, ...]:
    """A character's base letters and Vietnamese marks, one character each; empty for an invisible character."""
    parts = _decomposed.get(char)
    if parts is None:
        if len(_decomposed) > _CACHE_ENTRIES:
            _decomposed.clear()
        parts = _decomposed[char] = tuple(_decompose_uncached(char))
    return parts


def _decompose_uncached(char: str) -> list[str]:
    if char in MARKS:
        return [char]
    if unicodedata.category(char) in ("Cf", "Mn", "Me", "Mc", "Cs") or _INVISIBLE.match(char):
        return []
    plain = unicodedata.normalize("NFKC", _CONFUSABLE.get(char, char)).casefold()
    parts = list[str]()
    for one in unicodedata.normalize("NFD", plain):
        part = _CONFUSABLE.get(one, one)
        if part in MARKS or unicodedata.category(part) not in ("Cf", "Mn", "Me"):
            parts.append(part)
    return parts[:_MAX_LETTERS_PER_CHARACTER]


def _compose(letter: str, mark: str) -> str:
    """The letter with one more mark; unchanged where Vietnamese has no such letter."""
    composed = _composed.get((letter, mark))
    if composed is None:
        if len(_composed) > _CACHE_ENTRIES:
            _composed.clear()
        marks = sorted({*unicodedata.normalize("NFD", letter)[1:], mark}, key=_MARK_ORDER.__getitem__)
        base = "đ" if letter == "đ" else unicodedata.normalize("NFD", letter)[0]
        candidate = unicodedata.normalize("NFC", base + "".join(marks))
        composed = _composed[letter, mark] = candidate if candidate in VIETNAMESE_MARKED else letter
    return composed


class Form(NamedTuple):
    """A folded word that a token may stand for, with marks (`accented`) and without (`skeleton`)."""

    accented: str
    skeleton: str
    typed_accents: bool = True
    """Whether the accents are the typed ones. Leet digits have none, so the letters behind them may have any."""
    collapsed: bool = False
    """Whether repeated letters were reduced to one."""
    doubtful: bool = False
    """Whether its signs and digits are more likely punctuation or a code than letters."""


def form(accented: str, *, typed_accents: bool = True, collapsed: bool = False, doubtful: bool = False) -> Form:
    """The form of a folded word; its skeleton is derived."""
    skeleton = accented if accented.isascii() else strip_marks(accented)
    return Form(accented, skeleton, typed_accents, collapsed, doubtful)


class Token(NamedTuple):
    """A word or disguised word, and the forms that it may stand for. `start` and `end` (exclusive) are positions in the
    source text."""

    start: int
    end: int
    forms: tuple[Form, ...]
    spaced: bool = False
    """Whether its letters stood apart."""
    disguised: bool = False


def plain_tokens(folded: Folded, lexicon: Lexicon, first: int = 0) -> list[Token]:
    """The words that begin at `first` of the source text or later: each as it is, and as the listed word that it is
    another spelling of."""
    starts, respelled = folded.starts, lexicon.respelled
    begin = first if starts is None else bisect_left(starts, first)
    if begin and WORD.match(folded.accented, begin - 1) and (cut := WORD.match(folded.accented, begin)):
        begin = cut.end()
    words = WORD.finditer(folded.accented, begin)
    if starts is None:
        return [Token(*match.span(), _forms(match[0], respelled.get(match[0]))) for match in words]
    ends = folded.ends
    return [
        Token(starts[match.start()], ends[match.end() - 1], _forms(match[0], respelled.get(match[0])))
        for match in words
    ]


@lru_cache(20_000)
def _forms(word: str, respelled: str | None) -> tuple[Form, ...]:
    return (form(word),) if respelled is None else (form(word), form(respelled))
