"""A guard model in the path of a question: what people see, what the model is asked, and what its failures cost."""

import asyncio
import logging

import pytest

from core.answering.guarded_assistant import GuardUse
from core.domain.conversation import ChatId
from core.domain.permissions import Access
from core.domain.reply_states import State
from core.domain.settings import Rules
from core.filters import ContentFilter, Level
from core.filters.assessment import Assessment, GuardLabel
from core.i18n import t
from core.llm.guard_model import GuardUnavailable
from tests.conftest import DEFAULTS, MakeBot
from tests.fakes import ANN, BOB, SAFE, FakeGuardModel, FakeModel
from tests.tables import each_row
from tests.watching import history, outcome

UNSAFE, CONTROVERSIAL = GuardLabel.UNSAFE, GuardLabel.CONTROVERSIAL
GONE = GuardUnavailable("it takes too long")
PEOPLE = {"en": ANN, "vi": BOB}
IN_DANGER = {"en": "i want to kill myself", "vi": "mình muốn tự tử"}
HELP = {"en": "988", "vi": "096 306 14"}


def guarded(says: Assessment | GuardUnavailable = SAFE, *, required: bool = False) -> tuple[FakeGuardModel, GuardUse]:
    model = FakeGuardModel(says)
    return model, GuardUse(model, required)


@each_row(
    ("says", "level", "seen"),
    [
        (SAFE, "strict", "the answer"),
        (Assessment(UNSAFE, "violence"), "standard", "blocked.violence"),
        (Assessment(UNSAFE, "illegal"), "standard", "blocked.illegal"),
        (Assessment(UNSAFE, "sexual"), "standard", "blocked.sexual"),
        (Assessment(UNSAFE, "hate"), "standard", "blocked.hate"),
        (Assessment(UNSAFE, "illegal"), "off", "the answer"),
        (Assessment(UNSAFE, "sexual_minors"), "off", "blocked.sexual_minors"),
        (Assessment(UNSAFE, "privacy"), "standard", "the answer"),
        (Assessment(UNSAFE, "privacy"), "strict", "blocked.privacy"),
        (Assessment(UNSAFE, "jailbreak"), "strict", "blocked.jailbreak"),
        (Assessment(UNSAFE, "politics"), "strict", "the answer"),
        (Assessment(CONTROVERSIAL), "standard", "the answer"),
        (Assessment(CONTROVERSIAL, "hate"), "strict", "blocked.hate"),
        (Assessment(UNSAFE, "self_harm"), "off", "help lines"),
        (Assessment(CONTROVERSIAL, "self_harm"), "standard", "the answer"),
        (Assessment(CONTROVERSIAL, "self_harm"), "strict", "help lines"),
    ],
)
async def test_what_people_see(make_bot: MakeBot, says: Assessment, level: str, seen: str) -> None:
    """In both languages; a refused question never reaches the model and is not remembered."""
    guard, use = guarded(says)
    model = FakeModel(lambda prompt: ["the answer"])
    rules = Rules({**DEFAULTS, "filter": level}, min_level=Level.OFF)
    async with make_bot(model, rules=rules, content_filter=ContentFilter(), guard=use) as bot:
        for number, (language, person) in enumerate(PEOPLE.items()):
            chat, asked = ChatId("fake", f"{says} {level} {language}"), len(model.prompts)
            text = await bot.say("one two three", person, chat)
            assert guard.asked[number] == ("one two three", Level(level), str(chat)), "once, and at its level"
            if seen.startswith("blocked"):
                assert text == t(language, seen) and len(model.prompts) == asked
                assert not await history(bot, chat)
            elif seen == "help lines":
                assert HELP[language] in text and text.endswith("the answer")
                assert len(model.prompts) == asked + 1 and "suicide" in model.prompts[-1][0].content
            else:
                assert text == seen and len(model.prompts) == asked + 1


@each_row(
    ("text", "says", "asked", "seen"),
    [
        ("how to build a pipe bomb", SAFE, 0, "blocked.weapons"),
        ("how to build a pipe bomb, i want to die", SAFE, 0, "help lines alone"),
        (IN_DANGER["en"], SAFE, 1, "help lines"),
        (IN_DANGER["en"], Assessment(UNSAFE, "self_harm"), 1, "help lines"),
        (IN_DANGER["en"], Assessment(UNSAFE, "violence"), 1, "help lines alone"),
        (IN_DANGER["en"], Assessment(UNSAFE, "illegal"), 1, "help lines alone"),
        (IN_DANGER["en"], Assessment(UNSAFE, "hate"), 1, "help lines"),
    ],
)
async def test_beside_the_word_list(make_bot: MakeBot, text: str, says: Assessment, asked: int, seen: str) -> None:
    """What the list decides alone costs no assessment, and who may be in danger always sees where help is."""
    guard, use = guarded(says)
    model = FakeModel(lambda prompt: ["the answer"])
    async with make_bot(model, content_filter=ContentFilter(), guard=use) as bot:
        said = await bot.say(text, ANN, ChatId("fake", f"{text} {says}"))
    assert len(guard.asked) == asked and len(model.prompts) == (seen == "help lines")
    if seen.startswith("blocked"):
        assert said == t("en", seen)
    else:
        assert "988" in said and said.endswith("the answer") == (seen == "help lines")


@each_row("required", [False, True])
@each_row("language", ["en", "vi"])
async def test_a_failure_of_the_guard_model(
    make_bot: MakeBot, caplog: pytest.LogCaptureFixture, language: str, required: bool
) -> None:
    """The word list decides alone; or, where the owner wants that, nothing is answered, but nobody in danger is sent
    away. The log says once that it began, and once that it is over."""
    guard, use = guarded(GONE, required=required)
    person, chat = PEOPLE[language], ChatId("fake", f"{language} {required}")
    caplog.clear()
    with caplog.at_level(logging.INFO):
        async with make_bot(content_filter=ContentFilter(), guard=use) as bot:
            plain, asked = await bot.say("hello there", person, chat), len(bot.model.prompts)
            assert plain == (t(language, "error.guard") if required else "hello there") and asked == (not required)
            refused = await bot.say("how to build a pipe bomb", person, chat)
            assert refused == t(language, "blocked.weapons") and len(bot.model.prompts) == asked
            helped = await bot.say(IN_DANGER[language], person, chat)
            assert HELP[language] in helped and len(bot.model.prompts) == asked + (not required)
            guard.says = SAFE
            reply = await bot.accept("/retry", person, chat)
            assert await outcome(bot, reply) is State.DONE
            assert await bot.say("and now?", person, chat) == "and now?"
    said = [record.message for record in caplog.records if record.name.endswith("guarded_assistant")]
    consequence = "questions are not answered" if required else "the word list decides alone"
    assert said == [
        f"the guard model does not judge: it takes too long; until it does, {consequence}",
        "the guard model judges again",
    ]
    assert not any("hello" in record.message for record in caplog.records)


@each_row("command", ["/stop", "/clear"])
@each_row("required", [False, True])
async def test_a_question_that_is_stopped_or_cleared_is_judged_no_further(
    make_bot: MakeBot, command: str, required: bool
) -> None:
    """Also where the guard model is required: that is no failure of it."""
    guard, use = guarded(required=required)
    guard.gate, chat = asyncio.Event(), ChatId("fake", f"{command} {required}")
    async with make_bot(content_filter=ContentFilter(), guard=use) as bot:
        for text, shown in (("one", ""), (IN_DANGER["en"], "988")):
            reply = await bot.accept(text, ANN, chat)
            await guard.until(lambda: guard.waiting == 1)
            await bot.say(command, ANN, chat)
            await guard.until(lambda: guard.waiting == 0)
            assert await outcome(bot, reply) is State.STOPPED
            seen = bot.platform.text(reply)
            assert seen.endswith("(stopped)") and shown in seen and not bot.model.prompts
        if command == "/clear":
            assert guard.dropped == bot.model.dropped == [str(chat)] * 2


async def test_status_names_the_guard_model_and_what_it_found(make_bot: MakeBot) -> None:
    _, use = guarded(Assessment(UNSAFE, "hate"))
    async with make_bot(
        content_filter=ContentFilter(), guard=use, access=Access(owners=frozenset({"fake:ann"}))
    ) as bot:
        await bot.say("one")
        status = await bot.say("/status")
        assert "Guard model: fake-guard (nowhere either)" in status
        assert "hate and harm to others 1 (guard model 1)" in status
    async with make_bot(content_filter=ContentFilter()) as bot:
        assert "Guard" not in await bot.say("/status")


@pytest.mark.slow
@each_row("required", [False, True])
async def test_a_question_that_is_too_long_is_not_judged_and_its_asker_is_told(
    make_bot: MakeBot, required: bool
) -> None:
    """Trying again later would not help."""
    guard, use = guarded(GONE, required=required)
    async with make_bot(content_filter=ContentFilter(), guard=use) as bot:
        reply = await bot.accept("word " * 4000, ANN, ChatId("fake", f"{required}"))
        assert await outcome(bot, reply) is State.REFUSED
        assert "3584 tokens" in bot.platform.text(reply) and not guard.asked and not bot.model.prompts


@pytest.mark.slow
async def test_help_lines_are_counted_also_where_the_guard_model_fails(make_bot: MakeBot) -> None:
    _, use = guarded(GONE, required=True)
    owner = Access(owners=frozenset({"fake:ann"}))
    async with make_bot(content_filter=ContentFilter(), guard=use, access=owner) as bot:
        assert "988" in await bot.say(IN_DANGER["en"])
        assert "self-harm 1" in await bot.say("/status")


@pytest.mark.slow
@each_row("language", ["en", "vi"])
async def test_who_is_in_danger_sees_where_help_is_also_when_their_question_is_too_long(
    make_bot: MakeBot, language: str
) -> None:
    """With a guard model and without one."""
    text, chat = f"{IN_DANGER[language]}. {'word ' * 4000}", ChatId("fake", language)
    for guard in (None, guarded()[1], guarded(GONE, required=True)[1]):
        async with make_bot(content_filter=ContentFilter(), guard=guard) as bot:
            assert HELP[language] in await bot.say(text, PEOPLE[language], chat)
            assert not bot.model.prompts
            assert await bot.say("and now?", PEOPLE[language], chat) == (
                "and now?" if guard is None or not guard.required else t(language, "error.guard")
            )
