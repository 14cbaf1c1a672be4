"""Sending on Discord when things go wrong: each fault of a call is shown once; pace, penalties, restarts, secrets."""

import logging
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from bots.discord_bot.timing import CHANNEL_PACE
from core.delivery.rate_limiter import MAX_HOLD_S
from core.domain.platform import Pace
from core.domain.reply_states import State
from core.i18n import t
from storage.store import DatabaseStore
from tests.bots.discord_bot.discord_running import QUICK_DISCORD, RETRY, asked, running
from tests.bots.discord_bot.test_discord_slash import published
from tests.bots.settling import settled
from tests.fake_clock import FakeClock
from tests.fakes import FakeModel
from tests.platforms.discord_buckets import WINDOW_S
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import TOKEN, DiscordServer, discord_server
from tests.platforms.discord_world import Person
from tests.platforms.faults import FaultKind, sweep
from tests.waiting import idle, until_answer
from tests.watching import held, release

FAULTS: list[tuple[str, FaultKind, dict[str, Any]]] = [
    ("the connection is lost before", FaultKind.DROP_BEFORE, {}),
    ("the connection is lost after", FaultKind.ACCEPT_THEN_DROP, {}),
    ("the server fails", FaultKind.ERROR, {"code": 500}),
    ("the server is away", FaultKind.ERROR, {"code": 503}),
    ("the answer can't be read", FaultKind.TRUNCATED, {}),
    ("too many", FaultKind.RATE_LIMIT, {"seconds": 0.3}),
    ("slow", FaultKind.SLOW, {"seconds": 0.1}),
]
CALLS = {"send": ("POST", r"/messages$"), "edit": ("PATCH", r"/messages/\d+$")}


@pytest.mark.parametrize(("call", "kind", "options"), sweep(CALLS, FAULTS))
async def test_an_answer_is_shown_once_whatever_happens_to_a_call(
    server: DiscordServer, database: str, dm: Channel, call: tuple[str, str], kind: FaultKind, options: dict[str, Any]
) -> None:
    model = held(1)
    server.fault(kind, *call, **options)
    async with running(server, database, model) as bot:
        dm.say("hello there")
        await dm.until(lambda dm: model.running > 0)
        await settled(bot)
        release(model)
        await dm.until(lambda dm: dm.texts == ["hello there"] and dm.last.buttons == [RETRY])
        await settled(bot)
    assert dm.texts == ["hello there"] and len(model.prompts) == 1


@pytest.mark.parametrize(
    ("kind", "options"),
    [pytest.param(*each[1:], id=each[0], marks=pytest.mark.slow if place else ()) for place, each in enumerate(FAULTS)],
)
async def test_the_same_for_a_response(
    server: DiscordServer, database: str, ann: Person, channel: Channel, kind: FaultKind, options: dict[str, Any]
) -> None:
    server.fault(kind, "PATCH", r"/messages/@original$", **options)
    async with running(server, database) as bot:
        await published(server)
        server.slash(ann, channel, "ask", question="hello there", private=True)
        await channel.until(lambda channel: channel.texts == ["hello there"] and channel.last.buttons == [RETRY])
        await settled(bot)
    assert channel.texts == ["hello there"]


async def test_every_part_of_a_long_answer_is_shown_once(server: DiscordServer, database: str, dm: Channel) -> None:
    text = " ".join(f"word{count}" for count in range(600))
    server.fault(FaultKind.ACCEPT_THEN_DROP, "POST", r"/messages$", times=3)
    async with running(server, database, FakeModel(lambda prompt: [text])) as bot:
        dm.say("long please")
        await dm.until(lambda dm: len(dm.messages) == 3 and dm.last.buttons == [RETRY])
        await settled(bot)
    assert " ".join(dm.texts) == text


async def test_a_penalty_holds_that_channel_alone(
    server: DiscordServer, database: str, ann: Person, bob: Person
) -> None:
    mine, his = server.dm(ann), server.dm(bob)
    server.fault(FaultKind.RATE_LIMIT, "POST", r"/messages$", times=1_000_000, channel=mine, seconds=0.05)
    async with running(server, database):
        mine.say("held", ann)
        await mine.until(lambda mine: server.faults[0].times < 1_000_000)
        his.say("free", bob)
        assert (await his.ended()).content == "free"
        assert mine.texts == []
        server.faults.clear()
        assert (await mine.ended()).content == "held"


async def test_a_long_penalty_holds_it_too(server: DiscordServer, database: str, ann: Person, bob: Person) -> None:
    """Longer than the library sleeps by itself."""
    mine, his = server.dm(ann), server.dm(bob)
    server.fault(FaultKind.RATE_LIMIT, "POST", r"/messages$", channel=mine, seconds=4000.0)
    async with running(server, database) as bot:
        mine.say("held", ann)
        await mine.until(lambda mine: not server.faults[0].times)
        his.say("free", bob)
        assert (await his.ended()).content == "free"
        await idle(lambda: not bot.trouble.under_way)
        assert mine.texts == [] and 3000 < bot.service.rate_limiter.delay(f"discord:{mine.id}", Pace()) < 4001


async def test_calls_that_are_left_are_no_penalty(
    server: DiscordServer, database: str, dm: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    """However long their window is. A penalty of a day holds the channel for an hour, and the owner reads of it."""
    async with running(server, database) as bot:
        dm.say("one")
        await dm.until(lambda dm: dm.texts == ["one"] and dm.last.buttons == [RETRY])
        dm.say("two")
        await dm.until(lambda dm: dm.texts == ["one", "two"] and dm.last.buttons == [RETRY])
        assert not bot.service.rate_limiter.is_held(f"discord:{dm.id}") and "may not be called" not in caplog.text
        server.fault(FaultKind.RATE_LIMIT, "POST", r"/messages$", channel=dm, seconds=WINDOW_S)
        dm.say("three")
        await idle(lambda: bot.service.rate_limiter.is_held(f"discord:{dm.id}"))
        assert 3000 < bot.service.rate_limiter.delay(f"discord:{dm.id}", Pace()) <= MAX_HOLD_S
    assert f"discord:{dm.id} may not be called for 1027" in caplog.text


async def test_a_message_that_was_deleted_is_sent_anew(server: DiscordServer, database: str, dm: Channel) -> None:
    model = held(1)
    async with running(server, database, model):
        dm.say("one two")
        await dm.until(lambda dm: dm.texts == ["one"])
        dm.last.remove()
        release(model)
        await dm.until(lambda dm: dm.texts == ["one two"] and dm.last.buttons == [RETRY])


async def test_a_shorter_retry_leaves_nothing_of_the_longer(server: DiscordServer, database: str, dm: Channel) -> None:
    answers = iter(([" ".join(f"word{at}" for at in range(570))], ["short"]))
    async with running(server, database, FakeModel(lambda prompt: next(answers))):
        dm.say("long please")
        await dm.until(lambda dm: len(dm.messages) == 3 and dm.last.buttons == [RETRY])
        dm.say("/retry")
        await dm.until(lambda dm: dm.texts == ["short"] and dm.last.buttons == [RETRY])


async def test_private_messages_that_are_closed(server: DiscordServer, database: str, ann: Person, dm: Channel) -> None:
    dm.blocked = True
    async with running(server, database) as bot:
        dm.say("hello", ann)
        await until_answer(lambda: given_up(bot.store), lambda: bot.trouble.ended)
        dm.blocked = False
        dm.say("open again", ann)
        assert (await dm.ended()).content == "open again"


async def given_up(store: DatabaseStore) -> bool:
    """Whether no place is known any more, and nothing is owed."""
    async with store.begin() as tx:
        left = await tx.chats.active("discord"), await tx.replies.count_active()
    return left == ([], (0, 0)) and await answered_one(store)


async def answered_one(store: DatabaseStore) -> bool:
    async with store.begin() as tx:
        return (reply := await tx.replies.find(1)) is not None and reply.state is State.FAILED


@pytest.mark.slow
async def test_what_is_asked_in_a_thread_that_is_closed_is_answered_in_its_channel(
    server: DiscordServer, database: str, bob: Person, channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    """Locked before the first message, or deleted while the answer grows."""
    locked, deleted, model = channel.thread(bob, "Locked"), channel.thread(bob, "Deleted"), held(2)
    line = t("en", "thread.closed", name="Bob")
    async with running(server, database, model) as bot:
        deleted.say("hello there", bob, mention=True)
        await deleted.until(lambda thread: thread.texts == ["hello"])
        deleted.delete()
        release(model)
        await channel.until(lambda channel: channel.texts == [f"{line}\n\nhello there"])
        locked.locked = True
        locked.say("and now?", bob, mention=True)
        await channel.until(lambda channel: channel.texts[1:] == [f"{line}\n\nand now?"])
        await settled(bot)
        assert channel.last.buttons == [] and locked.messages == []
        private = channel.thread(bob, "Private", public=False)
        private.locked = True
        private.say("a secret?", bob, mention=True)
        locked.say("and then?", bob, mention=True)
        await channel.until(lambda channel: channel.texts[2:] == [f"{line}\n\nand then?"])
        assert private.messages == [], "what is said in private stays there"
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.slow
async def test_where_the_channel_takes_nothing_either_it_is_given_up_quietly(
    server: DiscordServer, database: str, bob: Person, guild: Guild, channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    thread, other = channel.thread(bob, "A talk"), guild.channel("other")
    async with running(server, database) as bot:
        thread.locked = True
        guild.deny(channel, "send_messages")
        thread.say("hello", bob, mention=True)
        other.say("hi", bob, mention=True)
        await other.ended()
        await until_answer(lambda: answered_one(bot.store), lambda: bot.trouble.ended)
        assert thread.messages == channel.messages == []
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_nothing_is_lost_or_doubled_over_a_restart(
    server: DiscordServer, database: str, ann: Person, guild: Guild, channel: Channel, dm: Channel
) -> None:
    """Stopped in mid-answer, as a message, a response, and one that only the asker sees: each goes on where it was."""
    others = [guild.channel(name) for name in ("public", "private")]
    text = " ".join(f"word{count}" for count in range(60))
    model = held()
    model.slots = 4
    async with running(server, database, model):
        await published(server)
        dm.say(text, ann)
        channel.say(text, ann, mention=True)
        server.slash(ann, others[0], "ask", question=text)
        server.slash(ann, others[1], "ask", question=text, private=True)
        await dm.until(lambda dm: model.running == 4)
        release(model, 40)
        for place in (dm, channel, *others):
            await place.until(lambda place: any("word1" in shown for shown in place.texts))
    async with running(server, database):
        for place in (dm, channel, *others):
            await place.until(lambda place: place.texts == [text] and place.last.buttons == [RETRY])
            assert len(place.messages) == 1
    assert others[1].last.ephemeral and not others[0].last.ephemeral


async def test_the_pace_that_discord_bears(database: str, ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """1.5 s from any call to the next preview, one second to the final text."""
    assert Pace(preview_interval_s=1.5, gap_s=1.0) == CHANNEL_PACE
    model, clock, timing = held(), FakeClock(), replace(QUICK_DISCORD, pace=CHANNEL_PACE)
    async with (
        discord_server(monotonic=clock) as server,
        running(server, database, model, discord_timing=timing) as bot,
    ):
        clock.pace(bot.service.rate_limiter)
        dm = server.dm(ann)
        dm.say(" ".join(f"w{i}" for i in range(5)))
        for words in range(1, 5):
            release(model, 1)
            await dm.until(lambda dm, words=words: dm.texts and len(dm.last.content.split()) == words)  # type: ignore[misc]
        release(model)
        answer = await dm.ended()
    times = [effect.at for effect in server.effects("POST", r"/messages$") + server.effects("PATCH", r"/messages/\d+$")]
    gaps = [late - early for early, late in pairwise(times)]
    assert answer.content == "w0 w1 w2 w3 w4" and gaps[:3] == [1.5, 1.5, 1.5]
    assert gaps[3:] in ([1.0], [1.5, 1.0]), "the final text comes at once, or after one more preview"


async def test_no_secret_and_no_word_in_any_log(
    server: DiscordServer, database: str, ann: Person, channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    """At INFO nothing that people write; the bot's token and the interactions' at no level of our own loggers."""
    caplog.set_level(logging.DEBUG)
    async with running(server, database, FakeModel(lambda prompt: ["canary ", "words"])) as bot:
        await published(server)
        server.fault(
            FaultKind.ERROR, "PATCH", r"/messages/@original$", code=404, body={"code": 10015, "message": "canary"}
        )
        asking = server.slash(ann, channel, "ask", question="canary of ann")
        await channel.until(lambda channel: any("canary words" in text for text in channel.texts))
        server.fault(FaultKind.ERROR, "POST", r"/messages$", code=400, body={"code": 50035, "message": "canary"})
        channel.say("canary of ann", ann, mention=True)
        server.drop()
        await settled(bot)
    ours = [record for record in caplog.records if record.name.startswith(("bots", "core", "storage"))]
    told = "\n".join(record.getMessage() + str(record.exc_info or "") for record in ours)
    at_info = "\n".join(record.getMessage() for record in ours if record.levelno >= logging.INFO)
    assert TOKEN not in told and asking.token not in told and "canary" not in at_info.lower().replace("canary.", "")
    assert len(at_info) > 50


async def test_words_of_people_are_no_markup(server: DiscordServer, database: str, ann: Person, dm: Channel) -> None:
    async with running(server, database) as bot:
        dm.say("/system You are <@1> and *bold* [x](https://example.org)", ann)
        assert "<@1>" not in (await dm.ended()).content.replace("\\<@1>", "")
        dm.say("hi", ann)
        await dm.ended(2)
        assert asked(bot) == ["hi"] and t("en", "name.system") in dm.texts[0]
