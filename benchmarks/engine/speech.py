"""What a peer says: a JSON line for each that it is asked, on the standard output it was started with.

Any Python runs this file: a peer may live in a virtual environment of its own, where nothing of ours is installed.
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
"""Prompts are drawn from ids that every model has and that mean nothing to any."""


def serve(load: Callable[[], tuple[Peer, Answer]]) -> None:
    """Load, say so with what `load` tells of the peer, and answer until there is nothing more to read.

    What libraries print goes to the standard error.
    """
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)
        peer, about = load()
        say(out, about)
        for line in sys.stdin:
            say(out, peer(json.loads(line)))


def say(out: Any, answer: Answer) -> None:
    out.write(json.dumps(answer | {"rss_mb": peak_mb()}) + "\n")
    out.flush()


def peak_mb(pid: int | str = "self") -> float:
    """The most memory that a process has held so far, mapped files included."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def prompt(length: int, seed: str) -> list[int]:
    """The same ids for every peer, others for every chat of every round."""
    draw = random.Random(seed)
    return [draw.randrange(FIRST_ID, LAST_ID) for _ in range(length)]


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))


def physical_cores() -> int:
    """As llama.cpp's own programs choose their number of threads: two hyperthreads of a core are one."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = [
        line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith(("physical id", "core id"))
    ]
    return min(cores(), len(set(zip(fields[::2], fields[1::2], strict=False))) or cores())
