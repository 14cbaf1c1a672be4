"""Finding the entries of a lexicon in a tokenised text: their words, and the other conditions where they stand. Pure.

A rule sees at most WINDOW_CHARACTERS to its left and one word to its right (an allowed phrase: all its words), so what
stands before is decided before what follows is there.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from core.filters.conditions import conditions_hold, is_allowed_word, is_word
from core.filters.deobfuscate import WINDOW_CHARACTERS, Reading
from core.filters.lexicon import (
    GAP,
    MAX_GAP_WORDS,
    MAX_PHRASE_WORDS,
    MIN_PART_LETTERS,
    Entry,
    Lexicon,
    find_syllable,
    is_allowed,
)
from core.filters.tokenize import Form, Token, form

_MAX_CACHED_WORD_CHARACTERS = 24
_REACH = MAX_PHRASE_WORDS + MAX_GAP_WORDS - 1
"""How many tokens after its first one a phrase may end."""


class Hit(NamedTuple):
    """An entry found in a text, from `start` to `end` (exclusive)."""

    start: int
    end: int
    entry: Entry
    mentioned: bool = False
    """Whether the word is quoted or spoken about, rather than used."""

    def sort_key(self) -> tuple[int, int, str]:
        """Orders hits by position, the longest first."""
        return self.start, -self.end, self.entry.rule


class Candidate(NamedTuple):
    """An entry whose words stand in a text. It is a hit where its other conditions hold too: those are looked for where
    `tokens` are given, of which its words are the tokens `first` to `last`."""

    hit: Hit
    tokens: Sequence[Token] = ()
    first: int = 0
    last: int = 0

    def is_hit(self, text: str) -> bool:
        """Whether the entry's conditions hold."""
        return not self.tokens or conditions_hold(text, self.tokens, self.first, self.last, self.hit.entry)


class SpanSet:
    """Spans of a text, overlapping ones merged. A span is a start and an exclusive end."""

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        self._starts, self._ends = list[int](), list[int]()
        for start, end in sorted(spans):
            if self._ends and start < self._ends[-1]:
                self._ends[-1] = max(end, self._ends[-1])
            else:
                self._starts.append(start)
                self._ends.append(end)

    def overlaps(self, start: int, end: int) -> bool:
        """Whether any of the spans overlaps this one."""
        at = bisect_right(self._ends, start)
        return at < len(self._starts) and self._starts[at] < end


def may_match(words: set[str], lexicon: Lexicon) -> bool:
    """Whether a text of these words may have a hit that is not disguised. Most texts end here."""
    triggers = lexicon.triggers
    for word in words & triggers.keys():
        if any(all(not spellings.isdisjoint(words) for spellings in needed) for needed in triggers[word]):
            return True
    return any(_has_listed_part(word, lexicon) for word in words - lexicon.partless_cache)


def _has_listed_part(word: str, lexicon: Lexicon) -> bool:
    """Whether something listed may stand in a word. One in which nothing does is put into the cache."""
    if any(_affix_entries(word, lexicon)):
        return True
    if len(word) > MIN_PART_LETTERS:
        if not word.isascii() and find_syllable(lexicon, word):
            return True
        if any(word.startswith(part, at) for at, part in _possible_parts(word, lexicon)):
            return True
    if len(word) <= _MAX_CACHED_WORD_CHARACTERS:
        if len(lexicon.partless_cache) >= lexicon.cache_entries:
            lexicon.partless_cache.clear()
        lexicon.partless_cache.add(word)
    return False


def _possible_parts(word: str, lexicon: Lexicon) -> Iterator[tuple[int, str]]:
    """The substrings and joined phrases whose first letters stand in the word, each with their position."""
    for at in range(len(word) - MIN_PART_LETTERS):
        for part in lexicon.parts_by_head.get(word[at : at + MIN_PART_LETTERS], ()):
            yield at, part


def find_candidates(reading: Reading, lexicon: Lexicon, *, plain: bool) -> list[Candidate]:
    """All entries whose words stand in the text, nested ones too, in no order. `plain` says whether to look among words
    that are not disguised: see `may_match`."""
    candidates = _plain_candidates(reading, lexicon) if plain else []
    if reading.disguised is not reading.plain:
        candidates += _disguised_candidates(reading, lexicon)
    return candidates


def choose_hits(candidates: Sequence[Candidate], reading: Reading, lexicon: Lexicon) -> list[Hit]:
    """The candidates whose conditions hold and that are not allowed, in no order."""
    hits = [candidate.hit for candidate in candidates if candidate.is_hit(reading.text)]
    if not hits:
        return []
    allowed = allowed_spans(reading, lexicon, hits)
    return list(
        {hit for hit in hits if hit.end - hit.start <= WINDOW_CHARACTERS and not allowed.overlaps(hit.start, hit.end)}
    )


def allowed_spans(reading: Reading, lexicon: Lexicon, hits: Sequence[Hit]) -> SpanSet:
    """The allowed words and phrases in and around the hits."""
    if not hits:
        return SpanSet(())
    first = min(hit.start for hit in hits) - WINDOW_CHARACTERS
    last = max(hit.end for hit in hits) + WINDOW_CHARACTERS
    nearby = [token for token in reading.plain if first <= token.start < last]
    hit_spans = SpanSet((hit.start, hit.end) for hit in hits)
    words = [
        (token.start, token.end)
        for token in nearby
        if hit_spans.overlaps(token.start, token.end) and is_allowed(lexicon, token.forms[0].accented)
    ]
    return SpanSet([*words, *_allowed_phrases(nearby, lexicon)])


def _allowed_phrases(tokens: Sequence[Token], lexicon: Lexicon) -> Iterator[tuple[int, int]]:
    allowed_phrases = lexicon.allowed_phrases
    for at, token in enumerate(tokens):
        phrases = allowed_phrases.get(token.forms[0].skeleton)
        if phrases:
            for phrase in phrases:
                if _stands_at(tokens, at, phrase):
                    yield token.start, tokens[at + len(phrase) - 1].end


def _stands_at(tokens: Sequence[Token], at: int, phrase: Sequence[str]) -> bool:
    """Whether an allowed phrase begins at token `at`. Its last words tell most phrases apart."""
    last = at + len(phrase) - 1
    if last >= len(tokens):
        return False
    return all(is_allowed_word(tokens[at + index], phrase[index]) for index in range(len(phrase) - 1, -1, -1))


def _plain_candidates(reading: Reading, lexicon: Lexicon) -> list[Candidate]:
    tokens, candidates = reading.plain, list[Candidate]()
    words, phrases = _WordFinder(tokens, lexicon, _found_in_word), _PhraseFinder(tokens, lexicon)
    triggers, partless, firsts = lexicon.triggers, lexicon.partless_cache, lexicon.phrases_by_first
    for at, token in enumerate(tokens):
        for shape in token.forms:
            if shape.accented in triggers or shape.accented not in partless:
                words.add_candidates(at, candidates)
                break
        for shape in token.forms:
            if shape.skeleton in firsts:
                phrases.add_candidates(at, candidates)
                break
    return candidates


def _disguised_candidates(reading: Reading, lexicon: Lexicon) -> list[Candidate]:
    """Words and phrases with a disguised token among theirs."""
    tokens, candidates, next_at = reading.disguised, list[Candidate](), 0
    words, phrases = _WordFinder(tokens, lexicon, _found_in_disguised_word), _PhraseFinder(tokens, lexicon)
    for last, token in enumerate(tokens):
        if token.disguised:
            words.add_candidates(last, candidates)
            for at in range(max(next_at, last - _REACH), last + 1):
                if any(shape.skeleton in lexicon.phrases_by_first for shape in tokens[at].forms):
                    phrases.add_candidates(at, candidates)
            next_at = last + 1
    return candidates


class _Found(NamedTuple):
    """An entry found in a word: its start and exclusive end within the word, and whether it has other conditions."""

    start: int
    end: int
    entry: Entry
    conditional: bool


class _WordFinder:
    """Finds the entries in single tokens by `find`. The same word again costs nothing."""

    def __init__(
        self, tokens: Sequence[Token], lexicon: Lexicon, find: Callable[[Token, Lexicon], Iterator[_Found]]
    ) -> None:
        self._tokens, self._lexicon, self._find = tokens, lexicon, find
        self._found: dict[tuple[int, int, bool], tuple[_Found, ...]] = {}

    def add_candidates(self, at: int, candidates: list[Candidate]) -> None:
        """Add what is found in token `at`."""
        token = self._tokens[at]
        start = token.start
        key = id(token.forms), token.end - start, token.spaced
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = tuple(dict.fromkeys(self._find(token, self._lexicon)))
        for each in found:
            hit = Hit(start + each.start, start + each.end, each.entry)
            candidates.append(Candidate(hit, self._tokens, at, at) if each.conditional else Candidate(hit))


def _found_in_word(token: Token, lexicon: Lexicon) -> Iterator[_Found]:
    for shape in token.forms:
        if shape.accented in lexicon.triggers or shape.accented not in lexicon.partless_cache:
            yield from _found_as_word(token, shape, lexicon)
            yield from _found_parts(token, shape.accented, lexicon)


def _found_in_disguised_word(token: Token, lexicon: Lexicon) -> Iterator[_Found]:
    for shape in token.forms:
        yield from _found_in_disguise(token, shape, lexicon)


def _found_as_word(token: Token, shape: Form, lexicon: Lexicon) -> Iterator[_Found]:
    """The token as a listed word, and its listed beginnings and ends."""
    for entry in _word_entries(shape, lexicon):
        yield _Found(0, token.end - token.start, entry, conditional=True)


def _word_entries(shape: Form, lexicon: Lexicon) -> tuple[Entry, ...]:
    """The entries that are this word, or one of its beginnings or ends."""
    entries = lexicon.entries_cache.get(shape)
    if entries is None:
        skeleton, written = shape.skeleton, shape.accented
        words = [entry for entry in lexicon.words.get(skeleton, ()) if is_word(shape, entry, 0)]
        affixes = [each for each in _affix_entries(written, lexicon) if each.exact_accents or written == skeleton]
        entries = (*words, *affixes)
        if len(skeleton) <= _MAX_CACHED_WORD_CHARACTERS:
            if len(lexicon.entries_cache) >= lexicon.cache_entries:
                lexicon.entries_cache.clear()
            lexicon.entries_cache[shape] = entries
    return entries


def _found_in_disguise(token: Token, shape: Form, lexicon: Lexicon) -> Iterator[_Found]:
    """The token as a listed word, as a phrase without its spaces, and as either with letters repeated."""
    written, length = shape.accented, token.end - token.start
    yield from _found_as_word(token, shape, lexicon)
    if written in lexicon.joined and not shape.doubtful:
        yield _Found(0, length, lexicon.joined[written], conditional=False)
    for word in lexicon.collapsed.get(written, ()) if shape.collapsed else ():
        if length > len(word):
            yield from _found_as_word(token, form(word), lexicon)
            if word in lexicon.joined:
                yield _Found(0, length, lexicon.joined[word], conditional=False)
    if (token.spaced or not written.isascii()) and not shape.doubtful:
        yield from _found_parts(token, written, lexicon)


def _found_parts(token: Token, word: str, lexicon: Lexicon) -> Iterator[_Found]:
    """Syllables, substrings and joined phrases in a word."""
    length = token.end - token.start
    if len(word) > MIN_PART_LETTERS and not word.isascii() and (entry := find_syllable(lexicon, word)):
        yield _Found(0, length, entry, conditional=False)
    for at, part in _possible_parts(word, lexicon):
        if word.startswith(part, at):
            entry = lexicon.substrings.get(part) or lexicon.joined[part]
            start, end = 0, length
            if length > WINDOW_CHARACTERS:  # too long for a hit: take the part alone
                start, end = min(at, length - 1), min(at + len(part), length)
            yield _Found(start, end, entry, conditional=False)


def _affix_entries(word: str, lexicon: Lexicon) -> Iterator[Entry]:
    """The entries that the word begins or ends with."""
    if word[:MIN_PART_LETTERS] in lexicon.prefix_heads:
        for length in lexicon.prefix_lengths:
            if length <= len(word) and (entry := lexicon.prefixes.get(word[:length])) is not None:
                yield entry
    if word[-MIN_PART_LETTERS:] in lexicon.suffix_tails:
        for length in lexicon.suffix_lengths:
            if length <= len(word) and (entry := lexicon.suffixes.get(word[-length:])) is not None:
                yield entry


class _PhraseFinder:
    """Finds the phrases that begin at a token. The same words again cost nothing, so a text that repeats itself is read
    in linear time with a small constant."""

    def __init__(self, tokens: Sequence[Token], lexicon: Lexicon) -> None:
        self._tokens, self._lexicon = tokens, lexicon
        self._found: dict[tuple[int, ...], tuple[tuple[Entry, int], ...]] = {}

    def add_candidates(self, at: int, candidates: list[Candidate]) -> None:
        """Add the phrases that begin at token `at`."""
        tokens = self._tokens
        # Forms are shared by all tokens of one word: see `plain_tokens`.
        key = tuple([id(token.forms) for token in tokens[at : at + _REACH + 1]])
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = tuple(dict.fromkeys(_phrases(tokens, at, self._lexicon)))
        for entry, length in found:
            candidates.append(Candidate(Hit(tokens[at].start, tokens[at + length].end, entry), tokens, at, at + length))


def _phrases(tokens: Sequence[Token], at: int, lexicon: Lexicon) -> Iterator[tuple[Entry, int]]:
    """The phrases that begin at token `at`, each with how many tokens later it ends."""
    for shape in tokens[at].forms:
        if shape.skeleton in lexicon.phrases_by_first:
            for entry in _possible_phrases(tokens, at, shape, lexicon):
                end = _phrase_end(tokens, at, entry) if is_word(shape, entry, 0) else None
                if end is not None:
                    yield entry, end - at


def _possible_phrases(tokens: Sequence[Token], at: int, shape: Form, lexicon: Lexicon) -> Iterator[Entry]:
    """Phrases whose first words, up to one that is not fixed, stand at token `at`."""
    nodes = [lexicon.phrase_trie.children[shape.skeleton]]
    while nodes:
        for node in nodes:
            yield from node.entries
        at += 1
        skeletons = {other.skeleton for other in tokens[at].forms} if at < len(tokens) else ()
        nodes = [node.children[skeleton] for node in nodes for skeleton in skeletons if skeleton in node.children]


def _phrase_end(tokens: Sequence[Token], at: int, entry: Entry) -> int | None:
    """The index of the last token of a phrase whose first is token `at`; None where it does not stand there."""
    for index, word in enumerate(entry.words[1:], 1):
        at += 1
        if word == GAP:
            continue
        reach = MAX_GAP_WORDS if entry.words[index - 1] == GAP else 1
        for step in range(at, min(at + reach, len(tokens))):
            if any(is_word(shape, entry, index) for shape in tokens[step].forms):
                at = step
                break
        else:
            return None
    return at if at < len(tokens) else None
