"""DATABASE_URL: what it names, and how it is shown."""

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from core.domain.errors import SetupError

POSTGRESQL = "postgresql+psycopg_async"
_WRITTEN = {"postgres", "postgresql", "postgresql+psycopg", POSTGRESQL}
"""How people and hosting services write it."""


def parse(address: str) -> URL:
    """Raises SetupError for what names no database that we know."""
    try:
        url = make_url(address)
        if url.drivername in _WRITTEN:
            return url.set(drivername=POSTGRESQL)
        usable = url.get_backend_name() == "sqlite" and url.get_dialect().is_async
    except (SQLAlchemyError, ImportError, ValueError):
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


def shown(url: URL) -> str:
    """For people to read. A password may also stand behind the question mark; of that only the host is shown."""
    host = {name: value for name, value in url.query.items() if name == "host"}
    name = "postgresql" if url.drivername == POSTGRESQL else url.drivername
    return url.set(drivername=name, query=host).render_as_string(hide_password=True)


def reason(error: BaseException) -> str:
    """The driver's own words, of which the first line says it."""
    line = str(getattr(error, "orig", None) or error).splitlines()[0].strip()
    return line.removeprefix("connection failed: ").removeprefix("connection is bad: ").rstrip(".")
