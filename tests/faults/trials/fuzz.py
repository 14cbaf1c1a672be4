"""Updates and events of every kind, valid and mutated, through the servers' sockets."""

import copy
import json
import time
from collections.abc import Sequence
from random import Random
from typing import Any

from tests.faults.answers import HOSTILE
from tests.faults.talks import DiscordTalk, TelegramTalk
from tests.faults.trials.part import Part
from tests.faults.world import Bench, World, world
from tests.platforms.bot_api_chats import BOT
from tests.platforms.discord_world import Event

UPDATES, EVENTS = 350, 150
JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 2**63, -(2**70), 1e400, "", "x", "\ud83d", "\x00", "0", "9" * 40, [], {}, [[]], [None],
    {"id": {}}, "a" * 5000, "\u202e", "1970-01-01", [{}] * 50,
)  # fmt: skip
BAD = ("Traceback (most recent call last)", "never retrieved", "Unhandled")
"""What a log has of an exception that nobody expected."""


def mutated(value: Any, random: Random, changes: int) -> Any:
    """Some places of it hold something else, or nothing."""
    value = copy.deepcopy(value)
    for _ in range(changes):
        places = list(_places(value))
        if not places:
            break
        holder, key = random.choice(places)
        if isinstance(holder, dict) and random.random() < 0.3:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(random.choice(JUNK))
    return value


def _places(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _places(inner)


async def trial(bench: Bench, number: int, seed: int) -> Sequence[str]:
    """Five hundred. What is poison is kept aside; who writes afterwards is answered."""
    async with world(bench, seed) as w:
        talks = [w.talks.on_telegram(), w.talks.on_discord(), w.talks.on_discord(group=True)]
        bot = await w.start()
        await w.connected()
        for talk in talks:
            talk.ask()
        await w.settled()
        _updates(w)
        _events(w)
        await w.until(lambda: not w.telegram.queue.pending, "through Telegram's")
        for talk in talks:
            talk.ask(HOSTILE)
            talk.ask()
        found = await w.judged()
        log = w.log.read_text("utf-8", "replace")
        lines = [line for line in log.splitlines() if any(bad in line for bad in BAD)]
        assert bot is w.bots[-1]
        return [*found, *(f"in the log: {line[:200]}" for line in lines[:3])]


def _updates(w: World) -> None:
    stranger = TelegramTalk(w.telegram, iter(range(10**6, 10**7)))
    samples = list(_samples(stranger))
    for _ in range(UPDATES):
        kind, content = w.random.choice(samples)
        w.telegram.queue.put_raw(mutated({kind: content}, w.random, w.random.choice((0, 1, 1, 2, 5))))


def _samples(talk: TelegramTalk) -> Any:
    """Updates of the kinds that Telegram has."""
    chat, user = talk.chat.about, talk.person.user
    message: dict[str, Any] = {"message_id": 5, "date": int(time.time()), "chat": chat, "from": user, "text": "hello",
                               "entities": [{"type": "bold", "offset": 0, "length": 5}]}  # fmt: skip
    photo = {key: value for key, value in message.items() if key not in ("text", "entities")}
    photo |= {"photo": [{"file_id": "a", "file_unique_id": "b", "width": 1, "height": 1}], "caption": "look"}
    reply = message | {"reply_to_message": message | {"message_id": 4, "from": BOT}, "message_id": 6}
    for kind in ("message", "edited_message", "channel_post", "edited_channel_post", "business_message"):
        for number, body in enumerate((message, photo, reply)):
            yield kind, body | {"message_id": 100 + number}
    yield "callback_query", {"id": "1", "from": user, "chat_instance": "1", "data": "s:1", "message": message}
    yield "inline_query", {"id": "1", "from": user, "query": "x", "offset": ""}
    member = {"user": BOT, "status": "member"}
    yield "my_chat_member", {"chat": chat, "from": user, "date": 1, "old_chat_member": member,
                             "new_chat_member": {"user": BOT, "status": "left"}}  # fmt: skip
    yield "message_reaction", {"chat": chat, "message_id": 5, "user": user, "date": 1, "old_reaction": [],
                               "new_reaction": []}  # fmt: skip
    yield "poll", {"id": "1", "question": "?", "options": [], "total_voter_count": 0, "is_closed": False}
    yield "unheard_of", {"text": "hello"}


def _events(w: World) -> None:
    stranger = DiscordTalk(w.discord, iter(range(10**6, 10**7)), group=True)
    samples = list(_event_samples(w, stranger))
    for _ in range(EVENTS):
        name, content = w.random.choice(samples)
        data = mutated(content, w.random, w.random.choice((0, 1, 1, 2, 5)))
        if isinstance(data, dict) and _can_be_sent(data):
            w.discord.dispatch(name, data)


def _can_be_sent(data: dict[str, Any]) -> bool:
    return len(json.dumps(data)) < 2**16


def _event_samples(w: World, talk: DiscordTalk) -> Any:
    """Events of the kinds that the bot listens to."""
    heard: list[Event] = []
    w.discord.listeners.append(heard.append)
    message = talk.channel.say("hello", talk.person, mention=True)
    message.revise("hello again")
    talk.channel.thread(talk.person, "thread").say("hello", talk.person)
    w.discord.slash(talk.person, talk.channel, "temp")
    w.discord.slash(talk.person, talk.channel, "ask", question="hello")
    message.remove()
    w.discord.listeners.remove(heard.append)
    guild = talk.channel.guild
    assert guild is not None
    yield from ((event.name, event.data) for event in heard)
    yield "GUILD_CREATE", guild.created
    yield "GUILD_UPDATE", guild.about
    yield "CHANNEL_UPDATE", talk.channel.about
    yield "GUILD_ROLE_UPDATE", {"guild_id": str(guild.id), "role": guild.admins.about}
    yield "GUILD_MEMBER_UPDATE", (guild.member(talk.person.id) or {}) | {"guild_id": str(guild.id)}
    yield "UNHEARD_OF", {"id": "1"}


PART = Part("fuzz", trial, 1, 40, unit="updates", each=UPDATES + EVENTS)
