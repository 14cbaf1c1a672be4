"""A server, and people and places on it."""

from collections.abc import AsyncIterator

import pytest

from tests.platforms.discord_channels import Channel
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import DiscordServer, discord_server
from tests.platforms.discord_world import Person


@pytest.fixture
async def server() -> AsyncIterator[DiscordServer]:
    async with discord_server() as server:
        yield server


@pytest.fixture
def ann(server: DiscordServer) -> Person:
    return server.person("Ann")


@pytest.fixture
def bob(server: DiscordServer) -> Person:
    return server.person("Bob", "vi")


@pytest.fixture
def dm(server: DiscordServer, ann: Person) -> Channel:
    return server.dm(ann)


@pytest.fixture
def guild(server: DiscordServer, ann: Person, bob: Person) -> Guild:
    return server.guild(ann, bob, admins=(ann,))


@pytest.fixture
def channel(guild: Guild) -> Channel:
    return guild.channel("general")
