"""Responses to interactions: promised first, filled in once, and never left thinking; what happens where that fails."""

import pytest

from tests.bots.discord_bot.discord_running import RETRY, asked, quiet, running
from tests.bots.discord_bot.test_discord_slash import published
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_server import DiscordServer
from tests.platforms.discord_world import Person

# The promise


async def test_nothing_is_filled_in_before_it_is_promised(
    server: DiscordServer, database: str, ann: Person, channel: Channel, dm: Channel
) -> None:
    """Discord would take it for a response that does not exist."""
    async with running(server, database):
        await published(server)
        server.fault("slow", "POST", "/callback", seconds=0.5)
        server.slash(ann, channel, "ask", question="hello", private=True)
        await channel.until(lambda channel: channel.texts == ["hello"] and channel.last.buttons == [RETRY])
        assert channel.last.ephemeral and not dm.messages


@pytest.mark.parametrize("private", [False, True])
async def test_told_twice_while_the_promise_is_on_its_way(
    server: DiscordServer, database: str, ann: Person, channel: Channel, dm: Channel, private: bool
) -> None:
    """The second does not make it seem to be there."""
    async with running(server, database) as bot:
        await published(server)
        server.fault("duplicate", "EVENT", "INTERACTION_CREATE")
        server.fault("slow", "POST", "/callback", seconds=0.3)
        asking = server.slash(ann, channel, "ask", question="hello", private=private)
        assert (await asking.responded()).type == 5
        await channel.until(lambda channel: channel.texts == ["hello"] and channel.last.buttons == [RETRY])
        await quiet()
        assert channel.texts == ["hello"] and len(asked(bot)) == 1
        assert channel.last.ephemeral is private and not dm.messages


async def test_told_again_when_nobody_remembers_it(
    server: DiscordServer, database: str, ann: Person, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store still knows it: that it owes nothing more does not make its person a stranger, who is told so."""
    monkeypatch.setattr("bots.discord_bot.interactions.REMEMBERED", 0)
    async with running(server, database) as bot:
        await published(server)
        server.fault("duplicate", "EVENT", "INTERACTION_CREATE")
        asking = server.slash(ann, channel, "ask", question="hello")
        assert (await asking.responded()).type == 5
        await channel.until(lambda channel: "hello" in channel.texts)
        await quiet()
        assert asked(bot) == ["Ann: hello"]
    assert len([each for each in server.ledger if each.path.endswith("/callback")]) == 1
