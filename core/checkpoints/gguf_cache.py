"""The folders of converted GGUF files. Imports no gguf: most starts find their folder there."""

import hashlib
import re
import shutil
from pathlib import Path

from core.checkpoints.checkpoint import inspect_checkpoint
from core.domain.errors import SetupError

FORMAT_VERSION = 2
"""Part of the folder's name. Raise it when what is written changes, so that older folders are not used."""


def converted_folder(path: Path, cache: Path) -> Path:
    """The folder for a file in its present state: another file, or a changed one, has another."""
    stat = path.stat()
    identity = f"{path.resolve()}\n{stat.st_size}\n{stat.st_mtime_ns}\n{FORMAT_VERSION}"
    stem = re.sub(r"[^\w.-]", "_", path.stem)[:80]
    return cache / "converted" / f"{stem}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def is_intact(folder: Path) -> bool:
    """Whether the folder is there and whole; a damaged one is deleted."""
    if not folder.is_dir():
        return False
    try:
        inspect_checkpoint(folder)
    except SetupError:
        shutil.rmtree(folder, ignore_errors=True)
        return False
    return True
