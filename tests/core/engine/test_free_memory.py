"""What is free, and the refusal of what needs more."""

from pathlib import Path

import pytest

from core.domain.errors import SetupError
from core.engine import free_memory as memory


def written(path: Path, text: str | int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def group(folder: Path, limit: str | int, used: int, stat: str = "") -> None:
    written(folder / "memory.max", limit)
    written(folder / "memory.current", used)
    written(folder / "memory.stat", stat)


def test_require() -> None:
    memory.require_bytes("it", 5, 5)
    with pytest.raises(
        SetupError, match=r"^it needs 3\.5 GiB of memory, 2\.0 GiB are free: close other programs or choose a smaller"
    ):
        memory.require_bytes("it", 7 << 29, 2 << 30)


def test_available() -> None:
    assert 0 < memory.available_bytes() < 1 << 60


def test_control_groups_version_2(tmp_path: Path) -> None:
    root = tmp_path / "sys"
    group(root / "a", 1000, 600, "anon 500\nactive_file 50\ninactive_file 25")
    group(root / "a/b", "max", 300)
    written(tmp_path / "cgroup", "0::/a/b")
    assert list(memory.cgroups_free(tmp_path / "cgroup", root)) == [475]


def test_control_groups_version_1_inside_a_container(tmp_path: Path) -> None:
    root = tmp_path / "sys"
    written(root / "memory/memory.limit_in_bytes", 1000)
    written(root / "memory/memory.usage_in_bytes", 600)
    written(root / "memory/memory.stat", "inactive_file 1\ntotal_inactive_file 100")
    written(tmp_path / "cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/0123\n0::/")
    assert list(memory.cgroups_free(tmp_path / "cgroup", root)) == [500]


def test_no_control_groups(tmp_path: Path) -> None:
    assert not list(memory.cgroups_free(tmp_path / "none", tmp_path))
