"""Whether a question comes from a person who may be in danger of suicide or self-harm, or is asked for such a person.

Pure. It reads whole questions only, so it looks at whole sentences, where the word lists see a few words.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from core.filters import danger_patterns as patterns
from core.filters import danger_patterns_vietnamese as vietnamese
from core.filters.tokenize import VIETNAMESE_MARKED, Folded, fold

_ENGLISH_WORDS = frozenset(re.findall(r"\w+", """
    die dying dead death suicide suicidal kill killing kys kms unalive myself self overdose overdosed od overdosing live
    living life alive exist existing born wake pills tablets tylenol rope noose bridge roof cutting wrist wrists anymore
    goodbye pointless things end ending better happier off drown point reason pain hopeless harm selfharm cut urge urges
    died easier swallowed notice gone bottle world vanish forever jump burden knife blade razor gun sleep
    shoot himself herself themselves themself nobody miss offing topping train tree cuts bleach meds relieved
"""))  # fmt: skip
"""Every English pattern needs one of these; most questions have none."""
_VIETNAMESE_WORDS = frozenset(re.findall(r"\w+", """
    tự tư tữ tứ từ biến tồn nếu treo rạch cắt ước giá chết tử sát vẫn vận sống liễu thúc nhảy cổ tay thuốc mất ngủ mãi
    cầu đời sinh tuyệt mạng quyên hại đau gánh vĩnh dậy tỉnh xuôi thoát rời tan dao hơn nhẹ vui
    thư lao chít
    tu bien ton neu rach cat uoc gia chet sat van song lieu thuc nhay co thuoc mat ngu mai cau doi ganh day tinh
"""))  # fmt: skip
"""The same for the Vietnamese patterns."""
_WORDS_OF_DANGER = _ENGLISH_WORDS | _VIETNAMESE_WORDS
_FUZZY = ("suicide", "suicidal", "myself", "overdose", "unalive", "killing", "anymore", "living")
"""Words that are also recognised with one letter wrong."""
_REAL_WORDS = frozenset(re.findall(r"\w+", """
    alive giving loving having diving moving filling milling billing tilling willing kissing kicking livings himself
    itself thyself lining liking killings suicides
"""))  # fmt: skip
"""One letter from those, and no mistake."""
_CORRECTED = {
    "k*ll": "kill", "k•ll": "kill", "d*e": "die", "d•e": "die",
    "kil": "kill", "kll": "kill", "kiill": "kill", "klil": "kill", "wana": "wanna", "wan": "want", "wnat": "want",
    "wanto": "want to", "gona": "gonna", "dieing": "dying", "donot": "dont",
    "too": "to", "mysef": "myself", "u": "you", "ur": "your", "urself": "yourself", "killmyself": "kill myself",
    "fkn": "fucking", "fking": "fucking", "fckn": "fucking", "any1": "anyone", "n": "and", "&": "and", "cuz": "because",
    "sucide": "suicide", "suiside": "suicide", "suacide": "suicide", "k0": "ko",
    "livin": "living", "dyin": "dying", "killin": "killing", "chít": "chết", "chớt": "chết", "wá": "quá", "qá": "quá",
    "khum": "không", "lun": "luôn",
    "abt": "about", "nx": "nữa", "bth": "bình thường", "cx": "cũng", "r": "rồi", "bh": "bao giờ", "bn": "bao nhiêu",
    "ngta": "người ta", "mng": "mọi người", "cs": "cuộc sống",
}  # fmt: skip
_TOKEN = re.compile(r"[^\W_]+(?:[*•1!0][^\W_]+)?|[.!?;:…\n\"“”„«»|()]+|[,–—]|=\)+")
_MARKED = re.compile(f"[{VIETNAMESE_MARKED}]")
_REPEATED = re.compile(r"(.)\1{2,}")
_SIGNS_FOR_LETTERS = str.maketrans("10!3@", "ioiea")
_SIGN_IN_WORD = re.compile(r"[^\W_](?:[*•]?[103]|![^\W_])|[103][*•]?[^\W_]")
"""Where _SIGNS_FOR_LETTERS may change a token; a number may look like it."""
_MAX_CHARACTERS = 4096


@dataclass(frozen=True, slots=True)
class Danger:
    """`language` is that of the sentence, "en" or "vi". `for_another`: the asker speaks of somebody else."""

    language: str
    for_another: bool = False


def find_danger(text: str, folded: Folded | None = None) -> Danger | None:
    """The danger that a question speaks of; None in most questions. `folded` is the text folded, where it is known."""
    beginning = text[:_MAX_CHARACTERS]
    if folded is None or len(text) > _MAX_CHARACTERS:
        folded = fold(beginning)
    plain = folded.accented.replace("'", "").replace("’", "")
    if not _SIGN_IN_WORD.search(plain):  # as nearly always, so the words need not be corrected one by one
        words = _TOKEN.findall(_REPEATED.sub(r"\1", plain))
        if _words_of_danger().isdisjoint(words):
            return None
    return danger_in(" ".join(_normalize_tokens(_TOKEN.findall(plain))))


def danger_in(words: str) -> Danger | None:
    """The danger that words speak of, as `normalize` returns them."""
    present = _WORDS_OF_DANGER.intersection(words.split())
    if not present:
        return None
    accented = _MARKED.search(words) is not None
    for language, needed, selves, others, figures in (_ENGLISH, _ACCENTED if accented else _UNACCENTED):
        if needed.isdisjoint(present):
            continue
        plain = figures.sub("|", patterns.TITLE.sub("|", words))
        rest = others.sub("|", plain)
        if selves.search(rest):
            return Danger(language)
        if rest != plain:
            return Danger(language, for_another=True)
    return None


def is_figure_of_speech(text: str) -> bool:
    """Whether a text speaks of death as a figure of speech, or as a title."""
    words = normalize(text[:_MAX_CHARACTERS])
    figures = (
        patterns.TITLE,
        patterns.ENGLISH_FIGURE,
        vietnamese.FIGURE,
        vietnamese.FIGURE_UNACCENTED,
    )
    return any(figure.search(words) for figure in figures)


class _Reading(NamedTuple):
    """One language's patterns: the asker's danger, another's, and what is not meant so. All need one of the words."""

    language: str
    words: frozenset[str]
    selves: re.Pattern[str]
    others: re.Pattern[str]
    figures: re.Pattern[str]


_ENGLISH = _Reading("en", _ENGLISH_WORDS, patterns.ENGLISH_SELF, patterns.ENGLISH_OTHER, patterns.ENGLISH_FIGURE)
_ACCENTED = _Reading("vi", _VIETNAMESE_WORDS, vietnamese.SELF, vietnamese.OTHER, vietnamese.FIGURE)
_UNACCENTED = _Reading(
    "vi",
    _VIETNAMESE_WORDS,
    vietnamese.SELF_UNACCENTED,
    vietnamese.OTHER_UNACCENTED,
    vietnamese.FIGURE_UNACCENTED,
)


def normalize(text: str) -> str:
    """The words of a text as `danger_patterns` expects them."""
    folded = fold(text).accented.replace("'", "").replace("’", "")
    return " ".join(_normalize_tokens(_TOKEN.findall(folded)))


def _normalize_tokens(tokens: Iterable[str]) -> Iterator[str]:
    for token in tokens:
        if token[0].isalnum():
            yield _correct(_REPEATED.sub(r"\1", token))
        elif token[0] == "=":
            yield token
        else:
            yield "," if token in ",–—" else "|"


def _correct(word: str) -> str:
    """A word without its most common misspelling."""
    if not word.isalpha() and any(char.isalpha() for char in word):
        word = word.translate(_SIGNS_FOR_LETTERS)
    return _CORRECTED.get(word) or _fuzzy_words().get(word, word)


@lru_cache(1)
def _words_of_danger() -> frozenset[str]:
    """The words of danger, and all that `_correct` makes one of them, but for signs in place of letters."""
    corrected = {wrong: right.split() for wrong, right in _CORRECTED.items()}
    corrected |= {wrong: [right] for wrong, right in _fuzzy_words().items() if wrong not in corrected}
    return _WORDS_OF_DANGER | {wrong for wrong, rights in corrected.items() if not _WORDS_OF_DANGER.isdisjoint(rights)}


@lru_cache(1)
def _fuzzy_words() -> dict[str, str]:
    """Each of the words by itself with one letter missing, doubled, wrong, or changed with its neighbour."""
    found = dict[str, str]()
    for word in _FUZZY:
        for at in range(len(word)):
            before, here, after = word[:at], word[at], word[at + 1 :]
            swapped = before + after[:1] + here + after[1:]
            variants = [before + after, before + here + here + after, swapped]
            variants += [before + letter + after for letter in "abcdefghijklmnopqrstuvwxyz*•"]
            found |= {variant: word for variant in variants if len(variant) > 5 and variant not in _REAL_WORDS}
    return found
