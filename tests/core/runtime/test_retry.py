"""What must succeed is tried again: how long, and what ends it."""

import itertools

import pytest

from core.domain.store import Stale, Unavailable
from core.runtime.retry import STORE_ATTEMPTS, Backoff, until_stored, while_unavailable

QUICK = Backoff(0.0, 0.0)


class Step:
    """Raises the given errors one after another, then returns."""

    def __init__(self, *errors: Exception) -> None:
        self.calls, self._errors = 0, iter(errors)

    async def __call__(self) -> str:
        self.calls += 1
        if (error := next(self._errors, None)) is not None:
            raise error
        return "done"


def test_pauses_grow_up_to_the_ceiling() -> None:
    assert list(itertools.islice(Backoff(1.0, 60.0).pauses(), 8)) == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_pause_is_lengthened_by_its_jitter_at_most() -> None:
    for pause, plain in zip(Backoff(1.0, 30.0, jitter=0.5).pauses(), [1, 2, 4, 8, 16, 30, 30], strict=False):
        assert plain <= pause <= 1.5 * plain


async def test_a_database_in_trouble_is_waited_for_and_nothing_else() -> None:
    step = Step(*[Unavailable()] * 30)
    assert await while_unavailable("it", step, QUICK) == "done" and step.calls == 31
    with pytest.raises(ValueError):
        await while_unavailable("it", Step(ValueError()), QUICK)


async def test_other_errors_are_tried_again_for_a_while() -> None:
    step = Step(ValueError(), Unavailable(), ValueError())
    assert await until_stored("it", step, QUICK) == "done" and step.calls == 4
    hopeless = Step(*[ValueError()] * 100)
    with pytest.raises(ValueError):
        await until_stored("it", hopeless, QUICK)
    assert hopeless.calls == STORE_ATTEMPTS + 1


async def test_what_is_stale_is_not_tried_again() -> None:
    step = Step(Unavailable(), Stale())
    with pytest.raises(Stale):
        await until_stored("it", step, QUICK)
    assert step.calls == 2
