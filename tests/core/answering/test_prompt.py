"""Building prompts, and fitting them into the context window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.answering.prompt import MAX_BYTES_PER_TOKEN, QuestionPrompt, build_prompt, fit_prompt, speaker_label
from core.domain.conversation import Turn
from core.domain.errors import Refused
from core.domain.prompt import Message, Prompt
from core.domain.settings import Rules, Settings
from tests.conftest import DEFAULTS
from tests.tables import each_row

SETTINGS = Rules(DEFAULTS).settings({})


def words(prompt: Prompt) -> int:
    """Counts one token per word."""
    return sum(len(message.content.split()) for message in prompt)


def test_a_private_prompt() -> None:
    assert build_prompt(SETTINGS, [Turn("one", "1"), Turn("two", "2")], QuestionPrompt("three")) == (
        Message("system", "Be kind.\nAnswer in the language of the last message."),
        Message("user", "one"), Message("assistant", "1"), Message("user", "two"), Message("assistant", "2"),
        Message("user", "three"),
    )  # fmt: skip


def test_in_groups_people_have_names() -> None:
    _, first, _, question = build_prompt(SETTINGS, [Turn("hi", "hello", "Ann")], QuestionPrompt("and me?", "Bob"))
    assert (first.content, question.content) == ("Ann: hi", "Bob: and me?")


@each_row(("language", "words"), [("en", "English"), ("vi", "Vietnamese"), ("auto", "last message")])
def test_the_reply_language_is_asked_for(language: str, words: str) -> None:
    settings = Rules({**DEFAULTS, "reply_language": language}).settings({})
    assert words in build_prompt(settings, [], QuestionPrompt("x"))[0].content


@given(st.text())
def test_a_name_is_one_line_without_a_colon(name: str) -> None:
    shown = speaker_label(name)
    assert shown and len(shown) <= 64 and not set("\n:<>|") & set(shown)


TURNS = st.lists(st.builds(Turn, st.text(max_size=60), st.text(max_size=60)), max_size=10)


@given(TURNS, st.text(min_size=1, max_size=80), st.integers(1, 80))
def test_trimming_drops_only_the_oldest_and_never_more_than_it_must(turns: list[Turn], text: str, budget: int) -> None:
    settings: Settings = SETTINGS
    whole = build_prompt(settings, turns, QuestionPrompt(text))
    try:
        prompt = fit_prompt(settings, turns, QuestionPrompt(text), budget, words)
    except Refused:
        assert (
            words(build_prompt(settings, [], QuestionPrompt(text))) > budget
            or len(text.encode()) > budget * MAX_BYTES_PER_TOKEN
        )
        return
    assert words(prompt) <= budget
    assert prompt[0] == whole[0] and prompt[-1] == whole[-1]
    kept = (len(prompt) - 2) // 2
    assert prompt == build_prompt(settings, turns[len(turns) - kept :], QuestionPrompt(text))
    if kept < len(turns):
        assert words(build_prompt(settings, turns[len(turns) - kept - 1 :], QuestionPrompt(text))) > budget


def test_a_huge_question_is_refused_before_anything_is_tokenised() -> None:
    def never(prompt: Prompt) -> int:
        raise AssertionError("tokenised")

    with pytest.raises(Refused) as caught:
        fit_prompt(SETTINGS, [], QuestionPrompt("x" * (100 * MAX_BYTES_PER_TOKEN + 1)), 100, never)
    assert caught.value.values["budget"] == 100


def test_a_long_question_is_refused_with_the_limit() -> None:
    with pytest.raises(Refused) as caught:
        fit_prompt(SETTINGS, [Turn("a", "b")], QuestionPrompt("word " * 101), 100, words)
    assert (caught.value.key, caught.value.values["budget"]) == ("refused.too_long", 100)
