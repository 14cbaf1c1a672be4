"""The gateway in trouble, and the bot away: the real library against a server that answers as Discord does."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bots.discord_bot.adapter import DiscordBot, Endpoints
from bots.discord_bot.backfill import Backfill
from bots.discord_bot.identify_limits import HOUR_MS
from bots.discord_bot.timing import IDENTIFY_LIMITS
from core.domain.conversation import ChatId, KnownChat
from core.domain.errors import SetupError
from core.i18n import t
from core.i18n.person_language import PersonLanguages
from storage.database import open_database
from storage.store import DatabaseStore, now_ms
from tests.bots.discord_bot.discord_running import QUICK_DISCORD, asked, running
from tests.bots.settling import settled
from tests.fakes import FakeModel
from tests.patience import LIMIT_S
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import DiscordServer
from tests.platforms.discord_world import Event, Person
from tests.platforms.faults import FaultKind
from tests.tables import each_row
from tests.waiting import idle, until
from tests.watching import held, release


async def test_a_session_is_resumed(server: DiscordServer, database: str, ann: Person, dm: Channel) -> None:
    """What was said meanwhile is told again, and answered once."""
    async with running(server, database) as bot:
        for count, trouble in enumerate(("drop", "op 7", "op 9"), 1):
            cut_off(server, trouble)
            dm.say(f"question {count}", ann)
            await dm.ended(count)
            await resumed(server, count)
        assert len(server.identifies) == 1
        assert asked(bot) == ["question 1", "question 2", "question 3"]


async def test_a_session_that_is_forgotten(server: DiscordServer, database: str, ann: Person, dm: Channel) -> None:
    """A new login tells nothing of what was before: it is read back."""
    async with running(server, database) as bot:
        dm.say("question 1", ann)
        await dm.ended()
        server.gateway.session_seconds = -1
        server.drop()
        dm.say("question 2", ann)
        await server.ready(2)
        dm.say("question 3", ann)
        await dm.ended(3)
        assert asked(bot) == ["question 1", "question 2", "question 3"], "in order"
        server.invalidate(resumable=False)
        dm.say("question 4", ann)
        await server.ready(3)
        await dm.ended(4)
        assert len(server.identifies) == 3


async def test_a_new_login_reads_how_far_each_place_was_read_before_it_stores(
    server: DiscordServer, database: str, ann: Person, dm: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or what comes first would seem to be all there was."""
    at_once, told = Backfill._read_active_chats, asyncio.Event()

    async def later(self: Backfill) -> Sequence[KnownChat]:
        await told.wait()
        return await at_once(self)

    async with running(server, database) as bot:
        dm.say("question 1", ann)
        await dm.ended()
        monkeypatch.setattr(Backfill, "_read_active_chats", later)
        server.gateway.session_seconds = -1
        server.drop()
        dm.say("question 2", ann)
        await server.ready(2)
        dm.say("question 3", ann)
        await idle()
        told.set()
        await dm.ended(3)
        assert asked(bot) == ["question 1", "question 2", "question 3"]


@pytest.mark.parametrize("code", [4007, pytest.param(4009, marks=pytest.mark.slow)])
async def test_a_session_that_discord_says_it_has_forgotten(
    server: DiscordServer, database: str, ann: Person, dm: Channel, code: int
) -> None:
    """It is not even asked to go on with it."""
    async with running(server, database):
        server.drop(code)
        await server.ready(2)
        dm.say("hello", ann)
        await dm.ended()
        assert len(server.identifies) == 2 and server.resumes == 0


async def test_heartbeats_that_nobody_answers(server: DiscordServer, database: str, ann: Person, dm: Channel) -> None:
    server.gateway.heartbeat_ms = 100
    async with running(server, database, discord_timing=replace(QUICK_DISCORD, silence_s=0.4)):
        dm.say("question 1", ann)
        await dm.ended()
        server.silence()
        dm.say("question 2", ann)
        await dm.ended(2)
        await resumed(server, 1)


async def test_offline_and_back(
    server: DiscordServer, database: str, ann: Person, dm: Channel, channel: Channel
) -> None:
    """Nothing is reached for a while: neither gateway nor REST. Then everything is answered, once."""
    async with running(server, database, held(3)) as bot:
        channel.say("one two three", ann, mention=True)
        await channel.until(lambda channel: bool(channel.texts))
        dm.say("question 1", ann)
        await idle()
        async with server.offline():
            release(bot.model)
            dm.say("question 2", ann)
            await idle()
        await dm.ended(2)
        await channel.ended()
        assert channel.texts == ["one two three"] and dm.texts == ["question 1", "question 2"]


async def test_the_first_connection_fails(server: DiscordServer, database: str, ann: Person, dm: Channel) -> None:
    server.refuse_gateway(3)
    async with running(server, database) as bot:
        dm.say("hello", ann)
        await dm.ended()
        assert not bot.working.done() and server.gateway.handshakes == 4


FINAL = [(4004, "DISCORD_TOKEN is refused"), (4013, "4013"), (4011, "sharded"), (4010, "4010"), (4012, "4012")]


@each_row(("code", "line"), FINAL)
async def test_what_must_not_be_tried_again(server: DiscordServer, database: str, code: int, line: str) -> None:
    server.close_next(code)
    before = len(server.identifies)
    with pytest.raises((SetupError, BaseExceptionGroup)) as ended:
        async with running(server, database) as bot:
            await asyncio.wait_for(bot.working, LIMIT_S)
    error = ended.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, SetupError) and line in str(error) and len(server.identifies) == before + 1


async def test_a_token_that_is_refused(server: DiscordServer, store: DatabaseStore) -> None:
    endpoints = Endpoints(server.api_url, server.gateway_url)
    with pytest.raises(SetupError, match="DISCORD_TOKEN is refused"):
        async with DiscordBot("x.y.z", endpoints, store, PersonLanguages(store)).connected():
            pass


async def test_logins_are_counted_before_they_are_made(server: DiscordServer, database: str) -> None:
    for _ in range(3):
        async with running(server, database) as bot, bot.store.begin() as tx:
            account = str(server.application_id)
            counted = await tx.accounts.logins_since("discord", account, 0)
    assert len(counted) == len(server.identifies) == 3


async def test_so_many_logins_that_another_has_to_wait(
    server: DiscordServer, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_database(database) as engine, DatabaseStore(engine).begin() as tx:
        for ago in range(IDENTIFY_LIMITS.per_day, 0, -1):
            await tx.accounts.record_login("discord", str(server.application_id), now_ms() - 10 * HOUR_MS - ago)
    bot = asyncio.create_task(until_ready(server, database))
    await until(lambda: "too many logins lately" in caplog.text)
    await idle()
    assert server.identifies == []
    bot.cancel()
    await asyncio.gather(bot, return_exceptions=True)


async def test_discords_own_count_is_obeyed(
    server: DiscordServer, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.gateway.remaining = 49
    bot = asyncio.create_task(until_ready(server, database))
    await until(lambda: "only 49 logins are left" in caplog.text)
    await idle()
    assert server.identifies == []
    bot.cancel()
    await asyncio.gather(bot, return_exceptions=True)


async def until_ready(server: DiscordServer, database: str) -> None:
    async with running(server, database):
        pass


# Away and back


async def test_what_was_said_while_it_was_away(
    server: DiscordServer, database: str, guild: Guild, ann: Person, bob: Person, channel: Channel
) -> None:
    dm, thread, never = server.dm(ann), channel.thread(bob, "A talk"), guild.channel("never asked in")
    async with running(server, database):
        for count, (place, person) in enumerate(((dm, ann), (channel, ann), (thread, bob))):
            place.say(f"before {count}", person, mention=place is not dm)
            await place.ended()
    dm.say("in private", ann)
    channel.say("chatter", ann)
    channel.say("mentioned", ann, mention=True)
    thread.say("in the thread", bob)
    never.say("unheard", ann, mention=True)
    async with running(server, database) as bot:
        for place in (dm, channel, thread):
            await place.ended(2)
        await settled(bot)
        assert sorted(asked(bot)) == ["Ann: mentioned", "Bob: in the thread", "in private"]
        assert never.messages == []
    async with running(server, database) as bot:
        await settled(bot)
        assert asked(bot) == [], "once"


async def test_what_is_a_day_old_is_let_go(server: DiscordServer, database: str, ann: Person, dm: Channel) -> None:
    async with running(server, database):
        dm.say("before", ann)
        await dm.ended()
    dm.say("yesterday", ann)
    server.advance(25 * 3600)
    dm.say("today", ann)
    async with running(server, database, now=lambda: int(server.now() * 1000)) as bot:
        await dm.ended(3)
        await settled(bot)
        assert asked(bot) == ["today"] and dm.texts[1] == t("en", "error.missed")


async def test_what_was_asked_before_the_newest_hundred_messages(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    async with running(server, database):
        channel.say("before", ann, mention=True)
        await channel.ended()
    channel.say("long ago", ann, mention=True)
    for count in range(100):
        channel.say(f"chatter {count}", ann)
    channel.say("just now", ann, mention=True)
    async with running(server, database) as bot:
        await channel.ended(3)
        await settled(bot)
        assert asked(bot) == ["Ann: long ago", "Ann: just now"]


async def test_a_place_that_cannot_be_read_back_holds_up_no_other(
    server: DiscordServer, database: str, guild: Guild, ann: Person, dm: Channel, channel: Channel
) -> None:
    async with running(server, database):
        for place in (dm, channel):
            place.say("before", ann, mention=place is channel)
            await place.ended()
    guild.deny(channel, "read_message_history", "view_channel")
    dm.say("while away", ann)
    async with running(server, database) as bot:
        await dm.ended(2)
        assert asked(bot) == ["while away"]


async def test_events_that_come_twice(server: DiscordServer, database: str, ann: Person, dm: Channel) -> None:
    async with running(server, database) as bot:
        server.fault(FaultKind.DUPLICATE, "EVENT", "MESSAGE_CREATE", times=4)
        dm.say("hello", ann)
        await dm.ended()
        await settled(bot)
        assert asked(bot) == ["hello"] and len(dm.messages) == 1


async def test_a_database_in_trouble(server: DiscordServer, database: str, ann: Person, dm: Channel) -> None:
    """Nothing is lost, and each chat keeps its order."""
    async with running(server, database, FakeModel()) as bot:
        bot.trouble.fails = 5
        for count in range(5):
            dm.say(f"question {count}", ann)
        await dm.ended(5)
        assert asked(bot) == [f"question {count}" for count in range(5)]


async def test_what_is_stored_at_the_second_try_keeps_its_place(
    server: DiscordServer, database: str, ann: Person, dm: Channel
) -> None:
    """What came after it would have been stored at the first."""
    async with running(server, database) as bot:
        bot.trouble.fails = 1
        dm.say("question 0", ann)
        await until(lambda: not bot.trouble.fails)
        for count in (1, 2):
            dm.say(f"question {count}", ann)
        await dm.ended(3)
        assert asked(bot) == [f"question {count}" for count in range(3)]


async def test_what_cannot_be_understood_holds_up_nobody(
    server: DiscordServer, database: str, ann: Person, dm: Channel
) -> None:
    async with running(server, database) as bot:
        for name, data in (
            ("MESSAGE_CREATE", {"id": "1", "channel_id": str(dm.id), "content": 5}),
            ("MESSAGE_CREATE", {}),
            ("INTERACTION_CREATE", {"id": "x"}),
            ("NO_SUCH_EVENT", {"a": [1]}),
        ):
            server.gateway.tell(Event(name, data))
        dm.say("hello", ann)
        await dm.ended()
        assert not bot.working.done()


async def test_a_conversation_that_moved_nowhere_is_known(
    server: DiscordServer, database: str, ann: Person, dm: Channel
) -> None:
    async with running(server, database) as bot:
        dm.say("hello", ann)
        await dm.ended()
        async with bot.store.begin() as tx:
            known = await tx.chats.active("discord")
        assert [each.chat for each in known] == [ChatId("discord", str(dm.id))] and known[0].private


async def resumed(server: DiscordServer, count: int) -> None:
    await until(lambda: server.resumes >= count)


def cut_off(server: DiscordServer, how: str) -> None:
    match how:
        case "drop":
            server.drop()
        case "op 7":
            server.reconnect()
        case "op 9":
            server.invalidate(resumable=True)
