"""A text as tokens: its words as they are written, and a second sequence with disguised words in place of their pieces.
Pure."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from core.filters.deobfuscate import Form, Token, disguised_chunks, form, masked_words, spaced_words
from core.filters.lexicon import Lexicon
from core.filters.normalize import Folded

WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Reading:
    """A tokenised text. `disguised` has disguised words in place of their pieces; without any it is `plain` itself."""

    text: str
    plain: Sequence[Token]
    disguised: Sequence[Token]


def tokenize(text: str, folded: Folded, lexicon: Lexicon, *, deobfuscate: bool) -> Reading:
    """The tokens of a text. `deobfuscate` says whether to look for disguised words."""
    plain = plain_tokens(folded, lexicon)
    if deobfuscate:
        found = [*spaced_words(folded), *disguised_chunks(folded), *masked_words(text, lexicon)]
        if found:
            return Reading(text, plain, _merge(plain, sorted(found, key=lambda token: (token.start, -token.end))))
    return Reading(text, plain, plain)


def plain_tokens(folded: Folded, lexicon: Lexicon, first: int = 0) -> list[Token]:
    """The words that begin at `first` of the source text or later: each as it is, and as Vietnamese where it is Telex
    keystrokes."""
    starts, telex = folded.starts, lexicon.telex
    begin = first if starts is None else bisect_left(starts, first)
    if begin and WORD.match(folded.accented, begin - 1) and (cut := WORD.match(folded.accented, begin)):
        begin = cut.end()
    words = WORD.finditer(folded.accented, begin)
    if starts is None:
        return [Token(*match.span(), _forms(match[0], telex.get(match[0]))) for match in words]
    ends = folded.ends
    return [
        Token(starts[match.start()], ends[match.end() - 1], _forms(match[0], telex.get(match[0]))) for match in words
    ]


@lru_cache(20_000)
def _forms(word: str, from_telex: str | None) -> tuple[Form, ...]:
    return (form(word),) if from_telex is None else (form(word), form(from_telex))


def _merge(plain: Sequence[Token], disguised: Sequence[Token]) -> list[Token]:
    """The plain tokens with the disguised ones in place of their pieces. Overlapping disguised tokens, which are
    several readings of one place, are all kept; one that covers a plain token exactly adds its forms to it."""
    merged = list[Token]()
    at = 0
    for token in disguised:
        while at < len(plain) and plain[at].end <= token.start:
            merged.append(plain[at])
            at += 1
        if merged and merged[-1].start == token.start and merged[-1].end == token.end:
            merged[-1] = Token(token.start, token.end, merged[-1].forms + token.forms, token.spaced, disguised=True)
            continue
        overlaps = bool(merged) and merged[-1].end > token.start
        merged.append(token)
        while not overlaps and at < len(plain) and plain[at].start < token.end:
            at += 1
    return merged + list(plain[at:])
