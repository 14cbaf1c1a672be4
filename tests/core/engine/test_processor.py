"""How many cores may be used: what control groups grant."""

import math
from pathlib import Path

import pytest

from core.engine import processor
from tests.tables import each_row

CASES: dict[str, tuple[str, dict[str, str], float]] = {
    "version 2, all": ("0::/", {"cpu.max": "max 100000"}, math.inf),
    "version 2, two cores": ("0::/bot", {"bot/cpu.max": "200000 100000"}, 2),
    "version 2, less above": ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, 0.5),
    "version 2, seen from inside a container": ("0::/docker/1", {"cpu.max": "150000 100000"}, 1.5),
    "version 2, nothing there": ("0::/docker/1", {}, math.inf),
    "version 1": (
        "4:cpu,cpuacct:/bot\n2:memory:/bot",
        {"cpu/bot/cpu.cfs_quota_us": "300000", "cpu/bot/cpu.cfs_period_us": "100000"},
        3,
    ),
    "version 1, all": ("4:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, math.inf),
}


@each_row("case", CASES)
def test_what_control_groups_grant(tmp_path: Path, case: str) -> None:
    line, files, expected = CASES[case]
    root, cgroup = tmp_path / case / "root", tmp_path / case / "cgroup"
    root.mkdir(parents=True)
    cgroup.write_text(line + "\n")
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    assert processor.cgroup_cores(cgroup, root) == expected


def test_no_control_groups(tmp_path: Path) -> None:
    assert processor.cgroup_cores(tmp_path / "none", tmp_path) == math.inf


@each_row(("granted", "most"), [(math.inf, 1 << 20), (0.2, 1), (1.5, 2)])
def test_at_least_one_and_no_more_than_granted(monkeypatch: pytest.MonkeyPatch, granted: float, most: int) -> None:
    monkeypatch.setattr(processor, "cgroup_cores", lambda: granted)
    assert 1 <= processor.available_cores() <= most
