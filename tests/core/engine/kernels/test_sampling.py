"""Tokens that the kernels draw: those of the same rules in PyTorch, for all rows of a step at once."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.sampling import Sampling
from core.engine.kernels import sampling as kernel
from core.engine.kernels.jit import Array
from core.engine.kernels.team import ThreadTeam
from core.engine.nn.sampler import SequenceSampler
from core.engine.nn.step_computer import rules_of_rows
from core.engine.nn.torch_sampling import penalise
from tests.core.engine.nn.conftest import Models
from tests.core.engine.nn.test_sampler import PROMPT, SAMPLINGS, VOCABULARY, random_logits, theirs, token_of
from tests.sweeps import sweep
from tests.tables import each_row

TEAMS = [1, 2, 3]


@pytest.fixture(scope="module")
def teams() -> Iterator[dict[int, ThreadTeam]]:
    made = {count: ThreadTeam(count) for count in TEAMS}
    yield made
    for team in made.values():
        team.close()


def drawn(team: ThreadTeam, logits: Array, draws: list[SequenceSampler]) -> list[int]:
    """As the runner has it drawn."""
    tokens = np.full(len(draws), -1, np.int64)
    team.run(kernel.sample_rows, 1, logits.copy(), *rules_of_rows([(draw, ()) for draw in draws]), tokens)
    for draw, token in zip(draws, tokens, strict=True):
        draw.record(int(token))
    return [int(token) for token in tokens]


def explained(logits: torch.Tensor, sampling: Sampling, seen: list[int], uniform: float, token: int) -> bool:
    """Whether sums in another order may come to this token: ids in float64, the most likely first (or by their number,
    where all may be drawn), and the place at which so much of the whole has been passed, give or take some last digits;
    where top-p ends, too, one more or less may be in."""
    rows = logits[None].clone()
    penalise(rows, *rules_of_rows([(SequenceSampler(sampling, seen), ())]))
    scores = rows[0].double().numpy() / max(float(sampling.temperature), 1e-4)
    ids = np.arange(len(scores))
    if 0 < sampling.top_k < len(scores) or sampling.top_p < 1:
        ids = np.argsort(-scores, kind="stable")
    if 0 < sampling.top_k < len(scores):
        ids = ids[: sampling.top_k]
    chances = np.exp(scores[ids] - scores[ids].max())
    passed = np.cumsum(chances / chances.sum())
    counts = [len(ids)]
    if sampling.top_p < 1:
        least, most = (int((passed < sampling.top_p + off).sum()) + 1 for off in (-1e-4, 1e-4))
        counts = list(range(max(1, least), min(most, len(ids)) + 1))
    for count in counts:
        target = uniform * passed[count - 1]
        first, last = (int((passed[:count] <= target + off).sum()) for off in (-1e-4, 1e-4))
        around = scores[ids[first : min(last, count - 1) + 1]]
        if (np.abs(around - scores[token]) <= 1e-6 * np.abs(scores[token])).any():
            return True
    return False


DRAWS: dict[str, Any] = {
    "samplings": st.lists(SAMPLINGS, min_size=1, max_size=4),
    "seed": st.integers(0, 1 << 32),
    "spread": st.sampled_from([0.01, 1.0, 3.0, 10.0]),
}


@settings(max_examples=40)
@given(**DRAWS)
def test_the_same_number_draws_the_same_token_in_some_examples(
    teams: dict[int, ThreadTeam], samplings: list[Sampling], seed: int, spread: float
) -> None:
    check_draws(teams, samplings, seed, spread)


@pytest.mark.slow
@settings(max_examples=300)
@given(**DRAWS)
def test_the_same_number_draws_the_same_token(
    teams: dict[int, ThreadTeam], samplings: list[Sampling], seed: int, spread: float
) -> None:
    check_draws(teams, samplings, seed, spread)


def check_draws(teams: dict[int, ThreadTeam], samplings: list[Sampling], seed: int, spread: float) -> None:
    """As in PyTorch, but for where sums in another order decide; all rows at once as alone, by teams of any size."""
    rules = [Sampling(each.temperature, 1, each.top_p, each.top_k, each.repetition_penalty, seed) for each in samplings]
    logits = [random_logits(seed + row, spread) for row in range(len(rules))]
    seen = [[*PROMPT, *(row.topk(3).indices.tolist())] for row in logits]

    def draws() -> list[SequenceSampler]:
        return [SequenceSampler(rule, ids) for rule, ids in zip(rules, seen, strict=True)]

    whole = np.asarray(torch.stack(logits).numpy())
    found = drawn(teams[1], whole, draws())
    assert all(drawn(teams[count], whole, draws()) == found for count in TEAMS)
    alone = [drawn(teams[1], whole[row : row + 1], [draw])[0] for row, draw in enumerate(draws())]
    assert alone == found
    for row, draw in enumerate(draws()):
        if token_of(draw, logits[row]) != found[row]:
            uniform = SequenceSampler(rules[row], seen[row])._uniform()
            assert explained(logits[row].clone(), rules[row], seen[row], uniform, found[row])


def test_it_is_nearly_always_the_very_same(teams: dict[int, ThreadTeam]) -> None:
    rules = Sampling(0.7, 1, 0.8, 20, 1.05)
    logits = torch.stack([random_logits(row, 3.0) for row in range(500)])
    seeded = [Sampling(0.7, 1, 0.8, 20, 1.05, seed) for seed in range(500)]
    found = drawn(teams[1], np.asarray(logits.numpy()), [SequenceSampler(rule, PROMPT) for rule in seeded])
    same = [
        token_of(SequenceSampler(rule, PROMPT), row) == token
        for rule, row, token in zip(seeded, logits, found, strict=True)
    ]
    assert sum(same) >= 499 and rules.seed is None


@each_row(
    "sampling",
    [
        Sampling(1),
        Sampling(0.7),
        Sampling(1, top_p=0.97),
        Sampling(1, top_p=0.5),
        Sampling(2, top_k=4),
        Sampling(1.5, top_k=5, top_p=0.9),
        Sampling(1, top_k=1 << 62),
        Sampling(1.3, repetition_penalty=1.3),
    ],
    ids=str,
)
def test_as_often_as_likely(teams: dict[int, ThreadTeam], sampling: Sampling) -> None:
    logits = torch.tensor([0.0, 2.0, 1.0, -1.0, -3.0, 0.5])
    seen = [1, 4]
    expected = theirs(logits, sampling, seen)
    draws = [SequenceSampler(replace(sampling, seed=seed), seen) for seed in range(8000)]
    counted = Counter(drawn(teams[1], np.tile(logits.numpy(), (len(draws), 1)), draws))
    assert [counted[id] / len(draws) for id in range(6)] == pytest.approx(expected.tolist(), abs=0.025)
    assert all(expected[id] > 0 for id in counted), "and never what is ruled out"


@each_row("sampling", [Sampling(0), Sampling(-1.0), Sampling(0, top_k=9, top_p=0.1), Sampling(1e-300)])
@each_row("size", [1, 2, 7, 63, 64, 65, 300, VOCABULARY])
def test_greedy_takes_the_first_of_the_largest(teams: dict[int, ThreadTeam], sampling: Sampling, size: int) -> None:
    rng = np.random.default_rng(size)
    logits = rng.integers(-3, 4, (40, size)).astype(np.float32)
    logits[0] = 0
    logits[1] = -1e30
    found = drawn(teams[1], logits, [SequenceSampler(sampling, [0]) for _ in logits])
    assert found == logits.argmax(1).tolist()


@each_row(
    "sampling", [Sampling(1e-9, seed=1), Sampling(1.5, top_k=1), Sampling(1.5, top_p=0), Sampling(1.5, top_p=1e-9)]
)
def test_the_likeliest(teams: dict[int, ThreadTeam], sampling: Sampling) -> None:
    logits = random_logits(1, 1.0)
    found = drawn(teams[1], np.tile(logits.numpy(), (30, 1)), [SequenceSampler(sampling, PROMPT) for _ in range(30)])
    assert found == [int(logits.argmax())] * 30


@sweep(
    ("size", "top_p"),
    product([VOCABULARY, kernel.TOP_P_CANDIDATES, kernel.TOP_P_CANDIDATES + 1, 65, 3], [0.3, 0.8, 0.999]),
    quick=[(VOCABULARY, 0.8), (65, 0.3)],
)
def test_all_alike(teams: dict[int, ThreadTeam], size: int, top_p: float) -> None:
    """Top-p needs more of them than it looks at first; and every id comes about as often as another."""
    rows = 3000
    draws = [SequenceSampler(Sampling(1, top_p=top_p, seed=seed), [0]) for seed in range(rows)]
    counted = Counter(drawn(teams[2], np.zeros((rows, size), np.float32), draws))
    wanted = min(size, max(1, round(top_p * size)))
    assert len(counted) <= wanted + 1
    assert max(counted.values()) < 3 * rows / wanted + 20


def test_the_penalty_remembers_what_was_drawn(teams: dict[int, ThreadTeam]) -> None:
    """Also what was drawn before, and no id twice as much for having come twice."""
    draw = SequenceSampler(Sampling(0, repetition_penalty=2.0), [0, 0, 0])
    logits = np.array([[9.0, 8.0, 7.0, 5.0, -1.0]], np.float32)
    assert [drawn(teams[1], logits, [draw])[0] for _ in range(4)] == [1, 2, 3, 0]


@each_row("penalty", [0.5, 0.9, 1.05, 1.5, 2.0])
def test_the_penalty_is_that_of_pytorch(teams: dict[int, ThreadTeam], penalty: float) -> None:
    """To the last bit: greedy tokens show it. Each row has its own part of what was seen, or none."""
    sampling, rng = Sampling(0, repetition_penalty=penalty), np.random.default_rng(3)
    logits = (rng.standard_normal((50, 40)) * 2).round(1).astype(np.float32)
    seen = [rng.integers(0, 40, count).tolist() or [0] for count in range(50)]
    rules = [sampling if row % 3 else Sampling(0) for row in range(50)]
    draws = [SequenceSampler(rule, ids) for rule, ids in zip(rules, seen, strict=True)]
    others = [SequenceSampler(rule, ids) for rule, ids in zip(rules, seen, strict=True)]
    for _ in range(5):
        expected = [token_of(draw, torch.from_numpy(row)) for draw, row in zip(others, logits, strict=True)]
        assert drawn(teams[2], logits, draws) == expected


def test_a_whole_vocabulary(teams: dict[int, ThreadTeam]) -> None:
    """Of Qwen, by its own rules."""
    size = 151_936
    logits = torch.stack([random_logits(row, 2.0, size) for row in range(3)])
    logits[:, 77_777] += 12
    for rules in ({"top_p": 0.8, "top_k": 20}, {"top_p": 0.95}, {}, {"top_p": 0.999}):
        samplings = [Sampling(0.7, repetition_penalty=1.1, seed=row, **rules) for row in range(3)]  # type: ignore[arg-type]
        found = drawn(teams[1], np.asarray(logits.numpy()), [SequenceSampler(each, PROMPT) for each in samplings])
        for row, (sampling, token) in enumerate(zip(samplings, found, strict=True)):
            if token_of(SequenceSampler(sampling, PROMPT), logits[row]) != token:
                uniform = SequenceSampler(sampling, PROMPT)._uniform()
                assert explained(logits[row].clone(), sampling, PROMPT, uniform, token)


def test_the_runner_draws_all_at_once(models: Models, teams: dict[int, ThreadTeam]) -> None:
    runner = models.runner("llama", "int8")
    assert runner.computer.kernel_model and runner.computer.team
    logits = np.asarray(torch.stack([random_logits(row, 2.0) for row in range(9)]).numpy())

    def draws() -> list[SequenceSampler]:
        return [
            SequenceSampler(Sampling(0.5 * (row % 3), repetition_penalty=1 + row / 9, seed=row), PROMPT)
            for row in range(9)
        ]

    found = runner.computer.sample(torch.from_numpy(logits.copy()), [(draw, ()) for draw in draws()])
    assert found == [(token,) for token in drawn(teams[1], logits, draws())]
