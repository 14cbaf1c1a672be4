"""One process for one SQLite file, by a lock file beside it. (PostgreSQL's lock is in storage/postgres_lock.py.)"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from filelock import FileLock, Timeout

from core.domain.errors import SetupError


class InUse(SetupError):
    """Another process holds the database."""

    def __init__(self, database: object) -> None:
        super().__init__(
            f"The database {database} is in use by another Qwentin: stop that one, or change DATABASE_URL."
        )


@contextmanager
def hold_file_lock(file: Path) -> Iterator[None]:
    """Hold the lock of an SQLite file; the system releases it with the process, however that ends.

    Raises InUse, or SetupError where the folder is missing or can't be written.
    """
    _check_writable(file.parent)
    lock = FileLock(file.with_name(file.name + ".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise InUse(file) from error
    except OSError as error:
        raise SetupError(
            f"The lock {lock.lock_file} can't be opened: {error.strerror}. Is it somebody else's?"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _check_writable(folder: Path) -> None:
    if not folder.is_dir():
        raise SetupError(f"The database folder {folder} does not exist: create it, or change DATABASE_URL.")
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SetupError(f"The database folder {folder} can't be written to: {error.strerror}.") from error
