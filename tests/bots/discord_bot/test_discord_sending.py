"""Sending on Discord when things go wrong: each fault of a call is shown once; pace, penalties, restarts, secrets."""

import asyncio
import logging
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from bots.discord_bot.timing import CHANNEL_PACE
from core.domain.platform import Pace
from core.domain.reply_states import State
from core.i18n import t
from tests.bots.discord_bot.discord_running import QUICK_DISCORD, RETRY, asked, quiet, running
from tests.bots.discord_bot.test_discord_slash import published
from tests.fakes import FakeModel
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import TOKEN, DiscordServer
from tests.platforms.discord_world import Person
from tests.watching import held, release

FAULTS: list[tuple[str, str, dict[str, Any]]] = [
    ("the connection is lost before", "drop_before", {}),
    ("the connection is lost after", "accept_then_drop", {}),
    ("the server fails", "error", {"code": 500}),
    ("the server is away", "error", {"code": 503}),
    ("the answer can't be read", "truncated", {}),
    ("too many", "429", {"seconds": 0.3}),
    ("slow", "slow", {"seconds": 0.3}),
]


@pytest.mark.parametrize("call", [("POST", r"/messages$"), ("PATCH", r"/messages/\d+$")], ids=["send", "edit"])
@pytest.mark.parametrize("fault", [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS])
async def test_an_answer_is_shown_once_whatever_happens_to_a_call(
    server: DiscordServer, database: str, dm: Channel, call: tuple[str, str], fault: tuple[str, dict[str, Any]]
) -> None:
    kind, options = fault
    model = held(1)
    server.fault(kind, *call, **options)
    async with running(server, database, model):
        dm.say("hello there")
        await dm.until(lambda dm: model.running > 0)
        await quiet(0.1)
        release(model)
        await dm.until(lambda dm: dm.texts == ["hello there"] and dm.last.buttons == [RETRY])
        await quiet()
    assert dm.texts == ["hello there"] and len(model.prompts) == 1


@pytest.mark.parametrize("fault", [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS])
async def test_the_same_for_a_response(
    server: DiscordServer, database: str, ann: Person, channel: Channel, fault: tuple[str, dict[str, Any]]
) -> None:
    kind, options = fault
    server.fault(kind, "PATCH", r"/messages/@original$", **options)
    async with running(server, database):
        await published(server)
        server.slash(ann, channel, "ask", question="hello there", private=True)
        await channel.until(lambda channel: channel.texts == ["hello there"] and channel.last.buttons == [RETRY])
        await quiet()
    assert channel.texts == ["hello there"]


async def test_every_part_of_a_long_answer_is_shown_once(server: DiscordServer, database: str, dm: Channel) -> None:
    text = " ".join(f"word{count}" for count in range(600))
    server.fault("accept_then_drop", "POST", r"/messages$", times=3)
    async with running(server, database, FakeModel(lambda prompt: [text])):
        dm.say("long please")
        await dm.until(lambda dm: len(dm.messages) == 3 and dm.last.buttons == [RETRY])
        await quiet()
    assert " ".join(dm.texts) == text


async def test_a_penalty_holds_that_channel_alone(
    server: DiscordServer, database: str, ann: Person, bob: Person
) -> None:
    mine, his = server.dm(ann), server.dm(bob)
    server.fault("429", "POST", r"/messages$", channel=mine, seconds=1.0)
    async with running(server, database):
        mine.say("held", ann)
        await mine.until(lambda mine: not server.faults[0].times)
        his.say("free", bob)
        assert (await his.ended()).content == "free"
        assert mine.texts == []
        assert (await mine.ended()).content == "held"


async def test_a_long_penalty_holds_it_too(server: DiscordServer, database: str, ann: Person, bob: Person) -> None:
    """Longer than the library sleeps by itself."""
    mine, his = server.dm(ann), server.dm(bob)
    server.fault("429", "POST", r"/messages$", channel=mine, seconds=40.0)
    async with running(server, database) as bot:
        mine.say("held", ann)
        await mine.until(lambda mine: not server.faults[0].times)
        his.say("free", bob)
        assert (await his.ended()).content == "free"
        await quiet()
        assert mine.texts == [] and 30 < bot.service.rate_limiter.delay(f"discord:{mine.id}", Pace()) < 41


async def test_a_message_that_was_deleted_is_sent_anew(server: DiscordServer, database: str, dm: Channel) -> None:
    model = held(1)
    async with running(server, database, model):
        dm.say("one two")
        await dm.until(lambda dm: dm.texts == ["one"])
        dm.last.remove()
        release(model)
        await dm.until(lambda dm: dm.texts == ["one two"] and dm.last.buttons == [RETRY])


async def test_a_shorter_retry_leaves_nothing_of_the_longer(server: DiscordServer, database: str, dm: Channel) -> None:
    answers = iter((["word " * 900], ["short"]))
    async with running(server, database, FakeModel(lambda prompt: next(answers))):
        dm.say("long please")
        await dm.until(lambda dm: len(dm.messages) == 3 and dm.last.buttons == [RETRY])
        dm.say("/retry")
        await dm.until(lambda dm: dm.texts == ["short"] and dm.last.buttons == [RETRY])


async def test_private_messages_that_are_closed(server: DiscordServer, database: str, ann: Person, dm: Channel) -> None:
    dm.blocked = True
    async with running(server, database) as bot:
        dm.say("hello", ann)
        async with asyncio.timeout(60):
            while [known.chat async for known in known_chats(bot.store)]:
                await asyncio.sleep(0.01)
        dm.blocked = False
        dm.say("open again", ann)
        assert (await dm.ended()).content == "open again"


async def known_chats(store: Any) -> Any:
    async with store.begin() as tx:
        for known in await tx.chats.active("discord"):
            yield known
        replies = await tx.replies.count_active()
    if replies != (0, 0) or not await answered_one(store):
        yield type("Waiting", (), {"chat": None})


async def answered_one(store: Any) -> bool:
    async with store.begin() as tx:
        return (reply := await tx.replies.find(1)) is not None and reply.state is State.FAILED


async def test_a_thread_that_is_locked_costs_its_own_answer_alone(
    server: DiscordServer, database: str, ann: Person, bob: Person, channel: Channel
) -> None:
    thread = channel.thread(bob, "A talk")
    async with running(server, database) as bot:
        thread.locked = True
        thread.say("hello", bob, mention=True)
        channel.say("hi", ann, mention=True)
        await channel.ended()
        async with asyncio.timeout(60):
            while not await answered_one(bot.store):
                await asyncio.sleep(0.01)
        assert thread.messages == []


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


async def test_the_pace_that_discord_bears(server: DiscordServer, database: str, dm: Channel) -> None:
    """On the real clock: 1.5 s from any call to the next preview, one second to the final text."""
    assert Pace(preview_interval_s=1.5, gap_s=1.0) == CHANNEL_PACE
    model = held()
    async with running(server, database, model, discord_timing=replace(QUICK_DISCORD, pace=CHANNEL_PACE)):
        dm.say(" ".join(f"w{i}" for i in range(40)))
        for _ in range(40):
            release(model, 1)
            await asyncio.sleep(0.1)
        answer = await dm.ended()
    times = [effect.at for effect in server.effects("POST", r"/messages$") + server.effects("PATCH", r"/messages/\d+$")]
    gaps = [late - early for early, late in pairwise(times)]
    assert len(times) == len(answer.history) and len(gaps) >= 2
    assert all(gap >= 1.45 for gap in gaps[:-1]) and gaps[-1] >= 0.95


async def test_no_secret_and_no_word_in_any_log(
    server: DiscordServer, database: str, ann: Person, channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    """At INFO nothing that people write; the bot's token and the interactions' at no level of our own loggers."""
    caplog.set_level(logging.DEBUG)
    async with running(server, database, FakeModel(lambda prompt: ["canary ", "words"])):
        await published(server)
        server.fault("error", "PATCH", r"/messages/@original$", code=404, body={"code": 10015, "message": "canary"})
        asking = server.slash(ann, channel, "ask", question="canary of ann")
        await channel.until(lambda channel: any("canary words" in text for text in channel.texts))
        server.fault("error", "POST", r"/messages$", code=400, body={"code": 50035, "message": "canary"})
        channel.say("canary of ann", ann, mention=True)
        server.drop()
        await quiet()
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
