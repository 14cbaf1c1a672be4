"""Tells a hung worker from a slow one, by its progress and its processor time. Measurements are handed in.

A worker is alive as long as it makes progress, layer by layer, however slowly. It hangs if it uses the processor
without progress (an endless loop) or if it neither makes progress nor uses the processor (a deadlock).
"""

import ctypes
from dataclasses import dataclass
from typing import TypeAlias

ProgressCounter: TypeAlias = "ctypes.Array[ctypes.c_int64]"
"""One number in shared memory, counted up by the worker as it computes."""

LOOKS_PER_TIMEOUT = 10
"""Measurements within one progress timeout."""
BUSY_LOOP_SHARE = 0.5
"""Share of the timeout, in processor seconds and in measurements, that a worker may compute without progress. All but
one of its threads may be waiting for that one."""
IDLE_CPU_SHARE = 0.01
"""Share of one core. A worker that uses less for a whole timeout without progress is deadlocked."""


@dataclass(frozen=True, slots=True)
class WorkerActivity:
    """One measurement: the progress counter, processor seconds (None if unknown), and whether it waits for a disk."""

    progress: int
    cpu_s: float | None = None
    waits_for_disk: bool = False


class HangDetector:
    """Decides from measurements, LOOKS_PER_TIMEOUT within `timeout_s` seconds, whether a worker hangs.

    Measurements are counted instead of seconds: after a Ctrl-Z of the whole program much time has passed, but the
    worker could not run either.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._last_progress: WorkerActivity | None = None
        self._looks = 0

    def reset(self) -> None:
        """Start over: no sequence waits, or an event has come."""
        self._last_progress, self._looks = None, 0

    def is_hung(self, now: WorkerActivity) -> bool:
        """Add a measurement. To be called only while a sequence waits for its next token."""
        since = self._last_progress
        if since is None or since.progress != now.progress:
            self._last_progress, self._looks = now, 0
            return False
        self._looks += 1
        if now.cpu_s is None or since.cpu_s is None:
            return self._looks >= LOOKS_PER_TIMEOUT
        if now.waits_for_disk:
            return False
        used = now.cpu_s - since.cpu_s
        loops = used >= BUSY_LOOP_SHARE * self._timeout_s and self._looks >= LOOKS_PER_TIMEOUT * BUSY_LOOP_SHARE
        idle = used < IDLE_CPU_SHARE * self._looks * self._timeout_s / LOOKS_PER_TIMEOUT
        deadlocked = idle and self._looks >= LOOKS_PER_TIMEOUT
        return loops or deadlocked
