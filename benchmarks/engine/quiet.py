"""Whether the machine is quiet: figures that were taken beside other work say nothing."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self, TypeVar

import psutil

MOST = 10.0
"""Percent of all cores' time that others may take."""
LOOKING = 2.0
TRIES = 3
"""So often a round is measured that others disturb."""

T = TypeVar("T")


class Refused(Exception):
    """One line for whoever measures."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds of the cores since the machine's start: all of them, those at work, and those at our work."""

    whole: float
    busy: float
    ours: float

    @classmethod
    def now(cls) -> Self:
        times = psutil.cpu_times()
        busy = times.user + times.nice + times.system + times.irq + times.softirq
        return cls(busy + times.idle + times.iowait + times.steal, busy, ours())

    def others(self, before: Self) -> float:
        """Percent that others have taken since then."""
        return 100 * self.share(self.busy - self.ours - (before.busy - before.ours), before)

    def own(self, before: Self) -> float:
        """Percent that we have."""
        return 100 * self.share(self.ours - before.ours, before)

    def share(self, seconds: float, before: Self) -> float:
        return max(0.0, seconds) / max(self.whole - before.whole, 0.01)


def ours() -> float:
    """This process and all that came of it, ended ones included."""
    seconds = 0.0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.Error):
            seconds += sum(process.cpu_times()[:4])
    return seconds


class Guard:
    """Refuses to measure beside others, unless `forced`; `worst` is the most that they took of a measurement."""

    def __init__(self, forced: bool) -> None:
        self.forced, self.worst, self.idle = forced, 0.0, 0.0

    def look(self, times: int = 1) -> None:
        """Before anything is measured, and between measurements; what passes is waited for, if told so. All that is
        ours should be idle then: `idle` is what it takes even so."""
        others = 0.0
        for _ in range(times):
            before = Taken.now()
            time.sleep(LOOKING)
            now = Taken.now()
            others, self.idle = now.others(before), max(self.idle, now.own(before))
            if others <= MOST or self.forced:
                return
        raise Refused(f"refused: other processes take {others:.0f} % of the CPU, and {MOST:.0f} % is the most allowed")

    def quietly(self, measure: Callable[[], T]) -> T:
        """What `measure` gives, done again where others took too much meanwhile."""
        for _ in range(TRIES):
            before = Taken.now()
            result = measure()
            others = Taken.now().others(before)
            if others <= MOST or self.forced:
                self.worst = max(self.worst, others)
                return result
            print(f"  others took {others:.0f} % of the CPU meanwhile: again", file=sys.stderr)
        raise Refused(f"refused: other processes took more than {MOST:.0f} % of the CPU, {TRIES} times in a row")
