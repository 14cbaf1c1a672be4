"""Groups as people use them: the real library against a server that answers as Telegram does."""

from typing import Any

import pytest

from core.i18n import t
from tests.bots.telegram_bot.telegram_running import BOT, asked, running, settled
from tests.platforms.bot_api import BotApi
from tests.platforms.bot_api_chats import Chat, Person
from tests.platforms.faults import FaultKind
from tests.watching import held, release


async def test_where_a_group_is_answered(server: BotApi, database: str, ann: Person, bob: Person, group: Chat) -> None:
    group.privacy = False
    async with running(server, database) as bot:
        group.say("nobody asked you", bob)
        group.say("/temp@other_bot 1", ann)
        group.say("/unknown", ann)
        group.say("@qwentin_bottle hi", bob)
        first = group.say(f"{BOT}, hi", bob)
        answer = await group.ended()
        assert (answer.text, answer.reply_to) == ("hi", first), "and the echoed name is cut"
        group.say("and you?", ann, reply_to=answer.id)
        assert (await group.ended(2)).text == "and you?"
        group.say("/ask what?", bob)
        assert (await group.ended(3)).text == "what?"
        assert asked(bot) == ["Bob: hi", "Ann: and you?", "Bob: what?"]
        said = group.say("the moon is a cheese", ann)
        group.say(f"is that so {BOT}?", bob, reply_to=said)
        await group.ended(4)
        assert asked(bot)[-1] == "Bob: > the moon is a cheese\n\nis that so?"


@pytest.mark.parametrize("privacy", [True, False])
async def test_who_may_set_in_a_group(
    server: BotApi, database: str, ann: Person, bob: Person, group: Chat, privacy: bool
) -> None:
    group.privacy = privacy
    async with running(server, database):
        cases: list[tuple[Person, dict[str, Any], str, str]] = [
            (bob, {}, "/temp 0.1", "chỉ quản trị viên"),
            (bob, {}, "/temp", "0.7"),
            (ann, {}, "/temp 0.2", "0.7 → 0.2"),
            (bob, {"anonymous": True}, f"/temp{BOT} 0.3", "0.2 → 0.3"),
            (bob, {"channel": -100777}, "/temp 0.4", "Only admins"),
            (bob, {}, "/clear", "hỉ quản trị viên"),
        ]
        for person, how, text, expected in cases:
            count = len(group.messages)
            sent = group.say(text, person, **how)
            answer = await group.ended(count + 1)
            assert expected in answer.text and answer.reply_to == sent, f"{text}: {answer.text}"


async def test_a_group_where_admins_can_not_be_seen(server: BotApi, database: str, ann: Person, group: Chat) -> None:
    server.fault(FaultKind.ERROR, "getChatMember", code=500, description="Internal Server Error")
    async with running(server, database):
        group.say("/temp 0.2", ann)
        assert (await group.ended()).text == t("en", "error.role")
        group.say("/temp 0.2", ann)
        assert "0.7 → 0.2" in (await group.ended(2)).text


async def test_a_forwarded_command_is_no_order(server: BotApi, database: str, ann: Person, group: Chat) -> None:
    async with running(server, database) as bot:
        origin = {"type": "hidden_user", "date": 1, "sender_user_name": "Mallory"}
        group.say(f"/temp{BOT} 0", ann, forward_origin=origin)
        await group.ended()
        assert asked(bot) == [f"Ann: /temp{BOT} 0"] and bot.model.samplings[-1].temperature == 0.7


async def test_bots_and_channels_are_ignored(server: BotApi, database: str, ann: Person, group: Chat) -> None:
    group.privacy = False
    post = {"id": -100888, "type": "channel", "title": "News"}
    async with running(server, database) as bot:
        group.say(f"{BOT} hi", ann, **{"from": {"id": 5, "is_bot": True, "first_name": "Other"}})
        group.say(f"{BOT} hi", ann, **{"from": {"id": 777000, "is_bot": False, "first_name": "Telegram"}},
                  sender_chat=post, is_automatic_forward=True)  # fmt: skip
        await settled(bot, server)
        assert group.messages == [] and bot.model.prompts == []


async def test_forum_topics_are_conversations_and_general_is_one(
    server: BotApi, database: str, ann: Person, bob: Person
) -> None:
    forum = server.group(ann, bob, admins=(ann,), forum=True)
    cats, dogs = forum.topic(), forum.topic()
    async with running(server, database) as bot:
        for topic in (cats, dogs, None):
            forum.say(f"{BOT} in {topic}", ann, topic=topic)
            await forum.ended(len(forum.messages) + 1)
        forum.say("/temp 0", ann, topic=cats)
        await forum.ended(4)
        assert [message.thread for message in forum.messages] == [cats, dogs, None, cats]
        forum.say(f"{BOT} again", bob, topic=cats)
        forum.say(f"{BOT} again", bob, topic=None)
        await forum.ended(6)
        assert sorted((s.temperature, len(p)) for s, p in zip(bot.model.samplings, bot.model.prompts, strict=True))[
            0
        ] == (0.0, 4)


async def test_a_chain_of_replies_is_no_topic(server: BotApi, database: str, ann: Person, group: Chat) -> None:
    async with running(server, database) as bot:
        group.say(f"{BOT} one", ann)
        answer = await group.ended()
        group.say("two", ann, reply_to=answer.id)
        assert (await group.ended(2)).thread is None
        assert len(bot.model.prompts[-1]) == 4, "the same conversation"


async def test_settings_and_history_follow_a_group_that_becomes_a_supergroup(
    server: BotApi, database: str, ann: Person
) -> None:
    group = server.group(ann, admins=(ann,), kind="group")
    async with running(server, database) as bot:
        group.say(f"{BOT} one", ann)
        await group.ended()
        group.say("/temp 0", ann)
        await group.ended(2)
        new = server.upgrade(group)
        new.say(f"{BOT} two", ann)
        await new.ended()
        assert bot.model.samplings[-1].temperature == 0 and len(bot.model.prompts[-1]) == 4


async def test_an_answer_follows_a_group_that_moves_under_it(server: BotApi, database: str, ann: Person) -> None:
    group = server.group(ann, admins=(ann,), kind="group")
    model = held(2)
    async with running(server, database, model):
        group.say(f"{BOT} one two", ann)
        await group.until(lambda chat: chat.texts and chat.last.text == "one")
        new = server.upgrade(group)
        release(model)
        assert (await new.ended()).text == "one two"
