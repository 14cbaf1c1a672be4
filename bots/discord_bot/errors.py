"""Errors of discord.py and aiohttp as the core's delivery errors: refused, not taken, or unknown. Pure.

The codes are Discord's (developers/topics/opcodes-and-status-codes). The library itself tries a 5xx five times, and
sleeps through shorter penalties.
"""

import aiohttp
from discord import DiscordException, HTTPException, RateLimited

from core.domain.platform import Ambiguous, DeliveryError, MessageGone, NotSent, OutOfReach, Unacceptable, Unreachable

LIBRARY_ERRORS = (DiscordException, OSError, TimeoutError, aiohttp.ClientError, ValueError)
"""What the library's calls raise; a ValueError where an answer can't be read."""
PENALTY_MARGIN_S = 0.5
"""Added to the wait that Discord asks for."""
DEFAULT_PENALTY_S = 60.0
"""The wait where Discord does not say how long."""

_GONE = (10008, 50005, 50083)
"""Unknown message; another account's message; an archived thread, which a new message opens again."""
_LATER = (30046, 40003, 40333)
"""Edits of old messages; private messages that are opened too fast; Cloudflare."""
_CLOSED = (10003, 10004, 50001, 50007, 50013, 50278, 160005)
"""Unknown channel or server; no access; a person who takes no private messages; a locked thread."""
_EXPIRED = (10015, 10062, 50027)
"""Unknown webhook or interaction; invalid webhook token."""


class TokenExpired(OutOfReach):
    """Discord no longer takes the interaction's token, or the interaction never got its first response."""


def to_delivery_error(error: Exception) -> DeliveryError:
    """The delivery error that one of LIBRARY_ERRORS stands for."""
    if isinstance(error, RateLimited):
        return NotSent(error.retry_after + PENALTY_MARGIN_S)
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
        return NotSent()
    if isinstance(error, HTTPException):
        return _from_response(error)
    return Ambiguous()  # connections that were lost, answers that did not come or can't be read


def longer_pause(error: DeliveryError, pause: float) -> float:
    """Seconds to wait before the failed call is repeated: `pause`, or the wait that Discord asks for."""
    return max(pause, error.wait) if isinstance(error, NotSent) else pause


def _from_response(error: HTTPException) -> DeliveryError:
    if error.code in _EXPIRED:
        return TokenExpired()
    if error.code in _GONE:
        return MessageGone()
    if error.code in _CLOSED:
        return Unreachable()
    if error.status == 429 or error.code in _LATER:
        return NotSent(_penalty_s(error))
    return Ambiguous() if error.status >= 500 else Unacceptable()


def _penalty_s(error: HTTPException) -> float:
    try:
        return float(error.response.headers.get("Retry-After", "")) + PENALTY_MARGIN_S
    except ValueError:
        return DEFAULT_PENALTY_S
