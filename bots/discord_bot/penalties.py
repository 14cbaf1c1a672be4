"""Routes on which Discord allows no call for a while."""

import asyncio
import re
import time
from collections.abc import Callable

import aiohttp
import yarl
from discord import RateLimited


class Penalties:
    """Makes every try of every call wait until its route's penalty is over.

    discord.py 2.7.1 lets a penalty hold up only the call that met it: others on the route, and those that it tries
    again after a server's error, go out within the penalty. Discord counts such calls, and blocks who makes too many
    (developers/topics/rate-limits, "Invalid Request Limit").
    """

    def __init__(self, longest_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._longest_s, self._monotonic = longest_s, monotonic
        self._until: dict[tuple[str, str], float] = {}

    def watch(self, trace: aiohttp.TraceConfig) -> None:
        """Keep the penalties that the traced requests meet."""
        trace.on_request_start.append(self._wait)
        trace.on_request_end.append(self._note)

    async def _wait(self, _session: object, _context: object, asked: aiohttp.TraceRequestStartParams) -> None:
        """Raises RateLimited where the wait would be longer than `longest_s`."""
        route = _route(asked.method, asked.url)
        while (left := self._until.get(route, 0.0) - self._monotonic()) > 0:
            if left > self._longest_s:
                raise RateLimited(left)
            await asyncio.sleep(left)

    async def _note(self, _session: object, _context: object, answered: aiohttp.TraceRequestEndParams) -> None:
        response = answered.response
        if response.status != 429 or "Via" not in response.headers:  # without it, it is Cloudflare that refuses
            return
        now = self._monotonic()
        self._until = {route: until for route, until in self._until.items() if until > now}
        self._until[_route(answered.method, answered.url)] = now + _seconds(response.headers.get("Retry-After", ""))


def _route(method: str, url: yarl.URL) -> tuple[str, str]:
    """What a penalty is for: a method and a path, whichever message or member of the channel or server it names."""
    return method, re.sub(r"/(messages|members)/\d+", r"/\1/", url.path)


def _seconds(header: str) -> float:
    try:
        return float(header)
    except ValueError:
        return 0.0
