"""The peer's side of the conversation: a JSON line for each workload, on the original standard output.

Runs in any Python: a peer may have a virtual environment of its own, without our packages.
"""

import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Workload = dict[str, Any]
Answer = dict[str, Any]
Peer = Callable[[Workload], Answer]

FIRST_ID, LAST_ID = 1_000, 20_000
"""The range of random prompt ids: ordinary tokens in every model."""


def serve(load: Callable[[], tuple[Peer, Answer]]) -> None:
    """Load the peer, write what `load` tells of it, and answer workloads until the input ends.

    What libraries print goes to standard error.
    """
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)
        peer, about = load()
        write_line(out, about)
        for line in sys.stdin:
            write_line(out, peer(json.loads(line)))


def write_line(out: Any, answer: Answer) -> None:
    out.write(json.dumps(answer | {"rss_mb": peak_mb()}) + "\n")
    out.flush()


def peak_mb(pid: int | str = "self") -> float:
    """The peak memory of a process in MB, mapped files included."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def prompt(length: int, seed: str) -> list[int]:
    """Random ids, the same for every peer and different for every seed."""
    draw = random.Random(seed)
    return [draw.randrange(FIRST_ID, LAST_ID) for _ in range(length)]


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def physical_cores() -> int:
    """The number of threads that llama.cpp's own programs use: one per core, without hyperthreads."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = [
        line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith(("physical id", "core id"))
    ]
    return min(available_cores(), len(set(zip(fields[::2], fields[1::2], strict=False))) or available_cores())
