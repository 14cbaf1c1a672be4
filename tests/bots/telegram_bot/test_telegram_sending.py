"""Sending on Telegram when things go wrong: each fault of a call, and chats that close or empty themselves."""

from dataclasses import replace
from typing import Any

import pytest

from core.domain.conversation import ChatId, Reply
from storage.store import DatabaseStore, now_ms
from tests.bots.telegram_bot.telegram_running import BOT, QUICK_TIMING, RETRY, Running, asked, running, settled
from tests.fakes import FakeModel
from tests.platforms.bot_api import BotApi
from tests.platforms.bot_api_chats import Chat, Person
from tests.platforms.faults import FaultKind, sweep
from tests.waiting import until_answer
from tests.watching import held, release

SENDS: list[tuple[str, FaultKind, dict[str, Any]]] = [
    ("the connection is lost before", FaultKind.DROP_BEFORE, {}),
    ("the connection is lost after", FaultKind.ACCEPT_THEN_DROP, {}),
    ("the server fails", FaultKind.ERROR, {"code": 500, "description": "Internal Server Error"}),
    ("a gateway fails", FaultKind.ERROR, {"code": 502, "description": "Bad Gateway"}),
    ("the answer can't be read", FaultKind.TRUNCATED, {}),
    ("too many", FaultKind.ERROR, {"code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 1}}),
    ("slow", FaultKind.SLOW, {"seconds": 0.1}),
]  # fmt: skip
SENT = ("sendMessage", "editMessageText")


@pytest.mark.parametrize(("method", "kind", "options"), sweep({method: method for method in SENT}, SENDS))
async def test_an_answer_is_shown_once_whatever_happens_to_a_call(
    server: BotApi, database: str, private: Chat, method: str, kind: FaultKind, options: dict[str, Any]
) -> None:
    server.fault(kind, method, **options)
    async with running(server, database) as bot:
        private.say("hello")
        await private.until(lambda chat: chat.texts and chat.last.text == "hello" and chat.last.buttons == [RETRY])
        await settled(bot, server)
    assert private.texts.count("hello") == 1 and len(bot.model.prompts) == 1
    stubs = [text for text in private.texts if text == "…"]
    lost = kind in (FaultKind.ACCEPT_THEN_DROP, FaultKind.TRUNCATED) and method == "sendMessage"
    assert len(stubs) == (1 if lost else 0), "only where nobody can know"


async def test_a_penalty_holds_that_chat_alone(server: BotApi, database: str, ann: Person, bob: Person) -> None:
    anns, bobs = server.private(ann), server.private(bob)
    server.fault(FaultKind.ERROR, "editMessageText", times=1_000_000, chat=anns.id, code=429,
                 description="Too Many Requests: retry after 1", parameters={"retry_after": 1})  # fmt: skip
    async with running(server, database):
        anns.say("held", ann)
        await anns.until(lambda chat: server.faults[0].times < 1_000_000)
        bobs.say("free", bob)
        assert (await bobs.ended()).text == "free"
        assert anns.texts == ["…"]
        server.faults.clear()
        assert (await anns.ended()).text == "held"


async def test_unchanged_text_is_success(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    """The edit was taken, its answer was lost: the same edit again is refused as no change."""
    server.fault(FaultKind.ACCEPT_THEN_DROP, "editMessageText", times=2)
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
    server.fault(
        FaultKind.ERROR, "editMessageText", times=50, code=400, description="Bad Request: message to edit not found"
    )
    async with running(server, database) as bot:
        private.say("hello", ann)
        await inactive(bot, private)
        await settled(bot, server)
    assert len(server.effects("sendMessage")) <= 6


async def test_entities_that_are_refused_cost_only_themselves(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    server.fault(FaultKind.ERROR, "editMessageText", code=400, description="Bad Request: can't parse entities: strange")
    async with running(server, database):
        private.say("hello **there**", ann)
        answer = await private.ended()
    plain = [each for each in server.effects("editMessageText") if not each.values.get("entities")]
    assert answer.text == "hello there" and [each.values["text"] for each in plain] == ["hello there"]


async def test_a_message_too_old_to_delete_is_emptied(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    answers = iter(([" ".join(f"word{at}" for at in range(900))], ["short"]))
    server.fault(
        FaultKind.ERROR, "deleteMessage", code=400, description="Bad Request: message can't be deleted for everyone"
    )
    async with running(server, database, FakeModel(lambda prompt: next(answers))):
        private.say("long please", ann)
        await private.until(lambda chat: len(chat.messages) == 2 and chat.last.buttons == [RETRY])
        private.say("/retry", ann)
        await private.until(lambda chat: chat.texts == ["short", "…"] and chat.messages[0].buttons == [RETRY])


async def test_a_send_that_is_never_answered(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    server.fault(FaultKind.HANG, "sendMessage")
    async with running(server, database, timing=replace(QUICK_TIMING, send_timeout_s=2.0)):
        private.say("hello", ann)
        await private.until(lambda chat: chat.texts == ["…", "hello"])


async def test_five_topics_of_a_group_share_its_minute(server: BotApi, database: str, ann: Person) -> None:
    forum = server.group(ann, forum=True)
    topics = [forum.topic() for _ in range(2)]
    async with running(server, database) as bot:
        for topic in topics:
            forum.say(f"{BOT} hi", ann, topic=topic)
        await forum.ended(2)
        keys = {bot.telegram.channel(reply).key for reply in await replies(bot.store)}
        assert keys == {f"telegram:{forum.id}"}


async def replies(store: DatabaseStore) -> list[Reply]:
    async with store.begin() as tx:
        return [reply for id in (1, 2) if (reply := await tx.replies.find(id))]


@pytest.mark.parametrize(
    "gone",
    [
        "Forbidden: bot was blocked by the user",
        pytest.param("Bad Request: chat not found", marks=pytest.mark.slow),
        pytest.param("Bad Request: not enough rights to send text messages to the chat", marks=pytest.mark.slow),
    ],
)  # fmt: skip
async def test_a_chat_that_is_closed_costs_nobody_else(
    server: BotApi, database: str, ann: Person, bob: Person, gone: str
) -> None:
    anns, bobs = server.private(ann), server.private(bob)
    model = held(2)
    async with running(server, database, model) as bot:
        anns.say("one two three", ann)
        await anns.until(lambda chat: chat.texts == ["one two"])
        anns.say("four", ann)
        await settled(bot, server)
        anns.gone = gone
        release(model)
        await inactive(bot, anns)
        bobs.say("hello", bob)
        assert (await bobs.ended()).text == "hello"
        assert asked(bot) == ["one two three", "hello"], "what waited there is dropped"
        anns.gone = ""
        anns.say("back", ann)
        await anns.until(lambda chat: chat.last.text == "back")


async def inactive(bot: Running, chat: Chat) -> None:
    """Wait until nothing is owed there."""

    async def nothing_owed() -> bool:
        async with bot.store.begin() as tx:
            return not await tx.replies.open_answers(ChatId("telegram", str(chat.id)))

    await until_answer(nothing_owed, lambda: bot.trouble.ended)


async def test_blocking_stops_what_runs_there(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    async with running(server, database, held(1)) as bot:
        private.say("one two three", ann)
        await private.until(lambda chat: chat.texts == ["one"])
        private.gone = "Forbidden: bot was blocked by the user"
        private.membership(ann, "member", "kicked")
        await inactive(bot, private)
        assert bot.model.running == 0


@pytest.mark.slow
async def test_the_time_is_telegrams(server: BotApi, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bots.telegram_bot.adapter._host_now", lambda: now_ms() - 3_600_000)
    async with running(server, database) as bot:
        assert abs(bot.telegram.now() - now_ms()) < 600_000
        assert bot.telegram._sending._client.event_hooks == {"request": [], "response": []}
