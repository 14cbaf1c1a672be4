"""How fast the engine is, and what holds it up: told from time to time. Clocks are handed in."""

import time
from collections.abc import Callable

from core.engine import processor
from core.engine.prefill_budget import MIN_MEASURED_IDS
from core.engine.protocol import Throughput

REPORT_EVERY_S = 3.0
"""Seconds of work from one telling to the next."""
IDLE_RESET_S = 0.5
"""Seconds without a step after which it is measured from the beginning: what idles gets less of the processor, too."""
NEW_RATE_WEIGHT = 0.3
"""Of a new figure in the mean."""

ReadCpuTimes = Callable[[], tuple[float, float]]
"""Seconds of processor time that the engine and that all others have used so far."""


def cpu_times() -> tuple[float, float]:
    """This machine's."""
    return time.process_time(), processor.other_cpu_s()


class ThroughputMeter:
    """Told of every step; makes a Speed of some seconds of them."""

    def __init__(self, cores: int, read_times: ReadCpuTimes = cpu_times) -> None:
        self._cores, self._times = cores, read_times
        self._read = self._drawn = 0.0
        self._ended = -IDLE_RESET_S - 1
        self._since = 0.0
        self._before = (0.0, 0.0)

    def begin(self, now: float) -> None:
        """A step begins."""
        if now - self._ended > IDLE_RESET_S:
            self._since, self._before = now, self._times()

    def end(self, now: float, seconds: float, read: int, drawn: int) -> Throughput | None:
        """The step has ended, took so long, read so many ids of prompts and drew so many tokens."""
        self._ended = now
        if read >= MIN_MEASURED_IDS and seconds > 0:
            self._read = _mean(self._read, read / seconds)
        elif drawn and not read and seconds > 0:
            self._drawn = _mean(self._drawn, 1 / seconds)
        passed = now - self._since
        if passed < REPORT_EVERY_S:
            return None
        own, others = (max(0.0, after - before) for after, before in zip(self._times(), self._before, strict=True))
        self._since, self._before = now, self._times()
        return Throughput(self._read, self._drawn, own / passed, others / passed, self._cores)


def _mean(known: float, new: float) -> float:
    return known + NEW_RATE_WEIGHT * (new - known) if known else new
