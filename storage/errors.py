"""Which SQL errors mean that the database is unavailable, so that the same call may succeed later, and not a bug."""

import sqlite3

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_SQLITE_CODES = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
}  # fmt: skip
_SQLITE_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_POSTGRESQL_CODES = (
    "08",  # connection exception
    "25006",  # read-only transaction: a standby, or a full disk that its keeper has closed to writers
    "25P03",  # idle in transaction for too long
    "40",  # deadlock, serialization failure
    "53",  # insufficient resources: disk, memory, connections
    "55P03",  # a lock that others hold for too long
    "57",  # operator intervention: shutdown, starting up, a statement that took too long
    "58",  # system error: input and output
)
_CONNECTION_ERRORS = {"OperationalError", "InterfaceError"}
"""The classes of psycopg's errors without an SQLSTATE that come from the connection, not from the server."""


def unavailable_reason(error: SQLAlchemyError) -> str | None:
    """Why the database is unavailable; None for an error that says nothing of that kind."""
    if isinstance(error, PoolTimeout):
        return "no connection is free"
    if not isinstance(error, DBAPIError):
        return None
    kind = _sqlite_reason(error.orig) or _postgresql_reason(error.orig)
    return kind or ("the connection is lost" if error.connection_invalidated else None)


def unstorable_reason(error: SQLAlchemyError) -> str | None:
    """Why values can't be stored: they break a rule of the database, or fit no column. None for every other error."""
    return type(error.orig).__name__ if isinstance(error, IntegrityError | DataError) else None


def damage_of(error: BaseException) -> str:
    """What SQLite says of a damaged file; "" for every other error."""
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorcode", None)
    return str(cause) if code is not None and code & 0xFF in _SQLITE_DAMAGE else ""


def _sqlite_reason(error: BaseException | None) -> str | None:
    # Not every sqlite3.OperationalError: a table that is missing is one, too. The lower byte is the kind.
    code = getattr(error, "sqlite_errorcode", None)
    return str(getattr(error, "sqlite_errorname", code)) if code is not None and code & 0xFF in _SQLITE_CODES else None


def _postgresql_reason(error: BaseException | None) -> str | None:
    if not type(error).__module__.startswith("psycopg"):
        return None
    number = getattr(error, "sqlstate", None)
    of_connection = any(kind.__name__ in _CONNECTION_ERRORS for kind in type(error).__mro__)
    return type(error).__name__ if (number.startswith(_POSTGRESQL_CODES) if number else of_connection) else None
