"""Who is computed when, and in whose blocks: of four ids each, at a pace that never changes."""

from tests.core.engine.driven import Answer, Driven

SYSTEM = tuple(range(100, 112))
"""Three whole blocks that every prompt of a chat begins with."""


def reused(answer: Answer) -> int:
    [admitted] = answer.admitted
    assert admitted.prompt == len(answer.order.ids)
    return admitted.reused


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
    assert driven.scheduler.blocks.kept == 0


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
