"""A third adapter with the whole core: what docs/adapters.md says is enough for a platform."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from core.answering.assistant import Assistant
from core.dispatch.service import ChatService
from core.domain.permissions import Access
from core.i18n import t
from storage.database import open_database
from storage.store import DatabaseStore, now_ms
from tests.bots.line_bot.line_adapter import LineBot
from tests.bots.line_bot.line_server import LineServer
from tests.conftest import EVERYBODY, QUICK, RULES
from tests.fakes import FakeModel, OpenFilter
from tests.watching import held

MATRIX_ROOM = "!" + "r" * 240 + ":example.org"
ANN, TWIN = "@" + "a" * 70 + "1:example.org", "@" + "a" * 70 + "2:example.org"


@pytest.fixture
async def server() -> AsyncIterator[LineServer]:
    async with LineServer.running() as server:
        yield server


@asynccontextmanager
async def running(
    server: LineServer, database: str, model: FakeModel | None = None, access: Access = EVERYBODY
) -> AsyncIterator[ChatService]:
    """A bot that is connected while the block lasts."""
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        assistant = Assistant(store, model or FakeModel(), RULES, OpenFilter())
        service = ChatService(store, assistant, access, now=now_ms, timing=QUICK)
        adapter = LineBot("127.0.0.1", server.port)
        async with adapter.connected(), service.running():
            await service.serve(adapter)
            consuming = asyncio.create_task(service.events.run(adapter))
            try:
                yield service
            finally:
                consuming.cancel()
                await asyncio.gather(consuming, return_exceptions=True)


async def test_a_question_and_a_command(server: LineServer, database: str) -> None:
    async with running(server, database):
        server.say("message", chat="C024BE91L", id="1", author="U1", text="one two")
        await server.until(lambda server: server.texts("C024BE91L") == ["one two"])
        server.say("message", chat="C024BE91L", id="2", author="U1", text="/temp 0")
        await server.until(lambda server: len(server.texts("C024BE91L")) == 2)
        assert "→ 0" in server.texts("C024BE91L")[1]


async def test_ids_of_any_shape_stay_apart(server: LineServer, database: str) -> None:
    """Two people whose ids differ in the 72nd character; a room with a long name."""
    async with running(server, database):
        server.say("message", chat=MATRIX_ROOM, id="$1", author=ANN, text="/lang vi")
        await server.until(lambda server: len(server.texts(MATRIX_ROOM)) == 1)
        server.say("message", chat=MATRIX_ROOM, id="$2", author=TWIN, text="/temp")
        server.say("message", chat=MATRIX_ROOM, id="$3", author=ANN, text="/temp")
        await server.until(lambda server: len(server.texts(MATRIX_ROOM)) == 3)
        vietnamese = ["Nhiệt độ" in text for text in server.texts(MATRIX_ROOM)[1:]]
        assert sorted(vietnamese) == [False, True]


async def test_an_answer_in_several_messages_with_a_button(server: LineServer, database: str) -> None:
    async with running(server, database, FakeModel(lambda prompt: [f"{number} " for number in range(150)])):
        server.say("message", chat="room", id="1", author="U1", text="much, please")
        await server.until(lambda server: _labels(server, "room") == [t("en", "button.retry")])
        assert all(len(text) <= 200 for text in server.texts("room"))
        assert " ".join(server.texts("room")).split() == [str(number) for number in range(150)]


async def test_a_press_stops_the_answer(server: LineServer, database: str) -> None:
    async with running(server, database, held(2)):
        server.say("message", chat="room", id="1", author="U1", text="one two three")
        await server.until(lambda server: server.texts("room") == ["one two"])
        [message_id] = server.chats["room"]
        [[label, data]] = server.chats["room"][message_id].buttons
        assert label == t("en", "button.stop")
        number = server.say("press", chat="room", message=message_id, author="U1", data=data)
        await server.until(
            lambda server: number in server.receipts and t("en", "mark.stopped") in server.texts("room")[0]
        )
        assert server.receipts[number]["text"] == t("en", "stop.done")


async def test_a_panel_is_painted_again(server: LineServer, database: str) -> None:
    async with running(server, database):
        server.say("message", chat="room", id="1", author="U1", text="/settings")
        await server.until(lambda server: _labels(server, "room"))
        message_id, panel = list(server.chats["room"].items())[-1]
        server.say("press", chat="room", message=message_id, author="U1", data=dict(panel.buttons)["10"])
        await server.until(lambda server: server.chats["room"][message_id].text.startswith("**"))
        assert "10" in server.chats["room"][message_id].text


async def test_only_admins_change_a_shared_room(server: LineServer, database: str) -> None:
    server.admins = {"boss"}
    async with running(server, database):
        server.say("message", chat="room", id="1", author="member", text="/temp 0", private=False)
        await server.until(lambda server: len(server.texts("room")) == 1)
        server.say("message", chat="room", id="2", author="boss", text="/temp 0", private=False)
        await server.until(lambda server: len(server.texts("room")) == 2)
        first, second = server.texts("room")
        assert "→ 0" not in first and "→ 0" in second


async def test_strangers_edits_moves_and_a_chat_that_is_left(server: LineServer, database: str) -> None:
    async with running(server, database, access=Access(users=frozenset({"line:U1"}))):
        number = server.say("message", chat="room", id="1", author="U2", text="hi", private=False)
        await server.until(lambda server: server.receipts.get(number, {}).get("acceptance") == "not admitted")
        server.say("message", chat="old", id="2", author="U1", text="remember me")
        await server.until(lambda server: server.texts("old") == ["remember me"])
        moved = server.say("moved", chat="old", to="new")
        await server.until(lambda server: moved in server.receipts)
        server.say("message", chat="new", id="3", author="U1", text="/undo")
        await server.until(lambda server: "remember me" in " ".join(server.texts("new")))
        left = server.say("removed", chat="new")
        await server.until(lambda server: server.receipts.get(left, {}).get("acceptance") == "stored")


async def test_errors_are_classed_and_the_answer_comes_all_the_same(server: LineServer, database: str) -> None:
    server.errors.extend(["later", "", "gone"])
    async with running(server, database):
        server.say("message", chat="room", id="1", author="U1", text="one two")
        await server.until(lambda server: "one two" in server.texts("room"))


async def test_what_was_not_confirmed_is_answered_once(server: LineServer, database: str) -> None:
    """The service repeats it to the next process; one that was stored already is not answered again."""
    async with running(server, database):
        server.say("message", chat="room", id="1", author="U1", text="one")
        await server.until(lambda server: server.texts("room") == ["one"])
    server.say("message", chat="room", id="1", author="U1", text="one")
    server.say("message", chat="room", id="2", author="U1", text="two")
    async with running(server, database):
        await server.until(lambda server: server.texts("room") == ["one", "two"])


def _labels(server: LineServer, chat: str) -> list[str]:
    """What stands on the buttons under the last message."""
    messages = list(server.chats.get(chat, {}).values())
    return [label for label, _ in messages[-1].buttons] if messages else []
