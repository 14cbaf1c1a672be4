"""Whether tokens are the words of an entry, and whether the entry's other conditions hold where they stand. Pure."""

import re
from collections.abc import Sequence
from functools import lru_cache

from core.filters.deobfuscate import WINDOW_CHARACTERS, Form, Token
from core.filters.lexicon import Entry
from core.filters.normalize import VIETNAMESE_MARKED, strip_marks

_SENTENCE_END = re.compile(r"[\s\"'”’)\]*_~|`]*(?:[.!?…\n]|$)")
_MARKED = re.compile(f"[{VIETNAMESE_MARKED}]")
_VIETNAMESE_WORDS = frozenset(re.findall(r"\w+", """
    khong ko hong la va cua cho thi ma cai nay kia thang may tao toi minh em anh chi ong ba oi di roi vay nhe nha
    gi sao ngu qua lam noi dich tu sang tieng giup im thoi do duoc voi nguoi nhu cung dang biet lai con het luon
    day ai ban
"""))  # fmt: skip
_MIN_LONE_ABBREVIATION_LETTERS = 3
"""A shorter abbreviation does not count where it is the whole text."""
_CONTEXT_TOKENS = 12
"""How many tokens before an abbreviation are looked at."""


def is_word(form: Form, entry: Entry, index: int) -> bool:
    """Whether a token's form is the word `index` of an entry."""
    word = entry.words[index]
    if entry.exact_accents:
        return form.accented == word or (not form.typed_accents and agrees(form.accented, word))
    if word.endswith("*"):
        return form.accented == form.skeleton and form.skeleton.startswith(word[:-1])
    if strip_marks(word) != form.skeleton:
        return False
    if entry.accented_form:
        return agrees(form.accented, entry.accented_form[index])
    return form.accented in (word, form.skeleton)


def agrees(typed: str, word: str) -> bool:
    """Whether no typed accent contradicts the word: a letter without a mark may stand for one with it."""
    return len(typed) == len(word) and all(a == b or a == strip_marks(b) for a, b in zip(typed, word, strict=True))


def is_allowed_word(token: Token, word: str) -> bool:
    """Whether a token is this word of an allowed phrase."""
    accented = token.forms[0].accented
    return accented.startswith(word[:-1]) if word.endswith("*") else accented == word


def conditions_hold(text: str, tokens: Sequence[Token], start: int, end: int, entry: Entry) -> bool:
    """Whether an entry whose words are tokens `start` to `end` (inclusive) stands where it must."""
    if entry.at_sentence_end and not _SENTENCE_END.match(text, tokens[end].end):
        return False
    return not entry.abbreviation or _may_be_abbreviation(text, tokens, start, end)


def _may_be_abbreviation(text: str, tokens: Sequence[Token], start: int, end: int) -> bool:
    """Whether the tokens are not in capitals, and stand among Vietnamese words or alone."""
    first, last = tokens[start], tokens[end]
    if text[first.start : last.end].isupper():
        return False
    if _is_alone(tokens, start, end):
        return last.end - first.start >= _MIN_LONE_ABBREVIATION_LETTERS
    nearby = [
        form.accented
        for token in tokens[max(0, start - _CONTEXT_TOKENS) : end + 2]
        for form in token.forms[:1]
        if token.start >= first.start - WINDOW_CHARACTERS
    ]
    return any(map(_looks_vietnamese, nearby))


@lru_cache(20_000)
def _looks_vietnamese(word: str) -> bool:
    return word in _VIETNAMESE_WORDS or _MARKED.search(word) is not None


def _is_alone(tokens: Sequence[Token], start: int, end: int) -> bool:
    """Whether no word follows, and none stands within the window before."""
    window = tokens[start].start - WINDOW_CHARACTERS
    return end == len(tokens) - 1 and all(token.start < window for token in tokens[:start])
