"""The command `qwentin` as people run it: pipes, exit codes, one clear line a mistake, a person at a terminal."""

import json
import math
import os
import shlex
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pexpect
import pytest

from core.checkpoints.architecture import Architecture
from storage.database import ROOT
from tests.core.engine.tiny import save
from tests.patience import LIMIT_S
from tests.real import CACHE

QWENTIN = [sys.executable, "-m", "bots"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A deployment of the test's own: an empty data folder, the tests' converted model, no hub."""
    data = tmp_path / "data"
    data.mkdir()
    CACHE.mkdir(parents=True, exist_ok=True)
    (data / "models").symlink_to(CACHE)
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**keep, "PYTHONPATH": str(ROOT), "DATA_DIR": str(data), "MODEL": "builtin", "HF_HUB_OFFLINE": "1",
            "PROMPT_TOOLKIT_NO_CPR": "1", "THREADS": "1",
            "HF_HOME": str(tmp_path / "hub"), "LANG": "C.UTF-8", "TERM": "xterm"}  # fmt: skip


def run(environment: dict[str, str], *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*QWENTIN, *words], input=said, env=environment, cwd=environment["DATA_DIR"], capture_output=True, text=True,
        timeout=LIMIT_S, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_pipe_gets_the_answer_alone_and_talks_go_on(environment: dict[str, str]) -> None:
    first = run(environment, "console", "-o", "temperature=0", said="My name is Zebulon. Say hello to me.\n")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.strip() and "\x1b" not in first.stdout
    again = run(environment, "console", "-c", said="/temp\n/undo\n")
    assert (again.returncode, again.stderr) == (0, "")
    assert "Temperature: 0 (set here by" in again.stdout and "Zebulon" in again.stdout


@pytest.mark.slow
def test_no_token_is_the_console_and_the_default_model_gives_way(environment: dict[str, str]) -> None:
    del environment["MODEL"]
    done = run(environment | {"TEMPERATURE": "0.1"}, said="hello\n/temp 0\n/settings\n")
    assert done.returncode == 0
    assert "Qwen2.5-1.5B-Instruct" in done.stderr and "built-in" in done.stderr
    assert "Temperature: 0.1 → 0." in done.stdout and "Temperature: 0 (set here by" in done.stdout


@pytest.mark.slow
def test_version_and_help(environment: dict[str, str]) -> None:
    assert run(environment, "--version").stdout == "0.1.0\n"
    helped = run(environment, "console", "--help")
    assert helped.returncode == 0 and "--continue" in helped.stdout
    assert run(environment, "--nonsense").returncode == 2


def mistral(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "mistral"}')


def with_tokenizer(folder: Path) -> Path:
    """A tiny model with random weights, and the built-in model's tokenizer."""
    save(folder)
    converted = next(CACHE.rglob("tokenizer.json")).parent
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).symlink_to(converted / name)
    return folder


def pickled(folder: Path) -> None:
    (with_tokenizer(folder) / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")


def truncated(folder: Path) -> None:
    weights = with_tokenizer(folder) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def empty(folder: Path) -> None:
    """A folder without anything."""


MODELS: dict[str, tuple[Callable[[Path], None], str]] = {
    "unsupported family": (mistral, "mistral"),
    "pickled weights": (pickled, "safetensors"),
    "damaged file": (truncated, "damaged"),
    "no model": (empty, "config.json"),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MODELS)
def test_a_model_that_cannot_be_used(environment: dict[str, str], tmp_path: Path, mistake: str) -> None:
    make, words = MODELS[mistake]
    (folder := tmp_path / "model").mkdir()
    make(folder)
    clear_line(run(environment, "console", "-m", str(folder), said="hi\n"), words)


SETTINGS: dict[str, tuple[dict[str, str], list[str]]] = {
    "unknown model": ({"MODEL": "no-such-model"}, ["no model"]),
    "a hub name without a hub": ({"MODEL": "nobody/nothing"}, ["nobody/nothing"]),
    "malformed settings": ({"TEMPERATURE": "9", "MEMORY": "x"}, ["TEMPERATURE", "MEMORY"]),
    "a token that is none": ({"DISCORD_TOKEN": "secretsecretsecretsecretsecret"}, ["DISCORD_TOKEN"]),
    "data folder impossible": ({"DATA_DIR": "/proc/data"}, ["/proc/data"]),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("mistake", SETTINGS)
def test_settings_that_cannot_work(environment: dict[str, str], mistake: str) -> None:
    wrong, words = SETTINGS[mistake]
    done = subprocess.run(
        QWENTIN, input="hi\n", env=environment | wrong, cwd=environment["DATA_DIR"], capture_output=True, text=True,
        timeout=LIMIT_S, check=False,
    )  # fmt: skip
    clear_line(done, *words)
    assert "secret" not in done.stderr


DATABASES = {
    "newer than the code": (
        "CREATE TABLE alembic_version (version_num); INSERT INTO alembic_version VALUES ('9')", "newer",
    ),
    "damaged": ("damage", "not a database"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("mistake", DATABASES)
def test_a_database_that_cannot_be_used(environment: dict[str, str], mistake: str) -> None:
    script, words = DATABASES[mistake]
    file = Path(environment["DATA_DIR"]) / "console.db"
    if script == "damage":
        file.write_bytes(b"no database at all, but long enough to be taken for one" * 50)
    else:
        with closing(sqlite3.connect(file)) as connection:
            connection.executescript(script)
    clear_line(run(environment, "console", said="hi\n"), words)


@pytest.mark.slow
def test_a_name_that_no_file_could_have(environment: dict[str, str]) -> None:
    clear_line(run(environment, "console", "-m", "x" * 5000, said="hi\n"), "no model")
    clear_line(run(environment, "console", "-m", "", said="hi\n"), "no model")


@pytest.mark.slow
@pytest.mark.parametrize(("close", "code"), [("<&-", 0), (">/dev/full", 1)])
def test_streams_that_are_closed_or_full(environment: dict[str, str], close: str, code: int) -> None:
    """As some daemons start their children."""
    command = f"echo /temp | {shlex.join(QWENTIN)} console {close}"
    done = subprocess.run(
        ["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == code and "Traceback" not in done.stderr


def test_options_that_cannot_work(environment: dict[str, str]) -> None:
    clear_line(run(environment, "console", "-o", "temp=7", "-o", "hue=1", said="hi\n"), "temperature", "hue")


@pytest.mark.slow
def test_too_little_memory(environment: dict[str, str], tmp_path: Path) -> None:
    """A model far larger than any machine: its files are holes, only its header is real."""
    folder = with_tokenizer(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text()) | {
        "intermediate_size": 100_000_000,
        "num_hidden_layers": 30,
    }
    (folder / "config.json").write_text(json.dumps(config))
    at, made = 0, {}
    for name, shape in Architecture.from_config(config, "model").tensor_shapes().items():
        size = 2 * math.prod(shape)
        made[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(made).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)
    clear_line(run(environment, "console", "-m", str(folder), said="hi\n"), "memory")


@pytest.mark.slow
def test_a_database_in_use_by_another_console_costs_only_the_memory(environment: dict[str, str]) -> None:
    from filelock import FileLock

    with FileLock(Path(environment["DATA_DIR"]) / "console.db.lock"):
        done = run(environment, "console", said="/temp\n")
    assert done.returncode == 0 and "0.7" in done.stdout and "not be kept" in done.stderr


def clear_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """One line for each mistake, with what to do, code 78, no traceback, nothing on stdout."""
    assert (done.returncode, done.stdout) == (78, ""), done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(words), done.stderr
    assert all(line.startswith("qwentin: ") for line in lines)
    for word in words:
        assert word in done.stderr


# A person at a terminal


@pytest.fixture
def terminal(environment: dict[str, str]) -> Iterator["pexpect.spawn[str]"]:
    child = pexpect.spawn(
        QWENTIN[0], [*QWENTIN[1:], "console", "-o", "temperature=0"], env=environment, encoding="utf-8",
        timeout=LIMIT_S, dimensions=(40, 100), cwd=environment["DATA_DIR"],
    )  # fmt: skip
    yield child
    child.close(force=True)


@pytest.mark.slow
def test_a_person_talks_stops_and_leaves(terminal: "pexpect.spawn[str]", environment: dict[str, str]) -> None:
    terminal.expect("Hello! Qwentin here")
    terminal.expect(">")
    terminal.sendline("/temp")
    terminal.expect("Temperature: 0 ")
    terminal.expect(">")
    terminal.sendline("Write a very long story about a dragon, at least 2000 words.")
    terminal.expect("Once upon")  # what the question's echo does not hold
    terminal.sendintr()
    terminal.expect(r"\(stopped\)")
    terminal.expect(">")
    terminal.sendline("/whoami")
    terminal.expect("console:local")
    terminal.expect(">")
    terminal.sendeof()
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert terminal.exitstatus == 0
    assert "/whoami" in (Path(environment["DATA_DIR"]) / "console_history").read_text()
