"""An event consumer at work: a scripted adapter before it, a real store behind it that fails as told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress

from core.commands.press import Press, PressResult
from core.domain.conversation import Author, ChatId, Reply, Role
from core.domain.permissions import Access
from core.domain.settings import NO_LIMITS
from core.domain.store import Transaction
from core.i18n.person_language import PersonLanguages
from core.inbound.admission import AdmissionControl, ThroughputEstimate
from core.inbound.event_consumer import EventConsumer
from core.inbound.events import (
    Event,
    MessageReceived,
    Receipt,
)
from core.inbound.ingest import Ingest
from core.runtime.retry import Backoff
from storage.store import DatabaseStore
from tests.conftest import EVERYBODY
from tests.fakes import ANN, CHAT, FakeChannel, FakePlatform, incoming
from tests.patience import limit

QUICK = Backoff(0.001, 0.001)
OTHER = ChatId("fake", "other")


class ScriptedAdapter:
    """Yields what a test gives it."""

    name = "fake"

    def __init__(self) -> None:
        self.script: asyncio.Queue[Event] = asyncio.Queue()
        self._platform = FakePlatform()

    def connected(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def events(self) -> AsyncIterator[Event]:
        while True:
            yield await self.script.get()

    def channel(self, reply: Reply) -> FakeChannel:
        return self._platform.channel(reply)

    async def role(self, chat: ChatId, author: Author) -> Role:
        return Role.MEMBER

    async def tell(self, *events: Event) -> list[Receipt]:
        """Yield events at once; their receipts."""
        for event in events:
            self.script.put_nowait(event)
        async with limit():
            return [await event.acknowledged() for event in events]


class Chats:
    """Keeps what is done with whole chats."""

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []
        self.failures: list[Exception] = []
        self.gate: asyncio.Event | None = None

    async def leave(self, platform: str, chat: str) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.done.append(("leave", chat))

    async def move(self, platform: str, old: str, new: str) -> None:
        if self.gate:
            await self.gate.wait()
        self.done.append(("move", old, new))

    def settle(self, platform: str) -> None:
        self.done.append(("settle", platform))


class Buttons:
    """Answers every press."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.never: asyncio.Event | None = None

    async def press(self, press: Press, language: str) -> PressResult:
        if self.failure:
            raise self.failure
        if self.never:
            await self.never.wait()
        return PressResult(f"pressed {press.id}")


class ScriptedStore:
    """A store whose next transactions fail as told, or wait to be let through."""

    def __init__(self, store: DatabaseStore) -> None:
        self._store = store
        self.failures: list[Exception] = []
        self.gate: asyncio.Event | None = None
        self.committed = asyncio.Event()
        self.after_commit: asyncio.Event | None = None
        self.transactions = 0

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        self.transactions += 1
        if self.failures:
            raise self.failures.pop(0)
        if self.gate:
            await self.gate.wait()
        async with self._store.begin() as tx:
            yield tx
        self.committed.set()
        if self.after_commit:
            await self.after_commit.wait()


class Consumed:
    """A consumer at work around a scripted adapter."""

    def __init__(self, store: DatabaseStore, access: Access) -> None:
        self.store, self.adapter, self.chats, self.buttons = ScriptedStore(store), ScriptedAdapter(), Chats(), Buttons()
        self.stored: list[Reply] = []
        admission = AdmissionControl(NO_LIMITS, ThroughputEstimate(1), {}, ())
        self.ingest = Ingest(self.store, access, admission, self.stored.extend)
        languages = PersonLanguages(store)
        self.consumer = EventConsumer(self.ingest, self.buttons, self.chats, languages, QUICK)

    @property
    def texts(self) -> list[str]:
        return [reply.text for reply in self.stored]


@asynccontextmanager
async def consumed(store: DatabaseStore, access: Access = EVERYBODY) -> AsyncIterator[Consumed]:
    made = Consumed(store, access)
    tasks = [asyncio.ensure_future(work) for work in (made.ingest.run(), made.consumer.run(made.adapter))]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)


def press(author: Author = ANN, number: str = "1") -> Press:
    return Press(number, CHAT, "9", author, True, "bot", 0, None)


def received(texts: Sequence[str], chat: ChatId = CHAT) -> list[MessageReceived]:
    return [MessageReceived(incoming(text, chat=chat)) for text in texts]
