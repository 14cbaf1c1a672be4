"""One process a database on PostgreSQL: an advisory lock, held by a session of its own for as long as that lives."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

import psycopg
from sqlalchemy.engine import URL

from core.domain.errors import SetupError
from storage.database_url import reason, shown
from storage.sqlite_lock import InUse

log = logging.getLogger(__name__)

KEY = int.from_bytes(hashlib.sha256(b"qwentin").digest()[:8], "big", signed=True)
"""The lock's number, within the database."""
START = 60.0
"""Seconds that a server is waited for at start: the two may be started together."""
HAND_OVER = 5.0
"""Seconds that a session is waited for whose process has just died."""
PULSE = 2.0
"""Seconds between two looks whether the session lives."""
PAUSE = 0.1
LONGEST_PAUSE = 5.0

_AWAY = (
    "refused", "No such file", "timeout expired", "resolve host", "unreachable", "closed the connection",
    "starting up", "shutting down", "not yet accepting", "recovery mode", "too many",
)  # fmt: skip
"""What is said of a server that is not there yet. One that answers otherwise will not change its mind by itself."""

_WHO = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s"


class ServerLock:
    """The lock. Its session may be lost with the server or the network; it is taken again as soon as that can be."""

    def __init__(self, url: URL, connect: Callable[[], Awaitable[psycopg.AsyncConnection[Any]]]) -> None:
        self._name = shown(url)
        self._connect = connect
        self._session: psycopg.AsyncConnection[Any] | None = None
        self._former: tuple[object, object] | None = None
        """The session of ours that held it last, as the server knows it."""
        self.taken: InUse | None = None
        """Another process has it: it is not ours any more."""
        self._one_by_one = asyncio.Lock()

    @asynccontextmanager
    async def held(self, lost: Callable[[Exception], None]) -> AsyncIterator[None]:
        """Hold it. `lost` is called, once, when another process has taken it; then nothing can be written any more."""
        await self._first()
        watching = asyncio.create_task(self._watch(), name="database lock")
        watching.add_done_callback(lambda task: _tell(task, lost))
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await asyncio.shield(self._release())

    async def confirm(self) -> None:
        """Hold it now, after a look. Raises psycopg.Error while that can't be told, InUse where another has it."""
        async with self._one_by_one:
            if self.taken is not None:
                raise self.taken
            if not await self._alive():
                await self._take()

    async def _first(self) -> None:
        patient, told = monotonic() + START, False
        while True:
            try:
                return await self._take()
            except psycopg.Error as error:
                why = reason(error)
                if not any(words in str(error) for words in _AWAY):
                    raise SetupError(f"The database {self._name} can't be used: {why}.") from error
                if monotonic() >= patient:
                    raise SetupError(
                        f"The database {self._name} can't be reached: {why}. Start its server, or change DATABASE_URL."
                    ) from error
                if not told:
                    log.warning("The database %s is not there yet (%s); waiting up to %d s", self._name, why, START)
                    told = True
            await asyncio.sleep(min(1.0, START / 10))

    async def _watch(self) -> None:
        pause = PULSE
        while True:
            await asyncio.sleep(pause)
            try:
                await self.confirm()
                pause = PULSE
            except (psycopg.Error, OSError) as error:
                if pause == PULSE:
                    log.warning("The database %s is lost (%s); trying again", self._name, type(error).__name__)
                pause = min(pause * 1.5, LONGEST_PAUSE)

    async def _alive(self) -> bool:
        if self._session is None:
            return False
        try:
            await self._session.execute("SELECT 1")
        except psycopg.Error:
            await self._session.close()
            self._session = None
        return self._session is not None

    async def _take(self) -> None:
        session = await self._connect()
        try:
            await self._acquire(session)
            self._former = await (await session.execute(_WHO)).fetchone()
        except BaseException:
            await session.close()
            raise
        self._session = session

    async def _acquire(self, session: psycopg.AsyncConnection[Any]) -> None:
        if self._former is not None:
            # After a cut of the network the server may believe for hours that our last session is alive.
            await session.execute(_END, self._former)
        patient = monotonic() + HAND_OVER
        while (await (await session.execute("SELECT pg_try_advisory_lock(%s)", (KEY,))).fetchone()) != (True,):
            if monotonic() >= patient:
                self.taken = InUse(self._name)
                raise self.taken
            await asyncio.sleep(PAUSE)

    async def _release(self) -> None:
        if self._session is not None:
            with suppress(psycopg.Error):
                await self._session.execute("SELECT pg_advisory_unlock(%s)", (KEY,))
            await self._session.close()
            self._session = None


def _tell(task: "asyncio.Task[None]", lost: Callable[[Exception], None]) -> None:
    """A watch that ends by itself ends badly, be it by a bug: somebody must hear of it."""
    if not task.cancelled() and isinstance(error := task.exception(), Exception):
        lost(error)
