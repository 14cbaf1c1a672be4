"""Where .env, data and cache lie: in a clone beside the code, elsewhere where the system keeps a person's files."""

from pathlib import Path

import pytest

from bots import config as config_module
from bots.config import Config
from bots.folders import FOLDERS, Folders, find_folders
from storage.database import ROOT


@pytest.fixture(autouse=True)
def no_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner's own is not for tests."""
    monkeypatch.setitem(Config.model_config, "env_file", None)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system's own folders."""
    for name in ("CONFIG", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    return tmp_path


def test_a_clone_keeps_everything_beside_the_code(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    assert find_folders(tmp_path) == Folders(tmp_path, tmp_path / "data", tmp_path / "data")


def test_an_installed_package_keeps_to_the_systems_folders(system: Path) -> None:
    site_packages = system / "site-packages"
    assert find_folders(site_packages) == Folders(
        system / "config" / "qwentin", system / "data" / "qwentin", system / "cache" / "qwentin"
    )


def test_the_tests_run_from_a_clone() -> None:
    assert find_folders(ROOT) == FOLDERS and FOLDERS.data == ROOT / "data"


def test_models_lie_in_the_cache_unless_a_data_folder_is_named(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA_DIR", raising=False)
    clone = Config()
    assert clone.model_cache == ROOT / "data" / "models"
    installed = find_folders(system / "site-packages")
    monkeypatch.setattr(config_module, "FOLDERS", installed)
    config = Config(data_dir=installed.data)
    assert config.model_cache == system / "cache" / "qwentin" / "models"
    assert Config(data_dir=Path("mine")).model_cache == Path("mine/models")
