"""How long a test waits for something that must happen: one generous limit, for machines that are slow or busy.

A test waits for an event, never for a time: the limit only ends a test whose event does not come. TEST_TIME_SCALE
stretches it.
"""

import asyncio
import os

TIME_SCALE = float(os.environ.get("TEST_TIME_SCALE", "1"))
LIMIT_S = 180 * TIME_SCALE
"""For one event. The slowest, the start of a real process beside four busy loops on two cores, takes over a minute."""
TEST_LIMIT_S = 2 * LIMIT_S
"""For a whole test."""


def limit() -> asyncio.Timeout:
    """`async with limit():` around what waits for an event."""
    return asyncio.timeout(LIMIT_S)
