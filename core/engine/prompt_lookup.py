"""Guessing ahead: which tokens may come next, how many of them a step verifies, and how many hold. Imports no torch.

An answer repeats stretches of its prompt and of itself. What followed the last ids where they stood before is a guess
at the next tokens ("prompt lookup decoding"). A step computes some guesses as further rows of their sequence, and draws
a token after each row, with the random number and the penalties that it would have in a step of its own. A guess holds
if it is the token that was drawn before it. So the tokens are the same as without guesses, at any temperature. That is
the acceptance rule of speculative decoding for guesses that are certain of themselves: a guess holds as often as it
is likely, and otherwise another token is drawn in proportion to the rest.
"""

from collections.abc import Sequence
from math import log, log1p

MAX_GUESSES = 7
"""Guesses of a sequence per step."""
NGRAM_SIZES = (3, 2)
"""Last ids that are looked up, in this order."""
MAX_MATCH = 8
"""Ids before a guess that are compared with the last ids, at most. The more agree, the likelier the guess."""
FIRST_CHANCES = (0.35, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
"""The chance that a guess holds where 2, 3, .. MAX_MATCH ids agree, before a sequence has shown how often. Answers of
Qwen2.5-Coder-0.5B to plain questions had 0.41, 0.56, 0.68, 0.64, 0.76, 0.73 and 0.96."""
LEARNING_RATE = 0.1
"""Weight of the latest guess in the chance that a sequence has learnt."""
MIN_SPEEDUP = 1.05
"""Expected gain from which guesses are verified. Neither durations nor chances are known better than that."""
MAX_INDEXED_IDS = 8192
"""The latest ids of a sequence that are looked up in. Their index takes about 3 MB."""


class PromptLookup:
    """Guesses the next tokens of a sequence, and learns from its tokens how often guesses hold.

    It learns from guesses that no step verified, too: any token shows whether it would have been guessed.
    """

    def __init__(self, ids: list[int]) -> None:
        """`ids`: those of the sequence, to which its tokens will be appended."""
        self._ids = ids
        self._index: dict[tuple[int, ...], int] = {}
        """By n-gram, the latest place that follows it."""
        self._chances = list(FIRST_CHANCES)
        for place in range(max(0, len(ids) - MAX_INDEXED_IDS), len(ids)):
            self._add_to_index(place)
        self._known = len(ids)
        self._source, self._match = self._find(len(ids))

    def guesses(self, limit: int) -> tuple[list[int], list[float]]:
        """Up to `limit` guesses, and for each the chance that it holds and all before it do."""
        self._take_in()
        if self._source is None:
            return [], []
        found = self._ids[self._source : self._source + max(0, limit)]
        chances, chance = [], 1.0
        for match in range(self._match, self._match + len(found)):
            chance *= self._chances[min(match, MAX_MATCH) - min(NGRAM_SIZES)]
            chances.append(chance)
        return found, chances

    def _take_in(self) -> None:
        """Learn from the tokens since the last call, and add them to the index. O(1) for each."""
        for place in range(self._known, len(self._ids)):
            held = self._learn(place)
            self._add_to_index(place)
            if held and self._source is not None:
                self._source, self._match = self._source + 1, min(self._match + 1, MAX_MATCH)
            else:
                self._source, self._match = self._find(place + 1)
        self._known = len(self._ids)
        if len(self._index) > 2 * len(NGRAM_SIZES) * MAX_INDEXED_IDS:
            self._index.clear()
            for place in range(len(self._ids) - MAX_INDEXED_IDS, len(self._ids)):
                self._add_to_index(place)

    def _learn(self, place: int) -> bool:
        """Whether the id at this place is the one that was guessed."""
        if self._source is None:
            return False
        held, bucket = self._ids[self._source] == self._ids[place], self._match - min(NGRAM_SIZES)
        self._chances[bucket] += LEARNING_RATE * (held - self._chances[bucket])
        return held

    def _add_to_index(self, place: int) -> None:
        for size in NGRAM_SIZES:
            if size <= place:
                self._index[tuple(self._ids[place - size : place])] = place

    def _find(self, end: int) -> tuple[int | None, int]:
        """The latest place that follows the last ids before `end`, and how many agree; None if there is none."""
        ids = self._ids
        for size in NGRAM_SIZES:
            source = self._index.get(tuple(ids[max(0, end - size) : end]))
            if source is not None:
                match = size
                while match < min(MAX_MATCH, source) and ids[source - match - 1] == ids[end - match - 1]:
                    match += 1
                return source, match
        return None, 0


def choose_counts(chances: Sequence[Sequence[float]], seconds: Sequence[float]) -> list[int]:
    """How many guesses of each sequence the next step should verify.

    `chances`: for each sequence, those of its guesses, as PromptLookup gives them. `seconds`: the durations of steps of
    1, 2, .. rows; no step gets more rows. The product of all sequences' expected speeds becomes the largest: a sequence
    may be slowed down by another's guesses, but by less than the other gains.
    """
    rows, gains = len(chances), list[tuple[float, int]]()
    for place, of_sequence in enumerate(chances):
        expected = 1.0
        for chance in of_sequence:
            gains.append((log1p(chance / expected), place))
            expected += chance
    gains.sort(key=lambda gain: -gain[0])  # within a sequence each gain is smaller than the one before
    best, chosen, total = log(MIN_SPEEDUP), 0, 0.0
    for count, (gain, _) in enumerate(gains[: max(0, len(seconds) - rows)], 1):
        total += gain
        value = total - rows * log(seconds[rows + count - 1] / seconds[rows - 1])
        if value > best:
            best, chosen = value, count
    counts = [0] * rows
    for _, place in gains[:chosen]:
        counts[place] += 1
    return counts


def count_held(guesses: Sequence[int], drawn: Sequence[int]) -> int:
    """How many guesses hold. `drawn`: the tokens drawn before each guess and after the last."""
    for count, (guess, token) in enumerate(zip(guesses, drawn, strict=False)):
        if guess != token:
            return count
    return len(guesses)
