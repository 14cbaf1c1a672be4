"""PostgreSQL: addresses, mistakes, migrations, and a lock that is taken again when its session is lost."""

import asyncio
import re
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from core.domain.errors import SetupError
from core.domain.reply_states import Lane
from core.domain.store import Unavailable
from core.runtime.retry import Backoff
from storage import database as database_module
from storage import postgres_lock
from storage.database import InUse, open_database
from storage.database_url import parse_database_url, without_password
from storage.postgres import RESPONSE_TIMEOUT_S, PostgresDatabase, TimedConnection
from storage.store import DatabaseStore
from storage.tables import metadata
from tests.conftest import MakeBot
from tests.fakes import FakeModel, incoming, owe
from tests.postgres import Postgres

pytestmark = pytest.mark.slow  # a server starts for it

ROOT = Path(__file__).parents[2]


@pytest.fixture
def name(postgres: Postgres, template: str) -> Iterator[str]:
    """A migrated database of the test's own."""
    with postgres.database(template) as name:
        yield name


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are short here."""
    short = {"START_TIMEOUT_S": 0.4, "HAND_OVER_TIMEOUT_S": 1, "CHECK_INTERVAL_S": 0.05}
    for constant, value in (short | {"RECONNECT_BACKOFF": Backoff(0.075, 0.1, 1.5)}).items():
        monkeypatch.setattr(postgres_lock, constant, value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg_async"])
async def test_addresses(postgres: Postgres, name: str, scheme: str) -> None:
    async with open_database(postgres.address(name).replace("postgresql", scheme, 1)) as database:
        assert isinstance(database, PostgresDatabase)


@pytest.mark.parametrize("behind", ["", "?password=hunter2", "?options=-c%20a.b%3Dhunter2"])
def test_a_password_is_never_shown(behind: str) -> None:
    url = parse_database_url(f"postgres://me:hunter2@localhost:5433/x{behind}")
    assert without_password(url) == "postgresql://me:***@localhost:5433/x"


async def test_it_works_as_it_must(postgres: Postgres, name: str) -> None:
    wanted = {
        "application_name": "qwentin", "statement_timeout": "30s", "lock_timeout": "30s", "synchronous_commit": "on",
        "idle_in_transaction_session_timeout": "30s", "transaction_isolation": "read committed",
    }  # fmt: skip
    async with open_database(postgres.address(name)) as database, database.transaction() as connection:
        found = {name: (await connection.execute(text(f"SHOW {name}"))).scalar() for name in wanted}
        assert found == wanted and isinstance(database, PostgresDatabase)
        assert database.engine.pool.status().startswith("Pool size: 1 ")


async def problem(address: str) -> str:
    with pytest.raises(SetupError) as caught:
        async with open_database(address):
            pass
    line = str(caught.value)
    assert "\n" not in line and "hunter2" not in line
    return line


async def test_a_wrong_password(postgres: Postgres, name: str) -> None:
    postgres.admin("DROP ROLE IF EXISTS guest")
    postgres.admin("CREATE ROLE guest LOGIN PASSWORD 'hunter2'")
    line = await problem(postgres.address(name, "guest:hunter2x"))
    assert "password authentication failed" in line
    line = await problem(postgres.address(name, "guest:hunter2"))
    assert "permission denied" in line


async def test_an_unknown_database(postgres: Postgres) -> None:
    assert 'database "nowhere" does not exist' in await problem(postgres.address("nowhere"))


async def test_an_unknown_option(postgres: Postgres) -> None:
    assert "wants" in await problem(postgres.address("postgres") + "&wants=hunter2")


@pytest.mark.parametrize("host", ["127.0.0.1:1", "nowhere.invalid", ""])
async def test_a_server_that_is_not_there(host: str, caplog: pytest.LogCaptureFixture) -> None:
    line = await problem(f"postgresql://me:hunter2@{host}/x" + ("" if host else "?host=/nowhere"))
    assert "can't be reached" in line and "Start its server" in line
    assert caplog.text.count("not there yet") == 1 and "hunter2" not in caplog.text


async def test_a_server_that_comes_later(
    postgres: Postgres, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(postgres_lock, "START_TIMEOUT_S", 10)
    postgres.stop()
    asyncio.get_running_loop().call_later(0.3, postgres.start)
    async with open_database(postgres.address(name)):
        assert "not there yet" in caplog.text


async def test_a_database_that_is_newer_than_the_code(postgres: Postgres, name: str) -> None:
    postgres.admin("UPDATE alembic_version SET version_num = '9999'", name)
    assert "newer" in await problem(postgres.address(name))


async def test_without_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "storage.postgres")
    monkeypatch.delattr("storage.postgres")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "psycopg[binary]" in await problem("postgresql://me:hunter2@localhost/x")


async def test_migrations_make_what_the_tables_say_and_can_be_taken_back(postgres: Postgres) -> None:
    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    def back(connection: Connection) -> None:
        config = database_module._config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")

    with postgres.database() as empty:
        for _ in range(2):
            async with open_database(postgres.address(empty)) as database:
                assert await database.run(differences) == [] and isinstance(database, PostgresDatabase)
                async with database.engine.begin() as connection:
                    # The comparison does not see an index's WHERE.
                    query = "SELECT pg_get_expr(indpred, indrelid), indisunique FROM pg_index WHERE indexrelid = "
                    (where, unique) = (await connection.execute(text(f"{query} 'one_active_answer'::regclass"))).one()
                    assert unique and set(re.findall(r"'(\w+)'", where)) == {"answer", "generating", "sending"}
                    session = (await connection.get_raw_connection()).driver_connection
                    assert isinstance(session, TimedConnection) and session.response_timeout_s == RESPONSE_TIMEOUT_S
                await database.run(back)
        tables = "SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = 'public'"
        assert postgres.admin(tables, empty) == "alembic_version"


@pytest.mark.databases("postgresql")
async def test_what_no_database_takes_never_reaches_it(make_bot: MakeBot) -> None:
    async with make_bot(FakeModel(lambda prompt: [prompt[-1].content, "!"])) as bot:
        assert await bot.say("a\0b\ud800c") == "abc!"
        assert await bot.say("/system x\0y")


HOLDER = """
import asyncio, sys
from storage.database import open_database

async def hold() -> None:
    async with open_database(sys.argv[1]):
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(hold())
"""


async def test_the_next_process_after_a_kill(postgres: Postgres, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_lock, "HAND_OVER_TIMEOUT_S", 5)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, postgres.address(name), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout and await process.stdout.readline() == b"held\n"
    process.kill()
    async with open_database(postgres.address(name)):
        pass
    await process.wait()


def holders(postgres: Postgres, name: str) -> list[int]:
    """The sessions that hold the lock."""
    of = f"database = (SELECT oid FROM pg_database WHERE datname = '{name}') AND granted"
    return list(postgres.admin(f"SELECT array_agg(pid) FROM pg_locks WHERE locktype = 'advisory' AND {of}") or [])


async def retaken(postgres: Postgres, name: str, former: list[int]) -> None:
    async with asyncio.timeout(60):
        while not (now := holders(postgres, name)) or now == former:
            await asyncio.sleep(0.02)
    assert len(now) == 1


async def test_the_lock_is_taken_again(postgres: Postgres, name: str, caplog: pytest.LogCaptureFixture) -> None:
    lost: list[Exception] = []
    async with open_database(postgres.address(name), lost.append):
        (first,) = holders(postgres, name)
        postgres.admin(f"SELECT pg_terminate_backend({first}, 1000)")
        await retaken(postgres, name, [first])
        postgres.stop()
        await asyncio.sleep(0.2)
        assert caplog.text.count("is lost") == 1
        postgres.start()
        await retaken(postgres, name, [first])
    assert holders(postgres, name) == [] and not lost


async def test_a_session_of_ours_that_the_server_believes_in_is_ended(postgres: Postgres, name: str) -> None:
    """As after a cut that only we have heard of."""
    lost: list[Exception] = []
    lock = postgres_lock.AdvisoryLock(
        parse_database_url(postgres.address(name)),
        lambda: TimedConnection.connect(postgres.address(name), autocommit=True),
    )
    async with lock.hold(lost.append):
        session, before = lock._connection, holders(postgres, name)
        lock._connection = None
        await retaken(postgres, name, before)
    assert session and not lost
    await session.close()


async def test_a_lock_that_another_process_has_taken(postgres: Postgres, name: str) -> None:
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with open_database(postgres.address(name), lost.set_exception) as engine:
        store = DatabaseStore(engine)
        async with store.begin() as tx:
            assert await owe(tx, incoming("before"), Lane.ANSWER)
        with closing(psycopg.connect(postgres.address(name), autocommit=True)) as other:
            postgres.admin(f"SELECT pg_terminate_backend({holders(postgres, name)[0]}, 1000)")
            other.execute("SELECT pg_advisory_lock(%s)", (postgres_lock.LOCK_KEY,))
            with pytest.raises(InUse, match="in use"):
                async with asyncio.timeout(60):
                    await lost
            for _ in range(2):
                with pytest.raises(Unavailable):
                    async with store.begin() as tx:
                        await tx.replies.count_active()
            assert len(postgres.sessions(name)) == 1


async def test_a_bug_in_the_watch_is_told(postgres: Postgres, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def bug(self: object) -> bool:
        raise ZeroDivisionError

    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with open_database(postgres.address(name), lost.set_exception):
        monkeypatch.setattr(postgres_lock.AdvisoryLock, "_is_alive", bug)
        with pytest.raises(ZeroDivisionError):
            async with asyncio.timeout(60):
                await lost


async def test_nothing_is_said_of_a_quiet_life(postgres: Postgres, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "storage")
    async with open_database(postgres.address(name)):
        await asyncio.sleep(0.2)
    assert [record for record in caplog.records if record.name.startswith(("storage", "psycopg", "sqlalchemy"))] == []
