"""The whole program as its owner starts it: a real process with the built-in model, against a Discord server."""

import signal
from asyncio.subprocess import Process
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.patience import limit
from tests.platforms.bot_api import TOKEN as TELEGRAM_TOKEN
from tests.platforms.bot_api import bot_api
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_server import TOKEN, DiscordServer
from tests.platforms.discord_world import Person
from tests.program import program as start

pytestmark = pytest.mark.slow


def program(folder: Path, server: DiscordServer, **settings: str) -> AbstractAsyncContextManager[Process]:
    """The program in front of `server`."""
    own = {"DISCORD_TOKEN": TOKEN, "DISCORD_API_URL": server.api_url, "DISCORD_GATEWAY_URL": server.gateway_url}
    return start(folder, **(own | settings))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_it_answers_and_ends_when_told(
    server: DiscordServer, tmp_path: Path, ann: Person, dm: Channel, channel: Channel, how: signal.Signals
) -> None:
    async with program(tmp_path / "data", server, LOG_LEVEL="DEBUG") as process:
        await server.ready()
        dm.say("/temp 0", ann)
        dm.say("Say hello.", ann)
        channel.say("canary, hello?", ann, mention=True)
        answer = await dm.ended(2)
        assert "0.7 → 0." in dm.messages[0].content and answer.content.strip()
        await channel.ended()
        process.send_signal(how)
        async with limit():
            out, log = await process.communicate()
    assert (
        (process.returncode, out) == (0, b"")
        and b"Discord: logged in as Qwentin" in log
        and b"oauth2/authorize?client_id=" in log
    )
    assert b"canary" not in log.lower() and b"Traceback" not in log


async def test_both_platforms_at_once(server: DiscordServer, tmp_path: Path, ann: Person, dm: Channel) -> None:
    """One that can't be reached holds up no other."""
    async with bot_api() as telegram:
        person = telegram.person("Ann")
        private = telegram.private(person)
        for reachable in (telegram.url, "http://127.0.0.1:9"):
            settings = {"TELEGRAM_TOKEN": TELEGRAM_TOKEN, "TELEGRAM_API_URL": reachable}
            async with program(tmp_path / "data", server, **settings):
                count = len(dm.messages)
                await server.ready(count + 1)
                dm.say("/temp", ann)
                assert "0.7" in (await dm.ended(count + 1)).content
                if reachable == telegram.url:
                    private.say("/temp 0.1", person)
                    assert "0.7 → 0.1" in (await private.ended()).text


async def test_a_kill_in_mid_answer_costs_nothing(
    server: DiscordServer, tmp_path: Path, ann: Person, dm: Channel, channel: Channel
) -> None:
    dm.say("not heard", ann)
    async with program(tmp_path / "data", server) as process:
        await server.ready()
        dm.say("/temp 0", ann)
        dm.say("Tell me a long story about a cat.", ann)
        await dm.until(lambda dm: len(dm.messages) == 2 and len(dm.last.content) > 10)
        process.kill()
        await process.communicate()
    cut = dm.last.content
    dm.say("And one about a dog.", ann)
    async with program(tmp_path / "data", server):
        await dm.until(lambda dm: len(dm.messages[1].content) > len(cut) + 10)
        server.press(ann, dm, "⏹")
        await dm.until(lambda dm: "(stopped)" in dm.messages[1].content)
        await dm.until(lambda dm: len(dm.messages) == 3 and len(dm.last.content) > 10)
    assert len(server.identifies) == 2


MISTAKES = [
    ("a token that is refused", {"DISCORD_TOKEN": "canary.of-a.wrong-token"}, "DISCORD_TOKEN is refused"),
    ("no token at all", {"DISCORD_TOKEN": "canary"}, "DISCORD_TOKEN: looks like"),
    ("no address", {"DISCORD_GATEWAY_URL": "localhost"}, "DISCORD_GATEWAY_URL: an address such as"),
]


@pytest.mark.parametrize(("settings", "line"), [each[1:] for each in MISTAKES], ids=[each[0] for each in MISTAKES])
async def test_a_mistake_is_one_clear_line(
    server: DiscordServer, tmp_path: Path, settings: dict[str, str], line: str
) -> None:
    async with program(tmp_path / "data", server, **settings) as process, limit():
        _, log = await process.communicate()
    *before, said = log.decode().splitlines()
    assert process.returncode == 78 and said.startswith("qwentin: ") and line in said
    assert all(" INFO " in told for told in before) and b"canary" not in log


@pytest.mark.parametrize("code", [4004, 4013])
async def test_a_close_code_that_must_not_be_tried_again(server: DiscordServer, tmp_path: Path, code: int) -> None:
    server.close_next(code)
    async with program(tmp_path / "data", server) as process, limit():
        _, log = await process.communicate()
    assert process.returncode == 78 and len(server.identifies) == 1 and b"Traceback" not in log
    assert log.decode().splitlines()[-1].startswith("qwentin: ")
