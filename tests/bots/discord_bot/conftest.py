"""A server, and people and places on it."""

from collections.abc import AsyncIterator

import pytest

from tests.patience import LIMIT_S
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import DiscordServer, discord_server
from tests.platforms.discord_world import Person


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No deadline that a busy machine could miss, though Discord has many; a test of one sets its own."""
    for name in (
        "core.i18n.person_language.LOOKUP_TIMEOUT_S",
        "core.commands.buttons.FORM_ROLE_TIMEOUT_S",
        "bots.discord_bot.interaction_token.FIRST_RESPONSE_TIMEOUT_S",
        "bots.discord_bot.interactions.FETCH_TIMEOUT_S",
        "bots.discord_bot.roles.ROLE_CALL_TIMEOUT_S",
    ):
        monkeypatch.setattr(name, LIMIT_S)


@pytest.fixture
async def server() -> AsyncIterator[DiscordServer]:
    async with discord_server() as server:
        server.answer_within_s = LIMIT_S  # Discord's three seconds are for Discord
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
