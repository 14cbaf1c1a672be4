"""Back from an absence on Discord: how far is read back, who is told to ask again, and commands meanwhile."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from discord import Message

from bots.discord_bot.backfill import Backfill
from bots.discord_bot.message_events import MessageEvents
from core.domain.conversation import KnownChat
from core.domain.permissions import Access
from core.i18n import t
from tests.bots.discord_bot.discord_running import QUICK_DISCORD, Running, asked, running
from tests.bots.discord_bot.test_discord_slash import published
from tests.bots.settling import settled
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import DiscordServer
from tests.platforms.discord_world import Person
from tests.waiting import idle, until

pytestmark = pytest.mark.slow

MISSED = t("en", "error.missed")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten messages are read back, in pages of five, and ten more are searched."""
    for name, value in (("MAX_MESSAGES", 10), ("MAX_PAGES", 4), ("MAX_MESSAGES_PER_PAGE", 5)):
        monkeypatch.setattr(f"bots.discord_bot.backfill.{name}", value)


@pytest.fixture
async def known(server: DiscordServer, database: str, ann: Person, channel: Channel) -> Channel:
    """A channel in which the bot was asked before its absence."""
    async with running(server, database) as bot:
        await published(server)
        channel.say("before", ann, mention=True)
        await channel.ended()
        await settled(bot)
    return channel


def hold_back(monkeypatch: pytest.MonkeyPatch, channel: Channel) -> asyncio.Event:
    """Nothing is read back of a channel before the event is set."""
    fetch, told = Backfill._fetch_missed, asyncio.Event()

    async def later(self: Backfill, channel_id: int, chat: KnownChat) -> Sequence[object]:
        if channel_id == channel.id:
            await told.wait()
        return await fetch(self, channel_id, chat)

    monkeypatch.setattr(Backfill, "_fetch_missed", later)
    return told


async def read_back(bot: Running, channel: Channel) -> None:
    """Return once all that was missed in a channel is stored, and all that is owed is shown."""
    receiver = bot.discord._receiver
    assert receiver is not None
    await until(lambda: not receiver._backfill.is_behind(channel.id))
    await settled(bot)


def chatter(channel: Channel, person: Person, count: int) -> None:
    for number in range(count):
        channel.say(f"chatter {number}", person)


def pages(server: DiscordServer, channel: Channel) -> int:
    return len(server.effects("GET", f"/channels/{channel.id}/messages"))


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("behind", [9, 10, 19])
async def test_the_newest_are_answered_and_of_the_others_people_are_told_once(
    server: DiscordServer, database: str, known: Channel, ann: Person, bob: Person, behind: int
) -> None:
    """`behind`: messages after the missed question. Ten are read back."""
    known.say("an older one", ann, mention=True)
    known.say("long ago", ann, mention=True)
    chatter(known, bob, behind - 1)
    known.say("just now", ann, mention=True)
    async with running(server, database) as bot:
        await known.ended(3)
        await read_back(bot, known)
        assert asked(bot) == (["Ann: long ago"] if behind < 10 else []) + ["Ann: just now"]
        assert known.texts.count(MISSED) == 1, "one of the two is missed, or both are"
    for _ in range(2):
        async with running(server, database) as bot:
            await read_back(bot, known)
            assert asked(bot) == [] and known.texts.count(MISSED) == 1


@pytest.mark.usefixtures("few")
async def test_chatter_alone_is_nothing_missed(
    server: DiscordServer, database: str, known: Channel, ann: Person, bob: Person
) -> None:
    known.say("hello", bob, mention=True)  # a stranger to this bot
    chatter(known, ann, 30)
    before = pages(server, known)
    async with running(server, database, access=Access(users=frozenset({f"discord:{ann.id}"}))) as bot:
        await read_back(bot, known)
        assert asked(bot) == [] and MISSED not in known.texts
        assert pages(server, known) - before == 4


@pytest.mark.parametrize(("hours", "told"), [(23, 0), (25, 1)])
async def test_a_day_is_read_back(
    server: DiscordServer, database: str, known: Channel, ann: Person, hours: int, told: int
) -> None:
    known.say("asked then", ann, mention=True)
    server.advance(hours * 3600)
    async with running(server, database, now=lambda: int(server.now() * 1000)) as bot:
        await known.ended(2)
        await read_back(bot, known)
        assert (asked(bot), known.texts.count(MISSED)) == (["Ann: asked then"] * (1 - told), told)


async def test_where_the_bot_was_lately_nothing_older_than_a_day_is_looked_for(
    server: DiscordServer, database: str, known: Channel, guild: Guild, ann: Person
) -> None:
    other = guild.channel("other")
    known.say("chatter", ann)
    server.advance(25 * 3600)

    def now() -> int:
        return int(server.now() * 1000)

    async with running(server, database, now=now) as bot:
        other.say("hello", ann, mention=True)
        await other.ended()
        await read_back(bot, known)
    before = pages(server, known)
    assert before
    async with running(server, database, now=now) as bot:
        await read_back(bot, known)
    assert pages(server, known) == before


@pytest.mark.usefixtures("few")
async def test_a_crash_after_people_were_told(
    server: DiscordServer, database: str, known: Channel, ann: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to be read back is not lost, and nobody is told again."""
    known.say("long ago", ann, mention=True)
    chatter(known, bob, 9)
    known.say("just now", ann, mention=True)
    fetch, fetched = Backfill._fetch_missed, asyncio.Event()

    async def crashes(self: Backfill, channel_id: int, chat: KnownChat) -> Sequence[object]:
        await fetch(self, channel_id, chat)
        fetched.set()
        return []

    with monkeypatch.context() as patch:
        patch.setattr(Backfill, "_fetch_missed", crashes)
        async with running(server, database) as bot:
            await fetched.wait()
            await known.ended(2)
    async with running(server, database) as bot:
        await known.ended(3)
        await read_back(bot, known)
        assert asked(bot) == ["Ann: just now"] and known.texts.count(MISSED) == 1


async def test_a_login_while_a_channel_is_still_read_back(
    server: DiscordServer,
    database: str,
    known: Channel,
    guild: Guild,
    ann: Person,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is read back again only then: in two tasks at once it would be in nobody's order."""
    first = guild.channel("first")
    async with running(server, database):
        first.say("before", ann, mention=True)
        await first.ended()
    known.say("missed", ann, mention=True)
    of_first, of_known = (hold_back(monkeypatch, channel) for channel in (first, known))
    async with running(server, database) as bot:
        known.say("later", ann, mention=True)  # so that it is read back beside the first channel
        await idle()
        server.gateway.session_seconds = -1
        server.drop()
        await server.ready(4)
        of_first.set()
        await until(lambda: pages(server, first) == 2)
        await idle()
        known.say("last", ann, mention=True)
        await idle()
        of_known.set()
        await known.ended(4)
        await settled(bot)
        assert asked(bot) == [f"Ann: {text}" for text in ("missed", "later", "last")] and not bot.working.done()


# Commands


async def temperature(bot: Running, channel: Channel, ann: Person) -> float:
    count = len(channel.messages)
    channel.say("how warm?", ann, mention=True)
    await channel.ended(count + 1)
    return bot.model.samplings[-1].temperature


async def test_an_older_text_does_not_win_over_a_newer_command(
    server: DiscordServer, database: str, known: Channel, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    known.say("/temp 0.2", ann, mention=True)
    told = hold_back(monkeypatch, known)
    async with running(server, database) as bot:
        server.slash(ann, known, "temp", value=0.9)
        await idle()
        told.set()
        await known.ended(3)
        assert await temperature(bot, known, ann) == 0.9


async def test_a_text_that_was_just_heard_does_not_win_over_a_newer_command(
    server: DiscordServer, database: str, known: Channel, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored after the command, it would be lost by a crash between them: how far a channel is read is the newest."""
    receive, told = MessageEvents.received, asyncio.Event()

    async def later(self: MessageEvents, message: Message, *, live: bool) -> None:
        await told.wait()
        await receive(self, message, live=live)

    async with running(server, database) as bot:
        await read_back(bot, known)
        monkeypatch.setattr(MessageEvents, "received", later)
        known.say("/temp 0.2", ann, mention=True)
        server.slash(ann, known, "temp", value=0.9)
        await idle()
        told.set()
        await known.ended(3)
        assert await temperature(bot, known, ann) == 0.9


async def test_a_command_that_would_have_to_wait_too_long(
    server: DiscordServer, database: str, known: Channel, guild: Guild, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is answered within Discord's three seconds, and nothing is promised that a crash would lose."""
    other = guild.channel("other")
    told = hold_back(monkeypatch, known)
    async with running(server, database, discord_timing=replace(QUICK_DISCORD, stored_within_s=0.1)) as bot:
        refused = await server.slash(ann, known, "temp", value=0.9).responded()
        assert refused.type == 4 and refused.ephemeral
        assert t("en", "error.busy") in known.texts
        alone = await server.slash(ann, known, "ask", question="hello", private=True).responded()
        elsewhere = await server.slash(ann, other, "temp", value=0.9).responded()
        assert alone.type == elsewhere.type == 5, "nothing is read back of these"
        told.set()
        assert await temperature(bot, known, ann) != 0.9
