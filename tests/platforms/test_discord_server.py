"""The Discord server of the tests speaks to a plain client of discord.py as Discord does."""

from collections.abc import AsyncIterator

import discord
import pytest

from tests.patience import LIMIT_S
from tests.platforms.discord_channels import Channel, attachment
from tests.platforms.discord_echo import QUIET, Ask, Echo, asking, pointed, running
from tests.platforms.discord_server import DiscordServer, discord_server
from tests.platforms.discord_world import Person
from tests.platforms.faults import FaultKind
from tests.sweeps import some_quick


@pytest.fixture
async def server() -> AsyncIterator[DiscordServer]:
    async with discord_server() as server:
        server.answer_within_s = LIMIT_S
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


# The gateway


async def test_a_message_and_its_answer(
    server: DiscordServer, dm: Channel, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    guild = server.guild(ann)
    general = guild.channel()
    async with running(server, monkeypatch) as client:
        assert client.user and client.user.id == server.application_id and len(client.guilds) == 1
        dm.say("hello")
        await dm.until(lambda channel: channel.texts == ["> hello"])
        first = general.say("hi", ann)
        await general.until(lambda channel: channel.texts == ["> hi"])
        thread = general.thread(ann, "A talk")
        thread.say("there?", ann, mention=True)
        await thread.until(lambda channel: channel.messages)
        assert [message.id async for message in client.get_partial_messageable(general.id).history()] == [
            general.last.id,
            first.id,
        ]
        new = server.guild(ann, name="New").channel("talk")
        new.say("new", ann)
        await new.until(lambda channel: channel.texts == ["> new"])
        guild.kick_bot()
        await dm.until(lambda _: len(client.guilds) == 1)
    assert [effect.channel for effect in server.effects("POST", "messages$")] == [dm.id, general.id, thread.id, new.id]


@pytest.mark.slow
async def test_a_history_comes_in_pages(server: DiscordServer, dm: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Newest first, a hundred at most: those right before a message, or those right after one."""
    ids = [dm.say(f"message {count}").id for count in range(230)]
    async with running(server, monkeypatch) as client:
        for start, wanted in (
            ({"before": ids[210]}, ids[110:210]),
            ({"after": ids[20]}, ids[21:121]),
            ({"after": ids[200]}, ids[201:]),
            ({}, ids[130:]),
        ):
            page = await client.http.logs_from(dm.id, 100, **start)
            assert [int(each["id"]) for each in page] == wanted[::-1], start
        read = client.get_partial_messageable(dm.id).history(limit=None, after=discord.Object(ids[9]))
        assert [message.id async for message in read] == ids[10:], "the library goes on where a page ends"


async def test_a_bot_without_the_content_intent_reads_what_is_meant_for_it(
    server: DiscordServer, dm: Channel, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    general = server.guild(ann).channel()
    async with running(server, monkeypatch, message_content=False) as client:
        general.say("secret", ann)
        general.say("you", ann, mention=True)
        dm.say("me")
        await dm.until(lambda _: len(client.read) == 3)
        assert client.read == ["", f"<@{server.application_id}> you", "me"]


async def test_the_content_intent_is_refused_where_it_is_not_granted(
    server: DiscordServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content_intent = False
    pointed(server, monkeypatch)
    with pytest.raises(discord.PrivilegedIntentsRequired):
        async with Echo(discord.Intents(message_content=True)) as client:
            await client.start(server.token)
    with pytest.raises(discord.LoginFailure):
        async with Echo(discord.Intents()) as client:
            await client.start("wrong")


async def test_a_close_code_tells_why(server: DiscordServer, monkeypatch: pytest.MonkeyPatch) -> None:
    pointed(server, monkeypatch)
    server.close_next(4013)
    with pytest.raises(discord.ConnectionClosed) as closed:
        async with Echo(discord.Intents()) as client:
            await client.start(server.token)
    assert closed.value.code == 4013 and len(server.identifies) == 1


@pytest.mark.parametrize("way", some_quick(["cut", "closed", "reconnect", "invalid resumable"], ["cut"]))
async def test_a_session_is_resumed_with_what_was_missed(
    server: DiscordServer, dm: Channel, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    async with running(server, monkeypatch) as client:
        if way == "cut":
            server.refuse_gateway(2)
            server.drop()
            await dm.until(lambda _: not server.connected)
            dm.say("missed")
        else:
            acts = {"closed": lambda: server.drop(4000), "reconnect": server.reconnect}
            acts.get(way, lambda: server.invalidate(resumable=True))()
            dm.say("missed")
        await dm.until(lambda _: server.resumes == 1)
        await dm.until(lambda channel: channel.texts == ["> missed"])
        assert len(server.identifies) == 1 and client.read == ["missed"]


@pytest.mark.parametrize("way", ["invalid", "late"])
async def test_what_was_missed_between_sessions_is_lost(
    server: DiscordServer, dm: Channel, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    async with running(server, monkeypatch) as client:
        if way == "invalid":
            server.invalidate()
        else:
            async with server.offline():
                await dm.until(lambda _: not server.connected)
                dm.say("missed")
                server.advance(121)
        await server.ready(2)
        await dm.until(lambda _: client.is_ready())
        dm.say("heard")
        await dm.until(lambda channel: channel.texts == ["> heard"])
        assert server.resumes == 0 and server.gateway.remaining == 998


async def test_silence_is_noticed(server: DiscordServer, dm: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    server.gateway.heartbeat_ms = 50
    async with running(server, monkeypatch) as client:
        client._connection.heartbeat_timeout = 0.3
        client.ws._max_heartbeat_timeout = 0.3
        dm.say("heard")
        await dm.until(lambda channel: channel.texts == ["> heard"])
        server.silence()
        dm.say("missed")
        await dm.until(lambda channel: channel.texts == ["> heard", "> missed"])
        assert server.resumes == 1


async def test_an_event_may_come_twice(server: DiscordServer, dm: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(server, monkeypatch):
        server.fault(FaultKind.DUPLICATE, "EVENT", "MESSAGE_CREATE")
        dm.say("x")
        await dm.until(lambda channel: channel.texts == ["> x", "> x"])


# Interactions


async def test_a_command_is_deferred_edited_and_followed(
    server: DiscordServer, dm: Channel, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(server, monkeypatch) as client:
        await client.tree.sync()
        assert server.syncs == 1 and [command["name"] for command in server.commands] == [
            "later",
            "ask",
            "Ask about this",
        ]
        with pytest.raises(AssertionError, match="needs"):
            server.slash(ann, dm, "later")
        with pytest.raises(AssertionError, match="takes no"):
            server.slash(ann, dm, "later", value="much")
        with pytest.raises(AssertionError, match="has no option"):
            server.slash(ann, dm, "later", value=1.0, other=1)
        with pytest.raises(AssertionError, match="no command"):
            server.slash(ann, dm, "never")
        asked = server.slash(ann, dm, "later", value=0.5, mode="slow")
        response = await asked.responded()
        assert (response.type, response.ephemeral) == (5, False)
        await dm.until(lambda _: asked.followups)
        assert asked.message and asked.message.history == ["…", "0.5 slow"] and dm.messages[0] is asked.message
        assert [each.ephemeral for each in dm.messages] == [False, True]
        assert (await dm.ended(2)).reply_to == asked.message.id


async def test_a_form_comes_back(
    server: DiscordServer, dm: Channel, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(server, monkeypatch) as client:
        await client.tree.sync()
        opened = server.slash(ann, dm, "ask")
        assert (await opened.responded()).type == 9
        with pytest.raises(AssertionError, match="takes 5"):
            server.submit(ann, opened, "Wilhelmina")
        for sent in (server.submit(ann, opened, "Ann"), server.submit(ann, opened, name="Ann")):
            assert (await sent.responded()).ephemeral
            assert sent.message and "'value': 'Ann'" in sent.message.content


async def test_buttons_and_selects(
    server: DiscordServer, ann: Person, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = server.person("Bob", "vi")
    channel = server.guild(ann, bob).channel()
    button = {"type": 2, "style": 2, "label": "⏹ Stop", "custom_id": "stop:1"}
    select = {"type": 3, "custom_id": "mode:1", "options": [{"label": "Slow", "value": "s", "default": True},
                                                            {"label": "Fast", "value": "f"}]}  # fmt: skip
    rows = [{"type": 1, "components": [button]}, {"type": 1, "components": [select]}]
    async with running(server, monkeypatch) as client:
        send = f"/channels/{channel.id}/messages"
        for nonce in ("a", "b", "c"):
            await ask("POST", send, QUIET | {"content": "x", "components": rows, "nonce": nonce, "enforce_nonce": True})
        assert channel.last.buttons == ["⏹ Stop"] and channel.last.selects == {"mode:1": (["s", "f"], ["s"])}
        assert channel.last.labels == {"mode:1": ["Slow", "Fast"]}
        pressed = server.press(bob, channel, "⏹")
        assert (await pressed.responded()).type == 7 and pressed.message is channel.last
        assert channel.texts == ["x", "x", "pressed"] and not channel.last.buttons
        chosen = server.choose(ann, channel, "mode", "Fast")
        await chosen.responded()
        assert (
            channel.texts == ["x", "pressed", "pressed"]
            and client.pressed[-1].locale is discord.Locale.american_english
        )
        assert client.pressed[0].locale is discord.Locale.vietnamese and chosen.data["values"] == ["f"]
        await server.press(ann, channel, custom_id="forged", message=channel.messages[0]).responded()
        with pytest.raises(AssertionError, match="nothing like it"):
            server.press(ann, channel, "⏹")


async def test_a_menu_works_everywhere(server: DiscordServer, dm: Channel, ann: Person, ask: Ask,
                                       monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    bob = server.person("Bob")
    general, foreign = server.guild(ann, bob).channel(), server.foreign_channel(ann, bob)
    between = server.private_channel(ann, bob)
    places = [dm, general, general.thread(bob, "A talk"), foreign, foreign.thread(bob, "A talk"), between]
    async with running(server, monkeypatch, message_content=False) as client:
        await client.tree.sync()
        for channel in places:
            said = channel.say("hm", ann if channel is dm else bob)
            used = server.menu(ann, channel, "Ask about this", said)
            assert (await used.responded()).ephemeral and used.message
        assert [place.last.content.removeprefix("hm ") for place in places] == [
            "[1, False, False]",
            "[0, True, False]",
            "[0, True, False]",
            "[0, False, True]",
            "[0, False, True]",
            "[2, False, True]",
        ]
        assert len(client.read) == 3, "what is said elsewhere does not come"


async def test_people_edit_delete_and_attach(
    server: DiscordServer, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    guild = server.guild(ann)
    channel = guild.channel()
    seen = []
    async with running(server, monkeypatch) as client:
        for name in ("message_edit", "message_delete", "message", "guild_channel_delete", "thread_delete"):

            async def note(*arguments: object, name: str = name) -> None:
                seen.append((name, arguments[-1]))

            setattr(client, f"on_{name}", note)
        said = channel.say("x", ann, attachments=[attachment("a.txt", 5)])
        said.revise("y")
        said.remove()
        answer = channel.say("z", ann, reply_to=channel.say("w", ann), ping=True)
        channel.thread(ann, "A talk").delete()
        channel.delete()
        await channel.until(lambda _: len(seen) == 7)
        first, edited, deleted, _, reply = [each for _, each in seen[:5]]
        assert [name for name, _ in seen[-2:]] == ["thread_delete", "guild_channel_delete"]
        assert isinstance(first, discord.Message) and first.attachments[0].filename == "a.txt"
        assert isinstance(edited, discord.Message) and edited.content == "y" and isinstance(deleted, discord.Message)
        assert isinstance(reply, discord.Message) and reply.reference and reply.mentions[0].id == ann.id
        assert isinstance(reply.reference.resolved, discord.Message) and answer.reply_to == reply.reference.resolved.id
        assert isinstance(reply.author, discord.Member) and reply.channel.id == channel.id


async def test_commands_over_the_gateway_are_counted(
    server: DiscordServer, dm: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(server, monkeypatch) as client:
        await client.change_presence(status=discord.Status.idle)
        await dm.until(lambda _: server.gateway.presences)
        for _ in range(120):
            await client.ws.send_heartbeat({"op": 3, "d": {}})
        await dm.until(lambda _: server.violations)
        assert set(server.violations) == {"more than 120 gateway commands a minute"}
        server.violations.clear()
