"""A server, and people and chats on it."""

from collections.abc import AsyncIterator

import pytest

from tests.platforms.bot_api import BotApi, bot_api
from tests.platforms.bot_api_chats import Chat, Person


@pytest.fixture
async def server() -> AsyncIterator[BotApi]:
    async with bot_api() as server:
        yield server
        restarted = len(server.effects("getMe")) > 1
        assert server.faults or restarted or not server.wasted, "unchanged text was sent"


@pytest.fixture
def ann(server: BotApi) -> Person:
    return server.person("Ann")


@pytest.fixture
def bob(server: BotApi) -> Person:
    return server.person("Bob", "vi")


@pytest.fixture
def private(server: BotApi, ann: Person) -> Chat:
    return server.private(ann)


@pytest.fixture
def group(server: BotApi, ann: Person, bob: Person) -> Chat:
    return server.group(ann, bob, admins=(ann,))
