"""Every refusal is in the person's own language: the one chosen with /lang, whatever the client is set to."""

from collections.abc import AsyncIterator

import pytest

from core.domain.permissions import Access
from core.i18n import t
from storage.database import open_database
from storage.store import DatabaseStore
from tests.bots.discord_bot.discord_running import running
from tests.bots.discord_bot.test_discord_panel import told
from tests.bots.discord_bot.test_discord_slash import published
from tests.bots.settling import settled
from tests.platforms.discord_channels import Channel, attachment
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import DiscordServer
from tests.platforms.discord_world import Person

SOMEBODY_ELSE = Access(users=frozenset({"discord:1"}))


@pytest.fixture
async def ann(server: DiscordServer, database: str) -> AsyncIterator[Person]:
    """Her client is English; she has chosen Vietnamese."""
    ann = server.person("Ann")
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        await tx.preferences.set_language("discord", str(ann.id), "vi", 1)
    yield ann


async def test_busy(server: DiscordServer, database: str, ann: Person, channel: Channel) -> None:
    async with running(server, database) as bot:
        await published(server)
        await settled(bot)  # nothing else must meet the trouble
        bot.trouble.fails = 1
        response = await server.slash(ann, channel, "ask", question="hello").responded()
        assert response.ephemeral and response.data["content"] == t("vi", "error.busy")


async def test_a_press_while_busy(server: DiscordServer, database: str, ann: Person, channel: Channel) -> None:
    async with running(server, database) as bot:
        channel.say("hello", ann, mention=True)
        answer = await channel.ended()
        await told(server.press(ann, channel, message=answer, custom_id="junk"), t("vi", "press.stale"))
        await settled(bot)
        bot.trouble.fails = 2  # not even the language can be read
        await told(server.press(ann, channel, t("vi", "button.retry"), message=answer), t("vi", "error.busy"))


async def test_a_stale_press(server: DiscordServer, database: str, ann: Person, channel: Channel) -> None:
    async with running(server, database):
        channel.say("hello", ann, mention=True)
        answer = await channel.ended()
        await told(server.press(ann, channel, message=answer, custom_id="junk"), t("vi", "press.stale"))


async def test_a_command_that_there_is_no_more(
    server: DiscordServer, database: str, ann: Person, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(server, database):
        await published(server)
        monkeypatch.setattr("bots.discord_bot.slash_commands.find", lambda name: None)
        response = await server.slash(ann, channel, "temp").responded()
        assert response.ephemeral and response.data["content"] == t("vi", "press.stale")


async def test_no_access(server: DiscordServer, database: str, ann: Person, channel: Channel) -> None:
    async with running(server, database):
        channel.say("hello", ann, mention=True)
        answer = await channel.ended()
    refused = t("vi", "refused.access", user=f"discord:{ann.id}")
    async with running(server, database, access=SOMEBODY_ELSE):
        response = await server.slash(ann, channel, "ask", question="hello").responded()
        assert response.ephemeral and response.data["content"] == refused
        await told(server.press(ann, channel, message=answer, custom_id="a:r:1"), refused)


async def test_a_message_that_is_gone(server: DiscordServer, database: str, ann: Person, channel: Channel) -> None:
    async with running(server, database):
        await published(server)
        words = channel.say("the sky is green", ann)
        opened = server.menu(ann, channel, "Ask about this message", words)
        assert (await opened.responded()).data["title"] == t("vi", "menu.ask"), "the form too"
    words.remove()
    async with running(server, database):
        response = await server.submit(ann, opened, "really?").responded()
        assert response.ephemeral and response.data["content"] == t("vi", "discord.gone")


async def test_a_message_without_words(server: DiscordServer, database: str, ann: Person, channel: Channel) -> None:
    async with running(server, database):
        await published(server)
        picture = channel.say("", ann, attachments=[attachment("a.png", kind="image/png")])
        response = await server.menu(ann, channel, "Ask about this message", picture).responded()
        assert response.ephemeral and response.data["content"] == t("vi", "media.only_text")


async def test_a_channel_that_is_closed(
    server: DiscordServer, database: str, guild: Guild, ann: Person, channel: Channel
) -> None:
    guild.join(ann)
    guild.deny(channel, "send_messages")
    async with running(server, database):
        channel.say("hello", ann, mention=True)
        told = await server.dm(ann).ended()
        assert told.content == t("vi", "discord.closed", channel=f"<#{channel.id}>")


async def test_autocompletion(server: DiscordServer, database: str, ann: Person, channel: Channel) -> None:
    async with running(server, database):
        await published(server)
        response = await server.autocomplete(ann, channel, "help", "command", "temp").responded()
        assert response.data["choices"][0] == {"name": f"/{t('vi', 'slash.temp')}", "value": "temp"}
