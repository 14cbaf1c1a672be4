"""Text as a reader sees it: letters without disguise, each with the place that it stands at. Pure.

Two channels of the same length: `accented` keeps the eight marks of Vietnamese, `skeleton` has none. Confusable letters
are mapped before NFKC (which makes an ordinary sigma of a lunate one), invisible characters and foreign marks are
dropped, and so is the markup that a platform renders.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

MARKS = "\u0300\u0301\u0302\u0303\u0306\u0309\u031b\u0323"
"""Grave, acute, circumflex, tilde, breve, hook, horn, dot below."""

_ALIKE = {
    "a": "аɑα", "b": "ЬьƄɓвВʙ", "c": "сϲсⅽᴄ¢", "d": "ԁɗⅾɖ", "e": "еєεёҽ℮ɛ", "f": "ƒſϝ", "g": "ɡցǥԍ", "h": "һհнНʜ",
    "i": "іιїıӏіɩ", "j": "јϳʝ", "k": "кκкқᴋ", "l": "ӏⅼʟ", "m": "мⅿᴍ", "n": "ոпηɴ", "o": "оοօσøᴏ", "p": "рρᴘ",
    "q": "ԛգ", "r": "гᴦʀ", "s": "ѕꜱʂ", "t": "тτᴛ", "u": "υսцᴜʋ", "v": "ѵνᴠ", "w": "ԝѡωшᴡ", "x": "хχ×", "y": "уүγʏ",
    "z": "ᴢʐ", "A": "АΑ", "B": "Β", "C": "СϹ", "D": "Ɖ", "E": "ЕΕ", "H": "Η", "I": "ІΙ", "J": "Ј", "K": "КΚ", "M": "МΜ",
    "N": "Ν", "O": "ОΟ", "P": "РΡ", "S": "Ѕ", "T": "ТΤ", "X": "ХΧ", "Y": "УΥ", "Z": "Ζ",
}  # fmt: skip
_CONFUSABLE = {alike: letter.lower() for letter, others in _ALIKE.items() for alike in others}
_CONFUSABLE |= {chr(0x1F150 + at): chr(97 + at) for at in range(26)}  # negative circled
_CONFUSABLE |= {chr(0x1F170 + at): chr(97 + at) for at in range(26)}  # negative squared
_CONFUSABLE |= {chr(0x1F1E6 + at): chr(97 + at) for at in range(26)}  # regional indicators
_VIETNAMESE = "àáảãạăằắẳẵặâầấẩẫậèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵđ"
_BARE = str.maketrans({char: "d" if char == "đ" else unicodedata.normalize("NFD", char)[0] for char in _VIETNAMESE})
_ORDINARY = re.compile(rf"[\x20-\x7e\n\t{_VIETNAMESE}{_VIETNAMESE.upper()}–—“”‘’…•°€→≥≤]*")
_MARKUP = re.compile(r"\*\*+|__+|~~+|\|\|+|`+|</?[a-zA-Z]{1,6}>")
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180e\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")


@dataclass(frozen=True, slots=True)
class Folded:
    """`places[i]` is where the `i`th letter stands in the text, with all that belongs to it up to `ends[i]`; None where
    it is the `i`th character."""

    skeleton: str
    accented: str
    places: Sequence[int] | None = None
    ends: Sequence[int] = ()

    def raw(self, start: int, end: int) -> tuple[int, int]:
        """Where a stretch of letters stands in the text."""
        if self.places is None:
            return start, end
        return self.places[start], self.ends[end - 1]


def fold(text: str, *, markup: bool = True) -> Folded:
    """`text` folded. `markup`: what a platform would not show is left out."""
    dropped = _MARKUP.search(text) if markup else None
    if dropped is None and _ORDINARY.fullmatch(text):
        accented = text.lower()
        return Folded(accented if text.isascii() else accented.translate(_BARE), accented)
    return _folded(text, _kept(text) if dropped else range(len(text)))


def bare(text: str) -> str:
    """Folded Vietnamese without its marks."""
    return text.translate(_BARE)


def _kept(text: str) -> list[int]:
    """The places of what is no markup."""
    kept, at = list[int](), 0
    for match in _MARKUP.finditer(text):
        kept += range(at, match.start())
        at = match.end()
    return [*kept, *range(at, len(text))]


def _folded(text: str, kept: Sequence[int]) -> Folded:
    letters, places, ends = list[str](), list[int](), list[int]()
    for place in kept:
        for part in (parts := _parts(text[place])):
            if part not in MARKS:
                letters.append(part)
                places.append(place)
                ends.append(place + 1)
            elif letters:
                letters[-1] = _composed(letters[-1], part)
        if ends and not any(part not in MARKS for part in parts):
            ends[-1] = place + 1
    accented = "".join(letters)
    return Folded(accented.translate(_BARE), accented, places, ends)


_LIGATURE = 4
"""Letters of one character at most: one of Arabic's stands for a sentence of eighteen."""
_known_parts: dict[str, tuple[str, ...]] = {}
_known_letters: dict[tuple[str, str], str] = {}


def _parts(char: str) -> tuple[str, ...]:
    """A character's letters, one character each, and Vietnamese marks; nothing for what is not seen."""
    found = _known_parts.get(char)
    if found is None:
        if len(_known_parts) > 20_000:
            _known_parts.clear()
        found = _known_parts[char] = tuple(_taken_apart(char))
    return found


def _taken_apart(char: str) -> list[str]:
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
    return parts[:_LIGATURE]


def _composed(letter: str, mark: str) -> str:
    """The letter with one mark more; as it was, where there is no such letter in Vietnamese."""
    found = _known_letters.get((letter, mark))
    if found is None:
        marks = sorted({*unicodedata.normalize("NFD", letter)[1:], mark}, key=_ORDER.__getitem__)
        base = "đ" if letter == "đ" else unicodedata.normalize("NFD", letter)[0]
        made = unicodedata.normalize("NFC", base + "".join(marks))
        found = _known_letters[letter, mark] = made if made in _VIETNAMESE else letter
    return found


_ORDER = {mark: at for at, mark in enumerate("\u031b\u0302\u0306\u0300\u0301\u0309\u0303\u0323")}
