"""What comes in on Discord: when all that was missed is read back, edited questions, and where a crash would hit."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bots.discord_bot.adapter import DiscordBot
from bots.discord_bot.backfill import Backfill
from bots.discord_bot.message_events import MessageEvents
from core.domain.conversation import Incoming, Reply
from core.inbound.events import CaughtUp, Event
from core.inbound.ingest import Ingest
from tests.bots.discord_bot.discord_running import asked, running
from tests.bots.discord_bot.test_discord_slash import published
from tests.bots.settling import settled
from tests.patience import LIMIT_S
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import DiscordServer
from tests.platforms.discord_world import Person
from tests.platforms.faults import FaultKind
from tests.waiting import until
from tests.watching import held, release


@pytest.fixture
def caught_up(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much was stored each time that a platform said that all of it is."""
    stored, told = list[str](), list[int]()
    accept, events = Ingest.accept, DiscordBot.events

    async def noted(self: Ingest, incoming: Incoming) -> Reply | None:
        reply = await accept(self, incoming)
        stored.extend([incoming.text] if reply else [])
        return reply

    async def watched(self: DiscordBot) -> AsyncIterator[Event]:
        async for event in events(self):
            if isinstance(event, CaughtUp):
                told.append(len(stored))
            yield event

    monkeypatch.setattr(Ingest, "accept", noted)
    monkeypatch.setattr(DiscordBot, "events", watched)
    return told


async def until_caught_up(caught_up: list[int], count: int = 1) -> None:
    await until(lambda: len(caught_up) >= count)


async def test_all_that_was_missed_is_stored_before_it_is_said(
    server: DiscordServer, database: str, ann: Person, dm: Channel, guild: Guild, caught_up: list[int]
) -> None:
    channels = [dm, guild.channel("one"), guild.channel("two")]
    async with running(server, database):
        await until_caught_up(caught_up)
        assert caught_up == [0], "nothing was missed"
        for channel in channels:
            channel.say("hello", ann, mention=True)
            await channel.ended()
    caught_up.clear()
    for channel in channels:
        for number in range(3):
            channel.say(f"missed {number}", ann, mention=True)
    server.fault(FaultKind.ERROR, "GET", r"/messages$", times=2, code=503)
    async with running(server, database, held()) as bot:  # or so many answers at once would be more than Discord bears
        bot.trouble.fails = 2
        channels[1].say("live", ann, mention=True)
        await until_caught_up(caught_up)
        assert caught_up in ([3 + 9], [3 + 9 + 1]), "all of them; and perhaps what was said just now"
        server.gateway.session_seconds = -1
        server.drop()
        await until_caught_up(caught_up, 2)


# Edits


async def test_a_question_that_waits_is_answered_as_it_was_edited(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    model = held()
    async with running(server, database, model) as bot:
        first = channel.say("first", ann, mention=True)
        await channel.until(lambda _: model.running)
        second, third = channel.say("secnd", ann, mention=True), channel.say("third", ann, mention=True)
        me = f"<@{server.me['id']}>"
        first.revise(f"{me} too late")
        second.revise(f"{me} second")
        third.revise(f"{me} /clear")  # a command is done when it comes: this is none
        channel.say("nobody's", ann).revise(f"{me} hello?")
        await settled(bot)
        release(model)
        await channel.until(lambda channel: len(channel.messages) == 3)
        await settled(bot)
        assert asked(bot) == ["Ann: first", "Ann: second", "Ann: third"] and len(channel.messages) == 3


async def test_an_edit_comes_after_its_message(server: DiscordServer, database: str, ann: Person, dm: Channel) -> None:
    """Also where that is still being stored."""
    model = held()
    async with running(server, database, model) as bot:
        dm.say("first", ann)
        await dm.until(lambda _: model.running)
        bot.trouble.fails = 2
        dm.say("secnd", ann).revise("second")
        await settled(bot)
        release(model)
        await dm.ended(2)
        assert asked(bot) == ["first", "second"]


async def test_what_discord_itself_adds_is_no_edit(
    server: DiscordServer, database: str, ann: Person, dm: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    amended = list[str]()

    async def edit(self: Ingest, incoming: Incoming) -> None:
        amended.append(incoming.text)

    monkeypatch.setattr(Ingest, "edit", edit)
    async with running(server, database) as bot:
        said = dm.say("look: https://example.org", ann)
        said.dispatch("MESSAGE_UPDATE")  # a link preview
        dm.say("/temp 0.5", ann).revise("/temp 0.6")
        await dm.ended(2)  # whose previews are edits of the bot's own
        said.revise("look")
        await settled(bot)
    assert amended == ["/temp 0.6", "look"], "what is a question, the core says"


# Crashes and ends


async def test_the_points_of_a_crash(
    server: DiscordServer, database: str, ann: Person, dm: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = list[Any]()
    async with running(server, database) as bot:
        await published(server)

        def note(name: str) -> None:
            passed.append((name, [effect.path[-8:] for effect in server.effects("POST", "/callback$")]))

        monkeypatch.setattr("bots.discord_bot.message_events.failpoint", note)
        monkeypatch.setattr("bots.discord_bot.interactions.failpoint", note)
        dm.say("hello", ann)
        await dm.ended()
        server.slash(ann, dm, "temp")
        await dm.ended(2)
        assert passed == [("heard", []), ("deferring", [])] and not bot.working.done()


async def test_what_must_not_end_ends_the_program(
    server: DiscordServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(server, database) as bot:
        await bot.discord._client.close()
        with pytest.raises(ExceptionGroup) as ended:
            await asyncio.wait_for(bot.working, LIMIT_S)
    assert "the connection to Discord's gateway has ended" in str(ended.value.exceptions)

    connected = asyncio.Event()

    async def ends(self: Backfill) -> None:
        await connected.wait()

    monkeypatch.setattr(Backfill, "run", ends)
    async with running(server, database) as bot:
        connected.set()
        with pytest.raises(ExceptionGroup) as ended:
            await asyncio.wait_for(bot.working, LIMIT_S)
    assert "reading back on Discord has ended" in str(ended.value.exceptions)


async def test_a_message_that_breaks_its_own_task_ends_nothing_else(
    server: DiscordServer, database: str, dm: Channel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    received = MessageEvents.received

    async def breaks(self: MessageEvents, message: Any, *, live: bool) -> None:
        if message.content == "poison":
            raise KeyError("poison")
        await received(self, message, live=live)

    monkeypatch.setattr(MessageEvents, "received", breaks)
    async with running(server, database) as bot:
        dm.say("poison")
        dm.say("hello")
        assert (await dm.ended()).content == "hello"
        assert not bot.working.done() and "builtins.KeyError" in caplog.text
