"""The folders of converted GGUF files. Imports no gguf: most starts find their folder there.

A file is known by its content, wherever it lies: what is kept of it belongs to the SHA-256 of all its bytes, so nothing
can be taken for something else. Reading all bytes takes a second or so for a gigabyte, so the hash is kept for the
file's path, size, times and number in the file system, of which at least one changes when the content does.
"""

import hashlib
import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

from core.checkpoints.checkpoint import Checkpoint, inspect_checkpoint
from core.checkpoints.gguf_index import point_to
from core.domain.errors import SetupError

FORMAT_VERSION = 3
"""Part of the folder's name. Raise it when what is written changes, so that older folders are not used."""


STALE_WORK_S = 24 * 3600
"""Age in seconds from which what is unfinished was left by a process that was killed."""


def converted_folder(path: Path, cache: Path) -> Path:
    """The folder for a file with this content: the one that is there already, or a new one with the file's name."""
    key = hashlib.sha256(f"{content_hash(path, cache)}\n{FORMAT_VERSION}".encode()).hexdigest()[:16]
    parent = cache / "converted"
    for folder in sorted(parent.glob(f"*-{key}")):
        if not folder.name.startswith("."):
            return folder
    return parent / f"{stem_of(path)}-{key}"


def stem_of(path: Path) -> str:
    """The file's name as a part of a folder's."""
    return re.sub(r"[^\w.-]", "_", path.stem)[:80].lstrip(".")


def content_hash(path: Path, cache: Path) -> str:
    """The SHA-256 of a file, computed only if the file is new or changed."""
    stat = path.stat()
    times = stat.st_mtime_ns, stat.st_ctime_ns
    identity = "\n".join(str(part) for part in (path.resolve(), stat.st_size, *times, stat.st_dev, stat.st_ino))
    note = cache / "hashes" / hashlib.sha256(identity.encode()).hexdigest()[:32]
    with suppress(OSError, UnicodeDecodeError):
        found = note.read_text(encoding="ascii")
        if re.fullmatch("[0-9a-f]{64}", found):
            return found
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    with suppress(OSError):  # if the folder is not writable, converting says so
        note.parent.mkdir(parents=True, exist_ok=True)
        unfinished = note.with_suffix(f".{os.getpid()}")
        unfinished.write_text(found, encoding="ascii")
        unfinished.replace(note)
    return found


def converted_checkpoint(path: Path, folder: Path, name: str) -> Checkpoint | None:
    """The checkpoint of a converted file under `name`; None where its folder is missing. A damaged one is deleted."""
    if not folder.is_dir():
        return None
    try:
        point_to(folder, path)
        return inspect_checkpoint(folder, name)
    except SetupError:
        shutil.rmtree(folder, ignore_errors=True)
        return None


def delete_old_version(path: Path, cache: Path) -> None:
    """Delete what version 2 has kept of this file: more than twice its size."""
    stat = path.stat()
    identity = f"{path.resolve()}\n{stat.st_size}\n{stat.st_mtime_ns}\n2"
    stem = re.sub(r"[^\w.-]", "_", path.stem)[:80]
    old = cache / "converted" / f"{stem}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    shutil.rmtree(old, ignore_errors=True)


def delete_stale_work(cache: Path) -> None:
    """Delete what converters that were killed have left, of any file. For every start: the file may never be converted
    again."""
    for path in (*cache.glob("converted/.*"), *cache.glob("hashes/*.*")):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_WORK_S:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def unreadable(path: Path, error: OSError) -> SetupError:
    """The error for a file that can't be read."""
    return SetupError(f"{path} can't be read ({error.strerror or error}): check its permissions")
