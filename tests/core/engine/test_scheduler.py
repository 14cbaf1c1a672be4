"""Who is computed when, and in whose blocks: of four ids each, with a constant prefill budget."""

import random

from tests.core.engine.driven import Answer, Driven
from tests.sweeps import sweep
from tests.tables import each_row

SYSTEM = tuple(range(100, 112))
"""Three whole blocks that every prompt of a chat begins with."""


def reused(answer: Answer) -> int:
    [admitted] = answer.admitted
    assert admitted.prompt_ids == len(answer.request.ids)
    return admitted.reused_ids


# Sharing


def test_two_owners_with_the_same_beginning_share_its_blocks() -> None:
    driven = Driven(20)
    first = driven.submit(*SYSTEM, 1, 2, owner="an", max_tokens=20)
    driven.step()
    second = driven.submit(*SYSTEM, 3, owner="binh", max_tokens=20)
    driven.step()
    blocks, others = driven.sequence(first).blocks, driven.sequence(second).blocks
    assert blocks[:3] == others[:3]
    assert not {*blocks[3:]} & {*others[3:]}
    assert (reused(first), reused(second)) == (0, 12)
    driven.check()
    driven.finish()
    driven.leave("an", "binh")


def test_the_same_prompts_read_at_once_share_afterwards() -> None:
    """Nobody waits for the other to read it, but only one copy is kept."""
    driven = Driven(20, budget=100)
    answers = [driven.submit(*SYSTEM, 1, 2, owner=owner, max_tokens=20) for owner in ("an", "binh")]
    driven.step()
    blocks, others = [driven.sequence(answer).blocks for answer in answers]
    assert [reused(answer) for answer in answers] == [0, 0]
    assert blocks[:3] == others[:3]
    assert blocks[3] != others[3]
    assert driven.scheduler.blocks.available == 20 - 5
    driven.check()
    driven.finish()
    driven.leave("an", "binh")


def test_who_comes_together_reads_a_common_beginning_once() -> None:
    """The first reads it while the others wait for their turn, and find it then."""
    driven = Driven(40, budget=len(SYSTEM))
    answers = [driven.submit(*SYSTEM, number, 2, owner=str(number), max_tokens=3) for number in (1, 2, 3)]
    driven.finish()
    assert [reused(answer) for answer in answers] == [0, len(SYSTEM), len(SYSTEM)]
    driven.check()


def test_the_next_turn_reads_only_what_is_new() -> None:
    driven = Driven(20)
    first = driven.submit(*SYSTEM, 1, 2, max_tokens=10)
    driven.finish()
    again = driven.submit(*SYSTEM, 1, 2, *first.tokens, 50)
    driven.finish()
    assert reused(again) == 20  # of 25: the last token of the answer was never computed, and its block is not full


def test_the_whole_prompt_is_known_but_for_its_last_id() -> None:
    driven = Driven(20)
    for _ in range(2):
        answer = driven.submit(*SYSTEM, max_tokens=1)
        driven.finish()
    assert reused(answer) == 8


# Dropping


def test_drop_keeps_what_others_use_too() -> None:
    driven = Driven(20)
    driven.submit(*SYSTEM, 1, 2, 3, 4, 5, owner="an", max_tokens=1)
    driven.submit(*SYSTEM, 6, 7, 8, 9, 10, owner="binh", max_tokens=1)
    driven.finish()
    blocks = driven.scheduler.blocks
    assert blocks.cached == 5
    driven.drop("an")
    driven.check()
    assert blocks.cached == 4
    assert len(blocks.find_prefix((*SYSTEM, 6, 7, 8, 9, 0))) == 4
    driven.drop("binh")
    assert blocks.cached == 0
    assert blocks.available == 20


@each_row("steps", [0, 1, 2, 5])
def test_drop_in_mid_answer_keeps_nothing_of_it(steps: int) -> None:
    """Before it is read, half read, or while it draws."""
    driven = Driven(20)
    driven.submit(*SYSTEM, *range(200, 212), owner="an", max_tokens=20)
    driven.step(steps)
    driven.drop("an")
    driven.check()
    driven.finish()
    assert driven.scheduler.blocks.available == 20
    assert driven.scheduler.blocks.cached == 0


def test_who_is_dropped_while_he_waits_owns_nothing_of_what_he_shares_later() -> None:
    driven = Driven(20)
    driven.submit(*SYSTEM, 1, owner="an", max_tokens=1)
    driven.finish()
    answer = driven.submit(*SYSTEM, 2, owner="binh", max_tokens=20)
    driven.drop("binh")
    driven.step()
    assert reused(answer) == 12
    driven.check()
    driven.drop("an")
    driven.check()
    driven.finish()
    assert driven.scheduler.blocks.cached == 0


def test_what_comes_after_a_drop_is_kept_again() -> None:
    driven = Driven(20)
    driven.submit(*SYSTEM, 1, owner="an", max_tokens=20)
    driven.step()
    driven.drop("an")
    answer = driven.submit(*SYSTEM, 1, owner="an", max_tokens=20)
    driven.step()
    driven.check()
    driven.finish()
    assert reused(answer) == 0
    assert len(driven.scheduler.blocks.find_prefix((*SYSTEM, 1))) == 3


# Room


def test_a_prompt_is_admitted_only_to_room_that_nobody_else_was_promised() -> None:
    """Two prompts of five blocks don't fit in ten with a token each; the second waits, and nothing is read twice."""
    driven = Driven(10)
    driven.submit(*range(100, 120), owner="an", max_tokens=3)
    driven.submit(*range(200, 220), owner="binh", max_tokens=3)
    driven.step()
    assert [sequence.id for sequence in driven.scheduler.running] == [1]
    driven.finish()
    assert driven.put_back == 0
    assert sum(count for step in driven.runner.steps for _, count in step) == 2 * (20 + 2)


def test_what_is_found_is_no_room_for_the_rest() -> None:
    """Five blocks are kept for the second, which needs five more: what the first leaves are three."""
    driven = Driven(10)
    driven.submit(*range(100, 121), max_tokens=1)
    driven.finish()
    driven.submit(500, max_tokens=8)
    driven.step()
    large = driven.submit(*range(100, 136), max_tokens=1)
    driven.step()
    assert not large.admitted
    driven.finish()
    assert reused(large) == 20
    assert driven.put_back == 0


def test_who_is_put_back_goes_on_later_as_if_nothing_had_been() -> None:
    """Three that grow to five blocks each, over a pool of eight."""
    driven = Driven(8)
    answers = [driven.submit(start, start + 1, max_tokens=17) for start in (100, 200, 300)]
    driven.step(8)
    assert driven.put_back
    assert [len(answer.tokens) for answer in answers] == sorted(
        (len(answer.tokens) for answer in answers), reverse=True
    )
    driven.check()
    driven.finish()
    assert [answer.tokens for answer in answers] == [[start + add for add in range(2, 19)] for start in (100, 200, 300)]
    assert all(len(answer.admitted) == 1 for answer in answers)
    driven.leave("someone")


def test_the_one_that_needs_all_memory_gets_it() -> None:
    driven = Driven(8)
    small = [driven.submit(start, max_tokens=3) for start in (100, 200)]
    large = driven.submit(*range(300, 331), max_tokens=100)
    after = driven.submit(500, max_tokens=3)
    driven.finish()
    assert large.tokens == [331]
    assert [answer.reason for answer in (*small, large, after)] == ["length"] * 4
    driven.leave("someone")


def test_no_more_at_once_than_there_are_slots() -> None:
    driven = Driven(400)
    slots = driven.scheduler._max_running
    answers = [driven.submit(100 * number, max_tokens=3) for number in range(slots + 5)]
    driven.step()
    assert len(driven.scheduler.running) == slots
    assert [answer for answer in answers if answer.admitted] == answers[:slots]
    driven.finish()


# Fairness


def test_whoever_draws_is_in_every_step_and_prompts_are_read_in_parts() -> None:
    driven = Driven(60, budget=7)
    driven.submit(10, max_tokens=30)
    driven.submit(20, max_tokens=30)
    driven.step(2)
    driven.submit(*range(100, 130), max_tokens=2)
    driven.submit(*range(200, 205), max_tokens=2)
    driven.runner.steps.clear()
    driven.step(7)
    assert [dict(step) for step in driven.runner.steps] == [
        {1: 1, 2: 1, 3: 7},
        {1: 1, 2: 1, 3: 7},
        {1: 1, 2: 1, 3: 7},
        {1: 1, 2: 1, 3: 7},
        {1: 1, 2: 1, 3: 2, 4: 5},
        {1: 1, 2: 1, 3: 1, 4: 1},
        {1: 1, 2: 1},
    ]


def test_cancelling_ten_of_a_hundred_leaves_the_others_theirs() -> None:
    """Each end is looked at by the driver: the others have exactly their own tokens."""
    dice = random.Random(3)
    driven = Driven(40)
    answers = [
        driven.submit(*SYSTEM[: dice.randint(0, 12)], 1000 * number, owner=f"owner {number % 7}", max_tokens=20)
        for number in range(100)
    ]
    gone = dice.sample(answers, 10)
    for answer in gone:
        driven.step(5)
        driven.cancel(answer)
        driven.check()
    driven.finish()
    stayed = [answer for answer in answers if answer.reason == "length"]
    assert len(stayed) >= 90
    assert all(len(answer.tokens) == 20 for answer in stayed)
    assert all(answer in gone for answer in answers if answer.reason == "cancelled")
    driven.leave(*(f"owner {number}" for number in range(7)))


@sweep("seed", range(5), quick=[0, 1])
def test_nobody_starves_however_many_come(seed: int) -> None:
    """The driver looks in each step whether somebody is overdue, and whether the oldest was put back."""
    dice = random.Random(seed)
    driven = Driven(10, budget=5)
    for _ in range(200):
        ids = SYSTEM[: dice.randint(0, 12)] + tuple(dice.randint(1, 9) for _ in range(dice.randint(1, 20)))
        driven.submit(*ids, owner=dice.choice("abc"), max_tokens=dice.randint(1, 12))
        driven.step(dice.randint(0, 12))
    driven.finish()
    assert driven.put_back
    assert not driven.open
    driven.leave(*"abc")
