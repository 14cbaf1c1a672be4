"""The end of the process comes in bounded time, whatever hangs."""

import asyncio
import os
import signal

import pytest

from bots import shutdown as leaving
from bots.shutdown import DRAINING, TOLD, UNWINDING, Shutdown


class Left:
    """Notes that the process would have been left."""

    def __init__(self) -> None:
        self.why: list[BaseException | None] = []

    def __call__(self, failed: BaseException | None) -> None:
        self.why.append(failed)


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Left:
    noted = Left()
    monkeypatch.setattr(leaving, "_leave", noted)
    monkeypatch.setattr(leaving, "TOLD", 0.1)
    monkeypatch.setattr(leaving, "UNWINDING", 0.1)
    return noted


async def hangs() -> None:
    """What does not let itself be cancelled, for a while."""
    try:
        await asyncio.sleep(10)
    finally:
        await asyncio.shield(asyncio.sleep(0.3))


async def fails() -> None:
    raise RuntimeError("the poller is gone")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_end_it_ends_though_something_hangs(left: Left, how: signal.Signals) -> None:
    with Shutdown() as told:
        told.listen()
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), how)
        await told.first_of(told.told.wait(), hangs())
    assert left.why == [None]


async def test_an_error_ends_it_though_something_hangs(left: Left) -> None:
    with Shutdown() as told, pytest.raises(RuntimeError, match="poller"):
        await told.first_of(fails(), hangs())
    assert [str(why) for why in left.why] == ["the poller is gone"]


async def test_an_end_in_time_needs_no_force(left: Left) -> None:
    with Shutdown() as told:
        told.listen()
        asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGTERM)
        await told.first_of(told.told.wait(), asyncio.sleep(10))
    await asyncio.sleep(0.2)
    assert left.why == []


def test_the_times_are_those_that_are_promised() -> None:
    assert DRAINING + 4 <= TOLD <= 20 - 3 and UNWINDING + 2 < 5, "two seconds are the engine's"
