"""Events that are none: whatever comes, nothing is raised, and what is understood can be stored."""

import itertools
from dataclasses import replace
from typing import Any

from discord import Message, RawMessageUpdateEvent

from bots.discord_bot.gateway import Gateway
from bots.wire_validation import has_valid_fields
from core.domain.conversation import Incoming, NewReply
from core.domain.reply_states import Lane
from core.runtime.platform_clock import PlatformClock
from storage.store import now_ms
from tests.bots.discord_bot.discord_running import running
from tests.bots.mutation import mutated
from tests.fakes import incoming as a_message
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import DiscordServer
from tests.platforms.discord_world import Event, Person
from tests.tables import each_row


def test_nothing_is_raised_by_the_reader() -> None:
    client = Gateway("ws://127.0.0.1:9", lambda event, args: None, PlatformClock("Discord", now_ms))
    rubbish: list[Any] = [None, 1, "x", [], {}, {"id": "x"}, {"id": "1", "channel_id": None}]
    for data in rubbish:
        for event in ("MESSAGE_CREATE", "MESSAGE_UPDATE", "INTERACTION_CREATE", "GUILD_CREATE", "READY", "NO_SUCH"):
            client.feed(event, data)


async def test_whatever_comes_the_neighbours_are_answered(
    server: DiscordServer, database: str, ann: Person, dm: Channel, guild: Guild, channel: Channel
) -> None:
    """Over the socket, as Discord sends it."""
    said = channel.say("what is it?", ann, mention=True, reply_to=channel.say("a cat", ann))
    valid = [said.event(), dm.say("hello", ann).event(), channel.thread(ann, "talk").about]
    names = ["MESSAGE_CREATE", "MESSAGE_CREATE", "THREAD_CREATE"]
    pressed = server.press(ann, dm, custom_id="a:s:1", message=dm.say("x", ann))
    valid.append(interaction(pressed))
    names.append("INTERACTION_CREATE")
    async with running(server, database) as bot:
        for seed in range(400):
            which = seed % len(valid)
            for name in {names[which], names[which].replace("CREATE", "UPDATE")}:
                server.gateway.tell(Event(name, mutated(valid[which], seed)))
        dm.say("still there?", ann)
        await dm.until(lambda dm: "still there?" in dm.texts)
        assert not bot.working.done() and len(server.identifies) == 1


async def test_what_is_understood_can_be_stored(
    server: DiscordServer, database: str, ann: Person, dm: Channel, channel: Channel
) -> None:
    server.a_second = 100_000  # the pace is this test's, which asks about 2,000 messages at once, not the bot's
    valid = [channel.say("what?", ann, mention=True).event(), dm.say("hello", ann).event()]
    messages, known = list[Message](), list[Incoming]()
    async with running(server, database) as bot:
        client, handle = bot.discord._client, bot.discord._client._handle
        client._handle = lambda event, args: messages.extend(
            each.message if isinstance(each, RawMessageUpdateEvent) else each
            for each in args
            if isinstance(each, (Message, RawMessageUpdateEvent))
        )
        for seed in range(2000):
            client.feed("MESSAGE_UPDATE" if seed % 4 == 3 else "MESSAGE_CREATE", mutated(valid[seed % 2], seed))
        client._handle = handle
        assert bot.discord._receiver is not None
        for message in messages:
            incoming, _ = await bot.discord._receiver._order._events._read(message)
            known.extend([incoming] if incoming else [])
        assert len(known) > 300 and all(has_valid_fields(incoming) for incoming in known)
        async with bot.store.begin() as tx:
            once = {each.external_id: each.cleaned() for each in known}.values()
            await tx.inbox.add([NewReply(each, lane) for each, lane in zip(once, itertools.cycle(Lane), strict=False)])


def interaction(pressed: Any) -> dict[str, Any]:
    """A press as the gateway tells of it."""
    return {
        "id": str(pressed.id), "application_id": "1", "type": 3, "token": pressed.token, "version": 1,
        "data": pressed.data, "channel_id": str(pressed.channel.id), "channel": pressed.channel.about,
        "locale": "en-US", "context": 1, "authorizing_integration_owners": {"0": "0"}, "entitlements": [],
        "app_permissions": "0", "user": pressed.person.user, "message": pressed.source.payload(),
    }  # fmt: skip


@each_row(
    ("field", "value"),
    [("seq", 2**63), ("seq", True), ("seq", -1), ("at", 1.5), ("text", 7), ("external_id", None), ("bot", "x")],
)
def test_what_no_database_takes_is_not_plausible(field: str, value: Any) -> None:
    made = replace(a_message("hi"), chat=replace(a_message("hi").chat, chat="7"), bot="1")
    sound = replace(made, author=replace(made.author, id="7"))
    assert has_valid_fields(sound) and not has_valid_fields(replace(sound, **{field: value}))
