"""Guesses for the sequences of a step (core/engine/prompt_lookup.py has the decisions). Imports no torch."""

from collections.abc import Sequence as Items

from core.engine.prompt_lookup import MAX_GUESSES, PromptLookup, choose_counts
from core.engine.sequence import Sequence

MAX_GUESSING = 4
"""Sequences in a step, up to which it verifies guesses. More of them use the machine well by themselves."""


class Guesser:
    """Chooses the guesses that a step verifies.

    `seconds`: the durations of steps of 1, 2, .. rows, as far as rows are computed alike; empty to guess nothing.
    """

    def __init__(self, seconds: Items[float]) -> None:
        self._seconds = seconds

    def guess(self, sequences: list[Sequence]) -> list[tuple[int, ...]]:
        """The guesses for each of the sequences that get a token in a step."""
        if not 0 < len(sequences) <= MAX_GUESSING or len(sequences) >= len(self._seconds):
            return [()] * len(sequences)
        found = [guesses_of(sequence) for sequence in sequences]
        counts = choose_counts([chances for _, chances in found], self._seconds)
        return [tuple(guesses[:count]) for (guesses, _), count in zip(found, counts, strict=True)]


def guesses_of(sequence: Sequence) -> tuple[list[int], list[float]]:
    """The guesses that are possible for a sequence, with their chances.

    They end before a stop id, and so that a token can be drawn after the last of them. So whatever holds belongs to the
    answer, and only the last token of a step can end it.
    """
    sequence.lookup = sequence.lookup or PromptLookup(sequence.ids)
    room = sequence.max_length - len(sequence.ids) - 1
    guesses, chances = sequence.lookup.guesses(min(MAX_GUESSES, room))
    stop = next((place for place, id in enumerate(guesses) if id in sequence.sampling.stop_ids), len(guesses))
    return guesses[:stop], chances[:stop]
