"""Roles are asked of Discord, also right after a start, when it has not told of its servers yet."""

from core.domain.conversation import Author, ChatId, Role
from storage.store import DatabaseStore
from tests.bots.discord_bot.discord_running import discord_bot
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_server import DiscordServer
from tests.platforms.discord_world import Person


async def test_an_admin_is_one_before_discord_has_told_of_his_server(
    server: DiscordServer, store: DatabaseStore, ann: Person, bob: Person, channel: Channel
) -> None:
    bot = discord_bot(server, store)
    async with bot.connected():  # logged in, and not at the gateway
        place = ChatId("discord", str(channel.id))
        roles = [await bot.role(place, Author(str(person.id), person.name)) for person in (ann, bob)]
    assert roles == [Role.ADMIN, Role.MEMBER]
