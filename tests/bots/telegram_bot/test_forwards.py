"""What is forwarded in a private chat, with a comment, is one question that says whose words it has."""

import asyncio
import time
from typing import Any

import pytest
from telegram import Update

from bots.telegram_bot.message_grouping import group_updates
from core.domain.reply_states import State
from core.i18n import t
from core.inbound.question_text import Forward, with_forwards
from tests.bots.telegram_bot.telegram_running import BOT, asked, running, settled
from tests.platforms.bot_api import BotApi
from tests.platforms.bot_api_chats import Chat, Person
from tests.tables import each_row
from tests.watching import held, release

Json = dict[str, Any]
PRIVATE: Json = {"id": 7, "type": "private", "first_name": "Ann"}
HIDDEN: Json = {"type": "hidden_user", "date": 1, "sender_user_name": "Eve"}
USER: Json = {
    "type": "user",
    "date": 1,
    "sender_user": {"id": 9, "is_bot": False, "first_name": "Bob", "last_name": "B"},
}
CHANNEL: Json = {"type": "channel", "date": 1, "chat": {"id": -9, "type": "channel", "title": "News"}, "message_id": 1}
GROUP: Json = {"type": "chat", "date": 1, "sender_chat": {"id": -8, "type": "supergroup", "title": "Cats"}}
PHOTO: Json = {"photo": [{"file_id": "a", "file_unique_id": "b", "width": 1, "height": 1}]}
EVE, NEWS = "Forwarded message from Eve:\n> ", "Forwarded message from News:\n> "


def said(number: int, text: str = "why?", at: int = 0, chat: Json = PRIVATE, **more: Any) -> Update:
    message: Json = {"message_id": number, "date": 1_700_000_000 + at, "chat": chat, "text": text}
    message["from"] = {"id": 7, "is_bot": False, "first_name": "Ann"}
    made = Update.de_json({"update_id": number, "message": {**message, **more}}, None)
    assert made is not None
    return made


def forward(number: int, at: int = 0, **more: Any) -> Update:
    return said(number, "a fact", at, forward_origin=HIDDEN, **more)


@each_row(
    ("batch", "groups"),
    [
        ([said(1), forward(2)], [[1, 2]]),
        ([forward(1), said(2)], [[1, 2]]),
        ([forward(1), forward(2, 1), forward(3, 1)], [[1, 2, 3]]),
        ([said(1), forward(2), forward(3), said(4)], [[1, 2, 3], [4]]),
        ([said(1), said(2), forward(3)], [[1], [2, 3]]),
        ([said(1), forward(2, 2)], [[1], [2]]),
        ([forward(1), said(2, at=2)], [[1], [2]]),
        ([said(1, "/temp 0"), forward(2)], [[1], [2]]),
        ([forward(1), said(2, "/stop")], [[1], [2]]),
        ([said(1, chat={**PRIVATE, "type": "group"}), forward(2, chat={**PRIVATE, "type": "group"})], [[1], [2]]),
        ([said(1, message_thread_id=5, is_topic_message=True), forward(2)], [[1], [2]]),
    ],
)
def test_what_belongs_together(batch: list[Update], groups: list[list[int]]) -> None:
    complete = group_updates(batch, range(10)).groups
    assert [[update.update_id for update in group] for group in complete] == groups


@pytest.mark.slow
@each_row(
    ("question", "forwards", "text"),
    [
        ("why?", [Forward("Eve", "one\n\ntwo")], f"{EVE}one\n>\n> two\n\nwhy?"),
        ("", [Forward("Eve", "/temp 0"), Forward("", "x")], f"{EVE}/temp 0\n\nForwarded message from Someone:\n> x"),
        ("", [Forward("Eve\nBob: no", "x")], "Forwarded message from Eve Bob no:\n> x"),
        ("why?", [], "why?"),
    ],
)
def test_what_the_model_is_told(question: str, forwards: list[Forward], text: str) -> None:
    assert with_forwards(question, forwards) == text


@pytest.mark.slow
async def test_one_question_in_either_order_and_from_whoever(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    async with running(server, database) as bot:
        for count, (origin, name) in enumerate(((HIDDEN, "Eve"), (USER, "Bob B"), (CHANNEL, "News"), (GROUP, "Cats"))):
            for place in ("before", "behind"):
                if place == "before":
                    private.say("why?", ann)
                private.say("a fact", ann, forward_origin=origin)
                if place == "behind":
                    private.say("why?", ann)
                await private.ended(2 * count + (2 if place == "behind" else 1))
                await settled(bot, server)
                assert asked(bot)[-1] == f"Forwarded message from {name}:\n> a fact\n\nwhy?"
        assert len(private.messages) == 8
        private.say("", ann, forward_origin=HIDDEN, **PHOTO)
        private.say("what is this?", ann)
        await private.ended(9)
        assert asked(bot)[-1] == "what is this?\n\n" + t("en", "media.unseen")
        private.say("and this?", ann)  # the picture comes with the next poll
        await settled(bot, server)
        for number in (11, 12):  # with the comment that has its answer already, and without
            private.say("", ann, forward_origin=HIDDEN, **PHOTO)
            await private.until(lambda chat: len(chat.messages) == number)  # noqa: B023
            assert private.texts[-1] == t("en", "media.only_text")
        assert asked(bot)[-1] == "and this?"


@pytest.mark.slow
async def test_a_comment_that_is_being_answered_already_is_answered_with_the_forward(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    model = held(1)
    async with running(server, database, model) as bot:
        private.say("why is that", ann)
        await private.until(lambda chat: chat.texts == ["why"])
        private.say("a fact", ann, forward_origin=HIDDEN)
        private.say("another", ann, forward_origin=CHANNEL)
        await private.until(lambda chat: chat.texts in ([], ["…"]))
        release(model)
        whole = f"{EVE}a fact\n\n{NEWS}another\n\nwhy is that"
        await private.until(lambda chat: len(chat.texts) == 1 and chat.texts[0].endswith("why is that"))
        await settled(bot, server)
        assert asked(bot)[-1] == whole and len(model.prompts[-1]) == 2, "the history has no other question"
        assert len(private.messages) == 1


@pytest.mark.slow
@pytest.mark.parametrize("confirmed", [False, True])
async def test_nothing_is_lost_where_the_bot_dies_in_between(
    server: BotApi, database: str, ann: Person, private: Chat, confirmed: bool
) -> None:
    """The comment is stored alone. Whether it comes once more or not: what is forwarded is answered, with the comment
    where that can be known."""
    async with running(server, database, held()) as bot:
        number = private.say("why?", ann)
        await bot.model.until(lambda: bot.model.running)
        await settled(bot, server)
    if not confirmed:
        server.queue.put("message", private.known[number])
    private.say("a fact", ann, forward_origin=HIDDEN)
    model = held()
    async with running(server, database, model) as bot:
        await settled(bot, server)
        release(model)
        await private.until(lambda chat: any("a fact" in text for text in chat.texts))
        await private.ended(1 if not confirmed else 2)
        await settled(bot, server)
        assert asked(bot)[-1] == (f"{EVE}a fact" if confirmed else f"{EVE}a fact\n\nwhy?")
        async with bot.store.begin() as tx:
            first = await tx.replies.find(1)
        assert first and first.state is (State.DONE if confirmed else State.CANCELLED)
        assert len(private.messages) == (2 if confirmed else 1)


@pytest.mark.slow
@pytest.mark.parametrize("together", [True, False], ids=["in one poll", "in several"])
async def test_in_a_group_the_comment_must_be_for_the_bot(
    server: BotApi, database: str, ann: Person, bob: Person, group: Chat, together: bool
) -> None:
    """It comes before or behind what was forwarded, which may be more than one message."""
    group.privacy = False
    rounds: list[tuple[list[tuple[str, Json | None]], str]] = [
        ([(f"{BOT} why?", None), ("a fact", HIDDEN)], f"{EVE}a fact\n\nwhy?"),
        ([("a fact", HIDDEN), (f"{BOT} why?", None)], f"{EVE}a fact\n\nwhy?"),
        ([(f"{BOT} why?", None), ("one", HIDDEN), ("two", CHANNEL), ("three", HIDDEN)],
         f"{EVE}one\n\n{NEWS}two\n\n{EVE}three\n\nwhy?"),
        ([("one", HIDDEN), ("two", CHANNEL), (f"{BOT} why?", None)], f"{EVE}one\n\n{NEWS}two\n\nwhy?"),
    ]  # fmt: skip
    model = held()
    async with running(server, database, model) as bot:
        for count, (messages, question) in enumerate(rounds, 1):
            model.gate = asyncio.Semaphore(0)
            date = int(time.time()) - 100 + 10 * count
            for text, origin in messages:
                group.say(text, ann, date=date, **({} if origin is None else {"forward_origin": origin}))
                if not together:
                    await settled(bot, server)
            await settled(bot, server)
            release(model)
            await group.until(lambda chat: len(chat.messages) == count)  # noqa: B023
            await settled(bot, server)
            assert asked(bot)[-1] == f"Ann: {question}" and len(group.messages) == count
        group.say("a fact", bob, forward_origin=HIDDEN)
        group.say(f"{BOT} and you?", ann)
        await group.until(lambda chat: len(chat.messages) == len(rounds) + 1)
        await settled(bot, server)
        assert asked(bot)[-1] == "Ann: and you?", "it is somebody else's"


@pytest.mark.slow
async def test_in_a_group_a_comment_that_has_its_answer_gets_no_other(
    server: BotApi, database: str, ann: Person, group: Chat
) -> None:
    group.privacy = False
    async with running(server, database) as bot:
        group.say(f"{BOT} why?", ann)
        await group.ended()
        await settled(bot, server)
        group.say("a fact", ann, forward_origin=HIDDEN)
        await settled(bot, server)
        assert len(bot.model.prompts) == len(group.messages) == 1
