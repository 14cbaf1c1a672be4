"""What a failed call means: not taken, refused for good, or nobody knows. Pure.

The codes are Discord's (developers/topics/opcodes-and-status-codes). The library itself tries a 5xx five times, and
sleeps through shorter penalties.
"""

import aiohttp
from discord import DiscordException, HTTPException, RateLimited

from core.domain.platform import Ambiguous, DeliveryError, MessageGone, NotSent, Unacceptable, Unreachable

FAILURES = (DiscordException, OSError, TimeoutError, aiohttp.ClientError, ValueError)
"""What the library's calls raise; a ValueError where an answer can't be read."""
MARGIN = 0.5
"""Seconds on top of what Discord asks for."""
A_WHILE = 60.0
"""Seconds, where Discord does not say how long."""

_GONE = (10008, 50005, 50083)  # unknown message; somebody else's; an archived thread, which a new message opens again
_LATER = (30046, 40003, 40333)  # edits of old messages, private messages opened too fast, Cloudflare
_CLOSED = (10003, 10004, 50001, 50007, 50013, 50278)  # unknown channel or server; no access; no private messages
_EXPIRED = (10015, 10062, 50027)  # unknown webhook or interaction; invalid webhook token


class Expired(DeliveryError):
    """The interaction's token is not taken any more, or was never answered to."""


def classed(error: Exception) -> DeliveryError:
    """The failure that an error stands for."""
    if isinstance(error, RateLimited):
        return NotSent(error.retry_after + MARGIN)
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
        return NotSent()
    if isinstance(error, HTTPException):
        return _answered(error)
    return Ambiguous()  # connections that were lost, answers that did not come or can't be read


def _answered(error: HTTPException) -> DeliveryError:
    if error.code in _EXPIRED:
        return Expired()
    if error.code in _GONE:
        return MessageGone()
    if error.code in _CLOSED:
        return Unreachable()
    if error.status == 429 or error.code in _LATER:
        return NotSent(_asked_for(error))
    return Ambiguous() if error.status >= 500 else Unacceptable()


def _asked_for(error: HTTPException) -> float:
    """Seconds that a penalty lasts."""
    try:
        return float(error.response.headers.get("Retry-After", "")) + MARGIN
    except ValueError:
        return A_WHILE
