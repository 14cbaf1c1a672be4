"""One process for one PostgreSQL database: an advisory lock, held by a connection of its own."""

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
from core.runtime.retry import Backoff
from storage.database_url import error_line, without_password
from storage.sqlite_lock import InUse

log = logging.getLogger(__name__)

LOCK_KEY = int.from_bytes(hashlib.sha256(b"qwentin").digest()[:8], "big", signed=True)
"""The lock's number, within the database."""
START_TIMEOUT_S = 60.0
"""How long a server is waited for at start: the bot and the server may be started together."""
HAND_OVER_TIMEOUT_S = 5.0
"""How long the lock is waited for: the server may need a moment to see that another process has died."""
CHECK_INTERVAL_S = 2.0
"""The time between two checks of the connection that holds the lock."""
ACQUIRE_PAUSE_S = 0.1
RECONNECT_BACKOFF = Backoff(3.0, 5.0, 1.5)

_NOT_READY = (
    "refused", "No such file", "timeout expired", "resolve host", "unreachable", "closed the connection",
    "starting up", "shutting down", "not yet accepting", "recovery mode", "too many",
)  # fmt: skip
"""Parts of the messages of a server that may be ready later. After any other error the owner must act."""

_BACKEND_QUERY = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_TERMINATE_QUERY = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s"


class AdvisoryLock:
    """The lock of a database. When its connection is lost with the server or the network, it is acquired again."""

    def __init__(self, url: URL, connect: Callable[[], Awaitable[psycopg.AsyncConnection[Any]]]) -> None:
        self._name = without_password(url)
        self._connect = connect
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._last_backend: tuple[object, object] | None = None
        """The server process, by id and start, of the connection that held the lock last."""
        self.in_use: InUse | None = None
        """Set for good once another process holds the lock."""
        self._confirming = asyncio.Lock()

    @asynccontextmanager
    async def hold(self, lock_lost: Callable[[Exception], None]) -> AsyncIterator[None]:
        """Hold the lock until the block ends. Raises InUse, or SetupError where the server can't be used.

        `lock_lost` is called at most once, see open_database.
        """
        await self._acquire_at_start()
        supervision = asyncio.create_task(self._supervise(), name="database lock")
        supervision.add_done_callback(lambda task: _report_end(task, lock_lost))
        try:
            yield
        finally:
            supervision.cancel()
            await asyncio.gather(supervision, return_exceptions=True)
            await asyncio.shield(self._release())

    async def confirm(self) -> None:
        """Check that the lock is held, and acquire it again if need be. Raises InUse where another process holds it,
        psycopg.Error where the server can't be asked."""
        async with self._confirming:
            if self.in_use is not None:
                raise self.in_use
            if not await self._is_alive():
                await self._connect_and_acquire()

    async def _acquire_at_start(self) -> None:
        deadline, logged = monotonic() + START_TIMEOUT_S, False
        while True:
            try:
                return await self._connect_and_acquire()
            except psycopg.Error as error:
                why = error_line(error)
                if not any(part in str(error) for part in _NOT_READY):
                    raise SetupError(f"The database {self._name} can't be used: {why}.") from error
                if monotonic() >= deadline:
                    raise SetupError(
                        f"The database {self._name} can't be reached: {why}. Start its server, or change DATABASE_URL."
                    ) from error
                if not logged:
                    log.warning(
                        "The database %s is not there yet (%s); waiting up to %d s", self._name, why, START_TIMEOUT_S
                    )
                    logged = True
            await asyncio.sleep(min(1.0, START_TIMEOUT_S / 10))

    async def _supervise(self) -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            try:
                await self.confirm()
            except (psycopg.Error, OSError) as error:
                log.warning("The database %s is lost (%s); trying again", self._name, type(error).__name__)
                await self._reacquire()

    async def _reacquire(self) -> None:
        """Return once the lock is held again. Raises InUse where another process holds it."""
        for pause in RECONNECT_BACKOFF.pauses():
            await asyncio.sleep(pause)
            with suppress(psycopg.Error, OSError):
                return await self.confirm()

    async def _is_alive(self) -> bool:
        if self._connection is None:
            return False
        try:
            await self._connection.execute("SELECT 1")
        except psycopg.Error:
            await self._connection.close()
            self._connection = None
        return self._connection is not None

    async def _connect_and_acquire(self) -> None:
        connection = await self._connect()
        try:
            await self._acquire(connection)
            self._last_backend = await (await connection.execute(_BACKEND_QUERY)).fetchone()
        except BaseException:
            await connection.close()
            raise
        self._connection = connection

    async def _acquire(self, connection: psycopg.AsyncConnection[Any]) -> None:
        if self._last_backend is not None:
            # After a network failure the server may keep the last connection, and its lock, for hours.
            await connection.execute(_TERMINATE_QUERY, self._last_backend)
        deadline = monotonic() + HAND_OVER_TIMEOUT_S
        while (await (await connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK_KEY,))).fetchone()) != (True,):
            if monotonic() >= deadline:
                self.in_use = InUse(self._name)
                raise self.in_use
            await asyncio.sleep(ACQUIRE_PAUSE_S)

    async def _release(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                await self._connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK_KEY,))
            await self._connection.close()
            self._connection = None


def _report_end(task: "asyncio.Task[None]", lock_lost: Callable[[Exception], None]) -> None:
    """Supervision ends only with InUse or by a bug, unless it is cancelled."""
    if not task.cancelled() and isinstance(error := task.exception(), Exception):
        lock_lost(error)
