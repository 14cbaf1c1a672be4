"""Tasks that are watched: a loop that must not end ends the program, a task that may fail ends no other."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[object]]
"""Called only where its result is awaited: a task may be cancelled before its first step."""


@asynccontextmanager
async def running_loops(loops: Mapping[str, Work]) -> AsyncIterator[None]:
    """Run endless loops while the block lasts. One that ends cancels the block, and its error is raised.

    `loops`: by what each is called in the error.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(must_not_end(name, loop)) for name, loop in loops.items()]
            try:
                yield
            finally:
                for task in running:
                    task.cancel()
    except BaseExceptionGroup as group:
        raise _first(group) from None


async def must_not_end(what: str, work: Work) -> None:
    """Run an endless loop. Raises RuntimeError where it ends, or where it is cancelled from within."""
    try:
        await work()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
    raise RuntimeError(f"{what} has ended")


async def logged(what: str, work: Work) -> None:
    """Run what one message or event needs. An error is logged and not raised, so that its task group lives on."""
    try:
        await work()
    except Exception as error:
        log.error("%s failed:\n%s", what, safe_traceback(error))


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
