"""Questions whose message is deleted in a Telegram group. No update tells of it: their first send does."""

import pytest

from core.domain.conversation import ChatId
from core.domain.reply_states import State
from tests.bots.telegram_bot.telegram_running import BOT, asked, running, settled
from tests.platforms.bot_api import BotApi
from tests.platforms.bot_api_chats import Chat, Person
from tests.watching import held, release

pytestmark = pytest.mark.slow


async def test_a_question_that_is_deleted_before_its_first_send_is_answered_in_silence(
    server: BotApi, database: str, ann: Person, bob: Person, group: Chat
) -> None:
    model = held()
    async with running(server, database, model) as bot:
        group.say(f"{BOT} first", ann)
        await group.until(lambda _: model.running)
        deleted = group.say(f"{BOT} never mind", bob)
        group.say(f"{BOT} last", bob)
        await settled(bot, server)
        del group.known[deleted]
        release(model)
        await group.until(lambda chat: "last" in chat.texts)
        await settled(bot, server)
        assert group.texts == ["first", "last"]
        assert not any("never mind" in turn.content for turn in bot.model.prompts[-1]), "nor is it remembered"
        async with bot.store.begin() as tx:
            assert await tx.replies.open_answers(ChatId("telegram", str(group.id))) == []
            assert (await tx.replies.get(2)).state is State.DONE


async def test_a_later_deletion_changes_nothing(server: BotApi, database: str, ann: Person, group: Chat) -> None:
    model = held(1)
    async with running(server, database, model) as bot:
        said = group.say(f"{BOT} one two", ann)
        await group.until(lambda chat: chat.texts)
        del group.known[said]
        release(model)
        await group.until(lambda chat: chat.texts == ["one two"])
        await settled(bot, server)
        assert asked(bot) == ["Ann: one two"]


async def test_a_command_that_is_deleted_is_answered_without_a_quote(
    server: BotApi, database: str, ann: Person, group: Chat
) -> None:
    async with running(server, database) as bot:
        bot.trouble.fails = 2
        said = group.say(f"/temp{BOT} 0.3", ann)
        del group.known[said]
        answer = await group.ended()
        assert "0.3" in answer.text and answer.reply_to is None
