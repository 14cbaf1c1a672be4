"""How often the bot may log in at the gateway. After 1,000 logins in a day Discord takes the token away for good.

The default limits (IdentifyLimits): at most 490 a day, ten of them as quickly as Discord allows, the others three
minutes apart; a bot that a supervisor restarts every minute would otherwise make 1,440.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from bots.discord_bot.timing import IDENTIFY_LIMITS, IdentifyLimits
from core.domain.store import Store

log = logging.getLogger(__name__)

HOUR_MS, DAY_MS = 3_600_000, 24 * 3_600_000


def login_delay_ms(logins: Sequence[int], now: int, limits: IdentifyLimits = IDENTIFY_LIMITS) -> int:
    """Milliseconds until another login is allowed. `logins`: when there were some lately, oldest first; milliseconds
    UTC, as `now`."""
    day = [at for at in logins if now - DAY_MS < at <= now]  # one in the future was made while the clock was wrong
    hour = [at for at in day if at > now - HOUR_MS]
    due = [now]
    if day:
        spaced = len(hour) >= limits.unspaced_per_hour
        due.append(day[-1] + (limits.spacing_ms if spaced else limits.least_spacing_ms))
    if len(day) >= limits.per_day:
        due.append(day[-limits.per_day] + DAY_MS)
    return max(due) - now


class IdentifyLimiter:
    """Spaces the logins of one account. They are counted in the store, so that a restart forgets none.

    Methods raise what the store raises.
    """

    def __init__(
        self,
        store: Store,
        platform: str,
        account: str,
        now: Callable[[], int],
        limits: IdentifyLimits = IDENTIFY_LIMITS,
    ) -> None:
        self._store, self._platform, self._account, self._now = store, platform, account, now
        self.limits = limits

    async def wait(self) -> None:
        """Return when another login is allowed."""
        while delay_ms := await self._delay_ms():
            if delay_ms > self.limits.least_spacing_ms:
                log.warning("Discord: too many logins lately; the next one is in %.0f s", delay_ms / 1000)
            await asyncio.sleep(delay_ms / 1000)

    async def count(self) -> None:
        """Count a login that is about to be made: counted after it, a crash would hide it."""
        async with self._store.begin() as tx:
            await tx.accounts.record_login(self._platform, self._account, self._now())

    async def _delay_ms(self) -> int:
        now = self._now()
        async with self._store.begin() as tx:
            logins = await tx.accounts.logins_since(self._platform, self._account, now - DAY_MS)
        if future := sum(at > now for at in logins):
            log.warning("Discord: %d stored logins lie in the future, so the clock was wrong; they don't count", future)
        return login_delay_ms(logins, now, self.limits)
