"""What the kernels are compiled to is kept, and whatever happens to it, the start goes on. Each start is a process of
its own; of the kernels the one that draws is compiled."""

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numba.core.dispatcher import Dispatcher

from core.engine.kernels import cache, dense, sampling, step
from tests.patience import LIMIT_S
from tests.real import KERNELS
from tests.tables import each_row

pytestmark = pytest.mark.xdist_group("kernel cache")
ROOT = Path(__file__).parents[4]
START = """
import sys
from pathlib import Path
import numpy as np
from core.engine.kernels import cache, sampling
from core.engine.kernels.team import ThreadTeam

logits = np.array([[1.0, 3.0, 2.0], [9.0, -1.0, 9.5]], np.float32)
tokens = np.empty(2, np.int64)
folder = Path(sys.argv[1]) if sys.argv[1:] else None
try:
    with cache.kernel_cache(folder, lambda: print("compiling")):
        rules, no_ids = np.zeros(2, sampling.RULE_RECORD), np.empty(0, np.int64)
        ThreadTeam(1).run(sampling.sample_rows, 1, logits, rules, no_ids, tokens)
except Exception as error:
    print("failed", type(error).__name__)
else:
    print(*tokens, "from the folder" if sampling.sample_rows.stats.cache_hits else "compiled")
"""
COMPILED, KEPT = ["compiling", "1 2 compiled"], ["1 2 from the folder"]


def start(folder: Path | None) -> list[str]:
    """What it says."""
    arguments = [sys.executable, "-W", "error", "-c", START, *([str(folder)] if folder else [])]
    found = subprocess.run(arguments, check=False, cwd=ROOT, timeout=LIMIT_S, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after a first start."""
    folder = tmp_path_factory.mktemp("cache")
    assert start(folder) == COMPILED
    return folder


@pytest.fixture
def copied(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Copies it, as often as it is called."""
    return lambda: Path(shutil.copytree(filled, tmp_path_factory.mktemp("copy") / "cache"))


@pytest.fixture
def folder(copied: Callable[[], Path]) -> Path:
    """A copy of it."""
    return copied()


@pytest.mark.slow
def test_compiled_once(folder: Path) -> None:
    assert start(folder) == KEPT
    assert [path.name for path in folder.iterdir()] == ["kernels"]
    assert [path.name for path in (folder / "kernels").iterdir()] == [cache.fingerprint()]


@pytest.mark.slow
def test_without_a_folder() -> None:
    assert start(None) == COMPILED


@pytest.mark.slow
def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert start(tmp_path / "file") == COMPILED
    assert (tmp_path / "file").read_text() == "no folder"


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "garbage": lambda content: bytes(range(256)) * (len(content) // 256 + 1),
}


@pytest.mark.slow
@each_row(("damage", "suffix"), [("cut", ".nbc"), ("garbage", ".nbc"), ("garbage", ".nbi")])
def test_a_damaged_folder(copied: Callable[[], Path], damage: str, suffix: str) -> None:
    """This start may have to do without the kernels; the next is a good one."""
    folder = copied()
    (file,) = folder.rglob(f"*{suffix}")
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    said = start(folder)
    if "failed" in said[-1]:
        assert not any(folder.rglob("*.nb?"))
        said = start(folder)
    assert said[-1] == COMPILED[-1]
    assert start(folder) == KEPT


@pytest.mark.slow
@each_row("suffix", [".nbc", ".nbi"])
def test_a_file_is_lost(copied: Callable[[], Path], suffix: str) -> None:
    folder = copied()
    (file,) = folder.rglob(f"*{suffix}")
    file.unlink()
    assert start(folder)[-1] == COMPILED[-1]


@pytest.mark.slow
def test_what_older_kernels_left_is_deleted(folder: Path) -> None:
    """And nothing else."""
    old = folder / "kernels" / "0123456789abcdef"
    (old / "deep").mkdir(parents=True)
    (old / "deep" / "step.nbc").write_bytes(b"old")
    (folder / "tuning-0123456789abcdef.json").write_text("{}")
    assert start(folder) == KEPT
    assert old.exists(), "another version may be running"
    long_ago = time.time() - cache.UNUSED_AFTER_S - 60
    os.utime(old, (long_ago, long_ago))
    assert start(folder) == KEPT
    assert not old.exists() and (folder / "tuning-0123456789abcdef.json").exists()


def test_the_fingerprint_is_that_of_these_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of every line of them, of the libraries and of the processor."""
    source = Path(cache.__file__).parent
    before = cache.fingerprint()
    copied = Path(shutil.copytree(source, tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__")))
    found = {before}
    with monkeypatch.context() as patch:
        patch.setattr(cache, "__file__", str(copied / "cache.py"))
        assert cache.fingerprint() == before, "wherever they lie"
        for file in sorted(copied.glob("*.py")):
            file.write_text(file.read_text() + "\n# changed\n")
            found.add(cache.fingerprint())
    for name, value in (("version", lambda library: "0.0"), ("machine", Other)):
        with monkeypatch.context() as patch:
            patch.setattr(cache, name, value)
            found.add(cache.fingerprint())
    assert len(found) == 1 + len(list(copied.glob("*.py"))) + 2
    assert all(len(each) == 16 and int(each, 16) >= 0 for each in found)


class Other:
    """In place of the module `machine`."""

    @staticmethod
    def instruction_set() -> str:
        return "another"


def test_a_failure_is_not_swallowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And takes what may have caused it along."""
    monkeypatch.setattr(cache, "cache_in", lambda folder, *kernels: None)
    told: list[str] = []
    with pytest.raises(RuntimeError, match="damaged"), cache.kernel_cache(tmp_path, lambda: told.append("compiling")):
        (file,) = (tmp_path / "kernels").iterdir()
        (file / "step.nbc").write_bytes(b"damaged")
        raise RuntimeError("damaged")
    assert told == ["compiling"] and not list((tmp_path / "kernels").iterdir())


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_is_read_only(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    assert start(folder)[-1].startswith("1 2")


def dispatchers() -> dict[int, Any]:
    """Every function of the kernels that numba compiles, those that others are made of among them."""
    found: dict[int, Any] = {}

    def look(thing: object) -> None:
        if isinstance(thing, Dispatcher) and id(thing) not in found:
            found[id(thing)] = thing
            cells = thing.py_func.__closure__ or ()
            for inner in (*(cell.cell_contents for cell in cells), *thing.py_func.__globals__.values()):
                look(inner)

    for module in (step, sampling, dense):
        for thing in vars(module).values():
            look(thing)
    return found


def test_no_two_functions_have_the_same_name() -> None:
    """By its name, and a number that is counted anew in each process, numba finds what one function calls: of two that
    were compiled in different processes and kept, one would call what the other is made of, and crash."""
    names = Counter(f"{each.py_func.__module__}.{each.py_func.__qualname__}" for each in dispatchers().values())
    assert [name for name, count in names.items() if count > 1] == []
    assert len(names) > 50, "all of them were found"


def test_these_tests_keep_theirs() -> None:
    """So that later runs have nothing to compile."""
    assert (KERNELS / "kernels" / cache.fingerprint()).is_dir()
