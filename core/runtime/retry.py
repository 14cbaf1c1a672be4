"""What must be stored: a database in trouble is waited for, ever more slowly."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from core.domain.store import Stale, Unavailable
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

T = TypeVar("T")

TRIES = 12
"""So often what fails for another reason than the database's own trouble is tried, over two minutes."""


async def while_unavailable(what: str, step: Callable[[], Awaitable[T]]) -> T:
    """The step's result, however long the store is out of reach. What else goes wrong is raised."""
    for pause in backoff():
        try:
            return await step()
        except Unavailable as error:
            log.error("%s: the database can't be used, trying again in %.0f s: %s", what, pause, error)
        await asyncio.sleep(pause)
    raise AssertionError("backoff never ends")


async def until_stored(what: str, step: Callable[[], Awaitable[T]]) -> T | None:
    """The same, and what else goes wrong is tried for a while, then raised. None where it means nothing any more."""
    pauses = itertools.islice(backoff(), TRIES)
    while True:
        try:
            return await while_unavailable(what, step)
        except Stale as stale:
            log.debug("%s", stale)
            return None
        except Exception as error:
            log.error("%s: can't be stored, trying again\n%s", what, safe_traceback(error))
            if (pause := next(pauses, None)) is None:
                raise
        await asyncio.sleep(pause)


def backoff() -> Iterator[float]:
    """Seconds: 1, 2, 4, 8, 10, 10, ..."""
    return (min(2.0**n, 10.0) for n in itertools.count())
