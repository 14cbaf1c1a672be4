"""Measures the engine's speed and processor use, for the log and /status. Clocks are handed in."""

import time
from collections.abc import Callable, Sequence

from core.engine import processor
from core.engine.prefill_budget import MIN_MEASURED_IDS
from core.engine.protocol import Throughput

REPORT_EVERY_S = 3.0
"""Seconds of work between two reports."""
IDLE_RESET_S = 0.5
"""A longer pause between steps starts a new measurement: an idle engine uses less of the processor."""
NEW_RATE_WEIGHT = 0.3
"""Weight of a new rate in the moving average."""

ReadCpuTimes = Callable[[], tuple[float, float]]
"""Returns the processor seconds used so far by this process and by all others."""


def cpu_times() -> tuple[float, float]:
    """The processor seconds used so far by this process and by all others."""
    return time.process_time(), processor.other_cpu_s()


class ThroughputMeter:
    """Collects steps and makes a Throughput of every few seconds of work."""

    def __init__(self, cores: int, read_times: ReadCpuTimes = cpu_times) -> None:
        self._cores, self._times = cores, read_times
        self._prefill_rate = self._decode_rate = 0.0
        self._ended = -IDLE_RESET_S - 1
        self._since = 0.0
        self._before = (0.0, 0.0)

    def begin(self, now: float) -> None:
        """A step begins at `now`, in seconds."""
        if now - self._ended > IDLE_RESET_S:
            self._since, self._before = now, self._times()

    def end(self, now: float, seconds: float, prefilled: int, sampled: Sequence[int]) -> Throughput | None:
        """A step has ended; returns a report if one is due.

        `seconds`: its duration; `prefilled`: prompt ids computed; `sampled`: the number of tokens of each sequence that
        got some.
        """
        self._ended = now
        if prefilled >= MIN_MEASURED_IDS and seconds > 0:
            self._prefill_rate = _average(self._prefill_rate, prefilled / seconds)
        elif sampled and not prefilled and seconds > 0:
            self._decode_rate = _average(self._decode_rate, sum(sampled) / len(sampled) / seconds)
        passed = now - self._since
        if passed < REPORT_EVERY_S:
            return None
        own, others = (max(0.0, after - before) for after, before in zip(self._times(), self._before, strict=True))
        self._since, self._before = now, self._times()
        return Throughput(self._prefill_rate, self._decode_rate, own / passed, others / passed, self._cores)


def _average(average: float, new: float) -> float:
    return average + NEW_RATE_WEIGHT * (new - average) if average else new
