"""Whether a worker that keeps somebody waiting hangs, or is only slow. Pure: what it does is handed in.

It is alive as long as it gets on, layer by layer, however long that takes. One that is starved to some hundredths of a
processor gets on, too; one that uses much and does not get on runs in a circle; one that uses nothing stands still.
"""

import ctypes
from dataclasses import dataclass
from typing import TypeAlias

ProgressCounter: TypeAlias = "ctypes.Array[ctypes.c_int64]"
"""One number that a worker counts up as it gets on, in memory that both sides see."""

LOOKS_PER_TIMEOUT = 10
"""How often it is looked at before patience ends."""
BUSY_LOOP_SHARE = 0.5
"""Of the patience, in seconds of processor time and as many of waiting, without getting on: a circle. (Of many threads
all but one may be waiting for that one.)"""
IDLE_CPU_SHARE = 0.01
"""Of a processor: what uses less, for all of the patience, stands still."""


@dataclass(frozen=True, slots=True)
class WorkerActivity:
    """What a look shows: how often it got on, the processor time that it has used, and whether it waits for a disk.
    None: can't be known."""

    progress: int
    cpu_s: float | None = None
    waits_for_disk: bool = False


class HangDetector:
    """Told at every look, LOOKS of them in `patience` seconds. (Looks are counted, not seconds: after a Ctrl-Z of
    everything one may come at once, and must not count for more.)"""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since: WorkerActivity | None = None
        """When it last got on."""
        self._looks = 0

    def reset(self) -> None:
        """It gave a sign of life."""
        self._since, self._looks = None, 0

    def is_hung(self, now: WorkerActivity) -> bool:
        """Whether it is to be given up. Only while somebody waits."""
        since = self._since
        if since is None or since.progress != now.progress:
            self._since, self._looks = now, 0
            return False
        self._looks += 1
        if now.cpu_s is None or since.cpu_s is None:
            return self._looks >= LOOKS_PER_TIMEOUT
        used = now.cpu_s - since.cpu_s
        if now.waits_for_disk:
            return False
        circling = used >= BUSY_LOOP_SHARE * self._patience and self._looks >= LOOKS_PER_TIMEOUT * BUSY_LOOP_SHARE
        still = (
            used < IDLE_CPU_SHARE * self._looks * self._patience / LOOKS_PER_TIMEOUT
            and self._looks >= LOOKS_PER_TIMEOUT
        )
        return circling or still
