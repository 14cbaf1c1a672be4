"""The end of the process comes in bounded time, whatever hangs."""

import asyncio
import os
import signal
from threading import Event

import pytest

from bots import shutdown
from bots.shutdown import DRAIN_TIMEOUT_S, EXIT_AFTER_ERROR_S, EXIT_AFTER_SIGNAL_S, Shutdown
from tests.patience import LIMIT_S
from tests.tables import each_row


class Exits:
    """Records that the process would have exited, and with which error."""

    def __init__(self) -> None:
        self.failures: list[BaseException | None] = []
        self.called = Event()

    def __call__(self, failure: BaseException | None) -> None:
        self.failures.append(failure)
        self.called.set()


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> Exits:
    recorded = Exits()
    monkeypatch.setattr(shutdown, "_exit", recorded)
    monkeypatch.setattr(shutdown, "EXIT_AFTER_SIGNAL_S", 0.1)
    monkeypatch.setattr(shutdown, "EXIT_AFTER_ERROR_S", 0.1)
    return recorded


async def hangs(exits: Exits) -> None:
    """What does not let itself be cancelled until the process would have exited."""
    try:
        await asyncio.Event().wait()
    finally:
        assert await asyncio.to_thread(exits.called.wait, LIMIT_S)


async def fails() -> None:
    raise RuntimeError("the poller is gone")


@each_row("how", [signal.SIGTERM, signal.SIGINT])
async def test_at_a_signal_it_ends_though_something_hangs(exits: Exits, how: signal.Signals) -> None:
    with Shutdown() as ending:
        ending.handle_signals()
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), how)
        await ending.run_until_first(ending.requested.wait(), hangs(exits))
    assert exits.failures == [None]
    exits.failures.clear()
    exits.called.clear()


async def test_an_error_ends_it_though_something_hangs(exits: Exits) -> None:
    with Shutdown() as ending, pytest.raises(RuntimeError, match="poller"):
        await ending.run_until_first(fails(), hangs(exits))
    assert [str(failure) for failure in exits.failures] == ["the poller is gone"]


async def test_an_end_in_time_needs_no_force(exits: Exits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "EXIT_AFTER_SIGNAL_S", 10 * LIMIT_S)
    with Shutdown() as ending:
        ending.handle_signals()
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
        await ending.run_until_first(ending.requested.wait(), asyncio.Event().wait())
    [timer] = ending._timers
    await asyncio.to_thread(timer.join, LIMIT_S)
    assert not timer.is_alive() and exits.failures == [], "the deadline is called off"


def test_the_deadlines_are_those_that_are_promised() -> None:
    assert DRAIN_TIMEOUT_S + 4 <= EXIT_AFTER_SIGNAL_S <= 20 - 3 and EXIT_AFTER_ERROR_S + 2 < 5, "2 s are the engine's"
