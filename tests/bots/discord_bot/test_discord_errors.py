"""What a failed call means, for every kind that the library raises."""

from types import SimpleNamespace
from typing import Any

import aiohttp
from discord import DiscordServerError, Forbidden, HTTPException, NotFound, RateLimited

from bots.discord_bot.errors import DEFAULT_PENALTY_S, TokenExpired, longer_pause, to_delivery_error
from core.domain.platform import Ambiguous, DeliveryError, MessageGone, NotSent, Unacceptable, Unreachable
from tests.tables import each_row


def answered(status: int, code: int = 0, headers: dict[str, str] | None = None) -> HTTPException:
    kind = {403: Forbidden, 404: NotFound}.get(status, DiscordServerError if status >= 500 else HTTPException)
    response: Any = SimpleNamespace(status=status, reason="", headers=headers or {})
    return kind(response, {"code": code, "message": "?"})


KEY: Any = SimpleNamespace(host="h", port=1, ssl=False, is_ssl=False)

CASES: list[tuple[Exception, type[DeliveryError]]] = [
    # not sent: may be tried again
    (RateLimited(31.0), NotSent),
    (answered(429), NotSent),
    (answered(400, 30046), NotSent),
    (answered(400, 40003), NotSent),
    (answered(403, 40333), NotSent),
    (aiohttp.ClientConnectorError(KEY, OSError("refused")), NotSent),
    (aiohttp.ConnectionTimeoutError(), NotSent),
    # refused: never again
    (answered(400, 50035), Unacceptable),
    (answered(401), Unacceptable),
    (answered(403), Unacceptable),
    (answered(404, 10007), Unacceptable),
    (answered(404, 10008), MessageGone),
    (answered(400, 50083), MessageGone),
    (answered(403, 50005), MessageGone),
    (answered(404, 10003), Unreachable),
    (answered(403, 50001), Unreachable),
    (answered(403, 50007), Unreachable),
    (answered(403, 50013), Unreachable),
    # the interaction's token is no key any more
    (answered(401, 50027), TokenExpired),
    (answered(404, 10015), TokenExpired),
    (answered(404, 10062), TokenExpired),
    # nobody knows
    (answered(500), Ambiguous),
    (answered(503), Ambiguous),
    (aiohttp.ServerDisconnectedError(), Ambiguous),
    (aiohttp.ClientOSError(104, "reset"), Ambiguous),
    (aiohttp.ClientPayloadError(), Ambiguous),
    (TimeoutError(), Ambiguous),
    (OSError(104, "reset"), Ambiguous),
]


@each_row(("error", "kind"), CASES, ids=lambda case: f"{case!r}"[:60])
def test_every_failure_has_its_class(error: Exception, kind: type[DeliveryError]) -> None:
    assert type(to_delivery_error(error)) is kind


@each_row(
    ("error", "wait"),
    [
        (RateLimited(31.0), 31.5),
        (answered(429, headers={"Retry-After": "3"}), 3.5),
        (answered(429), DEFAULT_PENALTY_S),
        (answered(429, headers={"Retry-After": "soon"}), DEFAULT_PENALTY_S),
        (answered(400, 30046), DEFAULT_PENALTY_S),
    ],
)
def test_how_long_a_penalty_lasts(error: Exception, wait: float) -> None:
    failure = to_delivery_error(error)
    assert isinstance(failure, NotSent) and failure.wait == wait
    assert longer_pause(failure, 1.0) == wait and longer_pause(failure, 999.0) == 999.0
    assert longer_pause(Ambiguous(), 1.0) == 1.0
