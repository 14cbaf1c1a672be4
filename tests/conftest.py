"""What many tests stand on: a migrated database of their own, and a whole bot around fakes."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import settings

from core.answering.assistant import Assistant
from core.answering.guarded_assistant import GuardedAssistant, GuardUse
from core.dispatch.service import ChatService
from core.dispatch.timing import DEFAULT_TIMING, ServiceTiming
from core.domain.conversation import Reply
from core.domain.permissions import Access
from core.domain.settings import Rules
from core.domain.store import Store
from core.filters import Filter
from core.runtime.retry import Backoff
from storage.database import open_database
from storage.store import DatabaseStore, now_ms
from storage.tables import metadata
from tests.changes import WatchedStore
from tests.fakes import FakeModel, FakePlatform, OpenFilter, incoming
from tests.patience import TEST_LIMIT_S
from tests.postgres import Postgres

settings.register_profile("qwentin", deadline=None)  # a busy machine must fail no test
settings.load_profile("qwentin")

DEFAULTS = {
    "temperature": "0.7",
    "max_tokens": "512",
    "memory": "3",
    "system": "Be kind.",
    "reply_language": "auto",
    "filter": "standard",
}
RULES, EVERYBODY = Rules(DEFAULTS), Access()
QUICK = ServiceTiming(
    database_backoff=Backoff(0.01, 0.01), send_backoff=Backoff(0.02, 0.02), sweep_s=0.02, orphaned_after_s=0.1
)
"""Seconds of patience become hundredths."""


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy: migrating once is enough."""
    file = tmp_path_factory.mktemp("database") / "migrated.db"
    migrate(f"sqlite+aiosqlite:///{file}")
    return file


def migrate(address: str) -> None:
    """Open and close a database."""

    async def opened() -> None:
        async with open_database(address):
            pass

    asyncio.run(opened())


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for all tests; it starts with the first that needs it."""
    with Postgres.running() as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> Iterator[str]:
    """The name of a migrated database to copy."""
    with postgres.database() as name:
        migrate(postgres.address(name))
        yield name


@pytest.fixture(scope="session")
def emptied(postgres: Postgres, template: str) -> Iterator[str]:
    """The name of a migrated database that tests use one after another; who changes more than rows takes a copy."""
    with postgres.database(template) as name:
        yield name


def pytest_configure(config: pytest.Config) -> None:
    """The limit of a test, unless the command line has another."""
    if config.option.timeout is None:
        config.option.timeout = TEST_LIMIT_S


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test whose module or function is marked `databases` runs on each that the mark names; others on SQLite.

    What runs on PostgreSQL is slow: a server starts for it.
    """
    mark = metafunc.definition.get_closest_marker("databases")
    if mark and "database" in metafunc.fixturenames:
        names = [pytest.param(name, marks=pytest.mark.slow if name == "postgresql" else ()) for name in mark.args]
        metafunc.parametrize("database", names, indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a migrated database of the test's own."""
    if getattr(request, "param", "sqlite") == "sqlite":
        file = tmp_path / "qwentin.db"
        shutil.copy(request.getfixturevalue("migrated"), file)
        yield f"sqlite+aiosqlite:///{file}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    # A copy of the template would take five times as long as emptying the tables.
    name = request.getfixturevalue("emptied")
    server.admin(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY CASCADE", name)
    yield server.address(name)


@pytest.fixture
async def store(database: str) -> AsyncIterator[DatabaseStore]:
    """A real store."""
    async with open_database(database) as engine:
        yield DatabaseStore(engine)


@dataclass
class Bot:
    """A bot around fakes; `say` talks to it. `store` is what the test looks into; `commits` tells of the bot's own
    transactions."""

    store: DatabaseStore
    commits: WatchedStore
    model: FakeModel
    platform: FakePlatform
    assistant: Assistant
    service: ChatService

    async def accept(self, text: str, *args: object, **kwargs: object) -> Reply:
        """Store a message; its reply."""
        reply = await self.service.ingest.accept(incoming(text, *args, **kwargs))  # type: ignore[arg-type]
        assert reply is not None
        return reply

    async def say(self, text: str, *args: object, **kwargs: object) -> str:
        """Say something and wait; what a person sees of the reply."""
        reply = await self.accept(text, *args, **kwargs)
        await self.outcome(reply)
        return self.platform.text(reply)

    async def outcome(self, reply: Reply) -> Reply:
        """The reply, once it is in a final state."""
        return await self.service.control.wait_for_outcome(reply)


@asynccontextmanager
async def running_bot(
    store: Store,
    looking: DatabaseStore,
    model: FakeModel,
    *,
    access: Access = EVERYBODY,
    rules: Rules = RULES,
    content_filter: Filter | None = None,
    timing: ServiceTiming = DEFAULT_TIMING,
    settled: bool = True,
    now: Callable[[], int] = now_ms,
    platform: FakePlatform | None = None,
    guard: GuardUse | None = None,
) -> AsyncIterator[Bot]:
    """A bot that works on `store`; the test looks into `looking`. `settled`: nothing waits on its platform. `now`: what
    the machine's clock says."""
    platform, commits = platform or FakePlatform(), WatchedStore(store)
    content_filter = content_filter or OpenFilter()
    assistant = Assistant(commits, model, rules, content_filter)
    if guard is not None:
        assistant = GuardedAssistant(commits, model, rules, content_filter, "Qwentin", guard)
    service = ChatService(commits, assistant, access, now=now, timing=timing)
    async with service.running():
        await service.serve(platform)
        if settled:
            service.settle(platform.name)
        yield Bot(looking, commits, model, platform, assistant, service)


class MakeBot(Protocol):
    """Opens a bot; a second call on the same database is a restart."""

    def __call__(
        self,
        model: FakeModel | None = None,
        *,
        access: Access = EVERYBODY,
        rules: Rules = RULES,
        content_filter: Filter | None = None,
        guard: GuardUse | None = None,
    ) -> AbstractAsyncContextManager[Bot]: ...


@pytest.fixture
def make_bot(database: str) -> Iterator[MakeBot]:
    """See MakeBot."""

    @asynccontextmanager
    async def make(
        model: FakeModel | None = None,
        *,
        access: Access = EVERYBODY,
        rules: Rules = RULES,
        content_filter: Filter | None = None,
        guard: GuardUse | None = None,
    ) -> AsyncIterator[Bot]:
        async with open_database(database) as engine:
            store = DatabaseStore(engine)
            async with running_bot(
                store,
                store,
                model or FakeModel(),
                access=access,
                rules=rules,
                content_filter=content_filter,
                guard=guard,
            ) as bot:
                yield bot

    yield make


@pytest.fixture
async def bot(make_bot: MakeBot) -> AsyncIterator[Bot]:
    """A bot that echoes."""
    async with make_bot() as bot:
        yield bot
