"""Corners in which an answer could get lost, doubled, or shown to others: each was a fault once, or nearly."""

import asyncio
import itertools
import logging
from dataclasses import replace

import pytest

from bots.discord_bot.backfill import Backfill
from bots.logging_setup import RedactingFormatter
from core.domain.conversation import KnownChat
from core.domain.permissions import Access
from core.domain.platform import Pace
from core.i18n import t
from tests.bots.discord_bot.discord_running import QUICK_DISCORD, RETRY, Running, asked, known_guild, running
from tests.bots.discord_bot.test_discord_slash import published
from tests.bots.settling import settled
from tests.fakes import FakeModel
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import DiscordServer
from tests.platforms.discord_world import Person
from tests.platforms.faults import FaultKind
from tests.waiting import idle, until
from tests.watching import held, release

VI_RETRY = t("vi", "button.retry")


def counting(words: int = 0) -> FakeModel:
    """Every answer differs from the one before; with `words` it is long."""
    count = itertools.count(1)

    def says(prompt: object) -> list[str]:
        number = next(count)
        return [f"answer {number}", *(f" w{number}-{word}" for word in range(words))]

    return FakeModel(says)


async def test_a_penalty_for_everybody_that_nobody_waits_for(
    server: DiscordServer, database: str, ann: Person, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library holds a lock while it sleeps: a call that was given up must not keep it for ever."""
    async with running(server, database) as bot:
        await published(server)
        server.slash(ann, channel, "settings")
        panel = await channel.ended()
        monkeypatch.setattr("core.commands.buttons.FORM_ROLE_TIMEOUT_S", 0.05)
        server.fault(FaultKind.RATE_LIMIT, "GET", "/members/", seconds=0.5, everywhere=True)
        pressed = server.press(ann, channel, "✏️", message=panel)  # who may is asked for as long as that
        await pressed.responded()
        server.violations.clear()  # the form was opened within the penalty: interactions are exempt from it
        channel.say("hello there", ann, mention=True)
        await channel.until(lambda channel: "hello there" in channel.texts)
        assert not bot.working.done()


@pytest.mark.slow
async def test_a_database_in_trouble_at_a_new_login(
    server: DiscordServer, database: str, ann: Person, dm: Channel
) -> None:
    async with running(server, database) as bot:
        dm.say("before", ann)
        await dm.ended()
        bot.trouble.fails = 2
        server.invalidate(resumable=False)
        await server.ready(2)
        dm.say("after", ann)
        await dm.ended(2)
        assert not bot.working.done()


@pytest.mark.slow
async def test_a_thread_whose_channel_is_not_known(
    server: DiscordServer, database: str, guild: Guild, bob: Person, channel: Channel
) -> None:
    thread = channel.thread(bob, "A talk")
    async with running(server, database) as bot:
        (await known_guild(bot, guild))._channels.pop(channel.id)
        thread.say("hello", bob, mention=True)
        await thread.ended()
        thread.say("/temp 0.1", bob, mention=True)
        assert "0.1" in (await thread.ended(2)).content, "whose thread it is can still be told"


@pytest.mark.slow
async def test_a_thread_that_the_library_does_not_know(
    server: DiscordServer, database: str, guild: Guild, bob: Person, channel: Channel
) -> None:
    thread = channel.thread(bob, "A talk")
    async with running(server, database) as bot:
        (await known_guild(bot, guild))._threads.pop(thread.id)
        thread.say("hello", bob, mention=True)
        await thread.ended()
        assert asked(bot) == ["Bob: hello"]


async def test_nothing_comes_of_what_its_person_was_told_to_try_again(
    server: DiscordServer, database: str, ann: Person, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(server, database, discord_timing=replace(QUICK_DISCORD, stored_within_s=0.1)) as bot:
        monkeypatch.setattr("core.i18n.person_language.LOOKUP_TIMEOUT_S", 0.05)
        await published(server)
        async with bot.store.begin() as held_open:
            await held_open.replies.count_active()
            response = await server.slash(ann, channel, "ask", question="hello").responded()
            assert response.type == 4 and response.data["content"] == t("en", "error.busy")
        await settled(bot)
        assert asked(bot) == []


@pytest.mark.slow
async def test_keys_to_interactions_are_in_no_log(
    server: DiscordServer, database: str, ann: Person, channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    """The library tells of penalties with the whole address."""
    caplog.handler.setFormatter(RedactingFormatter([]))
    async with running(server, database):
        await published(server)
        server.fault(FaultKind.RATE_LIMIT, "PATCH", "/webhooks/", seconds=0.2)
        asking = server.slash(ann, channel, "status")
        await channel.ended()
    assert "rate limited" in caplog.text and "[secret]/messages/@original" in caplog.text
    assert asking.token not in caplog.text


@pytest.mark.slow
async def test_retry_where_the_bot_may_not_write(
    server: DiscordServer, database: str, guild: Guild, bob: Person, channel: Channel
) -> None:
    """The answer was everybody's, the response to /retry is for one: neither swallows the other."""
    guild.deny(channel, "send_messages")
    async with running(server, database, counting()):
        await published(server)
        server.slash(bob, channel, "ask", question="count")
        await channel.ended()
        server.slash(bob, channel, "retry")
        await channel.until(lambda channel: channel.texts == ["answer 2"] and channel.last.buttons == [VI_RETRY])
        assert not channel.last.ephemeral


async def test_continue_by_slash(server: DiscordServer, database: str, bob: Person, channel: Channel) -> None:
    answers = iter((["one "], ["two"]))
    model = FakeModel(lambda prompt: next(answers))
    model.ends = "length"
    async with running(server, database, model):
        await published(server)
        server.slash(bob, channel, "ask", question="count")
        await channel.ended()
        model.ends = "stop"
        server.slash(bob, channel, "continue")
        await channel.until(lambda channel: [text.replace(" ", "") for text in channel.texts] == ["onetwo"])


@pytest.mark.slow
async def test_a_long_private_answer_again(server: DiscordServer, database: str, bob: Person, channel: Channel) -> None:
    """What one interaction showed, another can't change: all of it is shown anew, in order."""
    async with running(server, database, counting(900)):
        await published(server)
        server.slash(bob, channel, "ask", question="count", private=True)
        await channel.until(lambda channel: bool(channel.messages) and channel.last.buttons == [VI_RETRY])
        long = len(channel.messages)
        assert long >= 3
        server.press(bob, channel, VI_RETRY)
        await channel.until(lambda channel: len(channel.messages) == 2 * long and channel.last.buttons == [VI_RETRY])
        shown = " ".join(channel.texts[long:]).split()
        assert shown == ["answer", "2"] + [f"w2-{word}" for word in range(900)]
        assert all(message.ephemeral for message in channel.messages)


@pytest.mark.slow
async def test_a_long_private_answer_that_outlives_its_token_over_a_restart(
    server: DiscordServer, database: str, bob: Person, channel: Channel
) -> None:
    words = [f"w{word} " for word in range(1200)]
    model = FakeModel(lambda prompt: words)
    model.gate = asyncio.Semaphore(1000)
    async with running(server, database, model):
        await published(server)
        server.slash(bob, channel, "ask", question="count", private=True)
        await channel.until(lambda channel: len(channel.messages) >= 3)
    server.advance(16 * 60)
    mine = server.dm(bob)
    async with running(server, database, FakeModel(lambda prompt: words), now=lambda: int(server.now() * 1000)):
        await mine.until(lambda mine: " ".join(mine.texts).split() == "".join(words).split())
        assert mine.last.buttons == [], "nothing would answer them there"
    assert all(message.ephemeral for message in channel.messages)


@pytest.mark.slow
async def test_a_private_answer_that_is_stopped_while_it_waits_again(
    server: DiscordServer, database: str, ann: Person, bob: Person, channel: Channel, dm: Channel
) -> None:
    """After a restart another goes first. Its mark is for the asker alone."""
    async with running(server, database, held(3)) as bot:
        await published(server)
        server.slash(bob, channel, "ask", question="one two three four", private=True)
        await channel.until(lambda channel: bool(channel.messages) and "one" in channel.last.content)
        dm.say("one two three", ann)
        await settled(bot)
    model = held()
    model.slots = 1
    async with running(server, database, model) as bot:
        await dm.until(lambda dm: model.running == 1)
        stopping = server.press(bob, channel, t("vi", "button.stop"))
        await stopping.responded()
        await settled(bot)
        release(model)
        await channel.until(lambda channel: t("vi", "mark.stopped") in channel.last.content)
        assert all(message.ephemeral for message in channel.messages) and not bot.working.done()


async def test_thinking_ends_whichever_comes_first(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    gate = asyncio.Event()
    async with running(server, database, counting()) as bot:
        await published(server)
        channel.say("count", ann, mention=True)
        await channel.ended()
        server.fault(FaultKind.SLOW, "POST", "/callback", gate=gate)
        server.slash(ann, channel, "retry")
        await idle(lambda: len(bot.model.prompts) == 2 and not bot.trouble.under_way)
        gate.set()
        await channel.until(lambda channel: channel.texts == ["answer 2"])


@pytest.mark.slow
async def test_a_response_that_was_dismissed(
    server: DiscordServer, database: str, bob: Person, channel: Channel
) -> None:
    async with running(server, database, held(2)) as bot:
        await published(server)
        server.slash(bob, channel, "ask", question="one two three", private=True)
        await channel.until(lambda channel: bool(channel.messages) and "one" in channel.last.content)
        channel.last.remove()
        release(bot.model)
        await channel.until(lambda channel: channel.texts == ["one two three"])
        assert channel.last.ephemeral


@pytest.mark.slow
async def test_where_it_may_not_write_it_says_so_once(
    server: DiscordServer, database: str, guild: Guild, bob: Person, channel: Channel
) -> None:
    async with running(server, database):
        channel.say("before", bob, mention=True)
        await channel.ended()
    guild.deny(channel, "send_messages")
    async with running(server, database):
        channel.say("now", bob, mention=True)
        await server.dm(bob).ended()
    server.advance(3600)
    async with running(server, database) as bot:
        await settled(bot)
    async with running(server, database, access=Access(users=frozenset({"discord:1"}))) as bot:
        channel.say("a stranger", bob, mention=True)
        await settled(bot)
    assert len(server.dm(bob).messages) == 1


@pytest.mark.slow
async def test_commands_are_published_in_the_end(server: DiscordServer, database: str) -> None:
    server.fault(FaultKind.ERROR, "PUT", "/commands", times=2, code=503)
    async with running(server, database):
        await published(server)


@pytest.mark.slow
async def test_a_press_in_a_database_in_trouble(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    async with running(server, database) as bot:
        channel.say("hello", ann, mention=True)
        await channel.ended()
        await settled(bot)
        bot.trouble.fails = 2
        pressed = server.press(ann, channel, RETRY)
        await until(lambda: pressed.followups)
        assert pressed.followups[0].content == t("en", "error.busy")


async def test_an_interaction_that_is_told_twice(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    async with running(server, database) as bot:
        await published(server)
        server.fault(FaultKind.DUPLICATE, "EVENT", "INTERACTION_CREATE")
        asking = server.slash(ann, channel, "ask", question="hello")
        assert (await asking.responded()).type == 5
        await channel.ended()
        await settled(bot)
        assert channel.texts == ["hello"] and asked(bot) == ["Ann: hello"]


@pytest.mark.slow
async def test_a_command_in_a_thread_that_the_bot_cannot_see(
    server: DiscordServer, database: str, guild: Guild, ann: Person, bob: Person
) -> None:
    """It costs nobody else in the channel anything."""
    channel = guild.channel("general")
    thread = channel.thread(ann, "hidden")
    async with running(server, database, held(3)) as bot:
        await published(server)
        channel.say("one two three four", ann, mention=True)
        await channel.until(lambda channel: bool(channel.texts))
        channel.say("waiting", bob, mention=True)
        (await known_guild(bot, guild))._threads.pop(thread.id, None)
        hidden = {"code": 50001, "message": "Missing Access"}
        server.fault(FaultKind.ERROR, "GET", f"/channels/{thread.id}", times=5, code=403, body=hidden)
        server.slash(ann, thread, "temp", value=0.2)
        await thread.until(lambda thread: t("en", "error.role") in thread.texts)
        release(bot.model)
        await channel.until(lambda channel: "waiting" in channel.texts)


# Reading back


@pytest.mark.slow
async def test_a_slash_command_does_not_hide_what_was_missed(
    server: DiscordServer, database: str, ann: Person, dm: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(server, database):
        await published(server)
        dm.say("before", ann)
        await dm.ended()
    dm.say("missed", ann)
    at_once, told = Backfill._read_active_chats, asyncio.Event()

    async def later(self: Backfill) -> object:
        await told.wait()
        return await at_once(self)

    monkeypatch.setattr(Backfill, "_read_active_chats", later)
    async with running(server, database) as bot:
        server.slash(ann, dm, "ask", question="slashed")
        await idle()
        told.set()
        await dm.until(lambda dm: "slashed" in dm.texts)
        assert asked(bot) == ["missed", "slashed"], "in the order in which they were asked"


async def test_reading_back_is_tried_until_it_works(
    server: DiscordServer, database: str, ann: Person, dm: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(server, database):
        dm.say("before", ann)
        await dm.ended()
    dm.say("missed", ann)
    server.fault(FaultKind.ERROR, "GET", f"/channels/{dm.id}/messages", times=7, code=503)
    async with running(server, database) as bot:
        dm.say("later", ann)
        await dm.ended(3)
        assert asked(bot) == ["missed", "later"]
    assert "can't be read back so far" in caplog.text


@pytest.mark.slow
async def test_more_than_can_be_held_is_read_back(
    server: DiscordServer, database: str, ann: Person, dm: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bots.discord_bot.channel_order.MAX_WAITING", 3)
    slower = replace(QUICK_DISCORD, pace=Pace(gap_s=0.05))  # eleven answers are more than Discord bears in a second
    async with running(server, database, discord_timing=slower) as bot:
        dm.say("before", ann)
        await dm.ended()
        bot.trouble.fails = 8
        for count in range(10):
            dm.say(f"question {count}", ann)
        await dm.ended(11)
        assert asked(bot) == ["before", *(f"question {count}" for count in range(10))]


def known_before(bot: Running) -> list[KnownChat]:
    return list(bot.discord._receiver._backfill._behind.values()) if bot.discord._receiver else []


@pytest.mark.slow
async def test_what_is_no_conversation_of_its_own_is_not_read_back(
    server: DiscordServer, database: str, bob: Person, channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(server, database):
        await published(server)
        server.slash(bob, channel, "ask", question="hello", private=True)
        await channel.ended()
    async with running(server, database) as bot:
        await settled(bot)
        assert known_before(bot) == [] and not server.effects("GET", f"/channels/{channel.id}/messages")
