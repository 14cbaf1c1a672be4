"""The processor's time, and who uses it."""

import math
import os
from pathlib import Path

import psutil

_KINDS = ("user", "nice", "system", "irq", "softirq", "steal")


def own_cpu_s() -> float:
    """Seconds that this process has used."""
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


def other_cpu_s() -> float:
    """Seconds that all but this process have used since the machine was started: other programs, however nice they are,
    the system's own work, and other machines on the same hardware."""
    whole = psutil.cpu_times()
    return sum(float(getattr(whole, kind, 0.0)) for kind in _KINDS) - own_cpu_s()


def available_cores() -> int:
    """How many this process may use, by its affinity and by its control group's quota."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(found, cgroup_cores() + 0.99)))


def cgroup_cores(cgroup: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> float:
    """Cores that the control groups around this process, version 2 or 1, grant it; infinite where they grant all."""
    granted = [math.inf]
    for line in cgroup.read_text().splitlines() if cgroup.exists() else ():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            granted += [_granted(level / "cpu.max") for level in _levels(root, path)]
        elif "cpu" in controllers.split(","):
            names = "cpu.cfs_quota_us", "cpu.cfs_period_us"
            granted += [_granted(*(level / name for name in names)) for level in _levels(root / "cpu", path)]
    return min(granted)


def _levels(root: Path, path: str) -> list[Path]:
    """The group and those above it; inside a container only the root may be there."""
    group = root / path.strip("/")
    return [level for level in (group, *group.parents) if level.is_relative_to(root)]


def _granted(*files: Path) -> float:
    """Quota by period, in one file or in two."""
    if not all(file.exists() for file in files):
        return math.inf
    words = " ".join(file.read_text() for file in files).split()
    return math.inf if words[0] in ("max", "-1") else int(words[0]) / int(words[1])
