"""How a listed word is also written: as its keystrokes in a Vietnamese input method, with its tone wrong or moved, with
neighbouring letters swapped, or with letters doubled. Pure."""

import unicodedata
from collections.abc import Iterator

_TONES = "\u0301\u0300\u0309\u0303\u0323"
"""Acute, grave, hook, tilde, dot below."""
_TELEX_TONE_KEYS = dict(zip(_TONES, "sfrxj", strict=True))
_VNI_TONE_KEYS = dict(zip(_TONES, "12345", strict=True))
_VNI_MARK_KEYS = {"\u0302": "6", "\u031b": "7", "\u0306": "8"}
_CLOSED_ENDINGS = ("c", "t", "p", "ch")
"""A Vietnamese syllable that ends so has an acute tone or a dot below, so with another tone it is no other word."""
MASKED_TO_ONE_LETTER = ("fuck", "shit", "cunt", "bitch", "nigger", "faggot", "asshole", "địt", "lồn", "cặc", "buồi")
"""Words that a reader recognises by their first letter and their length."""
_SOUNDS_ALIKE = (("ck", "kk"), ("ck", "k"), ("f", "ph"), ("ss", "zz"), ("s", "z"), ("c", "k"), ("i", "y"), ("u", "oo"))
_MIN_SWAPPED_LETTERS = 4
_MIN_SWAPPED_ACCENTED_LETTERS = 3


def keystrokes(word: str) -> frozenset[str]:
    """The keystrokes of a syllable in the input methods Telex and VNI."""
    return telex_keystrokes(word) | vni_keystrokes(word)


def telex_keystrokes(word: str) -> frozenset[str]:
    """The keystrokes of a syllable in the Telex input method, with the tone key behind the vowel or at the end: "loofn"
    and "loonf"."""
    out, early, tone = "", "", ""
    for char in word:
        letter, *marks = list(unicodedata.normalize("NFD", char))
        typed = "dd" if char == "đ" else letter
        typed += "".join(letter if mark == "\u0302" else "w" for mark in marks if mark not in _TONES)
        tone_here = "".join(_TELEX_TONE_KEYS[mark] for mark in marks if mark in _TONES)
        out, early, tone = out + typed, early + typed + tone_here, tone + tone_here
    return frozenset((out + tone, early))


def vni_keystrokes(word: str) -> frozenset[str]:
    """The keystrokes of a syllable in the VNI input method, each key behind its letter or at the end: "lo6n2" and
    "lon62"."""
    plain, mark_keys, tone_keys, at_letters, marks_at_letters = "", "", "", "", ""
    for char in word:
        letter, *marks = list(unicodedata.normalize("NFD", "d" if char == "đ" else char))
        mark = "9" if char == "đ" else "".join(_VNI_MARK_KEYS.get(each, "") for each in marks)
        tone = "".join(_VNI_TONE_KEYS.get(each, "") for each in marks)
        plain, mark_keys, tone_keys = plain + letter, mark_keys + mark, tone_keys + tone
        at_letters, marks_at_letters = at_letters + letter + mark + tone, marks_at_letters + letter + mark
    if not mark_keys + tone_keys:
        return frozenset()
    at_end = (marks_at_letters + tone_keys, plain + mark_keys + tone_keys, plain + tone_keys + mark_keys)
    return frozenset((at_letters, *at_end))


def wrong_tones(word: str) -> frozenset[str]:
    """A syllable with its tone on another vowel or, where that makes no other word, with another tone or none."""
    parts = [unicodedata.normalize("NFD", char) for char in word]
    toned = next((at for at, part in enumerate(parts) if any(mark in _TONES for mark in part)), None)
    if toned is None:
        return frozenset()
    tone = next(mark for mark in parts[toned] if mark in _TONES)
    bare = [part.replace(tone, "") for part in parts]
    found = {_with_tone(bare, at, tone) for at in range(len(bare)) if bare[at][0] in "aeiouy" and at != toned}
    if word.endswith(_CLOSED_ENDINGS):
        found |= {_with_tone(bare, toned, other) for other in ("", "\u0300", "\u0309", "\u0303")}
    return frozenset(each for each in found if not each.isascii())


def _with_tone(letters: list[str], at: int, tone: str) -> str:
    return unicodedata.normalize("NFC", "".join(letters[:at]) + letters[at] + tone + "".join(letters[at + 1 :]))


def mistyped(word: str) -> Iterator[str]:
    """A word with two neighbouring letters swapped, with one letter doubled or spelt by its sound, and with
    all letters doubled."""
    if len(word) >= (_MIN_SWAPPED_LETTERS if word.isascii() else _MIN_SWAPPED_ACCENTED_LETTERS):
        for at in range(len(word) - 1):
            yield word[:at] + word[at + 1] + word[at] + word[at + 2 :]
            yield word[:at] + word[at] + word[at:]
            if word.isascii():
                yield from (
                    word[:at] + new + word[at + len(old) :] for old, new in _SOUNDS_ALIKE if word.startswith(old, at)
                )
    if len(word) > 2:
        yield "".join(letter * 2 for letter in word)
