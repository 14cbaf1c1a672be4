"""Penalties of Discord's routes hold up every try of every call."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import aiohttp
import pytest
from discord import RateLimited

from bots.discord_bot.call_buckets import CallBucket
from bots.discord_bot.penalties import Penalties
from tests.platforms.discord_buckets import CALLS, WINDOW_S
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_echo import QUIET
from tests.platforms.discord_server import DiscordServer
from tests.platforms.faults import FaultKind
from tests.waiting import idle

pytestmark = pytest.mark.slow
LONGEST_S = 30.0


@pytest.fixture
async def session(server: DiscordServer) -> AsyncIterator[aiohttp.ClientSession]:
    trace = aiohttp.TraceConfig()
    Penalties(LONGEST_S).watch(trace)
    headers = {"Authorization": f"Bot {server.token}"}
    async with aiohttp.ClientSession(trace_configs=[trace], headers=headers) as session:
        yield session


_nonces = itertools.count()


async def post(session: aiohttp.ClientSession, server: DiscordServer, channel: Channel) -> int:
    body = QUIET | {"content": "hello", "nonce": str(next(_nonces)), "enforce_nonce": True}
    async with session.post(f"{server.api_url}/channels/{channel.id}/messages", json=body) as response:
        return response.status


async def test_a_call_waits_for_the_end_of_a_penalty_that_another_met(
    server: DiscordServer, dm: Channel, session: aiohttp.ClientSession
) -> None:
    """The server fails a test whose calls come within a penalty."""
    other = server.dm(server.person("Bob"))
    server.fault(FaultKind.RATE_LIMIT, "POST", "messages$", channel=dm, seconds=0.3)
    assert await post(session, server, dm) == 429
    assert await post(session, server, other) == 200
    assert server.penalties and await post(session, server, dm) == 200


async def test_no_call_waits_longer_than_the_library_does(
    server: DiscordServer, dm: Channel, session: aiohttp.ClientSession
) -> None:
    server.fault(FaultKind.RATE_LIMIT, "POST", "messages$", channel=dm, seconds=LONGEST_S + 5)
    assert await post(session, server, dm) == 429
    with pytest.raises(RateLimited) as refused:
        await post(session, server, dm)
    assert LONGEST_S < refused.value.retry_after <= LONGEST_S + 5


async def test_a_call_that_waits_for_the_first_headers_of_a_route() -> None:
    """The library gave it an exception that nobody looked at, where the window was longer than its longest wait."""
    bucket = CallBucket(LONGEST_S)
    await bucket.acquire()
    waiting = asyncio.ensure_future(bucket.acquire())
    await idle(lambda: bucket._pending_requests)
    (future,) = bucket._pending_requests
    bucket.limit, bucket.remaining, bucket.reset_after = CALLS, CALLS - 1, WINDOW_S
    await bucket.__aexit__(None, None, None)  # type: ignore[type-var,arg-type]
    await waiting
    assert future.exception() is None and bucket.outgoing == 1
