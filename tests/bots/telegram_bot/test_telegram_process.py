"""The whole program as its owner starts it: a real process with the built-in model, against a Bot API server."""

import signal
from asyncio.subprocess import Process
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from core.i18n import t
from tests.patience import limit
from tests.platforms.bot_api import TOKEN, BotApi
from tests.platforms.bot_api_chats import Chat, Person
from tests.platforms.faults import FaultKind
from tests.program import program as start

pytestmark = pytest.mark.slow


def program(folder: Path, server: BotApi, **settings: str) -> AbstractAsyncContextManager[Process]:
    """The program in front of `server`."""
    return start(folder, **({"TELEGRAM_TOKEN": TOKEN, "TELEGRAM_API_URL": server.url} | settings))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_it_answers_and_ends_when_told(
    server: BotApi, tmp_path: Path, ann: Person, private: Chat, how: signal.Signals
) -> None:
    private.say("/temp 0", ann)
    private.say("Say hello.", ann)
    async with program(tmp_path / "data", server, LOG_LEVEL="DEBUG") as process:
        answer = await private.ended(2)
        assert "0.7 → 0." in private.messages[0].text and answer.text.strip()
        process.send_signal(how)
        async with limit():
            out, log = await process.communicate()
    assert (process.returncode, out) == (0, b"") and b"connected as @qwentin_bot" in log
    assert b"canary" not in log and b"Traceback" not in log


async def test_a_token_that_is_revoked_ends_it(server: BotApi, tmp_path: Path, ann: Person, private: Chat) -> None:
    private.say("/temp", ann)
    async with program(tmp_path / "data", server) as process:
        await private.ended(1)
        server.token = "other"
        private.say("wake up", ann)
        async with limit():
            _, log = await process.communicate()
    assert process.returncode == 78 and log.decode().splitlines()[-1].startswith("qwentin: TELEGRAM_TOKEN is refused")
    assert b"Traceback" not in log


async def test_a_second_program_with_the_same_token_ends(server: BotApi, tmp_path: Path) -> None:
    """Another one goes on polling all the time."""
    another = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
    server.fault(FaultKind.ERROR, "getUpdates", times=9, code=409, description=another)
    async with program(tmp_path / "data", server) as process, limit():
        _, log = await process.communicate()
    said = log.decode().splitlines()[-1]
    assert process.returncode == 78 and said.startswith(
        "qwentin: TELEGRAM_TOKEN: another program already asks Telegram"
    )
    assert b"Traceback" not in log


async def test_a_kill_in_mid_answer_costs_nothing(server: BotApi, tmp_path: Path, ann: Person, private: Chat) -> None:
    private.say("/temp 0", ann)
    private.say("Tell me a long story about a cat.", ann)
    async with program(tmp_path / "data", server) as process:
        await private.until(lambda chat: len(chat.messages) == 2 and len(chat.last.text) > 10)
        process.kill()
        await process.communicate()
    cut = private.last.text
    async with program(tmp_path / "data", server):
        await private.until(lambda chat: len(chat.last.text) > len(cut) + 10)
        assert (await server.press(ann, private, "⏹").answered()).text == "Stopped."
        await private.ended(2)
    assert len(private.messages) == 2 and "(stopped)" in private.last.text


async def test_a_kill_after_a_stop_leaves_no_half_text(
    server: BotApi, tmp_path: Path, ann: Person, private: Chat
) -> None:
    """A kill in mid answer, and one when the /stop that comes meanwhile is stored and nothing is shown of it."""
    private.say("Tell me a long story about a cat.", ann)
    async with program(tmp_path / "data", server) as process:
        await private.until(lambda chat: chat.messages and len(chat.last.text) > 10)
        process.kill()
        await process.communicate()
    private.say("/stop", ann)
    async with program(tmp_path / "data", server, QWENTIN_CRASH_AT="commanded") as process, limit():
        await process.communicate()
    assert process.returncode == -signal.SIGKILL and "(stopped)" not in private.last.text and private.last.buttons
    async with program(tmp_path / "data", server):
        await private.until(lambda chat: chat.texts == ["(stopped)", t("en", "stop.queued", count=1)])
        assert not any(message.buttons for message in private.messages)


MISTAKES = [
    ("a token that is refused", {"TELEGRAM_TOKEN": "9876543:canary-of-a-wrong-token"}, "TELEGRAM_TOKEN is refused"),
    ("no token at all", {"TELEGRAM_TOKEN": "canary"}, "TELEGRAM_TOKEN: looks like"),
    ("no address", {"TELEGRAM_API_URL": "localhost"}, "TELEGRAM_API_URL: an address such as"),
    ("no model", {"MODEL": "Qwen/Qwen2.5-1.5B-Instruct", "HF_ENDPOINT": "http://127.0.0.1:9"}, "MODEL=builtin"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "line"), [each[1:] for each in MISTAKES], ids=[each[0] for each in MISTAKES])
async def test_a_mistake_is_one_clear_line(server: BotApi, tmp_path: Path, settings: dict[str, str], line: str) -> None:
    settings = settings | {"HF_HOME": str(tmp_path / "hub")}
    async with program(tmp_path / "data", server, **settings) as process, limit():
        _, log = await process.communicate()
    *before, said = log.decode().splitlines()
    assert process.returncode == 78 and said.startswith("qwentin: ") and line in said
    assert all(" INFO " in told for told in before) and b"canary" not in log
