"""What comes in: who has given up waiting, where an answer goes, platforms that come later."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import text

from core.answering.assistant import Assistant
from core.dispatch.service import ChatService
from core.domain.permissions import Access
from core.domain.reply_states import Lane, State
from core.domain.settings import NO_LIMITS
from core.i18n import t
from core.inbound.admission import AdmissionControl, ThroughputEstimate
from core.inbound.ingest import Ingest
from storage.database import open_database
from storage.store import DatabaseStore, SqlTransaction, now_ms
from tests.changes import WatchedStore
from tests.conftest import EVERYBODY, RULES, Bot
from tests.core.inbound.consuming import consumed
from tests.fakes import ANN, BOB, FakeModel, FakePlatform, OpenFilter, incoming, owe
from tests.patience import limit

pytestmark = pytest.mark.databases("sqlite", "postgresql")


class HeldStore:
    """A store whose transactions wait to be let through."""

    def __init__(self, store: DatabaseStore) -> None:
        self._store, self.gate, self.asked = store, asyncio.Semaphore(0), asyncio.Event()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[SqlTransaction]:
        self.asked.set()
        await self.gate.acquire()
        async with self._store.begin() as tx:
            yield tx


async def test_nothing_comes_of_what_nobody_waits_for_any_more(store: DatabaseStore) -> None:
    held = HeldStore(store)
    intake = Ingest(held, EVERYBODY, AdmissionControl(NO_LIMITS, ThroughputEstimate(1), {}, ()), lambda replies: None)
    writing = asyncio.create_task(intake.run())
    first = asyncio.create_task(intake.accept(incoming("on its way already")))
    async with limit():
        await held.asked.wait()
    gives_up = asyncio.create_task(intake.accept(incoming("too late")))
    await asyncio.sleep(0)
    gives_up.cancel()
    await asyncio.gather(gives_up, return_exceptions=True)
    assert gives_up.cancelled()
    last = asyncio.create_task(intake.accept(incoming("in time")))
    await asyncio.sleep(0)
    held.gate.release()
    held.gate.release()
    replies = [await first, await last]
    writing.cancel()
    assert [reply.text for reply in replies if reply] == ["on its way already", "in time"]
    async with store.begin() as tx:
        assert await tx.replies.count_active() == (0, 2)


@pytest.mark.slow
async def test_what_is_found_too_late_is_told_once_and_nothing_kept_of_it(store: DatabaseStore) -> None:
    admits_ann = Access(users=frozenset({f"fake:{ANN.id}"}))
    async with consumed(store, admits_ann) as made:
        accept = made.ingest.accept
        for text_, private, language in (("why?", False, "en"), ("why?", True, "vi"), ("/clear", False, "en")):
            message = replace(incoming(text_, replace(ANN, locale=language), private=private), missed=True)
            told = await accept(message)
            assert told and (told.lane, told.state) == (Lane.NOTICE, State.SENDING)
            assert told.final == t(language, "error.missed") and (told.text, told.question) == ("", None)
            assert await accept(message) is None, "once"
        assert await accept(replace(incoming("why?", BOB, private=False), missed=True)) is None, "a stranger"
        assert await accept(replace(incoming("", private=False), missed=True)) is None, "a picture"


async def test_the_origin_comes_back_with_the_reply_and_goes_with_it(bot: Bot) -> None:
    for message in ("a question", "/temp 0.1"):
        reply = await bot.service.ingest.accept(replace(incoming(message), reply_token="a key"))
        assert reply and reply.reply_token == "a key" and "a key" not in repr(reply)
        assert (await bot.outcome(reply)).reply_token == ""
    async with bot.store.begin() as tx:
        rows = await tx.replies._connection.execute(text("SELECT count(*) FROM inbox WHERE origin IS NOT NULL"))
        assert rows.scalar() == 0


async def test_a_platform_that_is_served_later(database: str) -> None:
    """What is unfinished there waits for it; another's goes on meanwhile."""
    platform = FakePlatform()
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        async with store.begin() as tx:
            unfinished = await owe(tx, incoming("before"), Lane.ANSWER)
            assert unfinished
        assistant = Assistant(store, FakeModel(), RULES, OpenFilter())
        commits = WatchedStore(store)
        service = ChatService(commits, assistant, EVERYBODY, now=now_ms)
        async with service.running():
            await commits.idle()
            async with store.begin() as tx:
                assert (await tx.replies.get(unfinished.id)).state is State.QUEUED
            await service.serve(platform)
            service.settle(platform.name)
            async with limit():
                assert (await service.control.wait_for_outcome(unfinished)).state is State.DONE
            assert platform.text(unfinished) == "before"
