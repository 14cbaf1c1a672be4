"""A clock that moves only where somebody waits for it: a pace of seconds is kept in no time."""

import asyncio

from core.delivery.rate_limiter import ChatRateLimiter


class FakeClock:
    """Seconds; called it tells the time, `sleep` lets so many pass at once."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.running = asyncio.Event()
        """While it is cleared, whoever sleeps goes on sleeping."""
        self.running.set()

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        await self.running.wait()
        self.now += seconds

    def pace(self, limiter: ChatRateLimiter) -> None:
        """From now on the limiter waits by this clock."""
        limiter._clock = self
        limiter._sleep = self.sleep
