"""Waiting for what must succeed: one back-off for everything, and transactions that must be stored."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from core.domain.store import Stale, Store, Transaction, Unavailable
from core.runtime.database_trouble import DATABASE_TROUBLE
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
STORE_RETRIES = 12
"""Further attempts at a transaction that fails for another reason than the database's own trouble: over a minute."""


async def until_stored(
    store: Store,
    what: str,
    step: Callable[[Transaction], Awaitable[T]],
    backoff: Backoff = DATABASE_BACKOFF,
    *,
    retries: int = STORE_RETRIES,
) -> T:
    """The result of `step`, once the transaction that it is given is committed. `what` is for the log.

    A store that can't be used is waited for, however long. Any other error is tried again `retries` times, then raised.
    Raises Stale at once.
    """
    failed = 0
    for pause in backoff.pauses():
        try:
            async with store.begin() as tx:
                return await step(tx)
        except Stale:
            raise
        except Unavailable as error:
            DATABASE_TROUBLE.report(what, error)
        except Exception as error:
            if failed == retries:
                raise
            failed += 1
            log.error("%s: can't be stored, trying again\n%s", what, safe_traceback(error))
        await asyncio.sleep(pause)
    raise AssertionError("a back-off never ends")
