"""Waiting for what must succeed: one back-off for everything, and steps that must be stored."""

import asyncio
import itertools
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from core.domain.store import Stale, Unavailable
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between attempts, in seconds: `least_s` first, then each `factor` times the one before, up to `most_s`.

    Each is lengthened by a random share of itself, up to `jitter`, so that many programs don't come back at once.
    """

    least_s: float = 1.0
    most_s: float = 10.0
    factor: float = 2.0
    jitter: float = 0.0

    def pauses(self) -> Iterator[float]:
        """The pauses in seconds, without end."""
        pause = self.least_s
        while True:
            yield pause * random.uniform(1.0, 1.0 + self.jitter)
            pause = min(pause * self.factor, self.most_s)


DATABASE_BACKOFF = Backoff()
STORE_ATTEMPTS = 12
"""Attempts at storing something that fails for another reason than the database's own trouble: over two minutes."""


async def while_unavailable(what: str, step: Callable[[], Awaitable[T]], backoff: Backoff = DATABASE_BACKOFF) -> T:
    """The step's result, however long the store can't be used. Every other error is raised. `what` is for the log."""
    for pause in backoff.pauses():
        try:
            return await step()
        except Unavailable as error:
            log.error("%s: the database can't be used, trying again in %.0f s: %s", what, pause, error)
        await asyncio.sleep(pause)
    raise AssertionError("a back-off never ends")


async def until_stored(what: str, step: Callable[[], Awaitable[T]], backoff: Backoff = DATABASE_BACKOFF) -> T:
    """As while_unavailable; other errors are tried again STORE_ATTEMPTS times, then raised. Raises Stale at once."""
    pauses = itertools.islice(backoff.pauses(), STORE_ATTEMPTS)
    while True:
        try:
            return await while_unavailable(what, step, backoff)
        except Stale:
            raise
        except Exception as error:
            log.error("%s: can't be stored, trying again\n%s", what, safe_traceback(error))
            if (pause := next(pauses, None)) is None:
                raise
        await asyncio.sleep(pause)
