"""How much memory this process may still take. Imports no torch."""

from collections.abc import Iterator
from pathlib import Path

import psutil

from core.domain.errors import SetupError

GIB = 1 << 30


def require_bytes(name: str, needed: int, free: int) -> None:
    """Raise SetupError if `needed` bytes are more than `free` ones. `name`: what needs them."""
    if needed > free:
        raise SetupError(
            f"{name} needs {needed / GIB:.1f} GiB of memory, {free / GIB:.1f} GiB are free: "
            "close other programs or choose a smaller model"
        )


def available_bytes() -> int:
    """The bytes this process may still take: what the machine has free, or its control groups if that is less."""
    return max(0, min(psutil.virtual_memory().available, *cgroups_free(), 1 << 62))


def cgroups_free(cgroup: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """The free bytes of each control group around this process, version 1 or 2. Empty where there are none."""
    if not cgroup.exists():
        return
    for line in cgroup.read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            yield from levels_free(root, path, ("memory.max", "memory.current"))
        elif "memory" in controllers.split(","):
            yield from levels_free(root / "memory", path, ("memory.limit_in_bytes", "memory.usage_in_bytes"))


def levels_free(root: Path, path: str, names: tuple[str, str]) -> Iterator[int]:
    """The free bytes of a group and of those above it. Inside a container only the root may exist."""
    group = root / path.strip("/")
    for level in (group, *group.parents):
        if not level.is_relative_to(root):
            return
        limit, used = (read_limit(level / name) for name in names)
        if limit is not None and used is not None:
            yield limit - used + reclaimable(level / "memory.stat")


def reclaimable(stat: Path) -> int:
    """The bytes of cached files, which the kernel gives up on demand. total_ fields include the groups below."""
    if not stat.exists():
        return 0
    fields = dict(line.split() for line in stat.read_text().splitlines())
    return sum(int(fields.get(f"total_{name}", fields.get(name, 0))) for name in ("active_file", "inactive_file"))


def read_limit(file: Path) -> int | None:
    """The number in a control group's file; None if there is no file or no limit."""
    text = file.read_text().strip() if file.exists() else "max"
    return None if text == "max" else int(text)
