"""The Bot API server of the tests answers as Telegram's does: raw requests, the queue, what must never be sent."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from tests.platforms.bot_api import BotApi, bot_api
from tests.platforms.faults import FaultKind
from tests.tables import each_row
from tests.waiting import until

Call = Callable[..., Awaitable[dict[str, Any]]]
QUIET = {"link_preview_options": json.dumps({"is_disabled": True})}


@pytest.fixture
async def server() -> AsyncIterator[BotApi]:
    async with bot_api(monotonic=lambda: 0.0) as server:  # no time passes
        ann = server.person("Ann")
        server.private(ann)
        server.group(ann, admins=(ann,))
        yield server


@pytest.fixture
async def call(server: BotApi) -> AsyncIterator[Call]:
    async with aiohttp.ClientSession() as session:

        async def call(method: str, token: str = server.token, **values: Any) -> dict[str, Any]:
            async with session.post(f"{server.url}/bot{token}/{method}", data=values) as response:
                answer: dict[str, Any] = await response.json()
                assert answer["ok"] == (response.status == 200)
                return answer

        yield call


CHAT, GROUP = 1001, -1_000_000_001_002
ANSWERS: list[tuple[str, str, dict[str, Any], str]] = [
    ("getMe", "getMe", {}, ""),
    ("unknown method", "getNothing", {}, "Not Found: method not found"),
    ("sendMessage", "sendMessage", {"chat_id": CHAT, "text": "hi", **QUIET}, ""),
    ("'42' stays text", "sendMessage", {"chat_id": CHAT, "text": "42", **QUIET}, ""),
    ("empty text", "sendMessage", {"chat_id": CHAT, "text": "", **QUIET}, "Bad Request: message text is empty"),
    ("chat not found", "sendMessage", {"chat_id": 5, "text": "hi", **QUIET}, "Bad Request: chat not found"),
    ("reply to missing", "sendMessage", {"chat_id": CHAT, "text": "hi", **QUIET, "reply_parameters":
     '{"message_id": 99}'}, "Bad Request: message to be replied not found"),
    ("reply to missing, allowed", "sendMessage", {"chat_id": CHAT, "text": "hi", **QUIET, "reply_parameters":
     '{"message_id": 99, "allow_sending_without_reply": true}'}, ""),
    ("callback_data 65 bytes", "sendMessage", {"chat_id": CHAT, "text": "hi", **QUIET, "reply_markup": json.dumps(
        {"inline_keyboard": [[{"text": "x", "callback_data": "x" * 65}]]})}, "Bad Request: BUTTON_DATA_INVALID"),
    ("edit missing", "editMessageText", {"chat_id": CHAT, "message_id": 9, "text": "x", **QUIET},
     "Bad Request: message to edit not found"),
    ("delete missing", "deleteMessage", {"chat_id": CHAT, "message_id": 9}, "Bad Request: message to delete not found"),
    ("draft", "sendMessageDraft", {"chat_id": CHAT, "draft_id": 1, "text": "hi"}, ""),
    ("draft id 0", "sendMessageDraft", {"chat_id": CHAT, "draft_id": 0, "text": "hi"},
     "Bad Request: RANDOM_ID_INVALID"),
    ("draft in group", "sendMessageDraft", {"chat_id": GROUP, "draft_id": 1, "text": "hi"},
     "Bad Request: message drafts are supported only in private chats"),
    ("chat action", "sendChatAction", {"chat_id": CHAT, "action": "typing"}, ""),
    ("bad action", "sendChatAction", {"chat_id": CHAT, "action": "dance"},
     "Bad Request: wrong parameter action in request"),
    ("stale callback", "answerCallbackQuery", {"callback_query_id": "7"},
     "Bad Request: query is too old and response timeout expired or query ID is invalid"),
    ("setMyCommands", "setMyCommands", {"commands": '[{"command": "temp", "description": "x"}]'}, ""),
    ("bad command name", "setMyCommands", {"commands": '[{"command": "Temp!", "description": "x"}]'},
     "Bad Request: BOT_COMMAND_INVALID"),
    ("getChatMember", "getChatMember", {"chat_id": GROUP, "user_id": CHAT}, ""),
    ("member not found", "getChatMember", {"chat_id": GROUP, "user_id": 9}, "Bad Request: user not found"),
]  # fmt: skip


@each_row(("method", "values", "words"), [each[1:] for each in ANSWERS], ids=[each[0] for each in ANSWERS])
async def test_answers(server: BotApi, call: Call, method: str, values: dict[str, Any], words: str) -> None:
    answer = await call(method, **values)
    assert answer.get("description", "") == words
    if method == "sendMessage" and not words:
        assert answer["result"]["text"] == values["text"]


async def test_a_bad_token(call: Call) -> None:
    assert (await call("getMe", token="1:x"))["description"] == "Unauthorized"


async def test_an_edit_that_changes_nothing_is_refused_and_buttons_alone_are_a_change(call: Call) -> None:
    sent = (await call("sendMessage", chat_id=CHAT, text="hi", **QUIET))["result"]
    edit = {"chat_id": CHAT, "message_id": sent["message_id"], "text": "hi", **QUIET}
    assert "message is not modified" in (await call("editMessageText", **edit))["description"]
    markup = json.dumps({"inline_keyboard": [[{"text": "x", "callback_data": "x"}]]})
    assert (await call("editMessageText", **edit, reply_markup=markup))["ok"]


# The queue


async def test_what_is_not_confirmed_comes_again(server: BotApi, call: Call) -> None:
    for text in "abc":
        server.chats[CHAT].say(text)
    first = (await call("getUpdates"))["result"]
    assert [update["message"]["text"] for update in first] == ["a", "b", "c"]
    assert (await call("getUpdates", limit=1))["result"] == first[:1]
    rest = (await call("getUpdates", offset=first[1]["update_id"]))["result"]
    assert rest == first[1:] and len(server.queue) == 2
    assert (await call("getUpdates", offset=first[2]["update_id"] + 1000))["result"] == first[1:], "too far is none"


async def test_the_same_offset_in_a_hurry_gets_one(server: BotApi, call: Call) -> None:
    for text in "ab":
        server.chats[CHAT].say(text)
    assert [len((await call("getUpdates"))["result"]) for _ in range(2)] == [2, 1]


async def test_a_poll_waits_for_what_comes(server: BotApi, call: Call) -> None:
    poll = asyncio.ensure_future(call("getUpdates", timeout=5))
    await until(lambda: server.queue.held)
    server.chats[CHAT].say("late")
    assert [update["message"]["text"] for update in (await poll)["result"]] == ["late"]


async def test_the_older_of_two_polls_is_given_up(server: BotApi, call: Call) -> None:
    older = asyncio.ensure_future(call("getUpdates", timeout=5))
    await until(lambda: server.queue.held)
    younger = asyncio.ensure_future(call("getUpdates", timeout=5))
    assert (await older)["description"].startswith("Conflict: terminated by other getUpdates request")
    server.chats[CHAT].say("late")
    assert (await younger)["ok"]


async def test_a_webhook_forbids_polls(call: Call) -> None:
    await call("setWebhook", url="https://example.org")
    assert "webhook is active" in (await call("getUpdates"))["description"]
    await call("deleteWebhook")
    assert (await call("getUpdates"))["ok"]


async def test_updates_die_of_age() -> None:
    now = [1000.0]
    async with bot_api(lambda: now[0]) as server:
        server.queue.put("message", {})
        server.queue.put("callback_query", {})
        assert len(server.queue) == 2
        now[0] += 151
        assert len(server.queue) == 1
        now[0] += 86_400
        assert len(server.queue) == 0


async def test_kinds_that_nobody_asked_for_are_not_queued(server: BotApi, call: Call) -> None:
    await call("getUpdates", allowed_updates='["message"]')
    server.queue.put("callback_query", {})
    server.queue.put("message", {})
    assert len(server.queue) == 1


# What must never be sent


def bold(offset: int, length: int) -> dict[str, str]:
    return {"entities": json.dumps([{"type": "bold", "offset": offset, "length": length}])}


CROSSED = json.dumps([{"type": "bold", "offset": 0, "length": 2}, {"type": "italic", "offset": 1, "length": 2}])
NESTED = json.dumps([{"type": "bold", "offset": 0, "length": 3}, {"type": "code", "offset": 1, "length": 1}])
MANY = json.dumps([{"type": "bold", "offset": i, "length": 1} for i in range(101)])
LINK = json.dumps([{"type": "text_link", "offset": 0, "length": 1, "url": "javascript:x"}])
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("parse_mode", {"parse_mode": "HTML"}, "parse_mode"),
    ("preview", {"link_preview_options": "{}"}, "previews"),
    ("too long", {"text": "😀" * 2100}, "too long"),
    ("white space", {"text": " hi"}, "white space"),
    ("outside", bold(1, 9), "outside"),
    ("nothing", bold(1, 0), "outside"),
    ("half", {"text": "😀😀"} | bold(0, 1), "splits"),
    ("blank", {"text": "a b"} | bold(1, 1), "around nothing"),
    ("many", {"text": "x" * 101, "entities": MANY},
     "100 entities"),
    ("crossed", {"text": "abc", "entities": CROSSED}, "cross"),
    ("in code", {"text": "abc", "entities": NESTED}, "overlap"),
    ("link", {"entities": LINK}, "a link"),
    ("General", {"message_thread_id": 1}, "General"),
    ("unknown parameter", {"colour": "red"}, "has no colour"),
]  # fmt: skip


@each_row(("values", "words"), [each[1:] for each in WRONG], ids=[each[0] for each in WRONG])
async def test_violations(server: BotApi, call: Call, values: dict[str, Any], words: str) -> None:
    await call("sendMessage", **({"chat_id": CHAT, "text": "hi", **QUIET} | values))
    assert any(words in violation for violation in server.violations), server.violations
    server.violations.clear()


async def test_twenty_a_minute_in_a_group_and_nothing_within_a_penalty(server: BotApi, call: Call) -> None:
    for i in range(20):
        await call("sendMessage", chat_id=GROUP, text=f"{i}", **QUIET)
    assert server.violations == []
    await call("sendMessage", chat_id=GROUP, text="one more", **QUIET)
    assert "more than 20" in server.violations.pop()
    server.fault(FaultKind.ERROR, "sendMessage", code=429, description="Too Many", parameters={"retry_after": 3})
    assert (await call("sendMessage", chat_id=CHAT, text="x", **QUIET))["parameters"] == {"retry_after": 3}
    await call("sendMessage", chat_id=CHAT, text="x", **QUIET)
    assert "penalty" in server.violations.pop()


async def test_a_violation_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="sin"):
        async with bot_api() as server:
            server.violations.append("sin")
