"""Topics that are closed or deleted: what was asked there is answered in General, and says so."""

import logging

import pytest

from core.i18n import t
from tests.bots.telegram_bot.telegram_running import BOT, running, settled
from tests.platforms.bot_api import BotApi
from tests.platforms.bot_api_chats import Chat, Person
from tests.watching import held, release

LINE = t("en", "thread.closed", name="Ann")


@pytest.fixture
def forum(server: BotApi, ann: Person) -> Chat:
    """A group with topics."""
    return server.group(ann, admins=(ann,), forum=True)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What an owner would read in the log."""
    return [record.message for record in caplog.records if record.levelno > logging.INFO]


@pytest.mark.slow
async def test_what_is_asked_in_a_closed_topic_is_answered_in_general(
    server: BotApi, database: str, ann: Person, forum: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    """With a line that says so, and without buttons: presses there would be of another conversation. Commands too."""
    cats, dogs, deleted = forum.topic(), forum.topic(), 12345
    forum.closed.add(dogs)
    async with running(server, database) as bot:
        forum.say(f"{BOT} open?", ann, topic=cats)
        await forum.until(lambda chat: chat.texts == ["open?"])
        for count, topic in enumerate((dogs, deleted), 1):
            forum.say(f"{BOT} closed?", ann, topic=topic)
            await forum.ended(1 + count)
            assert forum.texts[1:] == [f"{LINE}\n\nclosed?"] * count
        forum.say("/temp", ann, topic=dogs)
        assert (await forum.ended(4)).text.startswith(f"{LINE}\n\nTemperature: 0.7")
        assert [(shown.thread, shown.reply_to, shown.buttons) for shown in forum.messages[1:]] == [(None, None, [])] * 3
        forum.closed.discard(dogs)
        forum.say(f"{BOT} and now?", ann, topic=dogs)
        assert (await forum.ended(5)).thread == dogs
        assert len(bot.model.prompts[-1]) == 4, "the conversation has its history"
    assert complaints(caplog) == []


@pytest.mark.slow
@pytest.mark.parametrize("deleted", [False, True])
async def test_an_answer_whose_topic_is_closed_meanwhile_stands_whole_in_general(
    server: BotApi, database: str, ann: Person, forum: Chat, caplog: pytest.LogCaptureFixture, deleted: bool
) -> None:
    topic, model = forum.topic(), held(2)
    async with running(server, database, model) as bot:
        forum.say(f"{BOT} one two", ann, topic=topic)
        await forum.until(lambda chat: chat.texts == ["one"])
        forum.delete_topic(topic) if deleted else forum.closed.add(topic)
        release(model)
        await settled(bot, server)
        assert [(shown.thread, shown.text) for shown in forum.messages] == [(None, f"{LINE}\n\none two")]
    assert complaints(caplog) == []


@pytest.mark.slow
async def test_where_general_is_closed_too_the_answer_is_given_up_quietly(
    server: BotApi, database: str, ann: Person, forum: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    topic = forum.topic()
    forum.closed.update((topic, None))
    async with running(server, database) as bot:
        forum.say(f"{BOT} one", ann, topic=topic)
        forum.say(f"{BOT} two", ann)
        await settled(bot, server)
        assert forum.messages == []
        forum.closed.clear()
        forum.say(f"{BOT} three", ann, topic=topic)
        assert (await forum.ended()).text == "three"
    assert complaints(caplog) == []


@pytest.mark.slow
async def test_a_topic_of_a_private_chat_that_is_deleted(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    async with running(server, database):
        private.say("hello", ann, topic=4711)
        assert (await private.ended()).text == f"{LINE}\n\nhello" and private.last.thread is None
