"""More ways to disguise a word, each as a function of a word and a source of chance.

What a reader no longer sees (upside down, reversed, in another code) is left out.
"""

import random
import unicodedata
from collections.abc import Callable

from core.filters.respellings import vni_keystrokes

Disguise = Callable[[str, random.Random], str]

_SMALL_CAPITALS = dict(zip("abcdefghijklmnopqrstuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢ", strict=True))
_TONES = "\u0301\u0300\u0309\u0303\u0323"
_REGIONAL = {"v": "z", "d": "z", "gi": "j", "c": "k", "ph": "f", "qu": "q"}
_PHONETIC = {"ck": "k", "f": "ph", "s": "z", "c": "k", "i": "y", "u": "oo", "ss": "zz"}


def _inner(word: str, rng: random.Random, count: int) -> set[int]:
    return set(rng.sample(range(1, len(word) - 1), min(count, len(word) - 2))) if len(word) > 2 else {len(word) - 1}


def _every_word(change: Disguise) -> Disguise:
    return lambda text, rng: " ".join(change(word, rng) for word in text.split())


def _longest_word(change: Disguise) -> Disguise:
    def changed(text: str, rng: random.Random) -> str:
        words = text.split()
        at = max(range(len(words)), key=lambda index: len(words[index]))
        words[at] = change(words[at], rng)
        return " ".join(words)

    return changed


def _small_capitals(text: str, rng: random.Random) -> str:
    parts = (unicodedata.normalize("NFD", char) for char in text)
    return "".join(_SMALL_CAPITALS.get(part[0], part[0]) + part[1:] for part in parts)


def _vni(word: str, rng: random.Random) -> str:
    return rng.choice(sorted(vni_keystrokes(word) or {word}))


def _doubled(word: str, rng: random.Random) -> str:
    return "".join(char * 2 for char in word)


def _one_doubled(word: str, rng: random.Random) -> str:
    at = rng.randrange(len(word))
    return word[:at] + word[at] + word[at:]


def _all_masked(word: str, rng: random.Random) -> str:
    return word[0] + rng.choice("**#") * (len(word) - 2) + word[-1] if len(word) > 3 else word[0] + "*" + word[2:]


def _bullets(word: str, rng: random.Random) -> str:
    hidden = _inner(word, rng, 1 if len(word) < 5 else 2)
    sign = rng.choice("•●")
    return "".join(sign if at in hidden else char for at, char in enumerate(word))


def _swapped(word: str, rng: random.Random) -> str:
    if len(word) < 3:
        return word
    at = rng.randrange(1, len(word) - 1)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _broken(word: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(word)) if len(word) > 1 else 1
    return word[:at] + rng.choice(("\n", "-\n")) + word[at:]


def _hyphen(word: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(word)) if len(word) > 1 else 1
    return word[:at] + "-" + word[at:]


def _wrong_tone(word: str, rng: random.Random) -> str:
    plain = "".join(char for char in unicodedata.normalize("NFD", word) if char not in _TONES)
    return unicodedata.normalize("NFC", plain)


def _moved_tone(word: str, rng: random.Random) -> str:
    parts = [unicodedata.normalize("NFD", char) for char in word]
    tones = [(at, mark) for at, part in enumerate(parts) for mark in part if mark in _TONES]
    vowels = [at for at, part in enumerate(parts) if part[0] in "aeiouy"]
    if not tones or len(vowels) < 2:
        return word
    at, tone = tones[0]
    parts[at] = parts[at].replace(tone, "")
    parts[rng.choice([other for other in vowels if other != at])] += tone
    return unicodedata.normalize("NFC", "".join(parts))


def _respelt(table: dict[str, str]) -> Disguise:
    def change(word: str, rng: random.Random) -> str:
        possible = [(old, new) for old, new in table.items() if old in word]
        return word.replace(*rng.choice(possible), 1) if possible else word

    return change


DISGUISES: dict[str, dict[str, Disguise]] = {
    "en": {
        "small capitals": _small_capitals,
        "every letter doubled": _every_word(_doubled),
        "one letter doubled": _longest_word(_one_doubled),
        "all masked": _every_word(_all_masked),
        "bullets": _longest_word(_bullets),
        "neighbours swapped": _longest_word(_swapped),
        "end of a line within": _longest_word(_broken),
        "hyphen within": _longest_word(_hyphen),
        "phonetic": _longest_word(_respelt(_PHONETIC)),
    },
    "vi": {
        "small capitals": _small_capitals,
        "typed in VNI": _every_word(_vni),
        "every letter doubled": _every_word(_doubled),
        "bullets": _longest_word(_bullets),
        "all masked": _longest_word(_all_masked),
        "neighbours swapped": _longest_word(_swapped),
        "end of a line within": _longest_word(_broken),
        "hyphen within": _longest_word(_hyphen),
        "a tone dropped": _longest_word(_wrong_tone),
        "a tone moved": _longest_word(_moved_tone),
        "regional": _longest_word(_respelt(_REGIONAL)),
    },
}
WORDS = {
    "en": [
        "fuck", "shit", "bitch", "asshole", "nigger", "faggot", "cunt", "motherfucker", "fucking", "bullshit",
        "dickhead", "whore", "slut", "retard", "wanker", "pussy",
    ],
    "vi": [
        "địt mẹ", "đụ má mày", "con cặc", "cái lồn", "đồ chó đẻ", "thằng mặt lồn", "vãi lồn", "đầu buồi", "chịch nhau",
        "con đĩ", "bú cặc", "óc chó thật", "con điếm", "đồ khốn nạn con đĩ",
    ],
}  # fmt: skip
