"""A fault that cannot happen is refused when it is asked for: a misspelt one would test nothing."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from tests.platforms.bot_api import BotApi
from tests.platforms.chaos import Chance, Chaos
from tests.platforms.discord_server import DiscordServer
from tests.platforms.faults import FaultKind
from tests.tables import each_row

Server = BotApi | DiscordServer
POLL, POST = ("getUpdates",), ("POST", r"/messages$")


def telegram() -> BotApi:
    return BotApi(lambda: 0.0, lambda: 0.0)


@each_row(
    ("make", "kind", "call", "options"),
    [
        (telegram, "dorp_before", ("sendMessage",), {}),
        (telegram, "drop_before", ("sendMessage",), {}),  # the enum alone, or a misspelt one would pass
        (telegram, FaultKind.DROP_BEFORE, ("sendMesage",), {}),
        (telegram, FaultKind.DUPLICATE, ("sendMessage",), {}),
        (telegram, FaultKind.REORDER, ("sendMessage",), {}),
        (telegram, FaultKind.RATE_LIMIT, ("sendMessage",), {"seconds": 1.0}),
        (telegram, FaultKind.ERROR, ("sendMessage",), {"seconds": 1.0}),
        (DiscordServer, "429", POST, {"seconds": 1.0}),
        (DiscordServer, FaultKind.REORDER, POST, {}),
        (DiscordServer, FaultKind.DUPLICATE, POST, {}),
        (DiscordServer, FaultKind.SLOW, ("EVENT", "MESSAGE_CREATE"), {}),
        (DiscordServer, FaultKind.DROP_BEFORE, ("PSOT", ""), {}),
        (DiscordServer, FaultKind.HANG, POST, {"seconds": 1.0}),
    ],
)
async def test_what_cannot_happen_is_refused(
    make: Callable[[], Server], kind: Any, call: tuple[str, ...], options: dict[str, Any]
) -> None:
    server = make()
    ask: Callable[..., None] = server.fault
    with pytest.raises(ValueError):
        ask(kind, *call, **options)
    assert server.faults == []


@each_row(
    ("make", "kind", "call", "options"),
    [
        (telegram, FaultKind.REORDER, POLL, {}),
        (telegram, FaultKind.ERROR, POLL, {"code": 409, "description": "Conflict"}),
        (DiscordServer, FaultKind.DUPLICATE, ("EVENT", "MESSAGE_CREATE"), {}),
        (DiscordServer, FaultKind.RATE_LIMIT, POST, {"seconds": 1.0, "everywhere": True}),
    ],
)
async def test_what_can_happen_is_taken(
    make: Callable[[], Server], kind: FaultKind, call: tuple[str, ...], options: dict[str, Any]
) -> None:
    server = make()
    ask: Callable[..., None] = server.fault
    ask(kind, *call, **options)
    assert [fault.kind for fault in server.faults] == [kind]


@each_row(
    ("make", "chance"),
    [
        (telegram, Chance("drop_before")),  # type: ignore[arg-type]
        (telegram, Chance(FaultKind.RATE_LIMIT, options={"seconds": 1.0})),
        (telegram, Chance(FaultKind.SLOW, options={"second": 1.0})),
        (DiscordServer, Chance(FaultKind.REORDER)),
        (DiscordServer, Chance(FaultKind.ERROR, options={"description": "x"})),
    ],
)
async def test_chances_are_looked_at_too(make: Callable[[], Server], chance: Chance) -> None:
    server = make()
    with pytest.raises(ValueError):
        server.meet(Chaos(Random(0), 1.0, [chance]))
