"""Waiting for what a program of asyncio does: a condition is looked at after each step of the event loop.

Whatever such a program changes, it changes in a step of its loop: a condition is seen as soon as it holds, without a
look at the clock.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast
from weakref import WeakKeyDictionary

from tests.patience import limit

Condition = Callable[[], object]


async def until(true: Condition, seen: Callable[[], object] | None = None) -> None:
    """Return once `true` is. Raises AssertionError with what was `seen` instead where it never is."""
    if true():
        return
    try:
        async with limit():
            await _watched(true)
    except TimeoutError:
        raise AssertionError(f"never so: {seen() if seen else true}") from None


async def until_answer(true: Callable[[], Awaitable[object]], changes: Callable[[], object]) -> None:
    """Return once an answer that has to be awaited is true; it is asked for again whenever `changes` are others."""
    async with limit():
        while True:
            before = changes()
            if await true():
                return
            await _watched(lambda before=before: changes() != before)  # type: ignore[misc]


async def idle(true: Condition = lambda: True) -> None:
    """Return once nothing is under way and `true` is: nothing is ready to run, nothing has come in over any socket.

    Timers may be running. What a thread does is seen only in `true`.
    """
    async with limit():
        await _steps_of_this_loop().rest(true)


def _watched(true: Condition) -> asyncio.Future[None]:
    return _steps_of_this_loop().watch(true)


def _steps_of_this_loop() -> "_Steps":
    loop = asyncio.get_running_loop()
    if (steps := _steps.get(loop)) is None:
        steps = _steps[loop] = _Steps(loop)
    return steps


class _Steps:
    """Watches the steps of one loop: between two of them it asks its selector what has come in."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        selector = cast(Any, loop)._selector
        self._loop, self._select = loop, selector.select
        self._waiting: list[tuple[Condition, asyncio.Future[None]]] = []
        self._resting: list[tuple[Condition, asyncio.Future[None]]] = []
        selector.select = self._selected

    def watch(self, true: Condition) -> asyncio.Future[None]:
        """A future that is done once it is so."""
        future = self._loop.create_future()
        self._waiting.append((true, future))
        return future

    def rest(self, true: Condition) -> asyncio.Future[None]:
        """A future that is done once the loop has nothing to do and it is so."""
        future = self._loop.create_future()
        self._resting.append((true, future))
        return future

    def _selected(self, timeout: float | None = None) -> object:
        if self._waiting and _look(self._waiting):
            return self._select(0)
        if self._resting and timeout != 0:
            if come_in := self._select(0):
                return come_in
            if _look(self._resting):
                return self._select(0)
        return self._select(timeout)


def _look(waiting: list[tuple[Condition, asyncio.Future[None]]]) -> bool:
    """Whether a future has become done. Those that were done before are dropped."""
    waiting[:] = [each for each in waiting if not each[1].done()]
    for true, future in waiting:
        try:
            if true():
                future.set_result(None)
        except Exception as error:
            future.set_exception(error)
    return any(future.done() for _, future in waiting)


_steps: WeakKeyDictionary[asyncio.AbstractEventLoop, _Steps] = WeakKeyDictionary()
