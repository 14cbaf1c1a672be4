"""The Discord server of the tests answers raw requests as Discord does, and notes what must never be sent."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.fake_clock import FakeClock
from tests.platforms.discord_channels import EPHEMERAL, V2, Channel
from tests.platforms.discord_echo import QUIET, Ask, asking
from tests.platforms.discord_server import DiscordServer, discord_server
from tests.platforms.discord_world import Payload, Person
from tests.platforms.faults import FaultKind
from tests.tables import each_row
from tests.waiting import idle


@pytest.fixture
async def server() -> AsyncIterator[DiscordServer]:
    now = time.time()
    async with discord_server(lambda: now) as server:  # time passes where a test lets it
        yield server


@pytest.fixture
def ann(server: DiscordServer) -> Person:
    return server.person("Ann")


@pytest.fixture
def dm(server: DiscordServer, ann: Person) -> Channel:
    return server.dm(ann)


@pytest.fixture
async def ask(server: DiscordServer) -> AsyncIterator[Ask]:
    async with asking(server) as ask:
        yield ask


async def answered(
    server: DiscordServer, ask: Ask, person: Person, channel: Channel, type: int = 5, **data: Any
) -> str:
    """The path of an interaction's webhook, after it was answered."""
    interaction = server.press(person, channel, message=channel.say("", author=server.me), custom_id="x")
    status, _ = await ask("POST", f"/interactions/{interaction.id}/{interaction.token}/callback?with_response=1",
                          {"type": type, "data": data})  # fmt: skip
    assert status == 200
    return f"/webhooks/{server.application_id}/{interaction.token}"


async def test_tokens_expire(server: DiscordServer, dm: Channel, ann: Person, ask: Ask) -> None:
    hook = await answered(server, ask, ann, dm)
    assert dm.last.thinking
    server.advance(899)
    edit = {"content": "x", "allowed_mentions": {"parse": []}}
    assert (await ask("PATCH", f"{hook}/messages/@original", edit))[0] == 200
    server.advance(2)
    for call in (("PATCH", f"{hook}/messages/@original"), ("POST", hook), ("DELETE", f"{hook}/messages/@original")):
        status, body = await ask(*call, edit)
        assert (status, body["code"]) == (401, 50027)
    late = server.press(ann, dm, message=dm.last, custom_id="x")
    again = server.press(ann, dm, message=dm.last, custom_id="x")
    callback = f"/interactions/{again.id}/{again.token}/callback"
    assert [await ask("POST", callback, {"type": 6}), (await ask("POST", callback, {"type": 6}))[1]["code"]] == [
        (204, None),
        40060,
    ]
    server.advance(3.1)
    assert (await ask("POST", f"/interactions/{late.id}/{late.token}/callback", {"type": 6}))[1]["code"] == 10062
    assert (await ask("GET", f"/webhooks/{server.application_id}/{late.token}/messages/@original"))[1]["code"] == 10015


async def test_what_one_person_sees_only_interactions_reach(
    server: DiscordServer, dm: Channel, ann: Person, ask: Ask
) -> None:
    hook = await answered(server, ask, ann, dm, flags=EPHEMERAL)
    assert (await ask("POST", hook + "?wait=true", QUIET | {"content": "first"}))[1]["id"] == str(dm.last.id)
    assert dm.last.ephemeral and dm.texts[-1] == "first", "what follows a promise first fulfils it"
    assert (await ask("PATCH", f"/channels/{dm.id}/messages/{dm.last.id}", {"flags": 4}))[1]["code"] == 10008
    assert (await ask("GET", f"/channels/{dm.id}/messages"))[1][0]["content"] != "first"
    assert (await ask("PATCH", f"{hook}/messages/{dm.last.id}", {"content": ""}))[1]["code"] == 50035
    assert (await ask("DELETE", f"{hook}/messages/{dm.last.id}"))[0] == 204
    assert server.violations.pop().endswith("an empty message")


async def test_where_the_bot_is_not(server: DiscordServer, ann: Person, ask: Ask) -> None:
    channel = server.foreign_channel(ann)
    assert (await ask("GET", f"/channels/{channel.id}/messages"))[1]["code"] == 50001
    hook = await answered(server, ask, ann, channel, 4, content="x", **QUIET)
    for count in range(5):
        assert (await ask("POST", hook + "?wait=true", QUIET | {"content": str(count)}))[0] == 200
    assert (await ask("POST", hook, QUIET | {"content": "6"}))[0] == 400
    assert channel.texts[1:] == ["x", "0", "1", "2", "3", "4"]


COMMAND = {"name": "temp", "description": "x"}
BAD_COMMANDS: list[tuple[str, Payload]] = [
    ("upper case", {"name": "Temp"}),
    ("spaces", {"name": "my temp"}),
    ("long", {"name": "x" * 33}),
    ("no description", {"description": ""}),
    ("long description", {"description": "x" * 101}),
    ("localized name", {"name_localizations": {"vi": "Nhiệt độ"}}),
    ("locale", {"name_localizations": {"xx": "temp"}}),
    ("contexts", {"contexts": [3]}),
    ("integration types", {"integration_types": [0, 2]}),
    ("permissions", {"default_member_permissions": "all"}),
    ("26 options", {"options": [{"name": f"o{n}", "type": 3, "description": "x"} for n in range(26)]}),
    ("order", {"options": [{"name": "a", "type": 3, "description": "x"},
                           {"name": "b", "type": 3, "description": "x", "required": True}]}),
    ("range", {"options": [{"name": "a", "type": 10, "description": "x", "min_value": 2, "max_value": 1}]}),
    ("length of a number", {"options": [{"name": "a", "type": 10, "description": "x", "max_length": 1}]}),
    ("choice", {"options": [{"name": "a", "type": 4, "description": "x", "choices": [{"name": "x", "value": "1"}]}]}),
]  # fmt: skip


@each_row("wrong", [each[1] for each in BAD_COMMANDS], ids=[each[0] for each in BAD_COMMANDS])
async def test_commands_that_discord_does_not_take(server: DiscordServer, ask: Ask, wrong: Payload) -> None:
    path = f"/applications/{server.application_id}/commands"
    assert (await ask("PUT", path, [COMMAND]))[0] == 200
    syncs = server.syncs
    assert (await ask("PUT", path, [COMMAND | wrong]))[1]["code"] == 50035
    assert server.violations and (await ask("GET", path))[1] == server.commands and server.syncs == syncs
    server.violations.clear()


async def test_who_may_use_a_command_where(server: DiscordServer, dm: Channel, ann: Person, ask: Ask) -> None:
    bob = server.person("Bob")
    commands = [COMMAND | {"default_member_permissions": "16", "contexts": [0]},
                {"name": "Ask about this", "type": 3, "integration_types": [0, 1]},
                {"name": "find", "description": "x", "integration_types": [0], "options": [
                    {"name": "what", "type": 3, "description": "x", "required": True,
                     "autocomplete": True}]}]  # fmt: skip
    await ask("PUT", f"/applications/{server.application_id}/commands", commands)
    guild = server.guild(bob, admins=(ann,))
    channel = guild.channel()
    server.slash(ann, channel, "temp")
    with pytest.raises(AssertionError, match="lacks"):
        server.slash(bob, channel, "temp")
    with pytest.raises(AssertionError, match="context 1"):
        server.slash(ann, dm, "temp")
    foreign = server.foreign_channel(ann)
    assert server.menu(ann, foreign, "Ask about this", foreign.say("x", ann)).owners == {"1": str(ann.id)}
    with pytest.raises(AssertionError, match="install 1"):
        server.slash(ann, foreign, "find", what="x")
    typed = server.autocomplete(ann, dm, "find", "what", "f")
    callback = f"/interactions/{typed.id}/{typed.token}/callback"
    await ask("POST", callback, {"type": 8, "data": {"choices": [{"name": "food", "value": "food"}]}})
    assert (await typed.responded()).data == {"choices": [{"name": "food", "value": "food"}]}
    guild.leave(bob)
    with pytest.raises(AssertionError, match="no member"):
        server.press(bob, channel, message=channel.say("", author=server.me), custom_id="x")


# REST


async def test_a_nonce_brings_a_message_once(server: DiscordServer, dm: Channel, ask: Ask) -> None:
    send, body = f"/channels/{dm.id}/messages", QUIET | {"content": "x", "nonce": "1", "enforce_nonce": True}
    first, second = (await ask("POST", send, body))[1], (await ask("POST", send, body))[1]
    assert first["id"] == second["id"] and first["nonce"] == "1" and dm.texts == ["x"]
    assert [each.refused for each in server.ledger] == ["", "repeated nonce"] and len(server.effects("POST", send)) == 1
    await ask("DELETE", f"{send}/{first['id']}")
    assert (await ask("POST", send, body))[1]["code"] == 10008
    server.advance(301)
    assert (await ask("POST", send, body))[0] == 200 and dm.texts == ["x"]


async def test_permissions_are_asked(server: DiscordServer, ann: Person, ask: Ask) -> None:
    guild = server.guild(ann)
    channel, nonces = guild.channel(), itertools.count()

    async def send(place: Channel, **more: Any) -> int:
        body = QUIET | {"content": "x", "nonce": next(nonces), "enforce_nonce": True} | more
        status, answer = await ask("POST", f"/channels/{place.id}/messages", body)
        return 0 if status == 200 else int(answer["code"])

    said = channel.say("x", ann)
    reply = {"message_reference": {"message_id": str(said.id)}}
    assert await send(channel, **reply) == 0 and channel.last.reply_to == said.id
    guild.deny(channel, "read_message_history")
    assert await send(channel, **reply) == 160002 and (await ask("GET", f"/channels/{channel.id}/messages"))[1] == []
    guild.deny(channel, "send_messages")
    assert await send(channel) == 50013 and await send(channel.thread(ann, "A talk")) == 0
    guild.deny(channel, "send_messages_in_threads")
    assert await send(channel.thread(None, "A talk")) == 50013
    guild.deny(channel, "view_channel")
    assert await send(channel) == 50001
    guild.allow(channel, "view_channel", "send_messages", "read_message_history")
    assert await send(channel, message_reference={"message_id": "5"}) == 50035
    assert await send(channel, message_reference={"message_id": "5", "fail_if_not_exists": False}) == 0
    assert (await ask("PATCH", f"/channels/{channel.id}/messages/{said.id}", QUIET))[1]["code"] == 50005
    assert (await ask("DELETE", f"/channels/{channel.id}/messages/{said.id}"))[1]["code"] == 50013
    server.dm(ann).blocked = True
    assert await send(server.dm(ann)) == 50007
    guild.kick_bot()
    assert await send(channel) == 50001
    channel.delete()
    assert await send(channel) == 10003
    assert (await ask("GET", "/users/@me", token="wrong")) == (401, {"message": "401: Unauthorized", "code": 0})


async def test_history_is_paged(server: DiscordServer, dm: Channel, ask: Ask) -> None:
    ids = [dm.say(text).id for text in "abcde"]

    async def texts(query: str) -> str:
        return "".join(each["content"] for each in (await ask("GET", f"/channels/{dm.id}/messages?{query}"))[1])

    assert await texts("limit=2") == "ed"
    assert await texts(f"limit=2&before={ids[2]}") == "ba"
    assert await texts(f"limit=2&after={ids[1]}") == "dc"
    assert await texts(f"limit=3&around={ids[2]}") == "dcb"


async def test_the_rest_of_what_may_be_asked(server: DiscordServer, ann: Person, ask: Ask) -> None:
    guild = server.guild(admins=(ann,))
    channel, at = guild.channel(), f"/guilds/{guild.id}"
    assert (await ask("GET", "/oauth2/applications/@me"))[1]["flags"] == 1 << 19
    assert (await ask("GET", "/gateway/bot"))[1]["session_start_limit"]["remaining"] == 1000
    assert (await ask("POST", "/users/@me/channels", {"recipient_id": str(ann.id)}))[1]["id"] == str(server.dm(ann).id)
    assert (await ask("POST", "/users/@me/channels", {"recipient_id": "5"}))[1]["code"] == 10013
    assert (await ask("POST", f"/channels/{channel.id}/typing")) == (204, None) and channel.typing
    assert (await ask("GET", at))[1]["name"] == "Friends" and len((await ask("GET", at + "/roles"))[1]) == 3
    assert [each["id"] for each in (await ask("GET", at + "/channels"))[1]] == [str(channel.id)]
    assert (await ask("GET", f"{at}/members/{ann.id}"))[1]["roles"] == [str(guild.admins.id)]
    assert (await ask("GET", f"{at}/members/5"))[1]["code"] == 10007
    assert (await ask("GET", "/nothing"))[0] == 404


async def test_penalties_are_kept(server: DiscordServer, dm: Channel, ask: Ask) -> None:
    server.monotonic = clock = FakeClock()  # no time passes by itself
    other, send = server.dm(server.person("Bob")), QUIET | {"content": "x", "nonce": "1", "enforce_nonce": True}
    server.fault(FaultKind.RATE_LIMIT, "POST", "messages$", channel=dm, seconds=0.1)
    status, body = await ask("POST", f"/channels/{dm.id}/messages", send)
    assert (status, body["retry_after"], body["global"]) == (429, 0.1, False)
    assert (await ask("POST", f"/channels/{other.id}/messages", send))[0] == 200
    await clock.sleep(0.1)
    assert (await ask("POST", f"/channels/{dm.id}/messages", send))[0] == 200 and not server.violations
    server.fault(FaultKind.RATE_LIMIT, "POST", "messages$", channel=dm, seconds=5)
    for _ in range(2):
        assert (await ask("POST", f"/channels/{dm.id}/messages", send | {"nonce": "2"}))[0] == 429
    assert server.violations.pop().endswith("within its penalty")


async def test_faults(server: DiscordServer, dm: Channel, ask: Ask) -> None:
    path, nonces = f"/channels/{dm.id}/messages", itertools.count()
    for kind in (FaultKind.DROP_BEFORE, FaultKind.ACCEPT_THEN_DROP, FaultKind.TRUNCATED):
        server.fault(kind, "POST", "messages$")
        body = QUIET | {"content": kind, "nonce": next(nonces), "enforce_nonce": True}
        with pytest.raises((aiohttp.ClientError, ValueError)):
            await ask("POST", path, body)
    server.fault(FaultKind.HANG, "POST", "messages$")
    body = QUIET | {"content": "hang", "nonce": next(nonces), "enforce_nonce": True}
    hanging = asyncio.ensure_future(ask("POST", path, body))
    await idle(lambda: dm.texts[-1] == "hang")
    assert not hanging.done()
    hanging.cancel()
    assert dm.texts == ["accept_then_drop", "truncated", "hang"]
    server.fault(FaultKind.ERROR, "POST", "typing", code=503, body={"message": "busy", "code": 7})
    assert (await ask("POST", f"/channels/{dm.id}/typing")) == (503, {"message": "busy", "code": 7})
    async with server.offline():
        with pytest.raises(aiohttp.ClientError):
            await ask("GET", "/users/@me")
    assert (await ask("GET", "/users/@me"))[0] == 200


async def test_fifty_a_second_are_enough(server: DiscordServer, ask: Ask) -> None:
    server.monotonic = FakeClock()
    await asyncio.gather(*(ask("GET", "/users/@me") for _ in range(51)))
    assert server.violations.pop() == "more than 50 requests a second"


SEND: Payload = QUIET | {"content": "x", "nonce": "1", "enforce_nonce": True}
BUTTON = {"type": 2, "style": 2, "label": "x", "custom_id": "x"}
CARELESS: list[tuple[str, Payload, bool]] = [
    ("no allowed_mentions", {"allowed_mentions": None}, True),
    ("allowed_mentions", {"allowed_mentions": {}}, True),
    ("allowed_mentions", {"allowed_mentions": {"parse": ["users"]}}, True),
    ("allowed_mentions", {"allowed_mentions": {"parse": [], "replied_user": True}}, True),
    ("allowed_mentions", {"allowed_mentions": {"parse": [], "users": ["5"]}}, True),
    ("SUPPRESS_EMBEDS", {"flags": 0}, True),
    ("no nonce", {"nonce": None}, True),
    ("no nonce", {"enforce_nonce": False}, True),
    ("nonce '1", {"nonce": "1" * 26}, True),
    ("2002 UTF-16 units", {"content": "😀" * 1001}, False),
    ("empty", {"content": " "}, False),
    ("not unique", {"components": [{"type": 1, "components": [BUTTON, BUTTON]}]}, False),
    ("5 action rows", {"components": [{"type": 1, "components": [BUTTON | {"custom_id": str(n)}]}
                                      for n in range(6)]}, False),
    ("v2", {"flags": V2, "components": [{"type": 10, "content": "x"}]}, False),
]  # fmt: skip


@each_row(("words", "wrong", "taken"), CARELESS, ids=[str(each[1])[:40] for each in CARELESS])
async def test_carelessness_is_noted(
    server: DiscordServer, dm: Channel, ask: Ask, words: str, wrong: Payload, taken: bool
) -> None:
    unique = {"nonce": str(server.snowflake())}
    status, _ = await ask("POST", f"/channels/{dm.id}/messages", SEND | unique | wrong)
    assert (status == 200) == taken
    assert words in " ".join(server.violations)
    server.violations.clear()


async def test_layouts_need_no_suppression(server: DiscordServer, dm: Channel, ask: Ask) -> None:
    layout = {"flags": V2, "content": None, "components": [{"type": 10, "content": "https://x.org"}]}
    assert (await ask("POST", f"/channels/{dm.id}/messages", SEND | layout))[0] == 200
    assert dm.texts == ["https://x.org"] and dm.last.content == "" and not server.violations


async def test_edits(server: DiscordServer, dm: Channel, ann: Person, ask: Ask) -> None:
    await ask("POST", f"/channels/{dm.id}/messages", SEND)
    path = f"/channels/{dm.id}/messages/{dm.last.id}"
    assert (await ask("PATCH", path, QUIET | {"content": "y"}))[0] == 200
    assert dm.last.history == ["x", "y"] and not server.wasted
    await ask("PATCH", path, QUIET | {"content": "y"})
    assert len(server.wasted) == 1 and not server.violations
    await ask("PATCH", path, {"content": "z", "flags": 0})
    assert len(server.violations) == 2
    hook = await answered(server, ask, ann, dm)
    edit: Payload = {"allowed_mentions": {"parse": []}}
    for text in ("https://x.org", "[x](https://x.org)"):
        await ask("PATCH", f"{hook}/messages/@original", edit | {"content": text})
        assert "bare link" in server.violations.pop()
    for text in ("<https://x.org>", "`https://x.org`", "```\nhttps://x.org\n```"):
        await ask("PATCH", f"{hook}/messages/@original", edit | {"content": text})
    assert len(server.violations) == 2
    server.violations.clear()


async def test_violations_fail_the_test() -> None:
    with pytest.raises(AssertionError, match="no SUPPRESS_EMBEDS"):
        async with discord_server() as server, aiohttp.ClientSession() as session:
            url = f"{server.api_url}/channels/{server.dm(server.person('Ann')).id}/messages"
            headers = {"Authorization": f"Bot {server.token}"}
            async with session.post(url, json=SEND | {"flags": 0}, headers=headers) as response:
                assert response.headers["Content-Type"] == "application/json"
