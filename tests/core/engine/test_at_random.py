"""Anything in any order, over a memory that is always too small: nothing is shared wrongly, lost or forgotten."""

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.core.engine.driven import Answer, Driven

OWNERS = ("an", "binh", "chi")
BEGINNINGS = ((), (1, 2, 3, 4), (1, 2, 3, 4, 1, 2, 3, 4, 1, 2), (1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 9))
"""What prompts share. The same four ids come at several positions, and after different ones."""
ENDINGS = ((1, 2, 3, 4) * 6, (9, 1, 2, 3) * 6, (2,) * 24)
"""Of these they have as much as they like: many a prompt is another's beginning, or comes again."""

Ids = tuple[int, ...]


def prompts(context: int) -> st.SearchStrategy[Ids]:
    ends = st.builds(lambda ending, count: ending[:count], st.sampled_from(ENDINGS), st.integers(1, 24))
    return st.builds(lambda beginning, end: (beginning + end)[: context + 1], st.sampled_from(BEGINNINGS), ends)


class AtRandom(RuleBasedStateMachine):
    """A worker whose requests come in any order."""

    @initialize(
        blocks=st.integers(6, 20),
        budget=st.integers(1, 24),
        spare=st.integers(0, 9),
        rows=st.sampled_from((0, 3, 8, 30)),
    )
    def start(self, blocks: int, budget: int, spare: int, rows: int) -> None:
        self.driven = Driven(blocks, context=4 * blocks - spare, budget=budget, rows=rows)

    @rule(
        data=st.data(),
        owner=st.sampled_from(OWNERS),
        max_tokens=st.integers(0, 20),
        stop=st.sampled_from(((), (), (7,), (14,))),
    )
    def submit(self, data: st.DataObject, owner: str, max_tokens: int, stop: Ids) -> None:
        prompt = data.draw(prompts(self.driven.runner.context))
        self.driven.submit(*prompt, owner=owner, max_tokens=max_tokens, stop=stop)

    @rule(data=st.data(), owner=st.sampled_from(OWNERS))
    def warm(self, data: st.DataObject, owner: str) -> None:
        self.driven.warm(*data.draw(prompts(self.driven.runner.context)), owner=owner)

    @rule(count=st.integers(1, 6))
    def step(self, count: int) -> None:
        self.driven.step(count)

    @precondition(lambda self: self.driven.open)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.driven.cancel(data.draw(st.sampled_from(self.driven.open)))

    @rule(owner=st.sampled_from(OWNERS))
    def drop(self, owner: str) -> None:
        self.driven.drop(owner)

    @rule()
    def finish(self) -> None:
        self.driven.finish()
        assert not self.driven.open

    @invariant()
    def holds(self) -> None:
        self.driven.check()

    def teardown(self) -> None:
        if hasattr(self, "driven"):
            self.driven.leave(*OWNERS)


TestAtRandom = AtRandom.TestCase
TestAtRandom.settings = settings(max_examples=15, stateful_step_count=50)


@pytest.mark.slow
def test_at_random_for_longer() -> None:
    run_state_machine_as_test(AtRandom, settings=settings(max_examples=60, stateful_step_count=50))


def some(dice: random.Random) -> Ids:
    return dice.choice(BEGINNINGS) + dice.choice(ENDINGS)[: dice.randint(1, 24)]


def act(driven: Driven, dice: random.Random) -> None:
    """One operation."""
    owner = dice.choice(OWNERS)
    match dice.choices(("step", "submit", "cancel", "warm", "drop"), (75, 10, 4, 8, 3))[0]:
        case "step":
            driven.step()
        case "submit":
            stop = dice.choice(((), (7,), (14,)))
            driven.submit(*some(dice), owner=owner, max_tokens=dice.randint(0, 20), stop=stop)
        case "cancel" if driven.open:
            driven.cancel(dice.choice(driven.open))
        case "warm":
            driven.warm(*some(dice), owner=owner)
        case "drop":
            driven.drop(owner)


@pytest.mark.slow
def test_ten_thousand_operations_leave_nothing() -> None:
    dice = random.Random(7)
    driven = Driven(12, budget=6, rows=8)
    for _ in range(10_000):
        act(driven, dice)
        driven.check()
    ended: list[Answer] = [answer for answer in driven.answers.values() if answer.reason]
    assert {answer.reason for answer in ended} == {"length", "stop", "cancelled"}
    assert any(admitted.reused_ids for answer in ended for admitted in answer.admitted)
    assert driven.put_back > 30
    driven.leave(*OWNERS)
