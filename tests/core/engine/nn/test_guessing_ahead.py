"""With guesses a model's answers are the same, token for token, at any temperature."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from core.domain.sampling import Sampling
from core.engine.guesser import Guesser
from core.engine.kernels import sampling as kernel
from core.engine.kernels.jit import Array
from core.engine.kernels.products import PANEL_MIN_ROWS
from core.engine.kernels.team import ThreadTeam
from core.engine.nn.model_runner import TorchRunner
from core.engine.nn.sampler import SequenceSampler
from core.engine.nn.step_computer import kept_tokens, rules_of_rows
from core.engine.nn.torch_sampling import sample_rows
from core.engine.options import WeightFormat
from core.engine.prompt_lookup import MAX_GUESSES
from core.engine.sequence import Sequence
from tests.core.engine.nn.conftest import Models
from tests.core.engine.nn.drive import GREEDY, Drive
from tests.core.engine.nn.test_sampler import theirs
from tests.sweeps import sweep
from tests.tables import each_row

PROMPTS = [[*range(20, 50), *range(20, 32)], [3, 141, 59, 26] * 5, [7, 8] * 9, [5, 9, 14, 60, 3]]
SAMPLINGS = [
    GREEDY,
    Sampling(0, repetition_penalty=1.3),
    Sampling(0.6, top_k=20, top_p=0.8, repetition_penalty=1.05, seed=3),
    Sampling(1.5, top_p=0.95, seed=4),
    Sampling(0.4, seed=5),
]


class Oracle(Guesser):
    """Guesses what comes, but for one guess in five; up to so many in each step."""

    def __init__(self, answers: dict[int, list[int]]) -> None:
        super().__init__(())
        self.answers = answers
        self.dice = random.Random(5)

    def guess(self, sequences: list[Sequence]) -> list[tuple[int, ...]]:
        return [self.guesses_of(sequence) for sequence in sequences]

    def guesses_of(self, sequence: Sequence) -> tuple[int, ...]:
        answer = self.answers[sequence.id]
        left = answer[len(answer) - (sequence.max_length - len(sequence.ids)) : -1]
        right = left[: self.dice.randint(0, MAX_GUESSES)]
        return tuple(id if self.dice.random() < 0.8 else self.dice.randrange(300) for id in right)


def both_ways(runner: TorchRunner, sampling: Sampling, prompts: list[list[int]], **drive: Any) -> Drive:
    """The answers with guesses, which are those without."""
    plain = Drive(runner, **drive)
    ids = [plain.add(prompt, 40, sampling) for prompt in prompts]
    answers = plain.run()
    guessing = Drive(runner, guesser=Oracle(answers), **drive)
    for id, prompt in zip(ids, prompts, strict=True):
        guessing.add(prompt, 40, sampling, id)
    assert guessing.run() == answers
    return guessing


@each_row("weights", ["int8", "auto", "float32"])
@sweep("variant", ["qwen2", "qwen3", "llama", "llama with biases"], quick=["qwen2"])
def test_the_same_answers(models: Models, variant: str, weights: WeightFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    """One chat, by the kernels and in PyTorch, greedy and drawn, with penalties and without; some guesses hold."""
    runner = models.runner(variant, weights)
    if runner.computer.kernel_model:
        monkeypatch.setattr(runner.computer.kernel_model, "panel_min_rows", PANEL_MIN_ROWS)
    for sampling, ids in product(SAMPLINGS, PROMPTS):
        driven = both_ways(runner, sampling, [ids])
        assert 5 < driven.held < driven.guessed


@each_row("sampling", SAMPLINGS[:3])
@each_row(("blocks", "prefill_ids"), [(100, 512), (100, 7), (24, 16), (18, 16)])
def test_the_same_answers_in_any_company(models: Models, sampling: Sampling, blocks: int, prefill_ids: int) -> None:
    """Whoever reads, draws, guesses or is put back meanwhile: in 8 bits no bit of a row depends on it."""
    runner = models.runner("qwen2", "int8")
    driven = both_ways(runner, sampling, PROMPTS, blocks=blocks, prefill_ids=prefill_ids)
    assert 5 < driven.held < driven.guessed


def test_a_sequence_guesses_from_its_own_ids(models: Models) -> None:
    """In a model that says the same again and again."""
    runner = models.runner("qwen2", "int8")
    driven = Drive(runner, guesser=Guesser((1.0,) * 8))
    ids = [driven.add([3, 3, 3], 40, Sampling(0, repetition_penalty=0.01)) for _ in range(2)]
    found = driven.run()
    assert found[ids[0]] == found[ids[1]]
    assert driven.held > 20


@pytest.fixture(scope="module")
def team() -> Iterator[ThreadTeam]:
    made = ThreadTeam(2)
    yield made
    made.close()


def drawn(team: ThreadTeam | None, logits: Array, draw: SequenceSampler, guesses: list[int]) -> tuple[int, ...]:
    """By the kernels, or in PyTorch."""
    rules = rules_of_rows([(draw, guesses)])
    tokens = np.empty(len(guesses) + 1, np.int64)
    if team is None:
        tokens[:] = sample_rows(torch.from_numpy(logits.copy()), *rules).numpy()
    else:
        team.run(kernel.sample_rows, 1, logits.copy(), *rules, tokens)
    return kept_tokens([(draw, guesses)], tokens.tolist())[0]


NEXT = np.random.default_rng(2).standard_normal((5, 5)).astype(np.float32)
"""The logits after each of five ids."""
GRID = 40


@each_row("by_kernels", [True, False])
@each_row(
    "sampling",
    [
        Sampling(1),
        Sampling(0.5, repetition_penalty=1.4),
        Sampling(1.2, top_k=3),
        Sampling(1, top_p=0.7, repetition_penalty=0.8),
        Sampling(0.8, top_k=4, top_p=0.8),
    ],
)
def test_every_number_draws_what_it_draws_without_guesses(
    team: ThreadTeam, sampling: Sampling, by_kernels: bool
) -> None:
    """All pairs of random numbers on a grid, with two guesses: the tokens are those of steps of their own. So a guess
    holds as often as it is likely, and where it does not, the others come as often as they are likely among themselves.
    """
    seen, guesses = [0, 2], [1, 2]
    first = list[int]()
    for numbers in product(range(GRID), repeat=2):
        uniforms = [(number + 0.5) / GRID for number in numbers] + [0.3]
        with_guesses, without = SequenceSampler(sampling, seen), SequenceSampler(sampling, seen)
        for each in (with_guesses, without):
            each._uniforms.extend(uniforms)
        found = drawn(team if by_kernels else None, NEXT[[2, *guesses]], with_guesses, guesses)
        token, expected = 2, []
        for _ in found:
            [token] = drawn(team if by_kernels else None, NEXT[token][None], without, [])
            expected.append(token)
        assert list(found) == expected
        assert len(found) == 1 + (found[0] == 1) + (found[:2] == (1, 2))
        assert with_guesses._uniforms == without._uniforms
        assert list(with_guesses.penalised_ids) == list(without.penalised_ids)
        first.append(found[0])
    likely = theirs(torch.from_numpy(NEXT[2]), sampling, seen)
    counted = Counter(first)
    assert [counted[id] / len(first) for id in range(5)] == pytest.approx(likely.tolist(), abs=1 / GRID)


def test_no_random_number_is_spent_on_a_guess() -> None:
    """The numbers after a rejected guess are those that come next."""
    sampling = Sampling(1, seed=9)
    draw, other = SequenceSampler(sampling, [0]), SequenceSampler(sampling, [0])
    numbers = [other.rules((), 0)[0][0][3]]
    for _ in range(4):
        other.record(1)
        numbers.append(other.rules((), 0)[0][0][3])
    assert [rule[3] for rule in draw.rules((1, 2, 3, 4), 0)[0]] == numbers
    draw.record(1)
    draw.record(3)
    assert [rule[3] for rule in draw.rules((1, 2), 0)[0]] == numbers[2:]
    assert [rule[3] for rule in SequenceSampler(replace(sampling, temperature=0), [0]).rules((1, 2), 0)[0]] == [0] * 3
