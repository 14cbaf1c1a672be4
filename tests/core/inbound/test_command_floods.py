"""Floods of commands: one person holds up nobody, is told once, and is answered once what they ask for repeatedly."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.commands.registry import COMMANDS, UNKNOWN, find
from core.domain.command_line import CommandLine
from core.domain.conversation import NewReply, Reply
from core.domain.platform import ButtonAction
from core.domain.reply_states import Lane, State
from core.domain.settings import MAX_COMMANDS, Limits
from core.i18n import t
from core.inbound.command_floods import COMMAND_WINDOW_MS, Waiting, _stored, find_repeated, is_flood
from storage.database import open_database
from storage.store import DatabaseStore
from tests.conftest import RULES, Bot, MakeBot
from tests.core.commands.pressing import Pressing
from tests.fakes import ANN, BOB, CHAT, claim_next, incoming, owe
from tests.patience import limit
from tests.tables import each_row
from tests.watching import history, outcome, reached

LIMITS = Limits(chat=50, commands=MAX_COMMANDS)
HELP, TEMP = ("ann", CommandLine("help")), ("ann", CommandLine("temp"))


@pytest.fixture
async def shared(make_bot: MakeBot) -> AsyncIterator[Bot]:
    """A bot that bounds commands as one that people share does."""
    async with make_bot(rules=replace(RULES, limits=LIMITS)) as bot:
        yield bot


async def stalled(bot: Bot, text: str) -> tuple[Reply, asyncio.Event]:
    """A command that is carried out, but not shown yet."""
    bot.platform.slow_first = shows = asyncio.Event()
    reply = await bot.accept(text)
    await reached(bot, reply, lambda current: current.state is State.SENDING)
    return reply, shows


@pytest.mark.slow
@each_row(
    ("text", "looks"),
    [
        *((f"/{command.name}", True) for command in COMMANDS
          if command.name not in ("clear", "stop", "retry", "continue", "undo")),
        ("/clear", False), ("/stop", False), ("/retry", False), ("/continue", False), ("/undo", False),
        ("/temp 0", False), ("/temp reset", False), ("/maxtokens 256", False), ("/memory 3", False),
        ("/system Be kind.", False), ("/lang vi", False), ("/lang reply vi", False), ("/help temp", True),
        ("/filter strict", False), ("/filter add x", False), ("/filter off list", False), ("/filter list", True),
        ("/filter TEST list", True), ("/nothing", True), ("/nothing at all", True),
    ],
)  # fmt: skip
def test_which_commands_only_look(text: str, looks: bool) -> None:
    name, _, argument = text[1:].partition(" ")
    assert (find(name) or UNKNOWN).changes_nothing(argument) is looks


@pytest.mark.slow
@each_row(
    ("waiting", "found"),
    [
        ([], None),
        ([Waiting(HELP, 0)], 0),
        ([Waiting(HELP, 0), Waiting(TEMP, 1)], 0),
        ([Waiting(TEMP, 0)], None),
        ([Waiting(("bob", CommandLine("help")), 0)], None),
        ([Waiting(HELP, 0), Waiting(None, 1)], None),
        ([Waiting(None, 0), Waiting(HELP, 1), Waiting(HELP, 2)], 2),
    ],
)
def test_what_a_repeat_is_merged_into(waiting: list[Waiting], found: int | None) -> None:
    repeated = find_repeated(HELP, waiting)
    assert (repeated.place if repeated else None) == found


@pytest.mark.slow
@given(st.lists(st.integers(0, 40_000), max_size=40))
def test_no_more_than_so_many_are_let_in_of_any_ten_seconds(steps: list[int]) -> None:
    at, given_at, let_in = 0, list[int](), list[int]()
    for step in steps:
        at += step
        if not is_flood(given_at, at, MAX_COMMANDS):
            let_in.append(at)
        given_at.append(at)
    for last in let_in:
        assert sum(0 <= last - each < COMMAND_WINDOW_MS for each in let_in) <= MAX_COMMANDS
    assert not is_flood(given_at, at, 0), "without a bound"
    assert not is_flood(given_at, at - 3_600_000, MAX_COMMANDS), "a clock that steps back keeps nobody waiting"


async def test_beyond_five_in_ten_seconds_a_person_is_told_once(shared: Bot) -> None:
    texts = ["/temp 0.1", "/temp 0.2", "/help", "/status", "/temp 0.5", "/temp 0.9", "/clear", "/help", "/stop"]
    replies = [await shared.accept(text) for text in texts]
    ends = [await outcome(shared, reply) for reply in replies]
    assert ends == [State.DONE] * 5 + [State.REFUSED] + [State.MERGED] * 2 + [State.REFUSED]
    assert shared.platform.text(replies[8]) == t("en", "stop.nothing"), "/stop is always heard"
    assert {reply.merged_into for reply in replies[6:8]} == {replies[5].id}
    assert shared.platform.text(replies[5]) == t("en", "busy.commands", most=5)
    assert "0.5" in await shared.say("/temp", BOB), "what is too much is not carried out"


@pytest.mark.slow
async def test_in_one_batch_too_and_after_a_while_all_is_as_before(shared: Bot) -> None:
    messages = [incoming(f"/temp 0.{number}") for number in range(1, 10)]
    stored = await asyncio.gather(*(shared.service.ingest.accept(message) for message in messages))
    ends = [await outcome(shared, reply) for reply in stored if reply]
    assert ends == [State.DONE] * 5 + [State.REFUSED] + [State.MERGED] * 3
    later = replace(incoming("/temp"), at=messages[-1].at + COMMAND_WINDOW_MS)
    reply = await shared.service.ingest.accept(later)
    assert reply and await outcome(shared, reply) is State.DONE and "0.5" in shared.platform.text(reply)


@pytest.mark.slow
async def test_a_slash_command_that_is_too_many_has_a_response_of_its_own(shared: Bot) -> None:
    replies = []
    for number in range(8):
        message = replace(incoming("/help"), reply_token=f"key {number}")
        replies.append(await shared.service.ingest.accept(message))
    ends = [await outcome(shared, reply) for reply in replies if reply]
    assert ends == [State.DONE] * 5 + [State.REFUSED] * 3


@pytest.mark.slow
async def test_a_slash_command_is_merged_with_nothing(shared: Bot) -> None:
    """Neither into a typed one, nor a typed one into it: its response is for its person alone."""
    _, shows = await stalled(shared, "/help")
    slash, typed = replace(incoming("/temp"), reply_token="key"), incoming("/temp")
    messages = [slash, typed, replace(slash, external_id="again"), replace(typed, external_id="and again")]
    replies = [await shared.service.ingest.accept(message) for message in messages]
    shows.set()
    ends = [await outcome(shared, reply) for reply in replies if reply]
    assert ends == [State.DONE] * 3 + [State.MERGED]


@pytest.mark.slow
async def test_what_is_answered_at_once_is_no_command(shared: Bot) -> None:
    """Pictures without words: each has its line, and the command behind them is carried out."""
    pictures = [await shared.accept("") for _ in range(MAX_COMMANDS + 1)]
    assert [await outcome(shared, reply) for reply in pictures] == [State.REFUSED] * (MAX_COMMANDS + 1)
    assert {shared.platform.text(reply) for reply in pictures} == {t("en", "media.only_text")}
    assert "0.7" in await shared.say("/temp")


async def test_a_question_is_answered_before_commands_that_only_look(shared: Bot) -> None:
    """One member's /help, which waits for the platform, holds up neither questions nor another's settings."""
    looking, shows = await stalled(shared, "/help")
    waiting = [await shared.accept(text) for text in ("/status", "/whoami", "/filter list", "/temp")]
    async with limit():
        assert await shared.say("hello", BOB) == "hello"
        assert "→ 0" in await shared.say("/temp 0", BOB)
        assert await shared.say("and now?", BOB) == "and now?"
    assert shared.model.samplings[-1].temperature == 0
    shows.set()
    assert {await outcome(shared, reply) for reply in (looking, *waiting)} == {State.DONE}
    assert "0 (set here" in shared.platform.text(waiting[-1])
    assert len(await history(shared)) == 2


@pytest.mark.slow
async def test_a_question_waits_for_a_command_that_changes_something(shared: Bot) -> None:
    changing, shows = await stalled(shared, "/temp 0")
    question, look = await shared.accept("hello"), await shared.accept("/temp")
    async with shared.store.begin() as tx:
        states = [(await tx.replies.get(reply.id)).state for reply in (question, look)]
    assert states == [State.QUEUED] * 2
    shows.set()
    assert {await outcome(shared, reply) for reply in (changing, question, look)} == {State.DONE}
    assert "0 (set here" in shared.platform.text(look)


@pytest.mark.slow
async def test_repeats_that_wait_are_answered_once(shared: Bot) -> None:
    first, shows = await stalled(shared, "/temp")
    second = await shared.accept("/temp")
    third = await shared.accept("/TEMP")
    others = await shared.accept("/temp", BOB)
    await shared.accept("/temp 0.3", BOB)
    fourth = await shared.accept("/temp")
    shows.set()
    ends = [await outcome(shared, reply) for reply in (first, second, third, others, fourth)]
    assert ends == [State.DONE, State.DONE, State.MERGED, State.DONE, State.DONE]
    assert third.merged_into == second.id and "0.3" in shared.platform.text(fourth), "asked after the change"


@pytest.mark.slow
async def test_a_refusal_that_is_not_shown_yet_holds_up_no_repeat(store: DatabaseStore) -> None:
    busy = NewReply(incoming(""), Lane.NOTICE, State.SENDING, final="busy")
    async with store.begin() as tx:
        await tx.inbox.add([NewReply(incoming("/temp"), Lane.LOOK), busy])
        assert [waiting.asked for waiting in await _stored(tx, CHAT)] == [TEMP]
        await owe(tx, incoming("/temp 0"), Lane.NOTICE)
        assert [waiting.asked for waiting in await _stored(tx, CHAT)] == [TEMP, None]


@pytest.mark.slow
async def test_a_button_that_was_pressed_too_soon_can_be_pressed_again(shared: Bot) -> None:
    answer = await shared.accept("why?")
    assert await outcome(shared, answer) is State.DONE
    for number in range(MAX_COMMANDS):
        await shared.say(f"/temp 0.{number}")
    press = Pressing(shared)
    result = await press(ButtonAction.RETRY, answer)
    assert result.alert and result.text == t("en", "busy.commands", most=5)
    shared.service.ingest._admission._floods._last.clear()  # ten seconds later
    shared.platform.channels[answer.id + MAX_COMMANDS + 2] = shared.platform.channels[answer.id]
    assert not (await press(ButtonAction.RETRY, answer)).alert


@pytest.mark.slow
async def test_repeats_of_one_batch_are_answered_once(shared: Bot) -> None:
    texts = ("/help", "/start", "/help", "/temp", "/temp 0.3")
    stored = await asyncio.gather(*(shared.service.ingest.accept(incoming(text, ANN)) for text in texts))
    ends = [await outcome(shared, reply) for reply in stored if reply]
    assert ends == [State.DONE, State.DONE, State.MERGED, State.DONE, State.DONE]
    async with shared.store.begin() as tx:
        repeated = await tx.replies.get(stored[2].id if stored[2] else 0)
    assert stored[0] and repeated.merged_into == stored[0].id


@pytest.mark.slow
async def test_a_restart_carries_out_what_was_begun_and_what_waits(make_bot: MakeBot, database: str) -> None:
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        begun, waits = [await owe(tx, incoming("/temp"), Lane.LOOK) for _ in range(2)]
        assert begun and waits and await claim_next(tx, Lane.LOOK) == await tx.replies.get(begun.id)
        repeat = NewReply(incoming(""), Lane.NOTICE, State.MERGED, merged_into=waits.id)
        [merged] = await tx.inbox.add([repeat])
    async with make_bot() as bot, limit():
        ends = [await outcome(bot, reply) for reply in (begun, waits, merged)]
        assert ends == [State.DONE, State.DONE, State.MERGED]
        assert "0.7" in bot.platform.text(begun) and "0.7" in bot.platform.text(waits)
