"""DATABASE_URL: the database that it names, and the address without its password."""

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from core.domain.errors import SetupError

POSTGRESQL = "postgresql+psycopg_async"
_POSTGRESQL_SCHEMES = {"postgres", "postgresql", "postgresql+psycopg", POSTGRESQL}
"""How people and hosting services write it."""
_SQLITE_SCHEMES = {"sqlite", "sqlite+pysqlite", "sqlite+aiosqlite"}
"""All name the same driver here; the last is what the default and older configurations say."""


def parse_database_url(address: str) -> URL:
    """The URL, with the driver that is used on PostgreSQL. Raises SetupError for anything but SQLite and PostgreSQL."""
    try:
        url = make_url(address)
        if url.drivername in _POSTGRESQL_SCHEMES:
            return url.set(drivername=POSTGRESQL)
        usable = url.drivername in _SQLITE_SCHEMES
    except (SQLAlchemyError, ValueError):
        usable = False
    if not usable:
        raise SetupError(
            "DATABASE_URL is no address of a database. "
            "Examples: sqlite+aiosqlite:///data/qwentin.db, postgresql://user:password@host/qwentin"
        )
    return url


def sqlite_file(url: URL) -> Path | None:
    """The SQLite file; None in memory, for an SQLite URI, and for a database server."""
    name = str(url.database or ":memory:")
    return None if url.get_backend_name() != "sqlite" or name.startswith((":memory:", "file:")) else Path(name)


def without_password(url: URL) -> str:
    """The address for people to read. A query may hold a password too, so only its host is kept."""
    host = {name: value for name, value in url.query.items() if name == "host"}
    name = "postgresql" if url.drivername == POSTGRESQL else url.drivername
    return url.set(drivername=name, query=host).render_as_string(hide_password=True)


def error_line(error: BaseException) -> str:
    """The first line of the driver's message, without its own prefixes."""
    line = str(getattr(error, "orig", None) or error).splitlines()[0].strip()
    return line.removeprefix("connection failed: ").removeprefix("connection is bad: ").rstrip(".")
