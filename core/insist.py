"""What must be stored: a database in trouble is waited for, ever more slowly."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from core.chat import Stale, Unavailable
from core.errors import trace

log = logging.getLogger(__name__)

T = TypeVar("T")

TRIES = 12
"""So often what fails for another reason than the database's own trouble is tried, over five minutes."""


async def insist(what: str, step: Callable[[], Awaitable[T]]) -> T | None:
    """The step's result, however long the store is out of reach. None where it means nothing any more, or never could
    be done; then the next start will see to it."""
    failed = 0
    for pause in backoff():
        try:
            return await step()
        except Stale as stale:
            log.debug("%s", stale)
            return None
        except Unavailable as error:
            log.error("%s: the database can't be used, trying again in %.0f s: %s", what, pause, error)
        except Exception as error:
            failed += 1
            log.error("%s: can't be stored, trying again\n%s", what, trace(error))
            if failed == TRIES:
                return None
        await asyncio.sleep(pause)
    return None


def backoff() -> Iterator[float]:
    """Seconds: 1, 2, 4, ... 30, 30, ..."""
    return (min(2.0**n, 30.0) for n in itertools.count())
