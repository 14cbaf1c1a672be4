"""A server, and people and chats on it."""

from collections.abc import AsyncIterator

import pytest

from tests.patience import LIMIT_S
from tests.platforms.bot_api import BotApi, bot_api
from tests.platforms.bot_api_chats import Chat, Person


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No deadline of the core that a busy machine could miss; a test of one sets its own."""
    monkeypatch.setattr("core.i18n.person_language.LOOKUP_TIMEOUT_S", LIMIT_S)


@pytest.fixture
async def server() -> AsyncIterator[BotApi]:
    async with bot_api() as server:
        server.queue.hurry_s = 0.05  # as short as the bot's gap between polls
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
