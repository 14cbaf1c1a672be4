"""What must succeed is tried again: how long, and what ends it."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from core.domain.store import Stale, Store, Transaction, Unavailable
from core.runtime.database_trouble import DatabaseTrouble
from core.runtime.retry import STORE_RETRIES, Backoff, until_stored
from core.runtime.safe_traceback import safe_traceback
from tests.fake_clock import FakeClock
from tests.tables import each_row

QUICK = Backoff(0.0, 0.0)


class Step:
    """A store and a step in its transactions: raises the given errors one after another, then returns.

    `in_commit`: the step succeeds, and the commit after it raises them.
    """

    def __init__(self, *errors: Exception, in_commit: bool = False) -> None:
        self.calls, self._errors, self._in_commit = 0, iter(errors), in_commit

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        yield cast(Transaction, self)
        if self._in_commit:
            self._raise_next()

    async def __call__(self, tx: Transaction) -> str:
        assert cast(object, tx) is self
        self.calls += 1
        if not self._in_commit:
            self._raise_next()
        return "done"

    def _raise_next(self) -> None:
        if (error := next(self._errors, None)) is not None:
            raise error


async def stored(step: Step, **options: int) -> str:
    return await until_stored(cast(Store, step), "it", step, QUICK, **options)


def test_pauses_grow_up_to_the_ceiling() -> None:
    assert list(itertools.islice(Backoff(1.0, 60.0).pauses(), 8)) == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_pause_is_lengthened_by_its_jitter_at_most() -> None:
    for pause, plain in zip(Backoff(1.0, 30.0, jitter=0.5).pauses(), [1, 2, 4, 8, 16, 30, 30], strict=False):
        assert plain <= pause <= 1.5 * plain


@each_row("in_commit", [False, True])
async def test_a_database_in_trouble_is_waited_for_and_nothing_else(in_commit: bool) -> None:
    step = Step(*[Unavailable()] * 30, in_commit=in_commit)
    assert await stored(step, retries=0) == "done" and step.calls == 31
    step = Step(Unavailable(), ValueError(), in_commit=in_commit)
    with pytest.raises(ValueError):
        await stored(step, retries=0)
    assert step.calls == 2


@each_row("in_commit", [False, True])
async def test_other_errors_are_tried_again_for_a_while(in_commit: bool) -> None:
    step = Step(ValueError(), Unavailable(), ValueError(), in_commit=in_commit)
    assert await stored(step) == "done" and step.calls == 4
    hopeless = Step(*[ValueError()] * 100, in_commit=in_commit)
    with pytest.raises(ValueError):
        await stored(hopeless)
    assert hopeless.calls == STORE_RETRIES + 1


async def test_what_is_stale_is_not_tried_again() -> None:
    step = Step(Unavailable(), Stale())
    with pytest.raises(Stale):
        await stored(step)
    assert step.calls == 2


def test_trouble_is_one_line_and_then_counted(caplog: pytest.LogCaptureFixture) -> None:
    """A database that is away for an hour, with 16 replies that wait for it: 60 lines, and no traceback."""
    clock = FakeClock()
    trouble = DatabaseTrouble(clock)
    for _ in range(60 * 6):
        for reply in range(16):
            trouble.report(f"reply {reply}", Unavailable("it is locked"))
        clock.now += 10.0
    assert len(caplog.messages) == 60
    assert caplog.messages[0] == "reply 0: the database can't be used, trying again: it is locked"
    assert caplog.messages[1].endswith("it is locked (95 other tries failed since the last line)")
    trouble.report("reply 1", Unavailable("the disk is full"))
    assert caplog.messages[-1].startswith("reply 1: the database can't be used, trying again: the disk is full")
    try:
        try:
            raise Unavailable("it is locked")
        except Unavailable as error:
            raise ValueError from error
    except ValueError as error:
        described = safe_traceback(error)
    assert described.startswith("the database can't be used: it is locked\n")
    assert described.count("\n") < 4
