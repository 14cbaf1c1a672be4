"""A crash between a message's sending and the noting of its id, longer ago than Discord remembers a nonce."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bots.discord_bot.interaction_token import InteractionToken
from bots.discord_bot.outgoing import DiscordReplyChannel
from core.dispatch.timing import ServiceTiming
from core.domain.conversation import Author, ChatId, Chunk, Reply
from core.domain.platform import Ambiguous, NotSent
from core.domain.reply_states import Lane, State
from core.runtime.retry import Backoff
from storage.database import open_database
from storage.store import DatabaseStore, now_ms
from tests.bots.discord_bot.discord_running import RETRY, discord_bot, running
from tests.bots.settling import settled
from tests.fakes import FakeModel
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_server import DiscordServer
from tests.platforms.discord_world import Person
from tests.platforms.faults import FaultKind
from tests.watching import held

PATIENT = ServiceTiming(send_backoff=Backoff(60, 60))


@pytest.fixture(params=["a server", pytest.param("private", marks=pytest.mark.slow)])
def where(request: pytest.FixtureRequest, dm: Channel, channel: Channel) -> Channel:
    """Where somebody asked."""
    return dm if request.param == "private" else channel


async def crashed(server: DiscordServer, database: str, channel: Channel, by: Person) -> None:
    """It dies while the first text is on its way; so it never learns that it arrived."""
    server.fault(FaultKind.ACCEPT_THEN_DROP, "POST", r"/messages$")
    async with running(server, database, held(2), timing=PATIENT) as bot:
        channel.say("one two three", by, mention=channel.guild is not None)
        await channel.until(lambda channel: channel.messages)
        await settled(bot)
    server.advance(server.nonce_seconds + 1)
    for message in channel.messages:
        message.nonce = None  # Discord need not tell it


@asynccontextmanager
async def found(server: DiscordServer, database: str) -> AsyncIterator[tuple[DiscordReplyChannel, Reply]]:
    """The reply's surface in the next process."""
    async with open_database(database) as engine:
        store = DatabaseStore(engine)
        discord = discord_bot(server, store)
        async with discord.connected():
            async with store.begin() as tx:
                reply = await tx.replies.get(1)
            assert [chunk.message_id for chunk in reply.chunks] == [None]
            yield discord.channel(reply), reply


async def test_it_is_found_and_becomes_the_answer(
    server: DiscordServer, database: str, ann: Person, where: Channel
) -> None:
    await crashed(server, database, where, ann)
    where.say("something else", ann)
    async with found(server, database) as (surface, reply):
        part = surface.format("another text")[0]
        message_id = await surface.find(0, part, reply.chunks[0].nonce)
        assert message_id == str(where.last.id)
        await surface.edit(message_id, part)
    assert where.texts == ["another text"]


async def test_where_there_is_none_there_is_none(
    server: DiscordServer, database: str, ann: Person, bob: Person, channel: Channel
) -> None:
    """What somebody else was answered is not it; nor is what can't be read. In trouble it is asked again."""
    await crashed(server, database, channel, ann)
    channel.last.remove()
    said = channel.say("and I?", bob, mention=True)
    channel.create("another text", [], 4, reference=channel.refer(said.id), kind=19)
    async with found(server, database) as (surface, reply):
        nonce, part = reply.chunks[0].nonce, surface.format("another text")[0]
        assert await surface.find(0, part, nonce) is None
        channel.create("another text", [], 4)
        assert await surface.find(1, part, nonce) == str(channel.last.id), "a further part quotes nothing"
        with pytest.raises(Ambiguous):
            server.fault(FaultKind.ERROR, "GET", r"/messages$", code=503)
            await surface.find(0, part, nonce)
        server.faults.clear()
        channel.deleted = True
        assert await surface.find(0, part, nonce) is None
        with pytest.raises(NotSent):  # last, for nothing is asked there within the penalty
            server.fault(FaultKind.RATE_LIMIT, "GET", r"/messages$", seconds=40.0)
            await surface.find(0, part, nonce)


async def test_it_is_found_behind_much_that_was_said(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    await crashed(server, database, channel, ann)
    answer = channel.known.pop(channel.last.id)
    for number in range(250):
        channel.say(f"chatter {number}", ann)
    answer.id = server.snowflake()
    channel.known[answer.id] = answer
    async with found(server, database) as (surface, reply):
        assert await surface.find(0, surface.format("x")[0], reply.chunks[0].nonce) == str(answer.id)


@pytest.mark.parametrize("minutes", [pytest.param(1, marks=pytest.mark.slow), 20])
async def test_what_only_the_asker_may_see_is_looked_for_in_his_private_messages(
    server: DiscordServer, store: DatabaseStore, ann: Person, dm: Channel, channel: Channel, minutes: int
) -> None:
    """Once the interaction's token is good no more, by Discord's clock; until then the response is filled in again."""
    token = InteractionToken(server.snowflake(), "token", hidden=True)
    place = ChatId("discord", str(channel.id), f"u{ann.id}")
    asker = Author(str(ann.id), "Ann")
    reply = Reply(7, place, True, 1, Lane.ANSWER, State.GENERATING, 2, asker, "hi", "1", f"i:{token.interaction_id}", 0,
                  token.encode(), chunks=(Chunk("n"),))  # fmt: skip
    sent = dm.create("…", [], 4, nonce="n")
    server.advance(minutes * 60)
    wrong = now_ms() + (21 - minutes) * 60_000
    discord = discord_bot(server, store, now=lambda: wrong)
    async with discord.connected():
        surface = discord.channel(reply)
        found = await surface.find(0, surface.format("…")[0], "n")
        assert found == (f"{dm.id}/{sent.id}" if minutes == 20 else None)
        assert await surface.find(0, surface.format("…")[0], "other") is None


async def test_a_crash_longer_ago_than_a_nonce_leaves_one_message(
    server: DiscordServer, database: str, ann: Person, where: Channel
) -> None:
    await crashed(server, database, where, ann)
    async with running(server, database, FakeModel(lambda prompt: ["quite ", "another"])) as bot:
        await where.until(lambda where: where.texts and where.texts[-1] == "quite another")
        await where.until(lambda where: where.last.buttons == [RETRY])
        await settled(bot)
    assert where.texts == ["quite another"]
