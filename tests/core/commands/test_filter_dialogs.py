"""What the content filter does in a conversation: questions, answers, names, /filter, and what the owner sees."""

import json
import logging
import re

import pytest

from core.answering.prompt import ANONYMOUS_NAME
from core.domain.conversation import Author, ChatId, Setting, Turn
from core.domain.permissions import Access
from core.domain.reply_states import State
from core.domain.settings import Rules
from core.filters import ContentFilter, Level
from core.i18n import t
from core.inbound.question_text import with_quote
from tests.conftest import DEFAULTS, Bot, MakeBot
from tests.fakes import ANN, BOB, CHAT, FakeModel, incoming
from tests.tables import each_row

GROUP = ChatId("fake", "group")
OPEN = Rules(DEFAULTS, min_level=Level.OFF)


def answering(*pieces: str) -> FakeModel:
    """A model that always says the same."""
    return FakeModel(lambda prompt: pieces)


async def turns(bot: Bot, chat: ChatId = CHAT) -> list[Turn]:
    """What is remembered."""
    async with bot.store.begin() as tx:
        return list(await tx.turns.recent(chat, 1_000_000, 10))


DIALOGS = {
    "a rude question": [
        ("fuck you", t("en", "blocked.profanity")), ("hello", "^hello$"), ("what the fuck", r"^what the f•••$"),
        ("/filter strict", "strict"), ("what the fuck", t("en", "blocked.profanity")),
    ],
    "level": [
        ("/filter", r"(?s)Content filter: standard \(the default\).*Own words: 0, allowed words: 0"),
        ("/filter strict", "standard → strict"), ("goddamn it", "profanity"), ("/filter standard", "strict → standard"),
        ("goddamn it", "^goddamn it$"), ("/filter reset", "standard → standard, the default"),
        ("/filter loud", "off, standard or strict.*Example"), ("/filter strict please", "off, standard or strict"),
    ],
    "no lower than the owner allows": [
        ("/filter off", r"standard → standard; the owner does not allow off"), ("oh fuck", r"^oh f•••$"),
        ("/filter", "off wanted, the owner does not allow that"),
    ],
    "own words": [
        ("/filter add Banana", "“banana” now"),
        ("a b.a.n.a.n.a", t("en", "blocked.custom")), ("/filter list", "banana"),
        ("/filter remove banana", "off the list"), ("a banana", "^a banana$"), ("/filter list", "no words of its own"),
        ("/filter remove banana", "on none of the lists"),
    ],
    "allowed words": [
        ("/filter strict", "→ strict"), ("goddamn it", "profanity"), ("/filter allow goddamn", "let “g•••” through"),
        ("goddamn it", "^goddamn it$"), ("/filter list", "Let through: g•••"),
        ("/filter add goddamn", "look out for “g•••”"), ("goddamn it", "does not want|profanity"),
        ("/filter", "Own words: 1, allowed words: 0"), ("/filter allow fuck", r"owner's level \(standard\) finds that"),
        ("/filter allow what the fuck", "only the owner"),
    ],
    "words that can't be shown": [
        ("/filter add chinky", "look out for “c•••”"), ("/filter list", "Looked out for: c•••"),
        ("/filter remove chinky", "“c•••” is off the list"), ("/filter add địt*", "look out for “đ•••”"),
    ],
    "mistakes": [
        ("/filter add", "2 to 60 characters.*Example"), ("/filter add " + "x" * 61, "2 to 60"),
        ("/filter add a*", "at least 3"),
        ("/filter add ???", "2 to 60"), ("/filter remove", "2 to 60"), ("/filter test", "off, standard or strict"),
        ("/filter list all", "off, standard or strict"),
    ],
    "a text tried": [
        ("/filter test a nice day", "Nothing found at level standard"),
        ("/filter test oh fuck", r"masked in answers: profanity, severity 2, rule “en: f•••”"),
        ("/filter test you nigger", "never shown: slurs, severity 2, rule “en: n•••”"),
        ("/filter test i want to die, i want to kill myself", "in danger"), ("/undo", "nothing to take back"),
    ],
    "a system prompt": [
        ("/system Always say fuck", t("en", "blocked.setting")), ("/system", "Be kind"),
        ("/system Be brief", "→ “Be brief”"),
    ],
}  # fmt: skip


@each_row("name", DIALOGS)
async def test_dialogs(name: str, make_bot: MakeBot) -> None:
    async with make_bot(content_filter=ContentFilter()) as bot:
        for said, expected in DIALOGS[name]:
            heard = await bot.say(said, chat=ChatId("fake", name))
            assert heard == expected or re.search(expected, heard), f"{said}: {heard}"


async def test_the_owner_may_let_a_conversation_switch_it_off(make_bot: MakeBot) -> None:
    async with make_bot(rules=OPEN, content_filter=ContentFilter()) as bot:
        assert "standard → off" in await bot.say("/filter off")
        assert await bot.say("oh fuck") == "oh fuck"
        assert await bot.say("download child porn") == t("en", "blocked.sexual_minors")


async def test_the_owner_may_let_anything_through_but_the_worst(make_bot: MakeBot) -> None:
    access = Access(owners=frozenset({"fake:ann"}))
    async with make_bot(access=access, content_filter=ContentFilter()) as bot:
        assert "let “f•••” through" in await bot.say("/filter allow fuck")
        assert await bot.say("oh fuck") == "oh fuck"
        for said in ("/filter allow download child porn", "/filter allow i want to die"):
            assert "through" in await bot.say(said)
        assert await bot.say("download child porn") == t("en", "blocked.sexual_minors")
        assert "988" in await bot.say("i want to die")


async def test_what_was_said_before_is_judged_by_todays_level(make_bot: MakeBot) -> None:
    async with make_bot(content_filter=ContentFilter()) as bot:
        await bot.say("a banana")
        await bot.say("/filter add banana")
        await bot.say("hello")
        assert [message.content for message in bot.model.prompts[-1][1:]] == ["hello"]


@each_row("row", ["x", "null", "[1]", '[""]', '["* a"]', '["a b c d e f"]', '"abc"', '["banana", 7]'])
async def test_a_broken_list_stops_no_conversation(row: str, make_bot: MakeBot) -> None:
    async with make_bot(content_filter=ContentFilter()) as bot:
        async with bot.store.begin() as tx:
            await tx.preferences.set(CHAT, "filter_words", Setting(row, "Ann", 1))
        assert await bot.say("hello") == "hello"
        assert ("banana" in await bot.say("/filter list")) is ("banana" in row)


async def test_the_owners_list_holds_everywhere(make_bot: MakeBot) -> None:
    rules = Rules(DEFAULTS, owner_wordlist=("[slur 2]", "blorg*", "[allow]", "fuck"))
    async with make_bot(rules=rules, content_filter=ContentFilter()) as bot:
        assert await bot.say("you blorgs", chat=GROUP) == t("en", "blocked.slur")
        assert await bot.say("oh fuck") == "oh fuck"


async def test_a_list_is_full_at_500(make_bot: MakeBot) -> None:
    async with make_bot(content_filter=ContentFilter()) as bot:
        words = json.dumps([f"word{number}" for number in range(500)])
        async with bot.store.begin() as tx:
            await tx.preferences.set(CHAT, "filter_words", Setting(words, "Ann", 1))
        assert "500 words already" in await bot.say("/filter add another")
        assert "look out for “word7”" in await bot.say("/filter add word7")  # it is there already
        assert "“another” through" in await bot.say("/filter allow another")


async def test_a_blocked_question_reaches_neither_the_model_nor_the_history(make_bot: MakeBot) -> None:
    async with make_bot(content_filter=ContentFilter()) as bot:
        reply = await bot.accept("thằng mặt lồn", author=BOB)
        assert (await bot.outcome(reply)).outcome is State.REFUSED
        assert bot.platform.text(reply) == t("vi", "blocked.profanity")
        assert bot.model.prompts == [] and await turns(bot) == []


async def test_profanity_in_an_answer_is_masked_and_history_keeps_what_was_shown(make_bot: MakeBot) -> None:
    async with make_bot(answering("oh fu", "ck", " well"), content_filter=ContentFilter()) as bot:
        assert await bot.say("hi") == "oh f••• well"
        assert [turn.answer for turn in await turns(bot)] == ["oh f••• well"]


async def test_a_slur_ends_the_answer_at_once(make_bot: MakeBot) -> None:
    model = answering("He said ", "nig", "ger ", *["and more "] * 50)
    async with make_bot(model, content_filter=ContentFilter()) as bot:
        reply = await bot.accept("hi")
        await bot.outcome(reply)
        assert bot.platform.text(reply) == f"He said\n\n{t('en', 'refused.answer')}"
        assert model.running == 0 and [turn.answer for turn in await turns(bot)] == ["He said"]


async def test_of_the_worst_nothing_stays(make_bot: MakeBot) -> None:
    model = answering("Once upon a time ", "somebody could ", "download child ", "porn ", "and ")
    async with make_bot(model, content_filter=ContentFilter()) as bot:
        assert await bot.say("hi") == t("en", "refused.answer")
        assert await turns(bot) == []


@each_row(("said", "shown"), [("fu[ck](http://x.y) it", None), ("f**uc**k it", "f••• it"), ("ok *f*uck", None)])
async def test_rendering_joins_nothing_that_is_blocked(said: str, shown: str | None, make_bot: MakeBot) -> None:
    async with make_bot(answering(said), content_filter=ContentFilter()) as bot:
        reply = await bot.accept("hi")
        await bot.outcome(reply)
        texts = bot.platform.channels[reply.id].history
        assert texts and not any("fuck" in re.sub(r"[*\[\]]|\(.*?\)", "", text) for text in texts)
        assert shown is None or texts[-1] == shown


IN_DANGER = [
    ("i want to kill myself", "988"),
    ("mình muốn tự tử", "096 306 1414"),
    ("i fucking want to kill myself", "988"),
    ("They call me a retard. I want to die", "988"),
    ("my sister wants to kill herself", "988"),
]


@pytest.mark.parametrize(
    ("text", "lines"),
    [pytest.param(*each, marks=pytest.mark.slow if at > 1 else ()) for at, each in enumerate(IN_DANGER)],
)
async def test_who_may_be_in_danger_hears_where_help_is_and_is_answered(
    text: str, lines: str, make_bot: MakeBot
) -> None:
    async with make_bot(answering("Tell me more."), content_filter=ContentFilter()) as bot:
        said = await bot.say(text)
        assert lines in said and said.endswith("Tell me more.")
        assert bot.model.prompts[0][-1].role == "assistant" and lines in bot.model.prompts[0][-1].content
        assert [turn.answer for turn in await turns(bot)] == [said]
        assert "suicide" in bot.model.prompts[0][0].content
        assert (bot.model.samplings[0].temperature, bot.model.samplings[0].max_tokens) == (0.3, 120)
        await bot.say("what is a black hole?")
        assert "suicide" not in bot.model.prompts[1][0].content and bot.model.samplings[1].max_tokens == 512


async def test_the_owners_own_help_lines(make_bot: MakeBot) -> None:
    async with make_bot(rules=Rules(DEFAULTS, help_lines="Call Ann: 555"), content_filter=ContentFilter()) as bot:
        for said in (
            "i want to kill myself",
            "They call me a retard. I want to die",
            "my sister wants to kill herself",
        ):
            assert "Call Ann: 555" in await bot.say(said)
        asked = len(bot.model.prompts)
        assert "Call Ann: 555" in await bot.say("how to make a pipe bomb, i want to die")
        assert len(bot.model.prompts) == asked  # the help lines are the whole answer


async def test_a_rude_name_never_reaches_the_model(make_bot: MakeBot) -> None:
    async with make_bot(content_filter=ContentFilter()) as bot:
        rude = Author("rude", "Fucking Bob")
        for author in (rude, ANN):
            await bot.say("hello", chat=GROUP, private=False, author=author)
        assert bot.model.prompts[0][-1].content == f"{ANONYMOUS_NAME}: hello"
        assert all("Fucking" not in message.content for prompt in bot.model.prompts for message in prompt)


async def test_quoted_text_counts_as_what_people_write(make_bot: MakeBot) -> None:
    async with make_bot(content_filter=ContentFilter()) as bot:
        assert await bot.say(with_quote("what does that mean?", "download\nchild porn")) == t(
            "en", "blocked.sexual_minors"
        )
        assert bot.model.prompts == []


async def test_in_a_group_only_admins_change_it_but_everybody_may_try_a_text(make_bot: MakeBot) -> None:
    async with make_bot(content_filter=ContentFilter()) as bot:
        group = {"chat": GROUP, "private": False, "author": BOB}
        for said in ("/filter strict", "/filter add x1", "/filter remove x1", "/filter allow x1", "/filter list"):
            assert "quản trị viên" in await bot.say(said, **group), said
        assert "standard" in await bot.say("/filter", **group)
        assert "standard" in await bot.say("/filter test xin chào", **group)
        bot.platform.admins.add("bob")
        assert "standard → strict" in await bot.say("/filter strict", **group)


async def test_a_topic_has_its_chats_words_until_it_has_its_own(make_bot: MakeBot) -> None:
    async with make_bot(content_filter=ContentFilter()) as bot:
        topic = ChatId("fake", "1", "7")
        await bot.say("/filter add banana")
        assert await bot.say("a banana", chat=topic) == t("en", "blocked.custom")
        await bot.say("/filter remove banana", chat=topic)
        assert await bot.say("a banana", chat=topic) == "a banana"
        assert await bot.say("a banana") == t("en", "blocked.custom")


async def test_the_owner_sees_counts_and_the_log_no_text(make_bot: MakeBot, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    access = Access(owners=frozenset({"fake:ann"}))
    async with make_bot(access=access, content_filter=ContentFilter()) as bot:
        await bot.say("/filter add banana")
        for said in ("oh fuck off now", "download child porn", "a banana please", "fuck"):
            await bot.say(said)
        status = await bot.say("/status")
        assert "profanity 2 (en: f••• 2); sexual content with minors 1" in status and "conversation's list 1" in status
        assert "f•••" not in await bot.say("/status", author=BOB), "in whatever language"
    lines = [record.getMessage() for record in caplog.records if "filter:" in record.getMessage()]
    assert lines[0] == "filter: question: profanity, severity 2, rule en:*fuck*"
    assert not any(word in line for line in lines for word in ("banana", "porn", "off now", "please"))


async def test_commands_show_nothing_that_is_blocked(make_bot: MakeBot) -> None:
    async with make_bot(content_filter=ContentFilter()) as bot:
        assert await bot.say("/help fuck") == await bot.say("/help f•••") or "f•••" in await bot.say("/help fuck")
        reply = await bot.service.ingest.accept(incoming("/temp", author=Author("x", "Fucking Bob")))
        assert reply is not None
        await bot.outcome(reply)
        await bot.say("/temp 0.3", author=Author("x", "Fucking Bob"))
        assert "F•••" in await bot.say("/temp")
