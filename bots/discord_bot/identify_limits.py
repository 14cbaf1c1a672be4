"""How often the bot may log in at the gateway. After 1,000 logins in a day Discord takes the token away for good.

The numbers: at most 490 a day, ten of them as quickly as Discord allows, the others three minutes apart; a bot that a
supervisor restarts every minute would otherwise make 1,440.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from core.domain.store import Store

log = logging.getLogger(__name__)

SECOND = 1000
HOUR, DAY = 3600 * SECOND, 24 * 3600 * SECOND
A_DAY = 490
FREE = 10
"""In an hour, before they are kept apart."""
APART = 180 * SECOND
AT_ONCE = 5 * SECOND
"""Discord takes one login in five seconds (max_concurrency)."""
RESERVE = 50
"""Logins of Discord's own count that are left for the owner, should he need them."""


def delay(past: Sequence[int], now: int) -> int:
    """Milliseconds until another login, after those of the last day; oldest first, milliseconds UTC."""
    day = [at for at in past if now - DAY < at <= now]
    hour = [at for at in day if at > now - HOUR]
    due = [now]
    if day:
        due.append(day[-1] + (APART if len(hour) >= FREE else AT_ONCE))
    if len(day) >= A_DAY:
        due.append(day[-A_DAY] + DAY)
    return max(due) - now


class Identifies:
    """Counted in the database, so that a restart forgets none."""

    def __init__(self, store: Store, platform: str, bot: str, now: Callable[[], int]) -> None:
        self._store, self._platform, self._bot, self._now = store, platform, bot, now

    async def wait(self) -> None:
        """Return when there may be another."""
        while wait := await self._delay():
            if wait > AT_ONCE:
                log.warning("Discord: too many logins lately; the next one is in %.0f s", wait / SECOND)
            await asyncio.sleep(wait / SECOND)

    async def count(self) -> None:
        """One is being made. Stored before it is: one that a crash hides would be one too many."""
        async with self._store.begin() as tx:
            await tx.accounts.record_login(self._platform, self._bot, self._now())

    async def _delay(self) -> int:
        now = self._now()
        async with self._store.begin() as tx:
            return delay(await tx.accounts.logins_since(self._platform, self._bot, now - DAY), now)
