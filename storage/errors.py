"""Which errors say that the database is in trouble, rather than that we are wrong: the core, which knows no SQL, waits
and tries again."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.domain.store import Unavailable

_SQLITE = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
}  # fmt: skip
_POSTGRESQL = (
    "08",  # connection exception
    "25006",  # read-only transaction: a standby, or a full disk that its keeper has closed to writers
    "25P03",  # idle in transaction for too long
    "40",  # deadlock, serialization failure
    "53",  # insufficient resources: disk, memory, connections
    "55P03",  # a lock that others hold for too long
    "57",  # operator intervention: shutdown, starting up, a statement that took too long
    "58",  # system error: input and output
)
_LOST = {"OperationalError", "InterfaceError"}
"""What psycopg calls an error that has no number: it comes from the connection, not from the server."""


@contextmanager
def reachable() -> Iterator[None]:
    """A database in trouble raises Unavailable in this block. Its text names the kind alone: errors quote values."""
    try:
        yield
    except SQLAlchemyError as error:
        if (kind := trouble(error)) is not None:
            raise Unavailable(f"the database is in trouble: {kind}") from error
        raise


def trouble(error: SQLAlchemyError) -> str | None:
    """What trouble it is; None for an error of ours."""
    if isinstance(error, PoolTimeout):
        return "no connection is free"
    if not isinstance(error, DBAPIError):
        return None
    kind = _of_sqlite(error.orig) or _of_postgresql(error.orig)
    return kind or ("the connection is lost" if error.connection_invalidated else None)


def _of_sqlite(error: BaseException | None) -> str | None:
    # Not every sqlite3.OperationalError: a table that is missing is one, too. The lower byte is the kind.
    code = getattr(error, "sqlite_errorcode", None)
    return str(getattr(error, "sqlite_errorname", code)) if code is not None and code & 0xFF in _SQLITE else None


def _of_postgresql(error: BaseException | None) -> str | None:
    if not type(error).__module__.startswith("psycopg"):
        return None
    number = getattr(error, "sqlstate", None)
    of_connection = any(kind.__name__ in _LOST for kind in type(error).__mro__)
    return type(error).__name__ if (number.startswith(_POSTGRESQL) if number else of_connection) else None
