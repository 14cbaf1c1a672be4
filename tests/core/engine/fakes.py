"""Runners without a model and a channel without a pipe. Importable in a spawned process, so no torch here."""

import asyncio
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path

from core.engine.hang_detector import ProgressCounter
from core.engine.options import Report
from core.engine.prefill_budget import RunnerCosts
from core.engine.protocol import Event, Request
from core.engine.sequence import Sequence, SequenceSlice
from tests.patience import LIMIT_S

BOOM = 666
"""A prompt that ends so fails, and with it whoever is in the same step."""

HANG = 777
"""A prompt that ends so gives one token, then nothing more."""

CIRCLE = 888
"""A prompt that ends so gives one token, and then is computed for ever. Only in a process, which can be killed."""


class Counter:
    """Counts on from each sequence's last id, for ever. Its memory notes which id was computed at which position, and
    must hold the whole sequence whenever a step builds on it: nobody is ever given a block of somebody else's."""

    device = "nothing"
    weights = "integers"
    vocabulary = 1 << 20
    costs = RunnerCosts()

    def __init__(self, context: int = 1 << 17, pause: float = 0.0, blocks: int = 0, block_size: int = 16) -> None:
        self.context = context
        self.blocks = blocks or -(-context // block_size)
        self.block_size = block_size
        self._pause = pause
        self.open: dict[int, int] = {}
        """The last id of the prompt of each sequence that was computed and is not forgotten."""
        self.steps: list[list[tuple[int, int]]] = []
        """Of each step whose ids were computed, and how many."""
        self.guesses: list[list[int]] = []
        """Of each step how many of these ids were guesses."""
        self.memory: dict[int, dict[int, tuple[int, int]]] = defaultdict(dict)
        """By block and offset: position and id."""
        self.hangs = threading.Event()
        self.wake = threading.Event()
        self.progress: ProgressCounter | None = None

    def count_progress(self, progress: ProgressCounter) -> None:
        self.progress = progress

    def _count_progress(self) -> None:
        """Count up, as a real model does."""
        if self.progress:
            self.progress[0] += 1

    def run(self, batch: list[SequenceSlice]) -> dict[int, tuple[int, ...]]:
        self.steps.append([(part.sequence.id, part.rows) for part in batch])
        self.guesses.append([len(part.guesses) for part in batch])
        for part in batch:
            if part.sequence.max_length:
                self.open.setdefault(part.sequence.id, part.sequence.ids[-1])
            self._write(part)
        for part in batch:
            self._check(part)
        time.sleep(self._pause)
        self._count_progress()
        return {part.sequence.id: self._draw(part) for part in batch if part.samples_token}

    def forget(self, id: int) -> None:
        self.open.pop(id, None)

    def _write(self, part: SequenceSlice) -> None:
        sequence = part.sequence
        for position, id in enumerate(part.ids, part.start):
            block, offset = sequence.blocks[position // self.block_size], position % self.block_size
            self.memory[block][offset] = (position, id)

    def _check(self, part: SequenceSlice) -> None:
        """All that the part builds on is there, each id at its position."""
        size, whole = self.block_size, [*part.sequence.ids[: part.start], *part.ids]
        for start in range(0, len(whole), size):
            ids = whole[start : start + size]
            block = part.sequence.blocks[start // size]
            held = [self.memory[block].get(offset) for offset in range(len(ids))]
            assert held == list(enumerate(ids, start)), f"block {block} holds {held} instead of {ids} from {start} on"

    def _draw(self, part: SequenceSlice) -> tuple[int, ...]:
        """The guesses that hold, and one more."""
        tokens = [self._draw_one(part.sequence)]
        for guess in part.guesses:
            if guess != tokens[-1]:
                break
            tokens.append(guess + 1)
        return tuple(tokens)

    def _draw_one(self, sequence: Sequence) -> int:
        last, prompt = sequence.ids[-1], self.open[sequence.id]
        if prompt == last == BOOM:
            raise MemoryError("no room\nfor this")
        if prompt == HANG and last == HANG + 1:
            self.hangs.set()
            self.wake.wait(LIMIT_S)
        while prompt == CIRCLE and last == CIRCLE + 1:
            pass  # computing for ever
        return last + 1


class Loads:
    """Loads one runner after another as planned, then the last for ever; an error in the plan is raised."""

    def __init__(self, *plan: Counter | Exception) -> None:
        self.plan = list(plan)
        self.count = 0

    def __call__(self, report: Report) -> Counter:
        self.count += 1
        report("counting")
        planned = self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]
        if isinstance(planned, Exception):
            raise planned
        return planned


class Laborious(Counter):
    """Its step computes layer by layer, each some processor time, and gets on with each, until a file is there."""

    def __init__(self, enough: Path) -> None:
        super().__init__()
        self._enough = enough

    def run(self, batch: list[SequenceSlice]) -> dict[int, tuple[int, ...]]:
        while not self._enough.exists():
            ends = time.process_time() + 0.005
            while time.process_time() < ends:
                pass
            self._count_progress()
        return super().run(batch)


def load_laborious(enough: Path, report: Report) -> Laborious:
    return Laborious(enough)


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
        self.requests: deque[Request] = deque()
        self.sent: list[Event] = []
        self.waits: list[float | None] = []

    def send(self, message: Event, /) -> None:
        self.sent.append(message)

    def poll(self, timeout: float | None, /) -> bool:
        self.waits.append(timeout)
        return bool(self.requests)

    def recv(self) -> Request:
        return self.requests.popleft()

    def close(self) -> None:
        self.requests.clear()

    def events(self) -> list[Event]:
        """What was sent since the last look."""
        taken, self.sent = self.sent, []
        return taken
