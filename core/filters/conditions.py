"""Where an entry counts: whether a token is its word, and the conditions on what stands around its words. Pure."""

import re
from collections.abc import Sequence
from functools import lru_cache

from core.filters.deobfuscate import WINDOW_CHARACTERS
from core.filters.lexicon import Entry
from core.filters.tokenize import VIETNAMESE_MARKED, Form, Token, strip_marks

_SENTENCE_END = re.compile(r"[\s\"'”’)\]*_~|`]*(?:[.!?…\n]|$)")
_MARKED = re.compile(f"[{VIETNAMESE_MARKED}]")
_MIN_LONG_WORD_LETTERS = 7
"""From here on a word is recognised though its first letter is a sign that may be punctuation: "(ocksucker"."""
_LEET_SIGNS = re.compile(r"[@$!|+(<0-9*#•●▪]")
_DIGITS_WITHIN = re.compile(rf"\d?(?:[a-z{VIETNAMESE_MARKED}]|[|(<])\d+[a-z{VIETNAMESE_MARKED}]")
"""One or two small letters, or signs for them, around digits."""
_MEASURE = re.compile(r"\d+[^\W\d_]{1,2}")
_BEFORE_NOUNS = frozenset(re.findall(r"\w+", """
    a an the this that these those you your u ur such some any all every stupid dirty fucking
"""))  # fmt: skip
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
    if entry.skeletons[index] != form.skeleton:
        return False
    if entry.accented_form:
        return agrees(form.accented, entry.accented_form[index])
    return form.accented == word or (not form.typed_accents and agrees(form.accented, word))


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
    if entry.abbreviation and not _may_be_abbreviation(text, tokens, start, end):
        return False
    if entry.name and _is_name(text, tokens, start, end):
        return False
    if start == end and not tokens[start].disguised:  # as nearly always
        return True
    doubtful = [word for token in tokens[start : end + 1] if token.disguised for word in _doubtful_words(token, entry)]
    return not doubtful or (all(doubtful) and _is_disguised_beyond_doubt(text, tokens, start, end, entry))


def _is_name(text: str, tokens: Sequence[Token], start: int, end: int) -> bool:
    """Whether the tokens are written as a name or an acronym: in capitals among other words, or with a capital letter
    and not after one of the words that stand before a noun."""
    first, last = tokens[start], tokens[end]
    written = text[first.start : last.end]
    before = text[tokens[start - 1].start : tokens[start - 1].end] if start else ""
    if start and tokens[start - 1].start < first.start - WINDOW_CHARACTERS:
        before = ""
    after = text[tokens[end + 1].start : tokens[end + 1].end] if end + 1 < len(tokens) else ""
    if written.isupper() and len(written) > 1:
        return not before.isupper() or text[last.end : last.end + 1] == "_"  # as in SHT_NULL
    if written[:1].isupper() and after[:1].isupper() and after[1:].islower():
        return True
    return written[:1].isupper() and written[1:].islower() and before.lower() not in _BEFORE_NOUNS


def _doubtful_words(token: Token, entry: Entry) -> list[str]:
    """The words of the entry that a token is only in a doubtful form; "" for one that is too short to be recognised
    in it."""
    if not any(shape.doubtful for shape in token.forms):
        return []
    found = [
        (shape.doubtful, index)
        for shape in token.forms
        for index in range(len(entry.words))
        if is_word(shape, entry, index) or (len(entry.words) == 1 and entry.words[0] in shape.accented)
    ]
    if any(not doubtful for doubtful, _ in found):
        return []
    written = [(entry.accented_form or entry.words)[index] for _, index in found]
    return [word if len(word) > 2 or not word.isascii() else "" for word in written]


def _is_disguised_beyond_doubt(text: str, tokens: Sequence[Token], start: int, end: int, entry: Entry) -> bool:
    """Whether an entry with doubtful words counts: a long word; a lone one in small letters with digits within, in a
    text that looks Vietnamese ("im đi l0n"); a phrase where two of its signs, or its two other words, speak for it
    ("c0n đ!")."""
    written = text[tokens[start].start : tokens[end].end]
    if start == end:
        if len(entry.words[0]) >= _MIN_LONG_WORD_LETTERS:
            return True
        return _DIGITS_WITHIN.fullmatch(written) is not None and _may_be_abbreviation(text, tokens, start, end)
    if entry.abbreviation or written.isupper():
        return False
    signs = [len(_LEET_SIGNS.findall(text, token.start, token.end)) for token in tokens[start : end + 1]]
    measures = [_MEASURE.fullmatch(text, token.start, token.end) is not None for token in tokens[start : end + 1]]
    return sum(count for count, measure in zip(signs, measures, strict=True) if not measure) >= 2 or end - start >= 2


def _may_be_abbreviation(text: str, tokens: Sequence[Token], start: int, end: int) -> bool:
    """Whether the tokens are not in capitals, and stand among Vietnamese words or alone."""
    first, last = tokens[start], tokens[end]
    if text[first.start : last.end].isupper():
        return False
    if _is_alone(tokens, start, end):
        return last.end - first.start >= _MIN_LONE_ABBREVIATION_LETTERS
    window = first.start - WINDOW_CHARACTERS
    for token in reversed(tokens[max(0, start - _CONTEXT_TOKENS) : end + 2]):
        if token.start >= window and token.forms and _looks_vietnamese(token.forms[0].accented):
            return True
    return False


@lru_cache(20_000)
def _looks_vietnamese(word: str) -> bool:
    return word in _VIETNAMESE_WORDS or _MARKED.search(word) is not None


def _is_alone(tokens: Sequence[Token], start: int, end: int) -> bool:
    """Whether no word follows, and none stands within the window before."""
    window = tokens[start].start - WINDOW_CHARACTERS
    return end == len(tokens) - 1 and all(token.start < window for token in tokens[:start])
