"""The folders that a GGUF file is converted to: which is whose, when it is made, and what goes."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.checkpoints import inspect_checkpoint, open_checkpoint
from core.checkpoints.gguf_cache import content_hash, converted_folder
from core.checkpoints.gguf_convert import convert
from core.checkpoints.weight_index import stored_tensors
from core.domain.errors import SetupError
from tests.core.checkpoints.conftest import TinyGguf
from tests.tables import each_row

ROOT = Path(__file__).parents[3]
Make = Callable[..., Any]
"""Makes a TinyGguf of conftest.py."""


def nothing(label: str, done: int, total: int) -> None:
    pass


def test_a_second_call_uses_the_first_ones_folder(make_gguf: Make, tmp_path: Path) -> None:
    calls: list[int] = []
    path = make_gguf().write()
    first = convert(path, tmp_path / "cache", nothing)
    assert convert(path, tmp_path / "cache", lambda label, done, total: calls.append(done)) == first
    assert calls == []


def test_a_changed_file_is_converted_anew(make_gguf: Make, tmp_path: Path) -> None:
    tiny = make_gguf()
    first = convert(tiny.write(), tmp_path / "cache", nothing)
    tiny.weights["model.norm.weight"][0] += 1
    assert convert(tiny.write(), tmp_path / "cache", nothing) != first


def aged(path: Path) -> Path:
    os.utime(path, (1, 1))
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def made_folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


MOVES: dict[str, Callable[[Path], Path]] = {
    "another time": aged,
    "another name": lambda path: path.rename(path.with_name("renamed.gguf")),
    "another folder": lambda path: path.rename(made_folder(path.parent / "elsewhere") / path.name),
    "downloaded again": lambda path: written(path.with_name("again.gguf"), path.read_bytes()),
}


@each_row("move", MOVES)
def test_a_file_is_known_by_its_content(tmp_path_factory: pytest.TempPathFactory, move: str) -> None:
    """Wherever it lies, it is not converted again, and the folder's index points to where it is now."""
    place, calls = tmp_path_factory.mktemp("row"), list[int]()
    path, cache = TinyGguf(place / "tiny.gguf").write(), place / "cache"
    first = convert(path, cache, nothing)
    path = MOVES[move](path)
    assert convert(path, cache, lambda label, done, total: calls.append(done)) == first
    assert calls == []
    checkpoint = open_checkpoint(str(path), cache=cache, progress=nothing)
    assert (checkpoint.folder, checkpoint.name) == (first, path.name)
    assert {tensor.path for tensor in stored_tensors(first).values()} == {path}


def test_a_file_is_read_through_once(make_gguf: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at the second start, and not for nothing: a change that keeps size and times is seen by the file system."""
    path, cache, read = make_gguf().write(), tmp_path / "cache", list[str]()
    digest = hashlib.file_digest

    def counted(file: Any, kind: str) -> Any:
        read.append(file.name)
        return digest(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    first = content_hash(path, cache)
    assert content_hash(path, cache) == first == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read == [str(path)]
    stat, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert content_hash(path, cache) != first and len(read) == 2
    [note, *_] = (cache / "hashes").iterdir()
    note.write_text("damaged")
    assert {content_hash(path, cache)} == {hashlib.sha256(path.read_bytes()).hexdigest()}


@pytest.mark.slow
@each_row("change", ["other content", "gone"])
def test_a_file_that_changes_meanwhile(tmp_path_factory: pytest.TempPathFactory, change: str) -> None:
    """Its tokens may no longer be those of the folder, so its weights are not read until the bot starts again."""
    place = tmp_path_factory.mktemp("row")
    path = TinyGguf(place / "tiny.gguf").write()
    folder = convert(path, place / "cache", nothing)
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(SetupError, match="can't be read" if change == "gone" else "has changed while"):
        inspect_checkpoint(folder)


@pytest.mark.slow
def test_what_older_versions_have_written_goes(make_gguf: Make, tmp_path: Path) -> None:
    """More than twice the file's size, and of no use any more. Other files' folders stay."""
    path = make_gguf().write()
    stat = path.stat()
    identity = f"{path.resolve()}\n{stat.st_size}\n{stat.st_mtime_ns}\n2"
    parent = tmp_path / "cache" / "converted"
    old = parent / f"{path.stem}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    other = parent / f"{path.stem}-0123456789abcdef"
    for folder in (old, other):
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"weights")
    made = convert(path, tmp_path / "cache", nothing)
    assert set(parent.iterdir()) == {made, other}


@pytest.mark.slow
@each_row("name", ["gguf_index.json", "tokenizer.json", "config.json"])
def test_a_damaged_folder_is_made_again(make_gguf: Make, tmp_path: Path, name: str) -> None:
    path = make_gguf().write()
    damaged = convert(path, tmp_path / "cache", nothing) / name
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-10])
    assert (convert(path, tmp_path / "cache", nothing) / name).read_bytes() == whole


@pytest.mark.slow
def test_converters_at_once_do_not_disturb_each_other(make_gguf: Make, tmp_path: Path) -> None:
    path, cache = make_gguf().write(), tmp_path / "cache"
    together = threading.Barrier(4)
    made: list[Path] = []

    def work() -> None:
        together.wait()
        made.append(convert(path, cache, nothing))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [converted_folder(path, cache)] * 4
    inspect_checkpoint(made[0])
    assert list((cache / "converted").iterdir()) == [made[0]]


def test_an_interrupted_conversion_leaves_nothing(make_gguf: Make, tmp_path: Path) -> None:
    def interrupt(label: str, done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(make_gguf().write(), tmp_path / "cache", interrupt)
    assert list((tmp_path / "cache" / "converted").iterdir()) == []


def test_what_a_killed_converter_left_goes_after_a_day(make_gguf: Make, tmp_path: Path) -> None:
    """At every start, also where nothing is converted and what is left is of another file."""
    path, cache = make_gguf().write(), tmp_path / "cache"
    made = open_checkpoint(str(path), cache=cache, progress=nothing)
    folders = [cache / "converted" / f".other-0123.{name}" for name in ("old", "young")]
    notes = [cache / "hashes" / f"0123.{name}" for name in ("old", "young")]
    for folder in folders:
        folder.mkdir()
        (folder / "tokenizer.json").write_bytes(b"half")
    for note in notes:
        note.write_text("half")
    for old in (folders[0], notes[0]):
        os.utime(old, (time.time() - 90_000,) * 2)
    assert open_checkpoint(str(path), cache=cache, progress=nothing) == made
    assert [left.exists() for left in (*folders, *notes)] == [False, True, False, True]


@pytest.mark.slow
def test_a_cache_that_cannot_be_written(make_gguf: Make, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(SetupError, match="can't be stored in"):
        convert(make_gguf().write(), tmp_path / "cache", nothing)


@pytest.mark.slow
def test_a_write_that_fails_leaves_nothing(make_gguf: Make, tmp_path: Path) -> None:
    """As on a full disk: no file may grow beyond 2,000 bytes."""
    path, cache = make_gguf().write(), tmp_path / "cache"
    code = (
        "import resource, pathlib\nfrom core.checkpoints import open_checkpoint\n"
        "from core.domain.errors import SetupError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))\n"
        f"try: open_checkpoint({str(path)!r}, cache=pathlib.Path({str(cache)!r}), progress=lambda *_: None)\n"
        "except SetupError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "can't be stored in" in done.stdout
    assert list((cache / "converted").iterdir()) == []
