"""What of a text that goes on may still become a hit. Pure."""

import re
from collections.abc import Sequence

from core.filters.deobfuscate import REACH, Form, Token
from core.filters.lexicon import GAP, Entry, Lexicon
from core.filters.matcher import GAP_MOST, Reading, is_word, reads

_OPEN_RUN = re.compile(r"(?:(?<![^\W_])[^\W\d_](?![^\W_])[\W_]{0,4})+$")
"""Letters that stand apart, at the end."""


def undecided(reading: Reading, words: Lexicon) -> int:
    """From where on something may still become a hit by what follows the text; its length where nothing may."""
    text = reading.text
    last = (len(text) - len(text.rstrip()) and len(text)) or (
        max(text.rfind(" "), text.rfind("\n"), text.rfind("\t")) + 1
    )
    start = last
    for tokens in (reading.plain, reading.disguised):
        done = [token for token in tokens if token.end <= last and token.start >= last - REACH]
        for at, token in enumerate(done):
            if token.start < start and any(_open(done, at, shape, words) for shape in token.forms):
                start = token.start
    if (match := _OPEN_RUN.search(text, max(0, last - REACH), last)) and match.start() < start:
        start = match.start()
    return start


def _open(tokens: Sequence[Token], at: int, shape: Form, words: Lexicon) -> bool:
    """Whether a phrase has begun there and not ended, or waits for what stands to its right."""
    if at == len(tokens) - 1 and any(entry.end or entry.code for entry in words.words.get(shape.skeleton, ())):
        return True
    openings = words.openers.get(shape.skeleton, ())
    if any(is_word(shape, entry, 0) and _unfinished(tokens, at, entry) for entry in openings):
        return True
    rest = len(tokens) - at
    return any(
        len(phrase) > rest and all(reads(t, w) for t, w in zip(tokens[at:], phrase, strict=False))
        for phrase in words.allowed_phrases.get(shape.skeleton, ())
    )


def _unfinished(tokens: Sequence[Token], at: int, entry: Entry) -> bool:
    """Whether the last tokens are the beginning of an entry, or all of it where it needs to see what follows."""
    index, step = 1, at + 1
    while index < len(entry.words) and step < len(tokens):
        if entry.words[index] == GAP:
            index += 1
            if index == len(entry.words):
                return True
            ahead = [n for n in range(step, min(step + GAP_MOST + 1, len(tokens)))
                     if any(is_word(shape, entry, index) for shape in tokens[n].forms)]  # fmt: skip
            if not ahead:
                return len(tokens) - step <= GAP_MOST
            step = ahead[0]
        if not any(is_word(shape, entry, index) for shape in tokens[step].forms):
            return False
        index, step = index + 1, step + 1
    return index < len(entry.words) or (step == len(tokens) and (entry.end or entry.code))
