"""Many updates that wait at the start, and many chats at once."""

import asyncio
import time
from collections.abc import Sequence

from core.dispatch.service import ChatService
from storage.database import open_database
from storage.store import DatabaseStore, now_ms
from tests.conftest import EVERYBODY, RULES
from tests.faults.models import Kind
from tests.faults.trials.part import Part
from tests.faults.world import Bench, World, world
from tests.patience import TIME_SCALE

QUICK, WHOLE = (30, 3), (1000, 10)
"""Chats, and messages in each."""
ACCEPTED = 60.0 * TIME_SCALE
GROWTH = 150 * 2**20
AT_ONCE, PROMPTLY = 1000, 0.5 * TIME_SCALE
ANY = frozenset({"done", "merged", "refused", "failed"})
"""Too many of one chat are told so."""


async def trial(bench: Bench, number: int, seed: int) -> Sequence[str]:
    """All is accepted within a minute, in order, in little memory; and a thousand messages at once are stored soon."""
    chats, each = QUICK if number == 0 else WHOLE
    async with world(bench, seed) as w:
        w.platforms = ("telegram",)
        found = [*await _backlog(w, chats, each), *await w.judged(seconds=1500)]
    async with world(bench, seed) as w:
        return [*found, *await _at_once(w)]


async def _backlog(w: World, chats: int, each: int) -> Sequence[str]:
    talks = [w.talks.on_telegram() for _ in range(chats)]
    for _ in range(each):
        for talk in talks:
            talk.ask(ends=ANY)
    bot = await w.start(Kind(slots=8))
    began = time.monotonic()
    memory = peak = 0
    while w.telegram.queue.pending or not memory:
        await asyncio.sleep(0.05)
        memory = memory or bot.memory
        peak = max(peak, bot.memory)
        if time.monotonic() - began > ACCEPTED:
            return [f"{w.telegram.queue.pending} updates wait after {ACCEPTED:.0f} s"]
    if w.database.progress()[0] != chats * each:
        return ["confirmed, but not stored"]
    for talk in talks:
        talk.ask(ends=ANY)
    await w.settled(1500)
    peak = max(peak, bot.memory)
    return [f"grew by {(peak - memory) / 2**20:.0f} MiB"] if peak - memory > GROWTH else []


async def _at_once(w: World) -> Sequence[str]:
    from core.answering.assistant import Assistant
    from core.domain.conversation import ChatId
    from tests.fakes import FakeModel, FakePlatform, OpenFilter, incoming

    async with open_database(f"sqlite+aiosqlite:///{w.database.file}") as engine:
        store = DatabaseStore(engine)
        model = FakeModel()
        model.gate = asyncio.Semaphore(0)
        assistant = Assistant(store, model, RULES, OpenFilter())
        service, platform = ChatService(store, assistant, EVERYBODY, now=now_ms), FakePlatform()
        seconds: list[float] = []

        async def accept(number: int) -> None:
            began = time.monotonic()
            await service.ingest.accept(incoming("hello", chat=ChatId("fake", str(number))))
            seconds.append(time.monotonic() - began)

        async with service.running():
            await service.serve(platform)
            service.settle(platform.name)
            await asyncio.gather(*(accept(number) for number in range(AT_ONCE)))
    late = sorted(seconds)[int(AT_ONCE * 0.99)]
    return [f"99 % of {AT_ONCE} are stored within {late * 1000:.0f} ms"] if late > PROMPTLY else []


PART = Part("backlog", trial, 1, 3, timed=True)
