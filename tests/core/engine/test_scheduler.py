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
