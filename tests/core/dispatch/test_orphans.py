"""What a lost commit, a platform that is away or an engine's death leaves behind stops nobody, and is taken up."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from core.domain.conversation import ChatId, Incoming, Reply
from core.domain.reply_states import Lane, ReplyEvent, State
from core.domain.settings import Limits, Rules
from core.domain.store import Store, Transaction, Unavailable
from core.i18n import t
from core.inbound.backlog import EXPIRE_AFTER_MS, MERGE_AFTER_MS
from storage.database import open_database
from storage.recovery import MAX_ATTEMPTS
from storage.store import DatabaseStore, now_ms
from tests.conftest import QUICK, RULES, Bot, running_bot
from tests.fakes import ANN, BOB, FakeModel, claim_next, incoming, owe
from tests.watching import ended, held, now, release, running

GONE, OTHER = ChatId("gone", "1"), ChatId("fake", "9")


class LosingStore:
    """The first commit after which `lost` is true is answered with an error."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.lost: Callable[[], Awaitable[bool]] | None = None

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        before = self.lost is None or await self.lost()
        async with self._store.begin() as tx:
            yield tx
        if not before and self.lost is not None and await self.lost():
            self.lost = None
            raise Unavailable("after it was stored")

    async def until_lost(self, reply_id: int, state: State, lane: Lane | None) -> bool:
        async with self._store.begin() as tx:
            found = await tx.replies.find(reply_id)
        return found is not None and found.state is state and lane in (found.lane, None)

    def lose(self, reply_id: int, state: State, lane: Lane | None = None) -> None:
        """Nobody learns that this reply has come to this state, or to it in this lane."""
        self.lost = lambda: self.until_lost(reply_id, state, lane)


@asynccontextmanager
async def losing(
    database: str, model: FakeModel | None = None, rules: Rules = RULES
) -> AsyncIterator[tuple[Bot, LosingStore]]:
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        trouble = LosingStore(store)
        async with running_bot(trouble, store, model or FakeModel(), rules=rules, timing=QUICK) as bot:
            yield bot, trouble


async def waiting(database: str, *messages: Incoming) -> list[Reply]:
    """What the last process had stored."""
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        return [reply for message in messages if (reply := await owe(tx, message, Lane.ANSWER))]


async def stopped(bot: Bot, reply: Reply) -> bool:
    async with bot.store.begin() as tx:
        return (await tx.replies.get(reply.id)).outcome is State.STOPPED


@pytest.mark.parametrize("alone", [True, False])
async def test_a_platform_that_is_away_stops_no_other(database: str, alone: bool) -> None:
    dead, mine = await waiting(database, incoming("dead", ANN, GONE), incoming("hello"))
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        claimed = await claim_next(tx, platform="gone")
        assert claimed and claimed.id == dead.id
        if alone:
            await tx.replies.requeue(claimed, isolated=True)
            assert await claim_next(tx, platform="gone")
        else:
            here = await claim_next(tx)
            assert here
            await tx.replies.requeue(here, isolated=True)
    async with losing(database, rules=replace(RULES, limits=Limits(waiting=1))) as (bot, _):
        assert await ended(bot, mine) is State.DONE
        assert await bot.say("and now?") == "and now?", "nor does it count as waiting"


async def test_a_question_whose_commit_was_lost_is_answered(database: str) -> None:
    """Stored again it is known already: then nobody is told of a new reply."""
    async with losing(database) as (bot, store):
        store.lose(1, State.QUEUED)
        message = incoming("hello")
        with pytest.raises(Unavailable):
            await bot.service.ingest.accept(message)
        assert await bot.service.ingest.accept(message) is None, "as an adapter does"
        async with bot.store.begin() as tx:
            reply = await tx.replies.get(1)
        assert await ended(bot, reply) is State.DONE and bot.platform.text(reply) == "hello"


async def test_a_refusal_whose_commit_was_lost_is_told(database: str) -> None:
    async with losing(database, held(), replace(RULES, limits=Limits(chat=1))) as (bot, store):
        await bot.accept("one")
        await running(bot)
        await bot.accept("two")
        store.lose(3, State.SENDING)
        message = incoming("three")
        with pytest.raises(Unavailable):
            await bot.service.ingest.accept(message)
        assert await bot.service.ingest.accept(message) is None, "as an adapter does"
        async with bot.store.begin() as tx:
            refused = await tx.replies.get(3)
        assert await ended(bot, refused) is State.REFUSED and "waiting already" in bot.platform.text(refused)


async def test_an_apology_whose_commit_was_lost_is_told(database: str) -> None:
    (old,) = await waiting(database, replace(incoming("old"), at=now_ms() - EXPIRE_AFTER_MS))
    async with losing(database) as (bot, store):
        store.lose(old.id, State.SENDING)
        assert await ended(bot, old) is State.FAILED
        assert bot.platform.text(old) == t("en", "error.late") and await bot.say("hello") == "hello"


@pytest.mark.parametrize("command", ["/stop", "/clear"])
async def test_a_stop_whose_commit_was_lost_stops(database: str, command: str) -> None:
    async with losing(database, held(2)) as (bot, store):
        reply = await bot.accept("one two three")
        await running(bot)
        store.lose(2, State.SENDING)
        stopped = await bot.accept(command)
        assert await ended(bot, stopped) is State.DONE
        release(bot.model)
        assert await ended(bot, reply) is State.STOPPED and "three" not in bot.platform.text(reply)


async def test_a_retry_whose_commit_was_lost_runs_once(database: str) -> None:
    async with losing(database) as (bot, store):
        assert await bot.say("one") == "one"
        store.lose(2, State.QUEUED, Lane.ANSWER)
        again = await bot.accept("/retry")
        assert await ended(bot, again) is State.DONE and bot.platform.text(again) == "one"
        assert store.lost is None and len(bot.model.prompts) == 2


async def test_a_press_whose_commit_was_lost_stops(database: str) -> None:
    async with losing(database, held(1)) as (bot, store):
        reply = await bot.accept("one two")
        await running(bot)
        store.lost = lambda: stopped(bot, reply)
        with pytest.raises(Unavailable):
            await bot.service.control.stop(reply)
        release(bot.model)
        assert await ended(bot, reply) is State.STOPPED


async def test_what_is_stopped_stays_stopped_though_its_engine_dies(database: str) -> None:
    (reply,) = await waiting(database, incoming("hello"))
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        async with store.begin() as tx:
            claimed = await claim_next(tx)
            assert claimed
            await tx.replies.move(claimed, ReplyEvent.STOP)
        async with store.begin() as tx:
            assert (await tx.replies.requeue(claimed, isolated=True)).state is State.GENERATING
            assert await claim_next(tx) is None
            (adrift,) = await tx.recovery.find_orphaned(["fake"], [], now_ms() + 1)
            assert (adrift.id, adrift.state, adrift.outcome) == (reply.id, State.GENERATING, State.STOPPED)


async def test_what_nobody_runs_is_run_but_not_for_ever(database: str) -> None:
    (reply,) = await waiting(database, incoming("hello"))
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            async with store.begin() as tx:
                claimed = await claim_next(tx)
                assert claimed and claimed.attempt == attempt
                assert await tx.recovery.find_orphaned(["fake"], [(reply.id, attempt)], now_ms() + 1) == [], "it is run"
                assert await tx.recovery.find_orphaned(["fake"], [], claimed.at - 1000) == [], "just claimed"
            async with store.begin() as tx:
                (left,) = await tx.recovery.find_orphaned(["fake"], [(reply.id, attempt - 1)], now_ms() + 1)
                assert left.state is (State.QUEUED if attempt < MAX_ATTEMPTS else State.FAILED)


async def test_an_edit_of_one_of_several_questions_that_are_one_costs_no_other(database: str) -> None:
    texts = ("What is 2+2?", "Who wrote Hamlet?", "How far is the moon?")
    messages = [replace(incoming(text), at=now_ms() - MERGE_AFTER_MS) for text in texts]
    *_, last = await waiting(database, incoming("first", BOB, OTHER), *messages)
    model = held()
    model.slots = 1
    async with losing(database, model) as (bot, _):
        await running(bot)
        assert await now(bot, last) is State.QUEUED
        await bot.service.ingest.edit(replace(messages[-1], text="How far is the sun?"))
        release(model)
        assert await ended(bot, last) is State.DONE and bot.platform.text(last) == "\n\n".join(texts)


async def test_what_waited_does_not_count_against_its_author(database: str) -> None:
    old = [replace(incoming(f"old {number}"), at=now_ms() - MERGE_AFTER_MS) for number in range(20)]
    async with losing(database, rules=replace(RULES, limits=Limits(user=5))) as (bot, _):
        replies = [await bot.service.ingest.accept(message) for message in old]
        assert all(reply and reply.state is not State.MERGED for reply in replies)
        assert await bot.say("and now?") == "and now?"
