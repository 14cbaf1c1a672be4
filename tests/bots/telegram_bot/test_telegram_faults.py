"""Telegram when things go wrong: each fault of the network and of the server, and what a restart finds."""

import asyncio
import itertools
import logging
import time
from typing import Any

import pytest
import time_machine

from bots.telegram_bot.app import TelegramBot
from core.chat import ChatId, Reply
from core.errors import SetupError
from storage.store import DatabaseStore
from tests.bots.telegram_bot.running import BOT, RETRY, STOP, asked, quiet, running
from tests.fakes import FakeModel
from tests.platforms.bot_api import TOKEN, BotApi, bot_api
from tests.platforms.bot_api_chats import Chat, Person
from tests.watching import held, release


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds of patience become hundredths."""
    monkeypatch.setattr("core.live_message._pauses", lambda: itertools.repeat(0.03))
    monkeypatch.setattr("bots.telegram_bot.polling._backoff", lambda: itertools.repeat(0.03))


# Sending


SENDS = [
    ("the connection is lost before", "drop_before", {}),
    ("the connection is lost after", "accept_then_drop", {}),
    ("the server fails", "error", {"code": 500, "description": "Internal Server Error"}),
    ("a gateway fails", "error", {"code": 502, "description": "Bad Gateway"}),
    ("the answer can't be read", "truncated", {}),
    ("too many", "error", {"code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 1}}),
    ("slow", "slow", {"seconds": 0.3}),
]  # fmt: skip
SENT = ("sendMessage", "editMessageText")


@pytest.mark.parametrize("method", SENT)
@pytest.mark.parametrize("fault", [each[1:] for each in SENDS], ids=[each[0] for each in SENDS])
async def test_an_answer_is_shown_once_whatever_happens_to_a_call(
    server: BotApi, database: str, ann: Person, private: Chat, method: str, fault: tuple[str, dict[str, Any]]
) -> None:
    kind, options = fault
    server.fault(kind, method, **options)
    async with running(server, database) as bot:
        private.say("hello", ann)
        await private.until(lambda chat: chat.texts and chat.last.text == "hello" and chat.last.buttons == [RETRY])
        await quiet(bot, server)
    assert private.texts.count("hello") == 1 and len(bot.model.prompts) == 1
    stubs = [text for text in private.texts if text == "…"]
    lost = kind in ("accept_then_drop", "truncated") and method == "sendMessage"
    assert len(stubs) == (1 if lost else 0), "only where nobody can know"


async def test_a_penalty_holds_that_chat_alone(server: BotApi, database: str, ann: Person, bob: Person) -> None:
    mine, his = server.private(ann), server.private(bob)
    server.fault("error", "editMessageText", code=429, description="Too Many Requests: retry after 2", chat=mine.id,
                 parameters={"retry_after": 2})  # fmt: skip
    async with running(server, database):
        mine.say("held", ann)
        await mine.until(lambda chat: not server.faults[0].times)
        his.say("free", bob)
        assert (await his.ended()).text == "free"
        assert mine.texts == ["…"]
        assert (await mine.ended()).text == "held"


async def test_unchanged_text_is_success(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    """The edit was taken, its answer was lost: the same edit again is refused as no change."""
    server.fault("accept_then_drop", "editMessageText", times=2)
    async with running(server, database):
        private.say("hello", ann)
        assert (await private.ended()).text == "hello"
        await private.until(lambda chat: any("not modified" in effect.refused for effect in server.ledger))


async def test_a_message_that_was_deleted_is_sent_anew(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    model = held(1)
    async with running(server, database, model):
        private.say("one two", ann)
        await private.until(lambda chat: chat.texts == ["one"])
        del private.known[private.messages.pop().id]
        release(model)
        assert (await private.ended()).text == "one two" and len(private.messages) == 1


async def test_a_chat_where_every_message_vanishes_is_given_up(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    """A moderator's bot that deletes whatever comes."""
    server.fault("error", "editMessageText", times=50, code=400, description="Bad Request: message to edit not found")
    async with running(server, database) as bot:
        private.say("hello", ann)
        await inactive(bot.store, private)
        await quiet(bot, server)
    assert len(server.effects("sendMessage")) <= 6


async def test_entities_that_are_refused_cost_only_themselves(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    server.fault("error", "editMessageText", code=400, description="Bad Request: can't parse entities: strange")
    async with running(server, database):
        private.say("hello **there**", ann)
        answer = await private.ended()
    plain = [each for each in server.effects("editMessageText") if not each.values.get("entities")]
    assert answer.text == "hello there" and [each.values["text"] for each in plain] == ["hello there"]


async def test_a_message_too_old_to_delete_is_emptied(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    answers = iter((["word " * 1500], ["short"]))
    server.fault("error", "deleteMessage", code=400, description="Bad Request: message can't be deleted for everyone")
    async with running(server, database, FakeModel(lambda prompt: next(answers))):
        private.say("long please", ann)
        await private.until(lambda chat: len(chat.messages) == 2 and chat.last.buttons == [RETRY])
        private.say("/retry", ann)
        await private.until(lambda chat: chat.texts == ["short", "…"] and chat.messages[0].buttons == [RETRY])


async def test_a_send_that_is_never_answered(
    server: BotApi, database: str, ann: Person, private: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bots.telegram_bot.app.SEND_TIMEOUT", 0.3)  # time alone
    server.fault("hang", "sendMessage")
    async with running(server, database):
        private.say("hello", ann)
        await private.until(lambda chat: chat.texts == ["…", "hello"])


async def test_five_topics_of_a_group_share_its_minute(server: BotApi, database: str, ann: Person) -> None:
    forum = server.group(ann, forum=True)
    topics = [forum.topic() for _ in range(2)]
    async with running(server, database) as bot:
        for topic in topics:
            forum.say(f"{BOT} hi", ann, topic=topic)
        await forum.ended(2)
        keys = {bot.telegram.surface(reply).key for reply in await replies(bot.store)}
        assert keys == {f"telegram:{forum.id}"}


async def replies(store: DatabaseStore) -> list[Reply]:
    async with store.begin() as tx:
        return [reply for id in (1, 2) if (reply := await tx.replies.find(id))]


@pytest.mark.parametrize(
    "gone", ["Forbidden: bot was blocked by the user", "Bad Request: chat not found",
             "Bad Request: not enough rights to send text messages to the chat"],
)  # fmt: skip
async def test_a_chat_that_is_closed_costs_nobody_else(
    server: BotApi, database: str, ann: Person, bob: Person, gone: str
) -> None:
    mine, his = server.private(ann), server.private(bob)
    model = held(2)
    async with running(server, database, model) as bot:
        mine.say("one two three", ann)
        await mine.until(lambda chat: chat.texts == ["one two"])
        mine.say("four", ann)
        await quiet(bot, server)
        mine.gone = gone
        release(model)
        await inactive(bot.store, mine)
        his.say("hello", bob)
        assert (await his.ended()).text == "hello"
        assert asked(bot) == ["one two three", "hello"], "what waited there is dropped"
        mine.gone = ""
        mine.say("back", ann)
        await mine.until(lambda chat: chat.last.text == "back")


async def inactive(store: DatabaseStore, chat: Chat) -> None:
    """Wait until nothing is owed there."""
    async with asyncio.timeout(8):
        while True:
            async with store.begin() as tx:
                if not await tx.replies.open(ChatId("telegram", str(chat.id))):
                    return
            await asyncio.sleep(0.01)


async def test_blocking_stops_what_runs_there(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    async with running(server, database, held(1)) as bot:
        private.say("one two three", ann)
        await private.until(lambda chat: chat.texts == ["one"])
        private.gone = "Forbidden: bot was blocked by the user"
        private.membership(ann, "member", "kicked")
        await inactive(bot.store, private)
        assert bot.model.running == 0


# Polling


POLLS = [
    ("the server fails", "error", {"code": 500, "description": "Internal Server Error"}),
    ("the connection is lost", "drop_before", {}),
    ("half an answer", "truncated", {}),
    ("too many", "error", {"code": 429, "description": "Too Many", "parameters": {"retry_after": 1}}),
    ("twice the same", "duplicate", {}),
]


@pytest.mark.parametrize("fault", [each[1:] for each in POLLS], ids=[each[0] for each in POLLS])
async def test_polling_goes_on(
    server: BotApi, database: str, ann: Person, private: Chat, fault: tuple[str, dict[str, Any]]
) -> None:
    kind, options = fault
    private.say("hello", ann)
    server.fault(kind, "getUpdates", **options)
    async with running(server, database) as bot:
        assert (await private.ended()).text == "hello"
        await quiet(bot, server)
    assert len(private.messages) == 1 and len(server.queue) == 0


POISON: list[dict[str, object]] = [
    {"message": {"message_id": 1, "date": "x", "chat": {"id": 1, "type": "private"}, "text": "poison"}},
    {"message": [1]},
    {"message": {}},
    {"callback_query": {"id": 1}},
    {"something_new": {"text": "poison"}},
]


@pytest.mark.parametrize("poison", POISON, ids=str)
async def test_an_update_that_can_not_be_read_is_set_aside(
    server: BotApi, database: str, ann: Person, private: Chat, poison: dict[str, object],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    private.say("before", ann)
    server.queue.put_raw(poison)
    private.say("after", ann)
    async with running(server, database) as bot:
        await private.ended(2)
        await quiet(bot, server)
    assert private.texts == ["before", "after"] and len(server.queue) == 0
    assert "poison" not in caplog.text


async def test_a_lone_surrogate_is_no_poison(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    async with running(server, database):
        private.say("half \ud83d a character", ann)
        assert (await private.ended()).text == "half  a character"


async def test_a_second_poller_is_told_and_waited_for(
    server: BotApi, database: str, ann: Person, private: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    server.fault("error", "getUpdates", code=409, description="Conflict: terminated by other getUpdates request")
    with time_machine.travel(0, tick=True), pytest.MonkeyPatch.context() as patch:
        patch.setattr("bots.telegram_bot.polling.OTHER_POLLER", 0.1)  # time alone
        async with running(server, database):
            private.say("hello", ann, date=10)
            await private.ended()
    assert "another program" in caplog.text


async def test_a_webhook_gives_way(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    server.queue.webhook = "https://example.org"
    private.say("hello", ann)
    async with running(server, database):
        assert (await private.ended()).text == "hello"


async def test_a_token_that_is_refused(server: BotApi, database: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bot = TelegramBot("987654321:wrong-token-that-no-log-may-show-0000", server.url)
    with pytest.raises(SetupError, match="TELEGRAM_TOKEN is refused") as refused:
        async with bot.connected():
            pass
    assert "wrong-token" not in str(refused.value)


async def test_a_token_that_is_revoked_ends_the_bot(server: BotApi, database: str, private: Chat) -> None:
    async with running(server, database) as bot:
        presses = object()
        server.token = "other"
        with pytest.raises(BaseExceptionGroup) as ended:
            await bot.telegram.run(bot.store, bot.dispatcher, presses)  # type: ignore[arg-type]
        assert isinstance(ended.value.exceptions[0], SetupError)


async def test_a_network_that_comes_later(ann: Person, database: str) -> None:
    async with bot_api() as server:
        private = server.private(ann)
        private.say("hello", ann)
        server.fault("drop_before", "getMe")
        async with running(server, database):
            assert (await private.ended()).text == "hello"


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
        broken = asyncio.Event()

        async def accept(incoming: object) -> None:
            broken.set()
            raise OSError("disk full")

        accepting = bot.dispatcher.accept
        bot.dispatcher.accept = accept  # type: ignore[method-assign]
        private.say("hello", ann)
        await broken.wait()
        await asyncio.sleep(0.1)
        assert len(server.queue) == 1 and server.queue.polls[-1] is None
        bot.dispatcher.accept = accepting  # type: ignore[method-assign]
        assert (await private.ended()).text == "hello"
        await quiet(bot, server)
        assert len(server.queue) == 0


async def test_an_answer_cut_by_a_restart_goes_on_in_its_message(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    async with running(server, database, held(1)):
        private.say("one two", ann)
        await private.until(lambda chat: chat.texts == ["one"])
    assert private.last.buttons == [STOP]
    async with running(server, database) as bot:
        await private.ended()
        await quiet(bot, server)
    assert private.texts == ["one two"] and private.last.buttons == [RETRY]


async def test_updates_that_come_again_count_once(server: BotApi, database: str, ann: Person, group: Chat) -> None:
    update = None
    async with running(server, database) as bot:
        id = group.say(f"{BOT} hi", ann)
        update = {"message": group.known[id]}
        await group.ended()
        server.queue.put_raw(update)
        await quiet(bot, server)
    async with running(server, database) as bot:
        server.queue.put_raw(update)
        await quiet(bot, server)
    assert len(group.messages) == 1


# Secrets


async def test_the_token_is_in_no_log_at_any_level(
    server: BotApi, database: str, ann: Person, private: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    """What the libraries log is judged as it is written, behind the filter that the program sets up."""
    from bots.logs import Redact

    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "telegram"):
        caplog.set_level(logging.DEBUG, logger=name)
    caplog.handler.setFormatter(Redact([TOKEN]))
    for kind, method in (("drop_before", "sendMessage"), ("truncated", "getUpdates"), ("truncated", "editMessageText")):
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
    from bots.logs import set_up_logging

    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        set_up_logging("INFO", [TOKEN])
        logging.getLogger().addHandler(caplog.handler)
        server.fault("truncated", "getUpdates")
        server.fault("truncated", "sendMessage")
        private.say("canary words of ann", ann)
        async with running(server, database, FakeModel(lambda prompt: ["canary ", "words"])):
            await private.until(lambda chat: any(text == "canary words" for text in chat.texts))
    finally:
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)
    assert "canary" not in caplog.text
