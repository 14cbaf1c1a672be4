"""Telegram when things go wrong: each fault of the network and of the server, and what a restart finds."""

import json
import logging
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from telegram import Bot, Update
from telegram.request import HTTPXRequest

from bots.telegram_bot.adapter import TelegramBot
from bots.telegram_bot.incoming import BotAccount
from bots.telegram_bot.long_polling import LongPoller
from core.domain.errors import SetupError
from tests.bots.telegram_bot.telegram_running import BOT, QUICK_TIMING, RETRY, STOP, lone_services, running, settled
from tests.bots.telegram_bot.test_message_grouping import LONG, said
from tests.fakes import FakeModel
from tests.platforms.bot_api import TOKEN, BotApi, bot_api
from tests.platforms.bot_api_chats import Chat, Person
from tests.platforms.faults import FaultKind
from tests.tables import each_row
from tests.waiting import until
from tests.watching import held

# Polling


POLLS = [
    ("the server fails", FaultKind.ERROR, {"code": 500, "description": "Internal Server Error"}),
    ("the connection is lost", FaultKind.DROP_BEFORE, {}),
    ("half an answer", FaultKind.TRUNCATED, {}),
    ("too many", FaultKind.ERROR, {"code": 429, "description": "Too Many", "parameters": {"retry_after": 1}}),
    ("twice the same", FaultKind.DUPLICATE, {}),
]


async def polling_goes_on(server: BotApi, database: str, kind: FaultKind, options: dict[str, Any]) -> None:
    person = server.person("Somebody")
    private = server.private(person)
    private.say("hello", person)
    server.fault(kind, "getUpdates", **options)
    async with running(server, database) as bot:
        assert (await private.ended()).text == "hello"
        await settled(bot, server)
    assert len(private.messages) == 1 and len(server.queue) == 0


@each_row(("name", "kind", "options"), [each for each in POLLS if "retry_after" not in str(each)])
async def test_polling_goes_on(
    server: BotApi, database: str, name: str, kind: FaultKind, options: dict[str, Any]
) -> None:
    await polling_goes_on(server, database, kind, options)


@pytest.mark.slow
@each_row(("name", "kind", "options"), [each for each in POLLS if "retry_after" in str(each)])
async def test_polling_goes_on_after_a_penalty(
    server: BotApi, database: str, name: str, kind: FaultKind, options: dict[str, Any]
) -> None:
    await polling_goes_on(server, database, kind, options)


POISON: list[dict[str, object]] = [
    {"message": {"message_id": 1, "date": "x", "chat": {"id": 1, "type": "private"}, "text": "poison"}},
    {"message": [1]},
    {"message": {}},
    {"callback_query": {"id": 1}},
    {"something_new": {"text": "poison"}},
]


async def test_an_update_that_can_not_be_read_is_set_aside(
    server: BotApi, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each between two questions in a chat of its own."""
    chats = list[Chat]()
    for number, poison in enumerate(POISON):
        person = server.person(f"Person {number}")
        chats.append(server.private(person))
        chats[-1].say("before", person)
        server.queue.put_raw(poison)
        chats[-1].say("after", person)
    async with running(server, database) as bot:
        for chat in chats:
            await chat.ended(2)
        await settled(bot, server)
    assert [chat.texts for chat in chats] == [["before", "after"]] * len(POISON) and len(server.queue) == 0
    assert "poison" not in caplog.text


async def test_a_lone_surrogate_is_no_poison(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    async with running(server, database):
        private.say("half \ud83d a character", ann)
        assert (await private.ended()).text == "half  a character"


async def test_a_webhook_gives_way(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    server.queue.webhook = "https://example.org"
    private.say("hello", ann)
    async with running(server, database):
        assert (await private.ended()).text == "hello"


async def test_a_token_that_is_refused(server: BotApi, database: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bot = TelegramBot("987654321:wrong-token-that-no-log-may-show-0000", server.url, lone_services())
    with pytest.raises(SetupError, match="TELEGRAM_TOKEN is refused") as refused:
        async with bot.connected():
            pass
    assert "wrong-token" not in str(refused.value)


async def test_a_network_that_comes_later(ann: Person, database: str) -> None:
    async with bot_api() as server:
        private = server.private(ann)
        private.say("hello", ann)
        server.fault(FaultKind.DROP_BEFORE, "getMe")
        async with running(server, database):
            assert (await private.ended()).text == "hello"


class ScriptedRequest(HTTPXRequest):
    """Polls that bring what a test gives it."""

    def __init__(self, *polls: Sequence[Update]) -> None:
        super().__init__()
        self._polls = iter(polls)

    async def do_request(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        return 200, json.dumps({"ok": True, "result": [update.to_dict() for update in next(self._polls)]}).encode()


async def test_a_piece_that_comes_after_its_paste_was_taken_is_a_message_of_its_own() -> None:
    """Ann's paste grows on, so that nothing is confirmed; Bob's was complete when its second piece came."""
    ann, bob = [said(1, LONG, by=7), said(3, LONG, by=7)], [said(2, LONG, by=8), said(4, by=8)]
    request = ScriptedRequest([ann[0], bob[0]], [*ann, bob[0]], [*ann, *bob])
    timing = replace(QUICK_TIMING, paste_wait_s=0.05, poll_gap_s=0.06)
    taken = list[list[int]]()
    async with aclosing(LongPoller(Bot("1:a"), BotAccount(1, "a"), request, timing).batches()) as batches:
        for _ in range(3):
            taken += [[update.update_id for update in group] for group in (await anext(batches)).groups]
    assert taken == [[2], [1, 3], [4]]


# Restarts


async def test_what_waited_while_the_bot_was_away_counts(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    private.say("hello", ann, date=time.time() - 86_000)
    async with running(server, database):
        assert (await private.ended()).text == "hello"


async def test_nothing_is_confirmed_before_it_is_stored(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    async with running(server, database) as bot:
        bot.trouble.fails = 1_000_000
        private.say("hello", ann)
        await until(lambda: bot.trouble.fails <= 999_990)
        assert len(server.queue) == 1 and server.queue.polls[-1] is None
        bot.trouble.fails = 0
        assert (await private.ended()).text == "hello"
        await settled(bot, server)
        assert len(server.queue) == 0 and len(private.messages) == 1


async def test_an_answer_cut_by_a_restart_goes_on_in_its_message(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    async with running(server, database, held(1)):
        private.say("one two", ann)
        await private.until(lambda chat: chat.texts == ["one"])
    assert private.last.buttons == [STOP]
    async with running(server, database) as bot:
        await private.ended()
        await settled(bot, server)
    assert private.texts == ["one two"] and private.last.buttons == [RETRY]


async def test_updates_that_come_again_count_once(server: BotApi, database: str, ann: Person, group: Chat) -> None:
    update = None
    async with running(server, database) as bot:
        id = group.say(f"{BOT} hi", ann)
        update = {"message": group.known[id]}
        await group.ended()
        server.queue.put_raw(update)
        await settled(bot, server)
    async with running(server, database) as bot:
        server.queue.put_raw(update)
        await settled(bot, server)
    assert len(group.messages) == 1


# Secrets


async def test_the_token_is_in_no_log_at_any_level(
    server: BotApi, database: str, ann: Person, private: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    """What the libraries log is judged as it is written, behind the filter that the program sets up."""
    from bots.logging_setup import RedactingFormatter

    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "telegram"):
        caplog.set_level(logging.DEBUG, logger=name)
    caplog.handler.setFormatter(RedactingFormatter([TOKEN]))
    for kind, method in (
        (FaultKind.DROP_BEFORE, "sendMessage"),
        (FaultKind.TRUNCATED, "getUpdates"),
        (FaultKind.TRUNCATED, "editMessageText"),
    ):
        server.fault(kind, method)
    async with running(server, database) as bot:
        private.say("hello secret words", ann)
        await private.ended()
        logging.getLogger("x").error("%r %r", bot.telegram, vars(bot.telegram))
        try:
            raise RuntimeError(f"{server.url}/bot{TOKEN}/getMe")
        except RuntimeError:
            logging.getLogger("x").exception("as a traceback")
    assert len(caplog.text) > 1000 and "canary" not in caplog.text


async def test_what_people_say_is_in_no_log_from_info_on(
    server: BotApi, database: str, ann: Person, private: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    from bots.logging_setup import set_up_logging

    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        set_up_logging("INFO", [TOKEN])
        logging.getLogger().addHandler(caplog.handler)
        server.fault(FaultKind.TRUNCATED, "getUpdates")
        server.fault(FaultKind.TRUNCATED, "sendMessage")
        private.say("canary words of ann", ann)
        async with running(server, database, FakeModel(lambda prompt: ["canary ", "words"])):
            await private.until(lambda chat: any(text == "canary words" for text in chat.texts))
    finally:
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)
    assert "canary" not in caplog.text
