"""How many calls Discord still allows on a route, as its headers say."""

from discord import RateLimited
from discord.http import HTTPClient, Ratelimit


class CallBucket(Ratelimit):
    """The calls that are left in a route's window.

    discord.py 2.7.1 refuses a call where the window ends later than its longest wait, even if calls are left in it.
    Discord sends windows of a day with 48,773 calls left.
    """

    async def acquire(self) -> None:
        """Take one of the calls, at once where one is left. Raises RateLimited where the wait would be too long."""
        if self.is_expired():
            self.reset()  # type: ignore[no-untyped-call]
        if self.remaining <= 0:
            await super().acquire()
            return
        self._last_request = self._loop.time()
        self.remaining -= 1
        self.outgoing += 1

    def _wake(self, count: int = 1, *, exception: RateLimited | None = None) -> None:
        """Wake those who wait for a call. The library would give them an exception that it never looks at, so that
        asyncio would log it as an error."""
        super()._wake(count)


def use_call_buckets(http: HTTPClient) -> None:
    """Make this client count its calls in CallBuckets."""
    buckets = http._buckets

    def get_ratelimit(key: str) -> Ratelimit:
        if key not in buckets:
            buckets[key] = CallBucket(http.max_ratelimit_timeout)
            http._try_clear_expired_ratelimits()
        return buckets[key]

    http.get_ratelimit = get_ratelimit  # type: ignore[method-assign]
