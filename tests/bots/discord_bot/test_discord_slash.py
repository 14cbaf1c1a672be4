"""Slash commands, the menu on a message, user installs: the real library against a server that answers as Discord."""

from dataclasses import replace

import pytest

from core.commands.registry import COMMANDS
from core.domain.permissions import Access
from core.i18n import t
from tests.bots.discord_bot.discord_running import CONTINUE, QUICK_DISCORD, RETRY, STOP, asked, running
from tests.bots.settling import settled
from tests.fakes import FakeModel
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_server import DiscordServer
from tests.platforms.discord_world import Person
from tests.platforms.faults import FaultKind
from tests.waiting import idle, until
from tests.watching import contents, held, release


async def test_commands_are_published_once(server: DiscordServer, database: str) -> None:
    for _ in range(2):
        async with running(server, database) as bot:
            await until(lambda: server.commands)
            await settled(bot)
    assert server.syncs == 1
    names = [command["name"] for command in server.commands]
    assert names == [*(command.name for command in COMMANDS), "Ask about this message"]


async def test_setters_by_admin_and_by_member(
    server: DiscordServer, database: str, ann: Person, bob: Person, channel: Channel
) -> None:
    async with running(server, database) as bot:
        await published(server)
        setting = server.slash(ann, channel, "temp", value=0.3)
        response = await setting.responded()
        assert response.type == 5 and not response.ephemeral
        assert "0.7 → 0.3" in (await channel.ended()).content
        given: list[tuple[dict[str, object], str]] = [
            ({"value": 0.9}, t("vi", "refused.may", usage="/temp")),
            ({}, "0.3"),
            ({"reset": True}, t("vi", "refused.may", usage="/temp")),
        ]
        for options, expected in given:
            count = len(channel.messages)
            server.slash(bob, channel, "temp", **options)
            assert expected in (await channel.ended(count + 1)).content
        server.slash(ann, channel, "temp", reset=True)
        assert "0.3 → 0.7" in (await channel.ended(5)).content
        server.slash(ann, channel, "maxtokens", value=256)
        await channel.ended(6)
        server.slash(ann, channel, "lang", language="vi", reply="vi")
        both = await channel.ended(7)
        assert both.ephemeral and "Từ giờ mình nói tiếng Việt" in both.content and "auto → vi" in both.content
        channel.say("hello", bob, mention=True)
        await channel.ended(8)
        assert bot.model.samplings[-1].max_tokens == 256


async def test_what_only_the_asker_sees(server: DiscordServer, database: str, bob: Person, channel: Channel) -> None:
    async with running(server, database):
        await published(server)
        given: list[tuple[str, dict[str, object], str]] = [
            ("help", {"command": "temp"}, "/temp 0,3"),
            ("status", {}, "fake-model"),
            ("whoami", {}, f"discord:{bob.id}"),
            ("retry", {}, t("vi", "retry.nothing")),
        ]
        for count, (name, options, expected) in enumerate(given, 1):
            shown = server.slash(bob, channel, name, **options)
            assert (await shown.responded()).ephemeral
            answer = await channel.ended(count)
            assert answer.ephemeral and expected in answer.content


async def test_a_question_by_slash(server: DiscordServer, database: str, bob: Person, channel: Channel) -> None:
    model = held()
    async with running(server, database, model) as bot:
        await published(server)
        server.slash(bob, channel, "ask", question="/temp is what? https://example.org/a_b")
        await channel.until(lambda channel: bool(channel.messages) and channel.last.thinking)
        release(model, 3)
        await channel.until(lambda channel: channel.texts == ["/temp is"])
        assert channel.last.buttons == [t("vi", "button.stop")]
        release(model)
        answer = await channel.ended()
        assert answer.content == "/temp is what? <https://example.org/a_b>" and not answer.ephemeral
        assert answer.buttons == [t("vi", "button.retry")] and len(channel.messages) == 1
        assert asked(bot) == ["Bob: /temp is what? https://example.org/a_b"]


async def test_a_private_question_is_no_part_of_the_channels_talk(
    server: DiscordServer, database: str, ann: Person, bob: Person, channel: Channel
) -> None:
    async with running(server, database, FakeModel(lambda prompt: [" ".join(f"word{at}" for at in range(570))])) as bot:
        await published(server)
        asking = server.slash(bob, channel, "ask", question="a secret", private=True)
        assert (await asking.responded()).ephemeral
        await channel.until(
            lambda channel: len(channel.messages) == 3 and channel.last.buttons == [t("vi", "button.retry")]
        )
        assert all(message.ephemeral and message.content.strip("… ") for message in channel.messages)
        channel.say("hello", ann, mention=True)
        await channel.until(lambda channel: len(channel.messages) == 6 and channel.last.buttons == [RETRY])
        assert len(bot.model.prompts[-1]) == 2, "the secret is not in its prompt"
        server.slash(bob, channel, "ask", question="and more", private=True)
        await channel.until(
            lambda channel: len(channel.messages) == 9 and channel.last.buttons == [t("vi", "button.retry")]
        )
        assert len(bot.model.prompts[-1]) == 4, "but in the asker's own"


async def test_private_in_private_messages_is_the_same_talk(
    server: DiscordServer, database: str, ann: Person, dm: Channel
) -> None:
    async with running(server, database) as bot:
        await published(server)
        server.slash(ann, dm, "ask", question="one", private=True)
        await dm.ended()
        dm.say("two", ann)
        await dm.ended(2)
        assert contents(bot.model.prompts[-1]) == ["one", "one", "two"]


async def test_retry_by_slash_leaves_nothing_thinking(
    server: DiscordServer, database: str, ann: Person, channel: Channel, dm: Channel
) -> None:
    answers = iter(["one", "two", "one", "two"])
    async with running(server, database, FakeModel(lambda prompt: [next(answers)])):
        await published(server)
        for place in (channel, dm):
            place.say("count", ann, mention=place is channel)
            await place.ended()
            server.slash(ann, place, "retry")
            await place.until(lambda place: place.texts == ["two"] and place.last.buttons == [RETRY])


async def test_stop_by_slash(server: DiscordServer, database: str, ann: Person, channel: Channel) -> None:
    async with running(server, database, held(3)) as bot:
        await published(server)
        channel.say("one two three four", ann, mention=True)
        await channel.until(lambda channel: channel.texts == ["one two"])
        server.slash(ann, channel, "stop")
        await channel.until(lambda channel: f"one two\n\n{t('en', 'mark.stopped')}" in channel.texts)
        await channel.until(lambda channel: "Stopped." in channel.texts)
        assert bot.model.running == 0


async def test_the_stop_button(
    server: DiscordServer, database: str, ann: Person, bob: Person, channel: Channel
) -> None:
    async with running(server, database, held(3)) as bot:
        channel.say("one two three four", ann, mention=True)
        await channel.until(lambda channel: channel.texts == ["one two"])
        foreign = server.press(bob, channel, STOP)
        await foreign.responded()
        await until(lambda: foreign.followups)
        assert foreign.followups[0].content == t("vi", "stop.others") and foreign.followups[0].ephemeral
        assert bot.model.running == 1
        server.press(ann, channel, STOP)
        await channel.until(lambda channel: channel.texts[0] == f"one two\n\n{t('en', 'mark.stopped')}")


async def test_retry_and_continue_buttons(server: DiscordServer, database: str, ann: Person, channel: Channel) -> None:
    answers = iter((["first"], ["one ", "two"], [" three"]))
    model = FakeModel(lambda prompt: next(answers))
    async with running(server, database, model):
        channel.say("count", ann, mention=True)
        await channel.ended()
        model.ends = "length"
        server.press(ann, channel, RETRY)
        await channel.until(lambda channel: channel.texts == ["one two"] and channel.last.buttons == [CONTINUE, RETRY])
    async with running(server, database, model):  # buttons survive a restart
        model.ends = "stop"
        server.press(ann, channel, CONTINUE)
        await channel.until(lambda channel: channel.texts == ["one two three"] and channel.last.buttons == [RETRY])


async def test_buttons_of_a_private_answer(server: DiscordServer, database: str, bob: Person, channel: Channel) -> None:
    answers = iter((["first"], ["second"]))
    async with running(server, database, FakeModel(lambda prompt: next(answers))):
        await published(server)
        server.slash(bob, channel, "ask", question="count", private=True)
        await channel.ended()
        server.press(bob, channel, t("vi", "button.retry"))
        await channel.until(lambda channel: channel.texts == ["second"] and channel.last.buttons != [])
        assert channel.last.ephemeral


async def test_forged_presses_change_nothing(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    async with running(server, database) as bot:
        channel.say("hello", ann, mention=True)
        answer = await channel.ended()
        for forged in ("a:s:1", "a:r:999", "a:c:-1", "p:t:ffffffff", "o:ffffffff", "junk", "x" * 100):
            pressed = server.press(ann, channel, message=answer, custom_id=forged)
            await pressed.responded()
        await settled(bot)
        assert channel.texts[0] == "hello" and len(bot.model.prompts) == 1


async def test_autocompletion(server: DiscordServer, database: str, bob: Person, channel: Channel) -> None:
    async with running(server, database):
        await published(server)
        response = await server.autocomplete(bob, channel, "help", "command", "nh").responded()
        assert response.type == 8 and response.data["choices"][0] == {"name": "/nhiệt-độ", "value": "temp"}
        response = await server.autocomplete(bob, channel, "help", "command", "").responded()
        assert len(response.data["choices"]) == len(COMMANDS)


async def test_a_thread_owner_clears_his_thread_in_words(
    server: DiscordServer, database: str, ann: Person, bob: Person, channel: Channel
) -> None:
    thread = channel.thread(bob, "A talk")
    async with running(server, database):
        thread.say("/clear", bob, mention=True)
        assert t("en", "clear.done") in (await thread.ended()).content or "quên" in thread.last.content
        channel.say("/clear", bob, mention=True)
        assert (await channel.ended()).content == t("en", "refused.admins")


async def test_a_stranger_is_told_so(server: DiscordServer, database: str, ann: Person, channel: Channel) -> None:
    async with running(server, database, access=Access(users=frozenset({"discord:1"}))):
        await published(server)
        response = await server.slash(ann, channel, "ask", question="hello").responded()
        assert response.ephemeral and f"discord:{ann.id}" in response.data["content"]


async def test_a_store_that_is_too_slow(
    server: DiscordServer, database: str, ann: Person, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is kept of what its person was told to try again."""
    async with running(server, database, discord_timing=replace(QUICK_DISCORD, stored_within_s=0.1)) as bot:
        monkeypatch.setattr("core.i18n.person_language.LOOKUP_TIMEOUT_S", 0.05)
        await published(server)
        async with bot.store.begin() as held_open:
            await held_open.replies.count_active()
            response = await server.slash(ann, channel, "ask", question="hello").responded()
            assert response.type == 4 and response.data["content"] == t("en", "error.busy") and response.ephemeral
        await settled(bot)
        assert asked(bot) == []


# The menu on a message


async def test_asking_about_a_message(
    server: DiscordServer, database: str, ann: Person, bob: Person, channel: Channel
) -> None:
    async with running(server, database) as bot:
        await published(server)
        words = channel.say("the sky is green", ann)
        for question, expected in (("is that so?", "> the sky is green\n\nis that so?"), ("", "the sky is green")):
            opened = server.menu(bob, channel, "Ask about this message", words)
            assert (await opened.responded()).type == 9
            asking = server.submit(bob, opened, question)
            assert (await asking.responded()).ephemeral
            await channel.until(lambda channel: bool(channel.last.buttons) and not channel.last.thinking)
            assert asked(bot)[-1] == expected and channel.last.ephemeral


async def test_a_form_that_was_open_over_a_restart(
    server: DiscordServer, database: str, ann: Person, bob: Person, channel: Channel
) -> None:
    async with running(server, database):
        await published(server)
        words = channel.say("the sky is green", ann)
        opened = server.menu(bob, channel, "Ask about this message", words)
        await opened.responded()
    async with running(server, database) as bot:
        server.submit(bob, opened, "really?")
        await channel.ended()
        assert asked(bot) == ["> the sky is green\n\nreally?"]


# User installs


async def test_where_the_bot_is_no_member(server: DiscordServer, database: str, ann: Person, bob: Person) -> None:
    foreign = server.foreign_channel(ann, bob)
    async with running(server, database, FakeModel(lambda prompt: [" ".join(f"word{at}" for at in range(570))])) as bot:
        await published(server)
        asking = server.slash(ann, foreign, "ask", question="hello")
        assert (await asking.responded()).ephemeral
        await foreign.until(lambda channel: len(channel.messages) == 3 and channel.last.buttons == [RETRY])
        server.slash(bob, foreign, "temp", value=0.1)
        assert "0.7 → 0.1" in (await foreign.ended(4)).content and foreign.last.ephemeral, "his own"
        asking = server.slash(ann, foreign, "ask", question="for all", private=False)
        assert not (await asking.responded()).ephemeral
        await foreign.until(lambda channel: len(channel.messages) == 7 and channel.last.buttons == [RETRY])
        assert bot.model.samplings[-1].temperature == 0.7


# The fifteen minutes


async def test_an_answer_that_outlives_its_token_goes_to_the_channel(
    server: DiscordServer, database: str, ann: Person, channel: Channel
) -> None:
    model = held()
    async with running(server, database, model, now=lambda: int(server.now() * 1000)):
        await published(server)
        server.slash(ann, channel, "ask", question="one two")
        await channel.until(lambda channel: bool(channel.messages))
        server.advance(16 * 60)
        release(model)
        await channel.until(lambda channel: "one two" in channel.texts and channel.last.buttons == [RETRY])
        assert channel.last.nonce


async def test_what_only_the_asker_may_see_goes_to_him_alone(
    server: DiscordServer, database: str, ann: Person, channel: Channel, dm: Channel
) -> None:
    model = held()
    async with running(server, database, model, now=lambda: int(server.now() * 1000)):
        await published(server)
        server.slash(ann, channel, "ask", question="one two", private=True)
        await channel.until(lambda channel: bool(channel.messages))
        server.advance(16 * 60)
        release(model)
        await dm.until(lambda dm: dm.texts == ["one two"])
        assert all(message.ephemeral for message in channel.messages)


async def test_a_crash_before_the_promise(
    server: DiscordServer, database: str, ann: Person, channel: Channel, guild: Guild
) -> None:
    """Stored, but Discord was never told: the answer comes as a message of the bot's own."""
    async with running(server, database) as bot:
        await published(server)
        server.fault(FaultKind.HANG, "POST", "/callback")
        server.slash(ann, channel, "ask", question="one two")
        await idle(lambda: bot.model.prompts and not bot.trouble.under_way)
    server.advance(16 * 60)
    async with running(server, database, now=lambda: int(server.now() * 1000)):
        await channel.until(lambda channel: "one two" in channel.texts)


async def published(server: DiscordServer) -> None:
    await until(lambda: server.commands)


FILTERS: list[tuple[dict[str, object], str]] = [
    ({"level": "strict"}, "standard → strict"),
    ({"add": "banana"}, "look out for “banana”"),
    ({"list": True}, "no words of its own"),
    ({"test": "a nice day"}, "Nothing found"),
    ({"level": "strict", "add": "banana"}, "off, standard or strict"),
]


async def test_the_filter_by_its_fields(server: DiscordServer, database: str) -> None:
    async with running(server, database):
        await published(server)
        for number, (fields, said) in enumerate(FILTERS):
            person = server.person(f"Person {number}")
            dm = server.dm(person)
            server.slash(person, dm, "filter", **fields)
            assert said in (await dm.ended()).content
