"""Guesses in the worker: answers stay what they are, and blocks, limits and other chats know nothing of them."""

from tests.core.engine.driven import Driven
from tests.tables import each_row

TEN = tuple(range(10, 20))
CIRCLE = (*TEN, 10, 11)
"""Whoever counts on from here comes by all ids that followed 10 and 11 before; then by no more."""


@each_row(
    ("max_tokens", "stop", "steps"),
    [
        (20, (), 13),  # 12 with the prompt, 13 .. 20 with seven guesses, the rest one by one
        (5, (), 2),
        (8, (), 2),
        (1, (), 1),
        (20, (15,), 2),  # guesses end before it
        (20, (12,), 1),
        (20, (19, 20), 2),
        (20, (20,), 2),
    ],
)
def test_an_answer_in_fewer_steps(max_tokens: int, stop: tuple[int, ...], steps: int) -> None:
    """Token limits and stop ids inside a run of guesses; and as much of it is known to the next turn as ever."""
    known = []
    for rows in (0, 8):
        driven = Driven(20, rows=rows)
        answer = driven.submit(*CIRCLE, max_tokens=max_tokens, stop=stop)
        while driven.open:
            driven.step()
            driven.check()
        assert driven.steps == (steps if rows else len(answer.tokens) + (answer.reason == "stop"))
        known.append(driven.scheduler.blocks.find_prefix([*CIRCLE, *answer.tokens, 0]))
        assert driven.scheduler.blocks.available == 20
        driven.leave("someone")
    assert len(known[0]) == len(known[1])


def test_what_was_rejected_is_nowhere() -> None:
    """Not in the blocks that are found later, and not in those of the sequence."""
    driven = Driven(20, rows=8)
    prompt = (1, 2, 3, 4, 5, 6, 7, 8, 9, 30, 31, 32, 1, 2)
    answer = driven.submit(*prompt, max_tokens=30)
    driven.step(3)
    assert answer.tokens[:7] == [3, 4, 5, 6, 7, 8, 9]
    driven.check()
    sequence = driven.sequence(answer)
    assert len(sequence.blocks) == driven.scheduler.blocks.blocks_for(sequence.computed)
    driven.finish()
    driven.check()
    again = driven.submit(*prompt, *answer.tokens[:9], 77, max_tokens=1)
    driven.finish()
    assert again.admitted[0].reused_ids == (len(prompt) + 9) // 4 * 4


def test_cancelled_and_put_back_between_guesses() -> None:
    driven = Driven(20, rows=8)
    answer = driven.submit(*CIRCLE, max_tokens=30)
    driven.step(2)
    assert 1 < len(answer.tokens) < 10
    driven.cancel(answer)
    driven.check()
    assert answer.reason == "cancelled"
    assert driven.scheduler.blocks.available == 20
    driven.leave("someone")
    # Two that fit only for a while: the second is put back, in mid-answer, and comes to the same.
    driven = Driven(9, rows=8)
    first, second = (driven.submit(*before, *CIRCLE, max_tokens=12) for before in ((), (99,)))
    driven.finish()
    assert driven.put_back
    assert first.tokens == second.tokens
    driven.check()


@each_row("blocks", [4, 5, 6, 7, 8, 20])
def test_nobody_is_put_back_for_a_guess(blocks: int) -> None:
    """Where blocks are short, fewer guesses are verified, or none."""
    put_back = []
    for rows in (0, 30):
        driven = Driven(blocks, rows=rows)
        for before in ((), (99,)):
            driven.submit(*before, *CIRCLE, max_tokens=blocks * 4, stop=(24,))
        while driven.open:
            driven.step()
            driven.check()
        put_back.append(driven.put_back)
    assert put_back[1] <= put_back[0]


@each_row(("chats", "guessing"), [(1, True), (2, True), (4, True), (5, False), (9, False)])
def test_only_few_chats_guess(chats: int, guessing: bool) -> None:
    driven = Driven(100, rows=30, budget=1000)
    for owner in range(chats):
        driven.submit(*CIRCLE, owner=str(owner), max_tokens=6)
    driven.finish()
    assert any(map(sum, driven.runner.guesses)) == guessing


def test_no_more_rows_than_are_computed_alike_and_none_beside_a_prompt() -> None:
    driven = Driven(100, rows=5, budget=16)
    driven.submit(*CIRCLE, owner="an", max_tokens=30)
    driven.submit(*CIRCLE, owner="binh", max_tokens=30)
    driven.step(2)
    driven.submit(*range(500, 600), owner="chi", max_tokens=1)
    driven.finish()
    guessing = [step for step in zip(driven.runner.steps, driven.runner.guesses, strict=True) if any(step[1])]
    assert guessing
    for parts, guesses in guessing:
        rows = [count for _, count in parts]
        assert sum(rows) <= 5
        assert rows == [count + 1 for count in guesses]
