"""Tasks that are watched: a loop that must not end ends the program, a task that may fail ends no other."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager

from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

Loop = Callable[[], Coroutine[object, object, object]]
"""Works without end, and becomes a task."""
Work = Callable[[], Awaitable[object]]
"""Called only where its result is awaited: a task may be cancelled before its first step."""


@asynccontextmanager
async def running_loops(loops: Mapping[str, Loop]) -> AsyncIterator[None]:
    """Run endless loops while the block lasts. One that ends cancels the block, and its error is raised.

    `loops`: by what each is called in the error. A loop that returns, or is cancelled from within, is a RuntimeError.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            running = {tasks.create_task(loop()): name for name, loop in loops.items()}
            watching = tasks.create_task(_until_one_ends(running))
            try:
                yield
            finally:
                for task in (watching, *running):
                    task.cancel()
    except BaseExceptionGroup as group:
        raise _first(group) from None


async def _until_one_ends(running: Mapping[asyncio.Task[object], str]) -> None:
    """Beside the loops and not around each, so that their steps do not pass through it."""
    ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    for task in ended:
        if task.cancelled() or task.exception() is None:  # the task group raises an error that a task has
            raise RuntimeError(f"{running[task]} has ended")


async def must_not_end(what: str, loop: Loop) -> None:
    """Run an endless loop. Raises RuntimeError where it ends, or where it is cancelled from within."""
    async with running_loops({what: loop}):
        await asyncio.Event().wait()


async def logged(what: str, work: Work) -> None:
    """Run what one message or event needs. An error is logged and not raised, so that its task group lives on."""
    try:
        await work()
    except Exception as error:
        log.error("%s failed:\n%s", what, safe_traceback(error))


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
