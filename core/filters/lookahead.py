"""Which end of a growing text may still become a hit. Pure."""

import re
from collections.abc import Sequence

from core.filters.deobfuscate import WINDOW_CHARACTERS, Form, Token
from core.filters.entry_rules import is_allowed_word, is_word
from core.filters.lexicon import GAP, MAX_GAP_WORDS, Entry, Lexicon
from core.filters.normalize import Folded
from core.filters.tokenize import Reading, plain_tokens

_LETTER_AT_END = re.compile(r"(?<![^\W_])[^\W\d_](?![^\W_])[\W_]{0,4}$")
_SPACED_LETTERS_AT_END = re.compile(r"(?:(?<![^\W_])[^\W\d_](?![^\W_])[\W_]{0,4})+$")


def undecided_from(text: str, folded: Folded, lexicon: Lexicon, reading: Reading | None = None) -> int:
    """The position from which text that follows may still complete a hit; the text's length where it can't.

    `reading`: the tokens of the text; None where no word in it may be disguised.
    """
    start = last_word = _last_word(text)
    first = max(0, last_word - WINDOW_CHARACTERS)
    if reading is None:
        sequences: list[Sequence[Token]] = [plain_tokens(folded, lexicon, first)]
    else:
        sequences = [reading.plain] if reading.disguised is reading.plain else [reading.plain, reading.disguised]
    for tokens in sequences:
        complete = [token for token in tokens if first <= token.start and token.end <= last_word]
        start = _unfinished_from(complete, lexicon, start)
    if _LETTER_AT_END.search(text, max(0, last_word - 6), last_word) is None:
        return start
    letters = _SPACED_LETTERS_AT_END.search(text, first, last_word)
    return min(start, letters.start()) if letters else start


def _unfinished_from(tokens: Sequence[Token], lexicon: Lexicon, end: int) -> int:
    """Where the first entry or allowed phrase begins, before `end`, that depends on what follows the last token."""
    words, phrases, allowed_phrases = lexicon.words, lexicon.phrases_by_first, lexicon.allowed_phrases
    for at, token in enumerate(tokens):
        for shape in token.forms:
            skeleton = shape.skeleton
            if (skeleton in phrases or skeleton in allowed_phrases or skeleton in words) and token.start < end:
                end = token.start if _may_go_on(tokens, at, shape, lexicon) else end
    return end


def _last_word(text: str) -> int:
    """Where the last word begins, which may go on; the text's length where it ends with white space."""
    ends_with_space = text[-1:].isspace()
    return len(text) if ends_with_space else max(text.rfind(sign) for sign in " \n\t") + 1


def _may_go_on(tokens: Sequence[Token], at: int, shape: Form, lexicon: Lexicon) -> bool:
    """Whether an entry or an allowed phrase begins at token `at` and depends on what follows the last token."""
    if at == len(tokens) - 1 and any(
        entry.at_sentence_end or entry.abbreviation for entry in lexicon.words.get(shape.skeleton, ())
    ):
        return True
    phrases = lexicon.phrases_by_first.get(shape.skeleton, ())
    if any(is_word(shape, entry, 0) and _is_unfinished(tokens, at, entry) for entry in phrases):
        return True
    rest = len(tokens) - at
    return any(
        len(phrase) > rest and all(is_allowed_word(t, w) for t, w in zip(tokens[at:], phrase, strict=False))
        for phrase in lexicon.allowed_phrases.get(shape.skeleton, ())
    )


def _is_unfinished(tokens: Sequence[Token], at: int, entry: Entry) -> bool:
    """Whether the tokens from `at` on are the beginning of a phrase, or all of one that depends on what follows."""
    index, step = 1, at + 1
    while index < len(entry.words) and step < len(tokens):
        if entry.words[index] == GAP:
            index += 1
            if index == len(entry.words):
                return True
            ahead = [n for n in range(step, min(step + MAX_GAP_WORDS + 1, len(tokens)))
                     if any(is_word(shape, entry, index) for shape in tokens[n].forms)]  # fmt: skip
            if not ahead:
                return len(tokens) - step <= MAX_GAP_WORDS
            step = ahead[0]
        if not any(is_word(shape, entry, index) for shape in tokens[step].forms):
            return False
        index, step = index + 1, step + 1
    return index < len(entry.words) or (step == len(tokens) and (entry.at_sentence_end or entry.abbreviation))
