"""Correct before fast: logits and greedy answers are those of transformers, whatever else the engine does meanwhile."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from core.domain.sampling import Sampling
from core.engine.nn.model_runner import TorchRunner
from tests.core.engine.nn.conftest import VARIANTS, Models
from tests.core.engine.nn.drive import GREEDY, Drive, answers, logits
from tests.sweeps import some_quick, sweep
from tests.tables import each_row

FAMILIES = ["llama", "qwen2", "qwen3"]
NEAR = 3e-4
"""Of logits of which the largest are about 20, in float32. Such random models carry the last bit far."""


def prompt(length: int, seed: int = 0) -> list[int]:
    return random.Random(1000 * seed + length).choices(range(300), k=length)


PROMPT = prompt(10)


def expected(model: Any, ids: list[int], tokens: int = 12, penalty: float = 1.0) -> list[int]:
    """What transformers' generate gives."""
    inputs = torch.tensor([ids])
    found = model.generate(
        inputs,
        attention_mask=torch.ones_like(inputs),
        do_sample=False,
        max_new_tokens=tokens,
        repetition_penalty=penalty,
    )
    return [int(token) for token in found[0, len(ids) :]]


@each_row("chunk", [1000, 37, 1], ids=["whole", "by-37", "singly"])
@sweep("variant", VARIANTS, quick=FAMILIES)
def test_logits_at_every_position(models: Models, variant: str, chunk: int) -> None:
    ids = prompt(60 if chunk == 1 else 400)
    with torch.inference_mode():
        theirs = models.reference(variant)(torch.tensor([ids])).logits[0]
    ours = logits(models.runner(variant), ids, chunk)
    assert theirs.abs().max() > 5
    torch.testing.assert_close(ours, theirs, rtol=0, atol=NEAR)


@sweep("variant", VARIANTS, quick=FAMILIES)
def test_positions_are_turned_alike(models: Models, variant: str) -> None:
    """Up to the end of the context, where an angle that is off by one bit a position is off by many."""
    runner, model = models.runner(variant), models.reference(variant).model
    torch.manual_seed(1)
    positions = torch.arange(runner.context)
    sizes = runner.computer.model.sizes
    turned = sizes.heads + sizes.kv_heads
    x = torch.randn(runner.context, turned + sizes.kv_heads, sizes.head_dim)
    cos, sin = model.rotary_emb(x, positions[None])
    theirs, _ = apply_rotary_pos_emb(x, x, cos[0], sin[0])
    ours = runner.computer.model.rotary.tables(positions, sizes, runner.computer.kv.like).apply(x)
    torch.testing.assert_close(ours[:, :turned], theirs[:, :turned], rtol=0, atol=5e-6)
    assert torch.equal(ours[:, turned:], x[:, turned:]), "values are not turned"


@sweep("variant", VARIANTS, quick=FAMILIES)
def test_greedy_equals_generate(models: Models, variant: str) -> None:
    """Alone, among strangers and in chunks."""
    runner, model = models.runner(variant), models.reference(variant)
    theirs = expected(model, PROMPT)
    assert len(set(theirs)) > 3
    assert answers(runner, PROMPT) == [theirs]
    strangers = [prompt(length) for length in (1, 700, 40, 16, 33, 200)]
    assert answers(runner, *strangers, PROMPT) == [*(expected(model, ids) for ids in strangers), theirs]
    assert answers(runner, PROMPT, strangers[2], prefill_ids=3) == [theirs, expected(model, strangers[2])]


@pytest.fixture(params=some_quick(FAMILIES, ["qwen3"]))
def runner(request: pytest.FixtureRequest, models: Models) -> TorchRunner:
    return models.runner(request.param)


@pytest.fixture
def theirs(request: pytest.FixtureRequest, models: Models) -> Callable[..., list[int]]:
    """What the reference for `runner` says."""
    family = request.node.callspec.params["runner"]
    return lambda ids, tokens=12, penalty=1.0: expected(models.reference(family), ids, tokens, penalty)


Theirs = Callable[..., list[int]]


@sweep("length", [1, 15, 16, 17, 31, 32, 33, 1000], quick=[1, 16, 33])
def test_around_the_edges_of_blocks(runner: TorchRunner, theirs: Theirs, length: int) -> None:
    ids = prompt(length)
    for prefill_ids in (512, 16):
        assert answers(runner, ids, tokens=20, prefill_ids=prefill_ids) == [theirs(ids, 20)]


@pytest.mark.slow
def test_to_the_end_of_the_context(runner: TorchRunner, theirs: Theirs) -> None:
    ids = prompt(runner.context - 5)
    assert answers(runner, ids, tokens=5) == [theirs(ids, 5)]


@pytest.mark.slow
def test_many_steps(runner: TorchRunner, theirs: Theirs) -> None:
    assert answers(runner, PROMPT, tokens=150) == [theirs(PROMPT, 150)]


def test_who_joins_late(runner: TorchRunner, theirs: Theirs) -> None:
    drive = Drive(runner, prefill_ids=7)
    prompts = [prompt(50, seed) for seed in range(4)]
    ids = []
    for each in prompts:
        ids.append(drive.add(each, 12))
        drive.steps(5)
    assert [drive.run()[id] for id in ids] == [theirs(each) for each in prompts]
    assert drive.widest > 1


def test_a_prefix_that_another_has_computed(runner: TorchRunner, theirs: Theirs) -> None:
    """At the same time, after it has ended, and by somebody whose prompt goes on differently."""
    drive, ids = Drive(runner), prompt(100)
    first = drive.add(ids, 12)
    drive.steps(3)
    second = drive.add(ids, 12)
    drive.run()
    third, other = drive.add(ids, 12), drive.add([*ids[:64], *PROMPT], 12)
    drawn = drive.run()
    assert drawn[first] == drawn[second] == drawn[third] == theirs(ids)
    assert drawn[other] == theirs([*ids[:64], *PROMPT])
    counted = [drive.computed[id] for id in (first, second, third, other)]
    assert counted == [111, 15, 15, 21], "whole blocks were not computed again"


def test_an_answer_that_becomes_a_prompt(runner: TorchRunner, theirs: Theirs) -> None:
    drive, ids = Drive(runner), prompt(40)
    first = drive.add(ids, 30)
    next_turn = [*ids, *drive.run()[first], *PROMPT]
    second = drive.add(next_turn, 12)
    assert drive.run()[second] == theirs(next_turn)
    assert drive.computed[second] == len(next_turn) + 11 - 64


@each_row("steps", [0, 2, 100], ids=["no", "begun", "whole"])
def test_a_prefix_that_was_warmed(runner: TorchRunner, theirs: Theirs, steps: int) -> None:
    drive, ids = Drive(runner, prefill_ids=20), prompt(100)
    drive.warm(ids[:96])
    drive.steps(steps)
    second = drive.add(ids, 12)
    assert drive.run()[second] == theirs(ids)
    assert drive.computed[second] == 111 - {0: 0, 2: 40, 100: 96}[steps]


def test_after_what_was_kept_has_gone(runner: TorchRunner, theirs: Theirs) -> None:
    drive, ids = Drive(runner, blocks=20), prompt(100)
    first = drive.add(ids, 12)
    drive.run()
    others = {drive.add(prompt(60, seed), 12): theirs(prompt(60, seed)) for seed in range(4)}
    drive.run()
    again = drive.add(ids, 12)
    drawn = drive.run()
    assert drawn[first] == drawn[again] == theirs(ids)
    assert {id: drawn[id] for id in others} == others
    assert drive.computed[again] == 111, "nothing was left of it"


def test_after_being_put_back(runner: TorchRunner, theirs: Theirs) -> None:
    """All fit into the memory at first, but not with their answers."""
    drive = Drive(runner, blocks=24)
    prompts = [prompt(20, seed) for seed in range(4)]
    ids = [drive.add(each, 60) for each in prompts]
    drawn = drive.run()
    assert [drawn[id] for id in ids] == [theirs(each, 60) for each in prompts]
    assert drive.computed[ids[0]] == 79
    assert max(drive.computed.values()) > 79, "somebody was put back"


def test_after_a_neighbour_was_cancelled(runner: TorchRunner, theirs: Theirs) -> None:
    """And somebody else got its place and its blocks."""
    drive = Drive(runner, blocks=40)
    left, gone = drive.add(PROMPT, 40), drive.add(prompt(30), 40)
    drive.steps(9)
    drive.cancel(gone)
    late = drive.add(prompt(90), 12)
    drawn = drive.run()
    assert len(drawn[gone]) == 9
    assert drawn[left] == theirs(PROMPT, 40)
    assert drawn[late] == theirs(prompt(90))


@pytest.mark.slow
def test_ten_of_a_hundred_are_cancelled(models: Models) -> None:
    runner, draw = models.runner("qwen2"), random.Random(5)
    drive = Drive(runner)
    prompts = [prompt(draw.randint(1, 30), seed) for seed in range(100)]
    ids = [drive.add(each, 8) for each in prompts]
    drive.steps(3)
    gone = set(draw.sample(ids, 10))
    for id in gone:
        drive.cancel(id)
    drawn = drive.run()
    assert drive.widest == 100
    for id, each in zip(ids, prompts, strict=True):
        if id not in gone:
            assert drawn[id] == expected(models.reference("qwen2"), each, 8)


@each_row("penalty", [1.05, 1.5])
def test_the_repetition_penalty_is_theirs(runner: TorchRunner, theirs: Theirs, penalty: float) -> None:
    """Also where a sequence is put back in the middle of its answer."""
    sampling = Sampling(temperature=0, repetition_penalty=penalty)
    drive = Drive(runner, blocks=16)
    ids = [drive.add(PROMPT, 60, sampling), drive.add(prompt(20), 60, sampling)]
    drawn = drive.run()
    assert [drawn[id] for id in ids] == [theirs(PROMPT, 60, penalty), theirs(prompt(20), 60, penalty)]
    assert drive.computed[ids[1]] > 79
    assert penalty < 1.5 or drawn[ids[0]] != theirs(PROMPT, 60)


def test_greedy_repeats(runner: TorchRunner) -> None:
    assert answers(runner, PROMPT, PROMPT, sampling=GREEDY) == 2 * answers(runner, PROMPT)
