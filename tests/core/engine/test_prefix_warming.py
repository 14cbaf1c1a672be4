"""What is read while nobody waits: found by whom it was read for, in nobody's way."""

from core.engine import scheduler
from tests.core.engine.driven import Answer, Driven
from tests.tables import each_row

PREFIX = tuple(range(100, 130))
"""Seven whole blocks and two ids more."""


def reused(answer: Answer) -> int:
    [admitted] = answer.admitted
    return admitted.reused_ids


def test_the_answer_reads_only_what_is_new() -> None:
    driven = Driven(20)
    driven.warm(*PREFIX)
    driven.finish()
    driven.check()
    assert sum(count for step in driven.runner.steps for _, count in step) == 28
    answer = driven.submit(*PREFIX, 1, 2)
    driven.finish()
    assert reused(answer) == 28
    driven.leave("someone")


def test_what_is_known_is_not_read_again() -> None:
    driven = Driven(20)
    driven.submit(*PREFIX, max_tokens=1)
    driven.finish()
    driven.runner.steps.clear()
    driven.warm(*PREFIX)
    driven.finish()
    assert driven.runner.steps == []
    driven.warm(*PREFIX, 1, 2)
    driven.finish()
    assert driven.runner.steps == [[(-1, 4)]]


def test_put_off_the_moment_anyone_waits_and_goes_on_afterwards() -> None:
    driven = Driven(20, budget=10)
    driven.warm(*PREFIX, owner="an")
    driven.step()
    answer = driven.submit(1, 2, owner="binh", max_tokens=3)
    driven.step(3)
    assert answer.reason
    assert driven.runner.steps == [[(-1, 10)], [(1, 2)], [(1, 1)], [(1, 1)]]
    driven.check()
    driven.runner.steps.clear()
    driven.finish()
    assert driven.runner.steps == [[(-1, 10)], [(-1, 10)]]  # from the second block's end on
    again = driven.submit(*PREFIX, 1, owner="an")
    driven.finish()
    assert reused(again) == 28


def test_the_answer_comes_while_it_is_read() -> None:
    driven = Driven(20, budget=10)
    driven.warm(*PREFIX)
    driven.step(2)
    answer = driven.submit(*PREFIX, 1)
    driven.finish()
    assert reused(answer) == 20
    assert {id for step in driven.runner.steps[2:] for id, _ in step} == {1}


def test_an_answer_that_begins_otherwise_ends_it() -> None:
    driven = Driven(20, budget=10)
    driven.warm(*PREFIX)
    driven.step()
    driven.submit(1, 2, max_tokens=2)
    driven.finish()
    assert driven.runner.steps == [[(-1, 10)], [(1, 2)], [(1, 1)]]


@each_row("steps", [1, 2, 5])
def test_too_late_is_harmless(steps: int) -> None:
    driven = Driven(20, budget=10)
    answer = driven.submit(*PREFIX, 1, max_tokens=3)
    driven.step(steps)
    driven.warm(*PREFIX)
    driven.finish()
    driven.check()
    assert len(answer.tokens) == 3
    assert {id for step in driven.runner.steps for id, _ in step} == {1}


def test_only_the_last_of_an_owner() -> None:
    driven = Driven(20, budget=10)
    driven.warm(*PREFIX)
    driven.step()
    driven.warm(*range(300, 308))
    driven.finish()
    driven.check()
    assert driven.runner.steps == [[(-1, 10)], [(-1, 8)]]


def test_owners_in_turn() -> None:
    driven = Driven(20, budget=10)
    for owner, start in (("an", 100), ("binh", 200), ("chi", 300)):
        driven.warm(*range(start, start + 12), owner=owner)
    driven.finish()
    assert [count for [(_, count)] in driven.runner.steps] == [10, 2, 10, 2, 10, 2]
    assert driven.scheduler.blocks.cached == 9
    driven.leave("an", "binh", "chi")


def test_so_many_owners_and_no_more() -> None:
    driven = Driven(200)
    count = scheduler.MAX_WARMING_OWNERS + 3
    for number in range(count):
        driven.warm(*range(10 * number, 10 * number + 4), owner=f"owner {number}")
    assert len(driven.scheduler._warming) == scheduler.MAX_WARMING_OWNERS
    driven.finish()
    assert [
        bool(driven.scheduler.blocks.find_prefix(range(10 * number, 10 * number + 5))) for number in range(count)
    ] == [number >= 3 for number in range(count)]


def test_the_first_of_too_many_owners_gives_back_what_it_holds() -> None:
    driven = Driven(40)
    for number in range(scheduler.MAX_WARMING_OWNERS):
        driven.warm(*PREFIX, number, owner=f"owner {number}")
    driven.step()
    driven.warm(*PREFIX, 0, owner="one more")
    driven.check()
    assert driven.scheduler.blocks.available == 40


def test_drop_ends_it_and_forgets_it() -> None:
    driven = Driven(20, budget=10)
    driven.warm(*PREFIX)
    driven.step()
    driven.drop("someone")
    driven.check()
    assert not driven.scheduler.has_work
    assert driven.scheduler.blocks.available == 20
    assert driven.scheduler.blocks.cached == 0


def test_answers_take_all_that_it_holds_at_once() -> None:
    """Of six blocks four are being read into: two answers of three blocks each have room in the very next step."""
    driven = Driven(6)
    driven.warm(*range(100, 120))
    driven.step()
    for start in (200, 300):
        driven.submit(start, start + 1, start + 2, start + 3, owner="binh", max_tokens=5)
    driven.step()
    assert driven.runner.steps[-1] == [(1, 4), (2, 4)]
    driven.finish()
    assert driven.put_back == 0
    driven.leave("someone", "binh")


def test_one_answer_takes_the_whole_memory() -> None:
    driven = Driven(6, budget=5)
    driven.warm(*range(100, 124), owner="an")
    driven.step(2)
    answer = driven.submit(*range(200, 220), owner="binh", max_tokens=4)
    driven.finish()
    assert len(answer.tokens) == 4
    driven.check()
    driven.leave("an", "binh")


def test_it_never_takes_what_an_answer_uses() -> None:
    """Answers come at every step of it, over a memory that it could fill alone."""
    driven = Driven(6, budget=5)
    for number in range(20):
        driven.warm(*range(100, 124), owner="an")
        driven.step(number % 4)
        driven.submit(*range(200, 201 + number), owner="binh", max_tokens=3)
        driven.step(2)
        driven.check()
    driven.finish()
    driven.leave("an", "binh")
