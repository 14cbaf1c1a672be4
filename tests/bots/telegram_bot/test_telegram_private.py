"""Private chats as people use them: the real library against a server that answers as Telegram does."""

import re
from itertools import pairwise

import pytest

from bots.telegram_bot.timing import TelegramTiming
from core.domain.permissions import Access
from core.domain.platform import Pace
from core.filters import ContentFilter, blocked
from core.i18n import t
from tests.bots.telegram_bot.telegram_running import RETRY, STOP, asked, running, settled
from tests.fake_clock import FakeClock
from tests.fakes import FakeModel, WordFilter
from tests.platforms.bot_api import BotApi, bot_api
from tests.platforms.bot_api_chats import Chat, Person
from tests.waiting import until
from tests.watching import held, release


async def test_a_question_in_private(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    async with running(server, database):
        private.say("hello there", ann)
        answer = await private.ended()
        assert (answer.text, answer.buttons, answer.reply_to) == ("hello there", [RETRY], None)
        assert answer.history[0] == "…" and len(private.messages) == 1


async def test_a_message_grows_under_a_stop_button(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    model = held()
    async with running(server, database, model):
        private.say("one two **three four** five", ann)
        await private.until(lambda chat: chat.texts == ["…"] and chat.actions)
        assert private.last.buttons == [STOP] and set(private.actions) == {"typing"}
        release(model, 3)
        await private.until(lambda chat: chat.last.text == "one two three")
        assert private.last.entities == [{"type": "bold", "offset": 8, "length": 5}], "a preview closes what is open"
        release(model)
        answer = await private.ended()
    assert answer.text == "one two three four five" and answer.buttons == [RETRY]
    assert all(text in answer.text or text == "…" for text in answer.history)


async def test_commands_in_private(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    async with running(server, database) as bot:
        for text, expected in [
            ("/start", "(?s)Hello.*fake-model"),
            ("/start payload-of-a-link", "(?s)Hello.*fake-model"),
            ("/temp 0.3", "0.7 → 0.3"),
            ("/temp@qwentin_bot", "0.3"),
            ("/tmep", "Did you mean /temp"),
            ("/help temp", "/temp 0.3"),
        ]:
            count = len(private.messages)
            private.say(text, ann)
            answer = await private.ended(count + 1)
            assert re.search(expected, answer.text), f"{text}: {answer.text}"
            assert answer.buttons == []
        private.say("/temp@other_bot 0.9", ann)
        await settled(bot, server)
        assert len(private.messages) == 6


async def test_what_is_no_text(server: BotApi, database: str, ann: Person, private: Chat, group: Chat) -> None:
    async with running(server, database) as bot:
        private.say(by=ann, sticker={"file_id": "a", "file_unique_id": "a", "type": "regular", "width": 1, "height": 1,
                                     "is_animated": False, "is_video": False})  # fmt: skip
        assert (await private.ended()).text == t("en", "media.only_text")
        photo = [{"file_id": "a", "file_unique_id": "a", "width": 1, "height": 1}]
        private.say(by=ann, photo=photo, caption="what is this?")
        await private.ended(2)
        assert asked(bot) == [f"what is this?\n\n{t('en', 'media.unseen')}"]
        group.privacy = False
        group.say(by=ann, photo=photo)
        group.service(ann, new_chat_title="Better friends")
        await settled(bot, server)
        assert group.messages == []


async def test_an_album_is_one_question(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    photo = [{"file_id": "a", "file_unique_id": "a", "width": 1, "height": 1}]
    async with running(server, database) as bot:
        private.say(by=ann, photo=photo, media_group_id="g")
        private.say(by=ann, photo=photo, media_group_id="g", caption="our holidays")
        private.say(by=ann, photo=photo, media_group_id="g")
        await private.ended()
        await settled(bot, server)
        assert len(private.messages) == 1 and asked(bot)[0].startswith("our holidays")


async def test_a_long_paste_is_one_question(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    text = " ".join(f"word{i}" for i in range(1200))
    async with running(server, database, FakeModel(lambda prompt: [f"{len(prompt[-1].content)}"])) as bot:
        assert len(private.paste(text, ann)) == 3
        assert (await private.ended()).text == str(len(text))
        await settled(bot, server)
        assert asked(bot) == [text] and len(private.messages) == 1


async def test_a_paste_whose_end_comes_later(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    async with running(server, database, FakeModel(lambda prompt: ["ok"])) as bot:
        private.say("a" * 4096, ann)
        await until(lambda: not server.queue.held)
        private.say("and b", ann)
        await private.ended()
        private.say("c" * 4090, ann)
        await private.ended(2)
        assert [text.strip("a") for text in asked(bot)] == ["nd b", "c" * 4090]


async def test_topics_in_private_are_conversations(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    topic, model = private.topic(), held()
    async with running(server, database, model) as bot:
        private.say("secret", ann, topic=topic)
        await private.until(lambda chat: chat.actions)
        release(model)
        assert (await private.ended()).thread == topic
        assert server.effects("sendChatAction")[0].values["message_thread_id"] == topic
        private.say("hello", ann)
        assert (await private.ended(2)).thread is None
        assert len(bot.model.prompts[-1]) == 2, "nothing of the topic"


async def test_strangers_learn_their_id(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    async with running(server, database, access=Access(users=frozenset({"telegram:1"}))):
        private.say("hello", ann)
        assert f"telegram:{ann.id}" in (await private.ended()).text


async def test_a_draft_gives_way_to_the_answer_without_a_flash(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    model = held(2)
    async with running(server, database, model, drafts=True):
        private.say("one two three", ann)
        await private.until(lambda chat: "one two" in chat.drafts)
        assert private.messages == []
        release(model)
        await private.ended()
    assert private.last.history == ["one two three"] and private.last.buttons == [RETRY]
    assert private.views == [[draft] for draft in private.drafts] + [["one two three"]]


async def test_the_pace_that_telegram_asks_for(database: str, ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """1.5 s from any call to the next preview, one second to the final text."""
    timing = TelegramTiming()
    assert timing.private_pace == Pace(1.5, 1.0)
    assert timing.group_pace == Pace(4.0, 1.0, previews_per_minute=15, calls_per_minute=20)
    model, clock = held(), FakeClock()
    async with bot_api(monotonic=clock) as server, running(server, database, model, timing=timing) as bot:
        clock.pace(bot.service.rate_limiter)
        private = server.private(ann)
        private.say(" ".join(f"w{i}" for i in range(5)), ann)
        for words in range(1, 5):
            release(model, 1)
            await private.until(lambda chat, words=words: chat.texts and len(chat.last.text.split()) == words)  # type: ignore[misc]
        release(model)
        answer = await private.ended()
    times = [effect.at for effect in server.effects("sendMessage", "editMessageText")]
    gaps = [late - early for early, late in pairwise(times)]
    assert len(times) == len(answer.history) and gaps[:4] == [1.5, 1.5, 1.5, 1.5]
    assert gaps[4:] in ([1.0], [1.5, 1.0]), "the final text comes at once, or after one more preview"


# What answers look like


async def test_a_long_answer_with_code(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    lines = "\n".join(f"    print({i})" for i in range(600))
    answer = f"Look at **this** & <that>:\n\n```python\ndef f():\n{lines}\n```\n\nDone."
    async with running(server, database, FakeModel(lambda prompt: re.findall(r"(?s).{1,500}", answer))):
        private.say("code please", ann)
        await private.until(
            lambda chat: "Done." in chat.last.text and chat.last.buttons == [RETRY] if chat.messages else 0
        )
    assert len(private.messages) == 3 and all(message.buttons == [] for message in private.messages[:-1])
    assert private.messages[0].text.startswith("Look at this & <that>:\n\ndef f():\n    print(0)")
    assert [[e.get("language") for e in m.entities if e["type"] == "pre"] for m in private.messages] == [["python"]] * 3
    shown = "\n".join(message.text.removeprefix("…\n") for message in private.messages)
    assert shown.split() == re.sub(r"\*\*|```(python)?", "", answer).split()
    assert all("\n    print(" in message.text for message in private.messages), "indentation stays"


async def test_a_shorter_retry_leaves_nothing_of_the_longer(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    answers = iter(([" ".join(f"word{at}" for at in range(900))], ["short"]))
    async with running(server, database, FakeModel(lambda prompt: next(answers))):
        private.say("long please", ann)
        await private.until(lambda chat: len(chat.messages) == 2 and chat.last.buttons == [RETRY])
        private.say("/retry", ann)
        await private.until(lambda chat: chat.texts == ["short"] and chat.last.buttons == [RETRY])


async def test_whatever_a_model_writes_telegram_takes(
    server: BotApi, database: str, ann: Person, private: Chat
) -> None:
    wild = "**bold *both** it* `a` [x](javascript:alert(1)) <b>&amp; \u202e 👩‍👩‍👧 $x$ ||s|| \n\n"
    wild += "> - ```py\n```\n|a|b|\n|-|-|\n|1|2|\n# \n- [ ] t"
    async with running(server, database, FakeModel(lambda prompt: [*re.findall(r"(?s).{1,3}", wild)])):
        private.say("go wild", ann)
        answer = await private.ended()
    assert "<b>& " in answer.text and "javascript" not in str(answer.entities)


async def test_the_filter_sees_what_telegram_shows(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    """Harmless as Markdown, but rendering joins what was apart."""
    async with running(
        server, database, FakeModel(lambda prompt: ["so ", "b**a**d", " ok"]), content_filter=WordFilter("bad")
    ):
        private.say("say it", ann)
        answer = await private.ended()
    assert answer.text == t("en", "refused.answer") and not any("bad" in text for text in answer.history)


async def test_rude_words_never_reach_telegram(server: BotApi, database: str, ann: Person, private: Chat) -> None:
    said = ["so ", "fu", "ck", " it, f**uc**k, [fu](http://a.example)ck, ", "đ", "ịt m", "ẹ and ", "s h i", " t", " ok"]
    async with running(server, database, FakeModel(lambda prompt: said), content_filter=ContentFilter()):
        private.say("say it", ann)
        answer = await private.ended()
        private.say("fuck you", ann)
        refused = await private.ended(2)
    assert answer.text.startswith("so f•••") and answer.text.endswith("ok") and "•••" in answer.text
    assert not any(map(blocked, [answer.text, *answer.history])) and refused.text == t("en", "blocked.profanity")
