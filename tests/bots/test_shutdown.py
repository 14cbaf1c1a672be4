"""The end of the process comes in bounded time, whatever hangs."""

import asyncio
import os
import signal

import pytest

from bots import shutdown
from bots.shutdown import DRAIN_TIMEOUT_S, EXIT_AFTER_ERROR_S, EXIT_AFTER_SIGNAL_S, Shutdown


class Exits:
    """Records that the process would have exited, and with which error."""

    def __init__(self) -> None:
        self.failures: list[BaseException | None] = []

    def __call__(self, failure: BaseException | None) -> None:
        self.failures.append(failure)


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> Exits:
    recorded = Exits()
    monkeypatch.setattr(shutdown, "_exit", recorded)
    monkeypatch.setattr(shutdown, "EXIT_AFTER_SIGNAL_S", 0.1)
    monkeypatch.setattr(shutdown, "EXIT_AFTER_ERROR_S", 0.1)
    return recorded


async def hangs() -> None:
    """What does not let itself be cancelled, for a while."""
    try:
        await asyncio.sleep(10)
    finally:
        await asyncio.shield(asyncio.sleep(0.3))


async def fails() -> None:
    raise RuntimeError("the poller is gone")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_at_a_signal_it_ends_though_something_hangs(exits: Exits, how: signal.Signals) -> None:
    with Shutdown() as ending:
        ending.handle_signals()
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), how)
        await ending.run_until_first(ending.requested.wait(), hangs())
    assert exits.failures == [None]


async def test_an_error_ends_it_though_something_hangs(exits: Exits) -> None:
    with Shutdown() as ending, pytest.raises(RuntimeError, match="poller"):
        await ending.run_until_first(fails(), hangs())
    assert [str(failure) for failure in exits.failures] == ["the poller is gone"]


async def test_an_end_in_time_needs_no_force(exits: Exits) -> None:
    with Shutdown() as ending:
        ending.handle_signals()
        asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGTERM)
        await ending.run_until_first(ending.requested.wait(), asyncio.sleep(10))
    await asyncio.sleep(0.2)
    assert exits.failures == []


def test_the_deadlines_are_those_that_are_promised() -> None:
    assert DRAIN_TIMEOUT_S + 4 <= EXIT_AFTER_SIGNAL_S <= 20 - 3 and EXIT_AFTER_ERROR_S + 2 < 5, "2 s are the engine's"
