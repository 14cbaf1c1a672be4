"""What is guessed, how much of it is worth a try, and how much holds."""

from itertools import product
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.engine import prompt_lookup
from core.engine.prompt_lookup import FIRST_CHANCES, MIN_SPEEDUP, PromptLookup, choose_counts, count_held
from tests.tables import each_row

SMALL = st.lists(st.integers(0, 3), max_size=60)
"""Few different ids, so that everything comes again."""


@each_row(
    ("prompt", "tokens", "guessed"),
    [
        ([1, 2, 3, 4, 5, 9, 1, 2, 3], [], [4, 5, 9, 1, 2, 3]),
        ([1, 2, 3, 4, 5, 9, 1, 2, 3], [4], [5, 9, 1, 2, 3, 4]),
        ([7, 2, 3, 4, 5, 9, 2, 3], [], [4, 5, 9, 2, 3]),
        ([1, 2, 3, 4, 8, 2, 3, 5, 9, 1, 2, 3], [], [4, 8, 2, 3, 5, 9, 1]),  # three agree there, here only two
        ([1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3], [], [5, 1, 2, 3]),  # the latest place
        ([1, 2, 3, 4, 5, 6, 3, 4, 7, 2, 3], [4], [5, 6, 3, 4, 7, 2, 3]),  # goes on where it held, or three agree
        ([5, 5, 5, 5], [], [5]),
        ([1, 2, 3, 4], [], []),
        ([1, 2, 3, 2], [4], []),
        ([1, 2], [1], []),
        ([1, 2], [1, 2], [1, 2]),
        ([1], [], []),
        ([1], [1, 1], [1]),
    ],
)
def test_what_is_guessed(prompt: list[int], tokens: list[int], guessed: list[int]) -> None:
    """However many tokens come at once; and no more than is asked for."""
    for at_once in (True, False):
        ids = list(prompt)
        lookup = PromptLookup(ids)
        for token in tokens:
            ids.append(token)
            if not at_once:
                lookup.guesses(7)
        found, chances = lookup.guesses(7)
        assert found == guessed
        assert len(chances) == len(found)
        for limit in (3, 1, 0, -1):
            assert lookup.guesses(limit) == (found[: max(0, limit)], chances[: max(0, limit)])


@given(prompt=SMALL, tokens=SMALL, looks=st.sets(st.integers(0, 60)))
def test_whenever_the_last_ids_stood_before(prompt: list[int], tokens: list[int], looks: set[int]) -> None:
    """And nothing depends on when it is asked."""
    ids, others = list(prompt), list(prompt)
    lookup, other = PromptLookup(ids), PromptLookup(others)
    for place, token in enumerate(tokens):
        ids.append(token)
        others.append(token)
        found, chances = lookup.guesses(7)
        if place in looks:
            assert other.guesses(7) == (found, chances)
        pairs = [tuple(ids[end - 2 : end]) for end in range(2, len(ids))]
        assert bool(found) == (tuple(ids[-2:]) in pairs)
        if found:
            sources = [end for end in range(2, len(ids)) if ids[end - 2 : end] == ids[-2:]]
            assert found in [ids[end : end + 7] for end in sources]
        assert all(0 < chance <= 1 for chance in chances)
        assert chances == sorted(chances, reverse=True)


def test_it_learns_how_often_guesses_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that are not verified; from chances in the table to others; and remembers no more than it must."""
    ids = [1, 2, 3, 4, 5, 6, 7, 8, 9] * 3
    lookup = PromptLookup(ids)
    assert lookup.guesses(2)[1] == pytest.approx([FIRST_CHANCES[-1], FIRST_CHANCES[-1] ** 2])
    ids += [1, 2, 3, 4, 5, 6, 7, 8, 9] * 3
    assert lookup.guesses(1)[1][0] > 0.98
    misses = [50, 51]
    for round in range(40):
        misses += [50, 51, 60 + round]
    lookup = PromptLookup(ids := misses[:2])
    chances = []
    for id in misses[2:]:
        ids.append(id)
        if found := lookup.guesses(1)[1]:
            chances += found
    assert chances[0] == FIRST_CHANCES[0]
    assert chances[-1] < 0.05
    monkeypatch.setattr(prompt_lookup, "MAX_INDEXED_IDS", 50)
    lookup = PromptLookup(ids := [1, 2, 3, *range(100, 1000)])
    for round in range(30):
        ids += [1000 + round, 1, 2, 3, *range(2000 + 20 * round, 2020 + 20 * round)]
        lookup.guesses(7)
        assert len(lookup._index) <= 2 * len(prompt_lookup.NGRAM_SIZES) * 50
    ids += [1, 2]
    assert lookup.guesses(2)[0] == [3, 2580]


CHANCES = st.lists(st.floats(0.01, 1), max_size=4).map(lambda each: [prod(each[: end + 1]) for end in range(len(each))])


@given(chances=st.lists(CHANCES, min_size=1, max_size=3), steps=st.lists(st.floats(0, 1), max_size=9))
def test_the_best_of_all_numbers_of_guesses(chances: list[list[float]], steps: list[float]) -> None:
    seconds = [1 + sum(steps[:rows]) for rows in range(len(steps) + 1)]
    rows = len(chances)

    def value(counts: tuple[int, ...]) -> float:
        """The product of all speeds, relative to those without a guess."""
        expected = [1 + sum(each[:count]) for each, count in zip(chances, counts, strict=True)]
        ratio = seconds[rows + sum(counts) - 1] / seconds[rows - 1] if sum(counts) else 1.0
        return prod(each / ratio for each in expected)

    found = tuple(choose_counts(chances, seconds))
    possible = [
        counts
        for counts in product(*(range(len(each) + 1) for each in chances))
        if not sum(counts) or rows + sum(counts) <= len(seconds)
    ]
    assert found in possible
    best = max(value(counts) for counts in possible)
    assert value(found) == pytest.approx(best if best > MIN_SPEEDUP else 1.0, rel=1e-9) or best == pytest.approx(
        MIN_SPEEDUP
    )


@each_row(
    ("chances", "seconds", "counts"),
    [
        ([[0.9, 0.8, 0.7]], [1, 1, 1, 1], [3]),
        ([[0.9, 0.8, 0.7]], [1, 2, 3, 4], [0]),
        ([[0.9, 0.8, 0.7]], [1, 1.2], [1]),
        ([[0.1, 0.01]], [1, 1.17, 1.65], [0]),
        ([[0.5, 0.4], []], [1, 1.1, 1.2, 1.3], [2, 0]),
        ([[0.5, 0.4], []], [1, 1.1, 2.0, 2.5], [0, 0]),  # the other would pay more than this one gains
        ([[], []], [1, 1.1, 1.2], [0, 0]),
        ([[0.9], [0.9], [0.9]], [1, 1], [0, 0, 0]),
        ([[0.9], [0.9], [0.9]], [1, 1, 1, 1], [1, 0, 0]),
    ],
)
def test_how_many_guesses(chances: list[list[float]], seconds: list[float], counts: list[int]) -> None:
    assert choose_counts(chances, seconds) == counts


@each_row(
    ("guesses", "drawn", "held"),
    [((), (1,), 0), ((1,), (1, 2), 1), ((1,), (2, 1), 0), ((1, 2, 3), (1, 2, 4, 9), 2), ((1, 2), (2, 2, 3), 0)],
)
def test_how_many_hold(guesses: tuple[int, ...], drawn: tuple[int, ...], held: int) -> None:
    assert count_held(guesses, drawn) == held
