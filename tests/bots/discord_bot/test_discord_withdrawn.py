"""What waits and is ended leaves nothing thinking, whatever happens meanwhile."""

import asyncio

import pytest

from core.delivery.withdrawal import end_reply
from core.domain.conversation import ChatId
from core.domain.reply_states import ReplyEvent
from core.i18n import t
from tests.bots.discord_bot.discord_running import RETRY, Running, asked, running
from tests.bots.discord_bot.test_discord_slash import published
from tests.bots.settling import settled
from tests.fakes import FakeModel
from tests.platforms.discord_channels import GUILD_MESSAGES, Channel
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import DiscordServer
from tests.platforms.discord_world import Person
from tests.watching import held, release

STOPPED = t("en", "mark.stopped")


async def occupy(bot: Running, elsewhere: Channel, by: Person) -> None:
    """Have the model's only place taken: what is asked from now on waits."""
    bot.model.gate = asyncio.Semaphore(0)
    elsewhere.say("long", by, mention=True)
    await bot.model.until(lambda: bot.model.running)


async def test_a_question_by_slash_that_waits_is_stopped_or_cleared(
    server: DiscordServer, database: str, ann: Person, bob: Person, guild: Guild, channel: Channel
) -> None:
    async with running(server, database, FakeModel(slots=1)) as bot:
        await published(server)
        await occupy(bot, guild.channel("elsewhere"), bob)
        for place, command in ((channel, "stop"), (guild.channel("another"), "clear")):
            asking = server.slash(ann, place, "ask", question="hello")
            await asking.responded()
            await settled(bot)
            assert place.last.thinking
            server.slash(ann, place, command)
            said = t("en", f"{command}.queued", count=1)
            await place.until(lambda place, said=said: place.texts == [STOPPED, said])  # type: ignore[misc]
            assert not any(message.thinking or message.buttons for message in place.messages)


@pytest.mark.slow
async def test_a_kill_after_the_stop_leaves_nothing_thinking(
    server: DiscordServer, database: str, ann: Person, bob: Person, guild: Guild, channel: Channel
) -> None:
    async with running(server, database, FakeModel(slots=1)) as bot:
        await published(server)
        await occupy(bot, guild.channel("elsewhere"), bob)
        await server.slash(ann, channel, "ask", question="hello").responded()
        await settled(bot)
        async with bot.store.begin() as tx:  # all that the process comes to do of a /stop
            (waiting,) = await tx.replies.open_answers(ChatId("discord", str(channel.id)))
            await end_reply(tx, waiting, ReplyEvent.STOP)
    async with running(server, database, FakeModel(slots=1)):
        await channel.until(lambda channel: channel.texts == [STOPPED] and not channel.last.buttons)


@pytest.mark.slow
async def test_a_retry_by_slash_that_waits_is_stopped(
    server: DiscordServer, database: str, ann: Person, bob: Person, guild: Guild, channel: Channel
) -> None:
    """The answer stays as it is, for all to see, and may be had again."""
    async with running(server, database, FakeModel(slots=1)) as bot:
        await published(server)
        channel.say("hello", ann, mention=True)
        await channel.ended()
        await occupy(bot, guild.channel("elsewhere"), bob)
        await server.slash(ann, channel, "retry").responded()
        await settled(bot)
        server.slash(ann, channel, "stop")
        said = t("en", "stop.queued", count=1)
        await channel.until(lambda channel: channel.texts == ["hello", said])
        assert channel.messages[0].buttons == [RETRY] and not channel.messages[0].ephemeral


@pytest.mark.slow
async def test_a_question_whose_message_is_deleted_is_not_answered(
    server: DiscordServer, database: str, channel: Channel, ann: Person, bob: Person
) -> None:
    """One that is being answered, by itself; and several that wait, at once. What follows is answered."""
    model = held(3)
    async with running(server, database, model) as bot:
        answered = channel.say("one two three", ann, mention=True)
        await channel.until(lambda channel: channel.texts == ["one two"])
        waiting = [channel.say(text, bob, mention=True) for text in ("four", "five")]
        channel.say("six", bob, mention=True)
        await settled(bot)
        answered.remove()
        ids = [str(message.id) for message in waiting]
        for message in waiting:
            message.deleted = True
        place = {"channel_id": str(channel.id), "guild_id": str(channel.guild.id) if channel.guild else ""}
        server.dispatch("MESSAGE_DELETE_BULK", {"ids": ids, **place}, GUILD_MESSAGES)
        await channel.until(lambda channel: channel.texts == [])
        await settled(bot)
        release(model)
        await channel.until(lambda channel: channel.texts == ["six"])
        await settled(bot)
        assert asked(bot) == ["Ann: one two three", "Bob: six"]
        assert channel.texts == ["six"] and len(model.prompts[-1]) == 2
