"""Servers and threads as people use them: the real library against a server that answers as Discord does."""

import asyncio
from typing import Any

import pytest

from core.domain.conversation import Author, ChatId, Role
from core.i18n import t
from tests.bots.discord_bot.discord_running import RETRY, Running, asked, known_guild, running
from tests.bots.settling import settled
from tests.fakes import FakeModel
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import DiscordServer
from tests.platforms.discord_world import Person
from tests.waiting import until, until_answer
from tests.watching import held, release


async def test_a_mention(server: DiscordServer, database: str, ann: Person, channel: Channel) -> None:
    async with running(server, database) as bot:
        channel.say("nobody asked", ann)
        question = channel.say("what is up?", ann, mention=True)
        answer = await channel.ended()
        assert (answer.content, answer.reply_to, answer.buttons) == ("what is up?", question.id, [RETRY])
        assert asked(bot) == ["Ann: what is up?"] and len(channel.messages) == 1


async def test_a_mention_alone_is_greeted(server: DiscordServer, database: str, ann: Person, channel: Channel) -> None:
    async with running(server, database):
        channel.say("", ann, mention=True)
        assert "Hello" in (await channel.ended()).content


async def test_replies(server: DiscordServer, database: str, ann: Person, bob: Person, channel: Channel) -> None:
    async with running(server, database) as bot:
        channel.say("first", ann, mention=True)
        answer = await channel.ended()
        channel.say("and then?", bob, reply_to=answer)
        await channel.ended(2)
        channel.say("no ping", bob, reply_to=answer, ping=False)
        words = channel.say("the sky is green", bob)
        channel.say("is that so?", ann, mention=True, reply_to=words, ping=False)
        await channel.ended(3)
        assert asked(bot) == ["Ann: first", "Bob: and then?", "Ann: > the sky is green\n\nis that so?"]


async def test_without_the_intent(
    server: DiscordServer, database: str, ann: Person, bob: Person, channel: Channel, caplog: object
) -> None:
    """Mentions and pinging replies carry their words; a thread has to name the bot."""
    server.content_intent = False
    thread = channel.thread(bob, "A talk")
    async with running(server, database) as bot:
        assert [each.intents & (1 << 15) for each in server.identifies] == [0], "it did not have to be told"
        channel.say("what is up?", ann, mention=True)
        await channel.ended()
        thread.say("hello", bob, mention=True)
        await thread.ended()
        thread.say("unheard", bob)
        await settled(bot)
        assert asked(bot) == ["Ann: what is up?", "Bob: hello"] and len(thread.messages) == 1
    assert "Message Content intent" in caplog.text  # type: ignore[attr-defined]


async def test_an_intent_that_is_taken_away(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    async with running(server, database) as bot:
        server.content_intent = False
        server.drop(4014)
        await server.ready(2)
        channel.say("what is up?", ann, mention=True)
        await channel.ended()
        assert asked(bot) == ["Ann: what is up?"]


async def test_a_thread_is_a_conversation_of_its_own(
    server: DiscordServer, database: str, ann: Person, bob: Person, channel: Channel
) -> None:
    thread = channel.thread(bob, "A talk")
    async with running(server, database) as bot:
        channel.say("/temp 0.1", ann, mention=True)
        await channel.ended()
        channel.say("secret of the channel", ann, mention=True)
        await channel.ended(2)
        thread.say("not for the bot", bob)
        thread.say("hello", bob, mention=True)
        await thread.ended()
        assert bot.model.samplings[-1].temperature == 0.1, "its parent's"
        assert len(bot.model.prompts[-1]) == 2, "nothing of the channel"
        thread.say("no mention needed now", bob)
        await thread.ended(2)
        thread.say("between us", bob, reply_to=thread.say("what?", ann, mentions=[bob.user]))
        await settled(bot)
        assert asked(bot)[-1] == "Bob: no mention needed now" and len(thread.messages) == 2
        thread.say("/temp 0.9", bob, mention=True)
        assert "0.1 → 0.9" in (await thread.ended(3)).content, "its owner sets it"
        channel.say("/temp 0.9", bob, mention=True)
        assert (await channel.ended(3)).content == t("en", "refused.may", usage="/temp")
    async with running(server, database) as bot:
        thread.say("after a restart", bob)
        await thread.ended(4)
        assert bot.model.samplings[-1].temperature == 0.9


async def test_a_thread_that_the_bot_opened(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    thread = channel.thread(None, "The bot's")
    async with running(server, database) as bot:
        thread.say("hello", ann)
        await thread.ended()
        assert asked(bot) == ["Ann: hello"]


async def test_names_are_spelt_out(
    server: DiscordServer, database: str, ann: Person, bob: Person, channel: Channel
) -> None:
    async with running(server, database) as bot:
        text = f"what does <@{bob.id}> say in <#{channel.id}> <:cat:123>?"
        channel.say(text, ann, mention=True, mentions=[server.me, bob.user])
        await channel.ended()
        assert asked(bot) == ["Ann: what does @Bob say in #general :cat:?"]


async def test_where_the_bot_may_not_write(
    server: DiscordServer, database: str, guild: Guild, bob: Person, channel: Channel
) -> None:
    guild.deny(channel, "send_messages")
    thread = channel.thread(bob, "closed")
    guild.deny(channel, "send_messages_in_threads")
    async with running(server, database) as bot:
        for count, place in enumerate((channel, thread), 1):
            place.say("hello", bob, mention=True)
            told = await server.dm(bob).ended(count)
            assert f"<#{place.id}>" in told.content and bot.model.prompts == []
        guild.allow(channel, "send_messages")
        channel.say("hello", bob, mention=True)
        await channel.ended()


async def test_a_thread_that_is_locked(server: DiscordServer, database: str, bob: Person, channel: Channel) -> None:
    """Nobody but who manages threads can write there."""
    thread = channel.thread(bob, "closed")
    thread.locked = True
    async with running(server, database) as bot:
        thread.say("hello", bob, mention=True)
        assert f"<#{thread.id}>" in (await server.dm(bob).ended()).content and bot.model.prompts == []


async def test_who_has_left_is_nobody_special(
    server: DiscordServer, database: str, guild: Guild, ann: Person, channel: Channel
) -> None:
    place, author = ChatId("discord", str(channel.id)), Author(str(ann.id), "Ann")
    async with running(server, database) as bot:
        await known_guild(bot, guild)
        assert await bot.discord.role(place, author) is Role.ADMIN
        guild.leave(ann)
        assert await bot.discord.role(place, author) is Role.MEMBER


async def test_where_it_may_not_read_what_was_said(
    server: DiscordServer, database: str, guild: Guild, ann: Person, channel: Channel
) -> None:
    guild.deny(channel, "read_message_history")
    async with running(server, database):
        channel.say("hello", ann, mention=True)
        assert (await channel.ended()).reference is None


async def test_thrown_out_and_let_in_again(
    server: DiscordServer, database: str, guild: Guild, ann: Person, channel: Channel
) -> None:
    async with running(server, database, held(2)) as bot:
        channel.say("one two three four", ann, mention=True)
        await channel.until(lambda channel: bool(channel.texts))
        guild.kick_bot()
        await until(lambda: not bot.model.running)
        release(bot.model)
        await settled(bot)
        guild.add_bot()
        channel.say("and now?", ann, mention=True)
        await channel.until(lambda channel: "and now?" in channel.texts)


async def nothing_left(bot: Running) -> None:
    """Wait until no reply is owed any more: what was shown last is committed a moment after."""

    async def nothing() -> bool:
        async with bot.store.begin() as tx:
            return await tx.replies.count_active() == (0, 0)

    await until_answer(nothing, lambda: bot.trouble.ended)


async def test_a_channel_that_is_deleted_under_an_answer(
    server: DiscordServer, database: str, ann: Person, guild: Guild, channel: Channel
) -> None:
    other = guild.channel("other")
    async with running(server, database, held(2)) as bot:
        channel.say("one two three four", ann, mention=True)
        await channel.until(lambda channel: bool(channel.texts))
        channel.delete()
        release(bot.model)
        other.say("elsewhere", ann, mention=True)
        await other.ended()
        await nothing_left(bot)


async def test_only_the_last_answer_keeps_its_buttons(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    async with running(server, database, FakeModel()):
        for count in range(1, 4):
            channel.say(f"q{count}", ann, mention=True)
            await channel.ended(count)
        await channel.until(lambda channel: [message.buttons for message in channel.messages] == [[], [], [RETRY]])
        assert channel.texts == ["q1", "q2", "q3"]


@pytest.mark.slow
async def test_a_forward_and_its_comment_are_one_question(
    server: DiscordServer, database: str, ann: Person, bob: Person, channel: Channel, dm: Channel
) -> None:
    """In a server the comment must be for the bot; Discord does not tell whose words were forwarded."""
    model = held()
    async with running(server, database, model) as bot:
        snapshot: dict[str, Any] = {
            "content": "a fact", "type": 0, "attachments": [], "embeds": [], "components": [], "mentions": [],
            "mention_roles": [], "timestamp": "2024-01-01T00:00:00+00:00", "edited_timestamp": None, "flags": 0,
        }  # fmt: skip
        fact: dict[str, Any] = {"message_snapshots": [{"message": snapshot}]}
        whole = "Forwarded message from Someone:\n> a fact\n\nwhy?"
        for count, where in enumerate((channel, channel, dm, dm)):
            model.gate = asyncio.Semaphore(0)
            server.advance(5)
            for comes_first in (count % 2 == 0, count % 2 == 1):
                if comes_first:
                    where.say("why?", ann, mention=where is channel)
                else:
                    where.say("", ann, **fact)
            await settled(bot)
            release(model)
            await where.ended(count % 2 + 1)
            await settled(bot)
            assert asked(bot)[-1] == ("Ann: " if where is channel else "") + whole
            assert len(where.messages) == count % 2 + 1
        server.advance(5)
        channel.say("", bob, **fact)
        channel.say("and you?", ann, mention=True)
        await channel.ended(3)
        assert asked(bot)[-1] == "Ann: and you?"
        dm.say("", ann, **fact)
        await dm.ended(3)
        assert asked(bot)[-1] == "Forwarded message from Someone:\n> a fact"
