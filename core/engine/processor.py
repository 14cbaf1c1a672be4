"""The processor: time used by this process and by others, and the cores that this process may use."""

import math
import os
from pathlib import Path

import psutil

_KINDS = ("user", "nice", "system", "irq", "softirq", "steal")


def own_cpu_s() -> float:
    """Processor seconds used by this process."""
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


def other_cpu_s() -> float:
    """Processor seconds used by everything else since the machine's start: programs of any niceness, the kernel, and
    other virtual machines on the same hardware."""
    whole = psutil.cpu_times()
    return sum(float(getattr(whole, kind, 0.0)) for kind in _KINDS) - own_cpu_s()


def available_cores() -> int:
    """The cores that this process may use, by its affinity and by its control groups' quotas."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(found, cgroup_cores() + 0.99)))


def cgroup_cores(cgroup: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> float:
    """The cores that the control groups around this process allow, version 2 or 1. Infinite without a quota."""
    limits = [math.inf]
    for line in cgroup.read_text().splitlines() if cgroup.exists() else ():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            limits += [_cores_of(level / "cpu.max") for level in _levels(root, path)]
        elif "cpu" in controllers.split(","):
            names = "cpu.cfs_quota_us", "cpu.cfs_period_us"
            limits += [_cores_of(*(level / name for name in names)) for level in _levels(root / "cpu", path)]
    return min(limits)


def _levels(root: Path, path: str) -> list[Path]:
    """The folder of a group and those above it. Inside a container only the root may exist."""
    group = root / path.strip("/")
    return [level for level in (group, *group.parents) if level.is_relative_to(root)]


def _cores_of(*files: Path) -> float:
    """The cores of one group: quota divided by period, in one file or in two."""
    if not all(file.exists() for file in files):
        return math.inf
    words = " ".join(file.read_text() for file in files).split()
    return math.inf if words[0] in ("max", "-1") else int(words[0]) / int(words[1])
