"""Whether the SQLite file in use is still there, still the same, and readable: else what is written is lost."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from core.domain.errors import SetupError

WATCH_EVERY_S = 2.0


class DatabaseFileLost(SetupError):
    """The file can't be gone on with. Names it, and the newest copy."""

    def __init__(self, file: Path, problem: str) -> None:
        newest = newest_copy(file)
        copy = f"The newest copy is {newest}" if newest else "There is no copy of it here"
        super().__init__(f"The database file {file} {problem}. {copy}. Put a good file in its place, or move it away.")


def newest_copy(file: Path) -> Path | None:
    """The newest of the copies that were made before migrations; None where there is none."""
    copies = [each for each in file.parent.glob(f"{file.name}.*.bak") if each.is_file()]
    return max(copies, key=lambda copy: copy.stat().st_mtime, default=None)


class FileWatch:
    """Watches a file that exists. `lost` is called at most once, with a DatabaseFileLost."""

    def __init__(self, file: Path, lost: Callable[[Exception], None]) -> None:
        self._file, self._lost = file, lost
        self._identity = _identity(file.stat())
        self._is_lost = False

    def report(self, problem: str) -> None:
        """The file can't be gone on with: `problem` goes on after its name."""
        if not self._is_lost:
            self._is_lost = True
            self._lost(DatabaseFileLost(self._file, problem))

    def look(self) -> str:
        """What is wrong with the file now; "" where nothing is.

        Never opens it: closing it again would release the locks that SQLite holds on it in this process
        (sqlite.org/howtocorrupt.html, 2.2). Other damage is met when SQLite reads.
        """
        try:
            status = self._file.stat()
            if _identity(status) != self._identity:
                return "was replaced by another file"
            return "" if status.st_size else "is damaged: it is empty"
        except FileNotFoundError:
            return "is gone"
        except OSError:
            return ""  # the disk's trouble, which may pass: what is read and written meets it, too

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look at the file every WATCH_EVERY_S while the block runs."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            if problem := await asyncio.to_thread(self.look):
                return self.report(problem)
            await asyncio.sleep(WATCH_EVERY_S)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
