"""Responses to interactions: promised first, filled in once, and never left thinking; what happens where that fails."""

import asyncio

import pytest

from core.i18n import t
from tests.bots.discord_bot.discord_running import RETRY, asked, running
from tests.bots.discord_bot.test_discord_corners import VI_RETRY, counting
from tests.bots.discord_bot.test_discord_sending import answered_one
from tests.bots.discord_bot.test_discord_slash import published
from tests.bots.settling import settled
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import DiscordServer
from tests.platforms.discord_world import Person
from tests.platforms.faults import FaultKind
from tests.waiting import idle, until_answer
from tests.watching import held, release

# The promise


async def test_nothing_is_filled_in_before_it_is_promised(
    server: DiscordServer, database: str, ann: Person, channel: Channel, dm: Channel
) -> None:
    """Discord would take it for a response that does not exist."""
    gate = asyncio.Event()
    async with running(server, database) as bot:
        await published(server)
        server.fault(FaultKind.SLOW, "POST", "/callback", gate=gate)
        server.slash(ann, channel, "ask", question="hello", private=True)
        await idle(lambda: bot.model.prompts and not bot.trouble.under_way)
        assert not channel.messages
        gate.set()
        await channel.until(lambda channel: channel.texts == ["hello"] and channel.last.buttons == [RETRY])
        assert channel.last.ephemeral and not dm.messages


@pytest.mark.parametrize("private", [False, True])
async def test_told_twice_while_the_promise_is_on_its_way(
    server: DiscordServer, database: str, ann: Person, channel: Channel, dm: Channel, private: bool
) -> None:
    """The second does not make it seem to be there."""
    async with running(server, database) as bot:
        await published(server)
        server.fault(FaultKind.DUPLICATE, "EVENT", "INTERACTION_CREATE")
        gate = asyncio.Event()
        server.fault(FaultKind.SLOW, "POST", "/callback", gate=gate)
        asking = server.slash(ann, channel, "ask", question="hello", private=private)
        await idle(lambda: asked(bot) and not bot.trouble.under_way)
        gate.set()
        assert (await asking.responded()).type == 5
        await channel.until(lambda channel: channel.texts == ["hello"] and channel.last.buttons == [RETRY])
        await settled(bot)
        assert channel.texts == ["hello"] and len(asked(bot)) == 1
        assert channel.last.ephemeral is private and not dm.messages


async def test_told_again_when_nobody_remembers_it(
    server: DiscordServer, database: str, ann: Person, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store still knows it: that it owes nothing more does not make its person a stranger, who is told so."""
    monkeypatch.setattr("bots.discord_bot.interaction_token.MAX_REMEMBERED", 0)
    async with running(server, database) as bot:
        await published(server)
        server.fault(FaultKind.DUPLICATE, "EVENT", "INTERACTION_CREATE")
        asking = server.slash(ann, channel, "ask", question="hello")
        assert (await asking.responded()).type == 5
        await channel.until(lambda channel: "hello" in channel.texts)
        await settled(bot)
        assert asked(bot) == ["Ann: hello"]
    assert len([each for each in server.ledger if each.path.endswith("/callback")]) == 1


# Nothing stays thinking


async def test_thinking_ends_where_the_promise_comes_last(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    gate = asyncio.Event()
    async with running(server, database, counting()) as bot:
        await published(server)
        channel.say("count", ann, mention=True)
        await channel.ended()
        server.fault(FaultKind.SLOW, "POST", "/callback", gate=gate)
        asking = server.slash(ann, channel, "retry")
        await idle(lambda: len(bot.model.prompts) == 2 and not bot.trouble.under_way)
        gate.set()
        await asking.responded()
        await channel.until(lambda channel: channel.texts == ["answer 2"])


async def test_retry_of_what_is_gone_leaves_nothing_thinking(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    async with running(server, database, counting()) as bot:
        await published(server)
        channel.say("count", ann, mention=True)
        await channel.ended()
        await settled(bot)
        channel.last.remove()
        server.slash(ann, channel, "retry")
        await channel.until(lambda channel: channel.texts == ["answer 2"] and channel.last.buttons == [RETRY])


async def test_no_typing_where_it_thinks(server: DiscordServer, database: str, ann: Person, channel: Channel) -> None:
    async with running(server, database, held()) as bot:
        await published(server)
        server.slash(ann, channel, "ask", question="one")
        await channel.until(lambda channel: bot.model.running == 1)
        await settled(bot)
        release(bot.model)
        await channel.ended()
        assert channel.typing == 0


# What goes wrong on the way


async def test_a_further_response_that_arrived_unheard(
    server: DiscordServer, database: str, bob: Person, channel: Channel
) -> None:
    """It has no nonce: what is sent again shows twice, so it has no words yet."""
    async with running(server, database, counting(900)):
        await published(server)
        server.fault(FaultKind.ACCEPT_THEN_DROP, "POST", "/webhooks/")
        server.slash(bob, channel, "ask", question="count", private=True)
        await channel.until(lambda channel: bool(channel.messages) and channel.last.buttons == [VI_RETRY])
        words = " ".join(text for text in channel.texts if text != "…").split()
        assert words == ["answer", "1"] + [f"w1-{word}" for word in range(900)]


async def test_an_answer_grows_on_where_its_token_is_refused(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    model = held(2)
    async with running(server, database, model):
        await published(server)
        server.fault(FaultKind.ERROR, "PATCH", r"/messages/@original$", code=404, body={"code": 10015, "message": "x"})
        server.slash(ann, channel, "ask", question="one two three")
        await channel.until(lambda channel: any("one" in text for text in channel.texts))
        release(model)


@pytest.mark.parametrize(
    "lacks",
    [("view_channel", "send_messages"), pytest.param(("view_channel",), marks=pytest.mark.slow)],
    ids=["both", "to see it"],
)
async def test_an_answer_grows_where_the_bot_sees_nothing(
    server: DiscordServer, database: str, guild: Guild, ann: Person, channel: Channel, lacks: tuple[str, ...]
) -> None:
    """Its token reaches what the channel does not."""
    guild.deny(channel, *lacks)
    async with running(server, database, held(3)) as bot:
        await published(server)
        server.slash(ann, channel, "ask", question="one two three")
        await channel.until(lambda channel: channel.texts == ["one two"])
        release(bot.model)
        await channel.until(lambda channel: channel.texts == ["one two three"] and channel.last.buttons == [RETRY])
        assert len(channel.messages) == 1


@pytest.mark.parametrize("lacks", ["send_messages_in_threads", pytest.param("view_channel", marks=pytest.mark.slow)])
async def test_a_long_answer_in_a_thread_where_the_bot_may_not_write(
    server: DiscordServer, database: str, guild: Guild, bob: Person, channel: Channel, lacks: str
) -> None:
    thread = channel.thread(bob, "A talk")
    guild.deny(channel, lacks)
    async with running(server, database, counting(500)):
        await published(server)
        server.slash(bob, thread, "ask", question="count")
        await thread.until(lambda thread: len(thread.messages) >= 2 and thread.last.buttons == [VI_RETRY])
        assert " ".join(thread.texts).split() == ["answer", "1"] + [f"w1-{word}" for word in range(500)]


# What costs nobody else anything


async def test_a_thread_that_is_closed_costs_its_channel_nothing(
    server: DiscordServer, database: str, ann: Person, bob: Person, channel: Channel
) -> None:
    thread = channel.thread(bob, "A talk")
    closed = {"code": 50013, "message": "Missing Permissions"}
    async with running(server, database, held(2)) as bot:
        channel.say("one two three", ann, mention=True)
        await channel.until(lambda channel: bool(channel.texts))
        server.fault(FaultKind.ERROR, "POST", f"/channels/{thread.id}/messages", times=9, code=403, body=closed)
        thread.say("/help", bob, mention=True)
        await settled(bot)
        release(bot.model)
        await channel.until(lambda channel: channel.messages[0].buttons == [RETRY])
        answer, told = channel.texts
        assert answer == "one two three" and told.startswith(t("en", "thread.closed", name="Bob"))


async def test_an_asker_who_cannot_be_reached_costs_nobody_else(
    server: DiscordServer, database: str, guild: Guild, bob: Person, channel: Channel
) -> None:
    """Too late for a response, and he takes no messages: that says nothing of the channel he asked in."""
    guild.deny(channel, "send_messages")
    async with running(server, database, held()) as bot:
        await published(server)
        server.dm(bob).blocked = True
        server.slash(bob, channel, "ask", question="one")
        await bot.model.until(lambda: bot.model.running)
        server.advance(16 * 60)
        release(bot.model)
        await until_answer(lambda: answered_one(bot.store), lambda: bot.trouble.ended)
        async with bot.store.begin() as tx:
            assert [each.chat.chat for each in await tx.chats.active("discord")] == [str(channel.id)]
