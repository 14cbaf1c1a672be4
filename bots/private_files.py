"""The bot's files are their owner's alone: what people wrote lies in them, and the tokens in .env."""

import logging
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from core.domain.errors import SetupError

log = logging.getLogger(__name__)

PRIVATE_UMASK = 0o077
FOLDER_MODE, FILE_MODE = 0o700, 0o600
_FILES_OF_DATA = ("*.db", "*.db-*", "*.db.*", "console_history")
"""Databases with what SQLite puts beside them, locks and copies; what was typed in the console."""


def make_private_folder(folder: Path, env_files: Iterable[Path] = ()) -> None:
    """Make the data folder where there is none. From now on this process makes files for its own user alone.

    What was made before is corrected: the folder, the files in it and `env_files`. Raises SetupError where the folder
    can't be made.
    """
    os.umask(PRIVATE_UMASK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"DATA_DIR {folder} can't be made: {error.strerror}. Name another folder.") from error
    if os.name != "posix":
        return  # elsewhere modes say nothing
    files = [file for pattern in _FILES_OF_DATA for file in sorted(folder.glob(pattern))]
    for path, mode in [(folder, FOLDER_MODE), *((file, FILE_MODE) for file in [*files, *env_files])]:
        _restrict(path, mode)


def _restrict(path: Path, mode: int) -> None:
    """Take the rights of others away. A file that is missing or another user's stays as it is."""
    try:
        status = path.stat()
        if status.st_uid != os.getuid() or not stat.S_IMODE(status.st_mode) & ~mode:
            return
        path.chmod(stat.S_IMODE(status.st_mode) & mode)
    except OSError as error:
        log.debug("the mode of %s stays: %s", path, error)
    else:
        log.info("%s could be read by other users of this machine; now it is yours alone", path)
