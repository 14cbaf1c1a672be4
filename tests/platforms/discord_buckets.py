"""The headers that count a route's calls, as Discord sends them (developers/topics/rate-limits)."""

import re

CALLS, WINDOW_S = 50_000, 102_737.7
"""Of a generous bucket that Discord has been seen to send: a day's window, nearly all of its calls left."""


class Buckets:
    """How many calls each route has left. `calls`: of a window; no call is refused here when they are used up."""

    def __init__(self, calls: int = CALLS, window_s: float = WINDOW_S) -> None:
        self.calls, self.window_s = calls, window_s
        self._used: dict[str, int] = {}

    def headers(self, method: str, path: str) -> dict[str, str]:
        """The headers of the answer to a call, which is counted."""
        bucket = f"{method}-{re.sub(r'[^a-z]+', '-', path)}"
        self._used[bucket] = used = self._used.get(bucket, 0) + 1
        return {
            "X-RateLimit-Bucket": bucket,
            "X-RateLimit-Limit": str(self.calls),
            "X-RateLimit-Remaining": str(max(0, self.calls - used)),
            "X-RateLimit-Reset-After": str(self.window_s),
        }
