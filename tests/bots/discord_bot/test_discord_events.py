"""What the adapter yields: deletions, servers that the bot joins and leaves, typed options; and how its events end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bots.discord_bot.adapter import DiscordBot
from core.domain.conversation import ChatId
from core.inbound.events import (
    Acceptance,
    BotAdded,
    BotRemoved,
    CaughtUp,
    Event,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    Receipt,
)
from storage.store import DatabaseStore
from tests.bots.discord_bot.discord_running import discord_bot
from tests.bots.discord_bot.test_discord_slash import published
from tests.changes import WatchedStore
from tests.patience import LIMIT_S
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import DiscordServer
from tests.platforms.discord_world import Person
from tests.waiting import idle, until


@dataclass
class Watched:
    """An adapter without a core. What it yields is acknowledged at once, unless it is `held`."""

    discord: DiscordBot
    store: WatchedStore
    held: bool = False
    events: list[Event] = field(default_factory=list)

    async def consume(self) -> None:
        async for event in self.discord.events():
            self.events.append(event)
            if not self.held:
                event.acknowledge(Receipt(Acceptance.STORED))

    async def until(self, *kinds: type[Event]) -> list[Event]:
        """What was yielded of these kinds, once there is something and nothing more comes."""
        await until(lambda: any(isinstance(event, kinds) for event in self.events))
        await self.resting()
        return [event for event in self.events if isinstance(event, kinds)]

    async def resting(self) -> None:
        """Wait until all that Discord told is dealt with."""
        await idle(lambda: not self.store.under_way)


@asynccontextmanager
async def watched(server: DiscordServer, store: DatabaseStore) -> AsyncIterator[Watched]:
    watched_store = WatchedStore(store)
    discord = discord_bot(server, watched_store)
    async with discord.connected():
        bot = Watched(discord, watched_store)
        consuming = asyncio.create_task(bot.consume())
        try:
            await server.ready()
            await bot.until(CaughtUp)
            yield bot
        finally:
            consuming.cancel()
            await asyncio.gather(consuming, return_exceptions=True)


async def test_what_is_deleted(
    server: DiscordServer, store: DatabaseStore, ann: Person, dm: Channel, channel: Channel
) -> None:
    thread = channel.thread(ann, "A talk")
    async with watched(server, store) as bot:
        account = str(server.me["id"])
        expected = []
        for place, chat in (
            (dm, ChatId("discord", str(dm.id))),
            (channel, ChatId("discord", str(channel.id))),
            (thread, ChatId("discord", str(channel.id), str(thread.id))),
        ):
            said = place.say("hello", ann, mention=place is not dm)
            said.remove()
            expected.append((chat, account, f"m:{said.id}"))
            await bot.resting()
        deleted = await bot.until(MessageDeleted)
        assert [(each.chat, each.bot, each.external_id) for each in deleted if isinstance(each, MessageDeleted)] == (
            expected
        )


async def test_a_later_event_of_a_channel_waits_for_the_earlier_one(
    server: DiscordServer, store: DatabaseStore, ann: Person, dm: Channel, channel: Channel
) -> None:
    async with watched(server, store) as bot:
        bot.held = True
        said = dm.say("first", ann)
        said.revise("second")
        said.remove()
        channel.say("elsewhere", ann, mention=True)
        kinds = MessageReceived, MessageEdited, MessageDeleted
        events = await bot.until(*kinds)
        assert len(events) == 2 and all(isinstance(event, MessageReceived) for event in events)
        for count in (3, 4):
            events[-1 if count == 4 else 0].acknowledge(Receipt(Acceptance.STORED))
            await bot.resting()
            events = await bot.until(*kinds)
            assert len(events) == count
        assert [type(event) for event in events[2:]] == [MessageEdited, MessageDeleted]


async def test_a_server_is_left_and_joined(
    server: DiscordServer, store: DatabaseStore, guild: Guild, channel: Channel
) -> None:
    other = guild.channel("other")
    async with watched(server, store) as bot:
        await bot.resting()
        other.delete()
        guild.kick_bot()
        removed = await bot.until(BotRemoved)
        assert [each.chat for each in removed if isinstance(each, BotRemoved)] == [str(other.id), str(channel.id)]
        guild.add_bot()
        added = await bot.until(BotAdded)
        assert [each.chat for each in added if isinstance(each, BotAdded)] == [str(channel.id)]


async def test_typed_options_stay_typed(
    server: DiscordServer, store: DatabaseStore, ann: Person, channel: Channel
) -> None:
    async with watched(server, store) as bot:
        await published(server)
        server.slash(ann, channel, "temp", value=0.3)
        server.slash(ann, channel, "maxtokens", value=256)
        server.slash(ann, channel, "temp", reset=True)
        server.slash(ann, channel, "ask", question="why?", private=True)
        await bot.resting()
        received = [event for event in await bot.until(MessageReceived) if isinstance(event, MessageReceived)]
        assert [(each.message.text, each.message.options) for each in received] == [
            ("/temp 0.3", {"value": 0.3}),
            ("/maxtokens 256", {"value": 256}),
            ("/temp reset", {"reset": True}),
            ("/ask why?", {"question": "why?"}),
        ]
        assert all(each.deadline_s == LIMIT_S for each in received)


async def test_nothing_goes_on_once_nobody_consumes(server: DiscordServer, store: DatabaseStore) -> None:
    before = asyncio.all_tasks()
    async with watched(server, store):
        pass
    left = {task for task in asyncio.all_tasks() - before if "discord_bot" in repr(task)}
    assert not left
