"""What is done is deleted after so long, in small steps, and nothing that anybody sees changes by that."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Connection, event, func, select

from core.dispatch.bookkeeping import DAY_S, STEP_ROWS
from core.domain.conversation import ChatId, Chunk, Incoming, NewReply, Reply
from core.domain.reply_states import Lane, ReplyEvent, State
from core.domain.store import Pruned
from storage.database import open_database
from storage.handled import _digest
from storage.sqlite import SqliteDatabase
from storage.store import DatabaseStore, SqlTransaction, now_ms
from storage.tables import handled, inbox, messages, replies
from tests.conftest import QUICK, running_bot
from tests.fakes import ANN, BOB, CHAT, FakeModel, claim_next, incoming, owe
from tests.storage.test_reads import CHANGES, READS
from tests.tables import each_row
from tests.watching import history, idle, outcome

pytestmark = pytest.mark.databases("sqlite", "postgresql")

OTHER = ChatId("fake", "2")
LATER = now_ms() + 10**9


async def answered(tx: SqlTransaction, message: Incoming, ends: State = State.DONE) -> Reply:
    """A message with its answer."""
    reply = await owe(tx, message, Lane.ANSWER)
    assert reply
    claimed = await claim_next(tx)
    assert claimed and claimed.id == reply.id
    if ends is State.FAILED:
        return await tx.replies.move(claimed, ReplyEvent.FAIL)
    await tx.messages.add_intent(claimed, f"n{claimed.id}")
    await tx.messages.set_id(claimed, f"n{claimed.id}", f"shown {claimed.id}")
    await tx.turns.save_answer(claimed, f"{message.text}!")
    done = await tx.replies.move(claimed, ReplyEvent.FINISH, final=f"{message.text}!", outcome=ends)
    return await tx.replies.move(done, ReplyEvent.DELIVER)


async def commanded(tx: SqlTransaction, message: Incoming) -> Reply:
    """A command that was carried out."""
    await owe(tx, message, Lane.NOTICE)
    claimed = await claim_next(tx, Lane.NOTICE)
    assert claimed
    done = await tx.replies.move(claimed, ReplyEvent.FINISH, final="ok")
    return await tx.replies.move(done, ReplyEvent.DELIVER)


async def pruned(store: DatabaseStore, before: int = LATER, most: int = 100) -> int:
    """Prune everything, step by step; how many messages were deleted."""
    after: int | None = 0
    count = 0
    while after is not None:
        async with store.begin() as tx:
            step = await tx.bookkeeping.prune(before, after, most)
        after, count = step.after, count + step.count
    return count


async def sizes(store: DatabaseStore) -> dict[str, int]:
    async with store.begin() as tx:
        counts = {}
        for table in (inbox, replies, messages, handled):
            found = await tx.replies._connection.execute(select(func.count()).select_from(table))
            counts[table.name] = found.scalar_one()
        return counts


async def test_what_is_done_is_deleted_and_turns_stay(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        old = [incoming(f"question {number}") for number in range(7)]
        for message in old[:5]:
            await answered(tx, message)
        await answered(tx, old[5], State.FAILED)
        command = incoming("/temp 0")
        await commanded(tx, command)
        last = await answered(tx, old[6])
        waiting = await owe(tx, incoming("waits"), Lane.ANSWER)
        assert waiting
    assert await pruned(store, before=now_ms() - 60_000) == 0, "it is not old"
    assert await pruned(store, most=2) == 7
    assert await pruned(store) == 0
    assert await sizes(store) == {"inbox": 2, "replies": 2, "messages": 6 * 2 + 1, "handled": 7}
    async with store.begin() as tx:
        assert [turn.question for turn in await tx.turns.recent(CHAT, 10**9, 9)] == [
            *(f"question {number}" for number in range(5)), "question 6",
        ]  # fmt: skip
        assert set(await tx.inbox.stored_keys([*old, command, incoming("new")])) == {
            message.key for message in (*old, command)
        }, "none is answered twice"
        assert (await tx.replies.get(last.id)).chunks == (Chunk(f"n{last.id}", f"shown {last.id}"),)
        assert (await tx.replies.get(waiting.id)).state is State.QUEUED
        question = await tx.turns.last_question(CHAT)
        assert question and question.text == "question 6"
        await tx.turns.delete_pair(question.id)  # /undo
        before = await tx.turns.last_question(CHAT)
        assert before and before.text == "question 4", "its reply is pruned"
    again = DatabaseStore(store._database)
    async with again.begin() as tx:
        assert old[0].key in await tx.inbox.stored_keys([old[0]]), "after a restart, too"


@pytest.mark.slow
async def test_each_conversation_keeps_its_last_answer_and_its_newest_message(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        for number in range(3):
            await answered(tx, incoming(f"{number}", ANN, OTHER))
        await commanded(tx, incoming("/help", ANN, OTHER))
        newest = incoming("/temp", ANN, OTHER)
        await commanded(tx, newest)
        cleared = [await answered(tx, incoming(f"{number}")) for number in range(3)]
        await tx.turns.clear(replace(cleared[-1], id=cleared[-1].id + 1))
        known = await tx.chats.active("fake")
    assert await pruned(store) == 2 + 1 + 2
    async with store.begin() as tx:
        assert await tx.chats.active("fake") == known
        assert [each.seq for each in known if each.chat == OTHER] == [newest.seq]
        new = await owe(tx, incoming("new", ANN, OTHER), Lane.ANSWER)
        claimed = await claim_next(tx)
        assert new and claimed and claimed.id == new.id
        done = await tx.replies.move(claimed, ReplyEvent.FINISH, final="new!")
        previous = await tx.replies.deliver(done)
        assert previous and previous.chunks, "its buttons are removed"


@pytest.mark.slow
async def test_what_is_open_or_new_stays_whatever_its_neighbours_are(store: DatabaseStore) -> None:
    times = [now_ms()]
    dated = DatabaseStore(store._database, lambda: times[0])
    async with dated.begin() as tx:
        old = await commanded(tx, incoming("/help 1"))
        waits = await owe(tx, incoming("/help 2"), Lane.LOOK)
    times[0] += 2000
    async with dated.begin() as tx:
        new = await commanded(tx, incoming("/help 3"))
        await commanded(tx, incoming("/help 4"))
    assert waits and await pruned(dated, before=times[0] - 1000) == 1
    async with dated.begin() as tx:
        assert (await tx.replies.get(waits.id)).state is State.QUEUED
        assert (await tx.replies.get(new.id)).state is State.DONE
        with pytest.raises(LookupError):
            await tx.replies.get(old.id)


@pytest.mark.slow
async def test_a_question_that_another_reply_is_about_stays(store: DatabaseStore) -> None:
    """It failed, and so did its /retry, which is the conversation's last answer."""
    async with store.begin() as tx:
        failed = await answered(tx, incoming("why?"), State.FAILED)
        question = await tx.turns.last_question(CHAT)
        await owe(tx, incoming("/retry"), Lane.NOTICE)
        command = await claim_next(tx, Lane.NOTICE)
        assert question and command
        await tx.replies.become_answer(command, question)
        again = await claim_next(tx)
        assert again
        await tx.replies.move(again, ReplyEvent.FAIL)
        await commanded(tx, incoming("/help"))
    assert await pruned(store) == 1
    async with store.begin() as tx:
        with pytest.raises(LookupError):
            await tx.replies.get(failed.id)
        assert (await tx.replies.get(again.id)).text == "why?"


@pytest.mark.slow
def test_who_has_the_hashes_alone_can_not_try_messages() -> None:
    message = ("fake", "bot", "m:1")
    assert _digest(b"one", message) == _digest(b"one", message) != _digest(b"another", message)
    assert _digest(b"one", message) != _digest(b"one", ("fake", "bot", "m:2"))


@pytest.mark.slow
async def test_a_step_looks_at_so_many_rows(store: DatabaseStore) -> None:
    async with store.begin() as tx:
        for number in range(6):
            await commanded(tx, incoming(f"/help {number}"))
    async with store.begin() as tx:
        assert await tx.bookkeeping.prune(LATER, 0, 4) == Pruned(4, 4)
        assert await tx.bookkeeping.prune(LATER, 4, 4) == Pruned(1, None), "the newest message stays"
        assert await tx.bookkeeping.prune(LATER, 9, 4) == Pruned(0, None)


@pytest.mark.slow
@pytest.mark.parametrize("days", [30, 0])
async def test_a_bot_prunes_what_is_older(database: str, days: int) -> None:
    timing = replace(QUICK, kept_days=days, prune_every_s=0.01)
    async with open_database(database) as engine:
        old = DatabaseStore(engine, lambda: now_ms() - round(31 * DAY_S * 1000))
        messages = [incoming(f"question {number}") for number in range(3)]
        async with old.begin() as tx:
            for message in messages:
                await answered(tx, message)
        store = DatabaseStore(engine)
        async with running_bot(store, store, FakeModel(), timing=timing) as bot:
            new = await bot.accept("new")
            assert await outcome(bot, new) is State.DONE
            if days:
                await bot.commits.until_stored(lambda: _has_handled(store, 3))
            else:
                await idle(bot)
            assert (await sizes(store))["handled"] == (3 if days else 0)
            assert await bot.service.ingest.accept(messages[0]) is None
            assert [turn.question for turn in await history(bot)] == [*(m.text for m in messages), "new"]


async def _has_handled(store: DatabaseStore, count: int) -> bool:
    return (await sizes(store))["handled"] == count


# Query plans

BURST = [incoming("?", author, ChatId(f"fake {n}", f"{n}", f"{n}")) for n in range(5) for author in (ANN, BOB)]
SMALL = {"chats", "identifies", "menus", "keys", "users"}
"""Tables without a row for each message."""


def plans(connection: Connection, statement: str, parameters: object) -> list[str]:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]
    return [row[-1] for row in rows]


def scanned(plan: list[str]) -> list[str]:
    """The lines of a plan that read a whole table of messages."""
    return [
        line
        for line in plan
        if line.startswith("SCAN") and not any(f" {name}" in f" {line.removeprefix('SCAN ')}" for name in SMALL)
        and line.split()[1] not in ("CONSTANT", "chosen", "anon_1", "anon_2")
    ]  # fmt: skip


@each_row("name", [*READS, *CHANGES, "stored_keys", "queue_load", "add", "deliver", "prune", "delay", "clear"])
@pytest.mark.databases("sqlite")
async def test_no_statement_reads_a_whole_table(store: DatabaseStore, name: str) -> None:
    database = store._database
    assert isinstance(database, SqliteDatabase)
    seen: list[tuple[str, object]] = []
    calls: dict[str, Callable[[SqlTransaction, Reply], object]] = {
        "stored_keys": lambda tx, reply: tx.inbox.stored_keys(BURST),
        "queue_load": lambda tx, reply: tx.inbox.queue_load(BURST, 0, ["fake", "other"]),
        "add": lambda tx, reply: tx.inbox.add([NewReply(message, Lane.ANSWER) for message in BURST]),
        "deliver": lambda tx, reply: tx.replies.deliver(reply),
        "prune": lambda tx, reply: tx.bookkeeping.prune(LATER, 0, STEP_ROWS),
        "delay": lambda tx, reply: tx.replies.delay(reply, 1, 2),
        "clear": lambda tx, reply: tx.turns.clear(reply),
    }
    async with store.begin() as tx:
        reply = await answered(tx, incoming("before", ANN, OTHER))
        connection = database._connection
        assert connection is not None
        assert scanned(plans(connection, "SELECT id FROM replies WHERE outcome = ?", ("x",))), "it would be seen"

        def note(conn: object, cursor: object, statement: str, parameters: object, *rest: object) -> None:
            seen.append((statement, parameters))

        event.listen(connection.engine, "before_cursor_execute", note)
        try:
            if name in calls:
                open_one = replace(reply, state=State.SENDING)
                if name == "deliver":
                    await owe(tx, incoming("now", ANN, OTHER), Lane.ANSWER)
                    claimed = await claim_next(tx)
                    assert claimed
                    open_one = await tx.replies.move(claimed, ReplyEvent.FINISH, final="x")
                await calls[name](tx, open_one)  # type: ignore[misc]
            else:
                await (READS | CHANGES)[name][0](tx)
        finally:
            event.remove(connection.engine, "before_cursor_execute", note)
        found = {
            line: statement
            for statement, parameters in seen
            if statement.startswith(("SELECT", "UPDATE", "DELETE"))
            for line in scanned(plans(connection, statement, parameters))
        }
    assert not found and (seen or name in ("inbox.add",))
