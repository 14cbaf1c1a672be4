"""Checks that the machine is quiet: figures measured beside other programs say nothing."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self, TypeVar

import psutil

MAX_OTHERS_PERCENT = 10.0
"""Processor time that other programs may take, in percent of all cores."""
LOOK_S = 2.0
MAX_ATTEMPTS = 6
"""Attempts at an answer that other programs disturb."""

T = TypeVar("T")


class Refused(Exception):
    """The machine is not quiet: one line for the user."""


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Processor seconds of all cores since the machine's start: in all, busy, and used by the benchmark."""

    whole: float
    busy: float
    ours: float

    @classmethod
    def now(cls) -> Self:
        times = psutil.cpu_times()
        busy = times.user + times.nice + times.system + times.irq + times.softirq
        return cls(busy + times.idle + times.iowait + times.steal, busy, own_seconds())

    def others(self, before: Self) -> float:
        """Percent that other programs have taken since `before`."""
        return 100 * self.share(self.busy - self.ours - (before.busy - before.ours), before)

    def own(self, before: Self) -> float:
        """Percent that the benchmark has taken since `before`."""
        return 100 * self.share(self.ours - before.ours, before)

    def share(self, seconds: float, before: Self) -> float:
        return max(0.0, seconds) / max(self.whole - before.whole, 0.01)


def own_seconds() -> float:
    """Processor seconds of this process and all its descendants, ended ones included."""
    seconds = 0.0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.Error):
            seconds += sum(process.cpu_times()[:4])
    return seconds


class Guard:
    """Refuses to measure beside other programs, unless `forced`.

    `worst`: the most that they took during a measurement, in percent. `idle`: the most that the idle benchmark took.
    """

    def __init__(self, forced: bool) -> None:
        self.forced, self.worst, self.idle = forced, 0.0, 0.0

    def look(self, times: int = 1) -> None:
        """Check that the machine is quiet, before and between measurements, up to `times` times.

        Raises Refused if it never is. All processes of the benchmark should be idle meanwhile.
        """
        others = 0.0
        for _ in range(times):
            before = CpuTimes.now()
            time.sleep(LOOK_S)
            now = CpuTimes.now()
            others, self.idle = now.others(before), max(self.idle, now.own(before))
            if others <= MAX_OTHERS_PERCENT or self.forced:
                return
        raise Refused(
            f"refused: other processes take {others:.0f} % of the CPU, "
            f"and {MAX_OTHERS_PERCENT:.0f} % is the most allowed"
        )

    def quietly(self, measure: Callable[[], T]) -> T:
        """The result of `measure`, repeated while other programs take too much. Raises Refused after MAX_ATTEMPTS."""
        for _ in range(MAX_ATTEMPTS):
            before = CpuTimes.now()
            result = measure()
            others = CpuTimes.now().others(before)
            if others <= MAX_OTHERS_PERCENT or self.forced:
                self.worst = max(self.worst, others)
                return result
            print(f"  others took {others:.0f} % of the CPU meanwhile: again", file=sys.stderr)
        raise Refused(
            f"refused: other processes took more than {MAX_OTHERS_PERCENT:.0f} % of the CPU, "
            f"{MAX_ATTEMPTS} times in a row"
        )
