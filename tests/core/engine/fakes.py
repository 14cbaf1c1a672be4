"""Runners without a model and a channel without a pipe. Importable in a spawned process, so no torch here."""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable, Generator
from threading import Event

from core.engine.loader import Report
from core.engine.messages import News, Order
from core.engine.sampling import Sampling

BOOM = 666
"""A prompt that ends so fails."""

HANG = 777
"""A prompt that ends so gives one token, then nothing more."""

LONG = 512


class Counter:
    """Counts on from the last id of the prompt, for ever, 512 tokens of prompt a step. Notes what is open."""

    device = "nothing"
    weights = "integers"

    def __init__(self, context: int = 1 << 30, pause: float = 0.0) -> None:
        self.context = context
        self.pause = pause
        self.open: list[int] = []
        self.wake = Event()

    def generate(self, ids: tuple[int, ...], sampling: Sampling) -> Generator[int | None, None, None]:
        self.open.append(ids[0])
        try:
            yield from [None] * ((len(ids) - 1) // LONG)
            yield from self.count(ids[-1])
        finally:
            self.open.remove(ids[0])

    def count(self, last: int) -> Generator[int, None, None]:
        if last == BOOM:
            raise MemoryError("no room\nfor this")
        while True:
            time.sleep(self.pause)
            last += 1
            yield last
            if last == HANG + 1:
                self.wake.wait(30)


def load(report: Report) -> Counter:
    report("counting")
    return Counter()


def load_slowly(report: Report) -> Counter:
    """With a pause after each token, so that an endless answer stays small."""
    return Counter(pause=0.005)


def load_never(report: Report) -> Counter:
    report("thinking")
    time.sleep(60)
    raise AssertionError


def load_with_heavy(report: Report) -> Counter:
    """Reports whether the main script was run in this process."""
    report(f"heavy={'heavy' in sys.modules} torch={'torch' in sys.modules}")
    return Counter()


async def until(so: Callable[[], object]) -> None:
    """Wait for what has no event of its own; the test's own limit ends a wait in vain."""
    while not so():
        await asyncio.sleep(0.005)


class Pipeless:
    """A worker's end: what it sends is kept, what it receives is put in by hand; polling never waits."""

    def __init__(self) -> None:
        self.orders: deque[Order] = deque()
        self.sent: list[News] = []
        self.waits: list[float | None] = []

    def send(self, message: News, /) -> None:
        self.sent.append(message)

    def poll(self, timeout: float | None, /) -> bool:
        self.waits.append(timeout)
        return bool(self.orders)

    def recv(self) -> Order:
        return self.orders.popleft()

    def close(self) -> None:
        self.orders.clear()

    def news(self) -> list[News]:
        """What was sent since the last look."""
        taken, self.sent = self.sent, []
        return taken
