"""Prompts and trimming."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.answering.context_window import BYTES_A_TOKEN, fit
from core.answering.prompt import Asked, build, label
from core.domain.conversation import Turn
from core.domain.errors import Refused
from core.domain.prompt import Message, Prompt
from core.domain.settings import Rules, Settings
from tests.conftest import DEFAULTS

SETTINGS = Rules(DEFAULTS).settings({})


def words(prompt: Prompt) -> int:
    """A token a word."""
    return sum(len(message.content.split()) for message in prompt)


def test_a_private_prompt() -> None:
    assert build(SETTINGS, [Turn("one", "1"), Turn("two", "2")], Asked("three")) == (
        Message("system", "Be kind.\nAnswer in the language of the last message."),
        Message("user", "one"), Message("assistant", "1"), Message("user", "two"), Message("assistant", "2"),
        Message("user", "three"),
    )  # fmt: skip


def test_in_groups_people_have_names() -> None:
    _, first, _, question = build(SETTINGS, [Turn("hi", "hello", "Ann")], Asked("and me?", "Bob"))
    assert (first.content, question.content) == ("Ann: hi", "Bob: and me?")


@pytest.mark.parametrize(("language", "words"), [("en", "English"), ("vi", "Vietnamese"), ("auto", "last message")])
def test_the_reply_language_is_asked_for(language: str, words: str) -> None:
    settings = Rules({**DEFAULTS, "reply_language": language}).settings({})
    assert words in build(settings, [], Asked("x"))[0].content


@given(st.text())
def test_a_name_is_one_line_without_a_colon(name: str) -> None:
    shown = label(name)
    assert shown and len(shown) <= 64 and not set("\n:<>|") & set(shown)


TURNS = st.lists(st.builds(Turn, st.text(max_size=60), st.text(max_size=60)), max_size=10)


@given(TURNS, st.text(min_size=1, max_size=80), st.integers(1, 80))
def test_trimming_drops_only_the_oldest_and_never_more_than_it_must(turns: list[Turn], text: str, budget: int) -> None:
    settings: Settings = SETTINGS
    whole = build(settings, turns, Asked(text))
    try:
        prompt = fit(settings, turns, Asked(text), budget, words)
    except Refused:
        assert words(build(settings, [], Asked(text))) > budget or len(text.encode()) > budget * BYTES_A_TOKEN
        return
    assert words(prompt) <= budget
    assert prompt[0] == whole[0] and prompt[-1] == whole[-1]
    kept = (len(prompt) - 2) // 2
    assert prompt == build(settings, turns[len(turns) - kept :], Asked(text))
    if kept < len(turns):
        assert words(build(settings, turns[len(turns) - kept - 1 :], Asked(text))) > budget


def test_a_huge_question_is_refused_before_anything_is_tokenised() -> None:
    def never(prompt: Prompt) -> int:
        raise AssertionError("tokenised")

    with pytest.raises(Refused) as caught:
        fit(SETTINGS, [], Asked("x" * (100 * BYTES_A_TOKEN + 1)), 100, never)
    assert caught.value.values["budget"] == 100


def test_a_long_question_is_refused_with_the_limit() -> None:
    with pytest.raises(Refused) as caught:
        fit(SETTINGS, [Turn("a", "b")], Asked("word " * 101), 100, words)
    assert (caught.value.key, caught.value.values["budget"]) == ("refused.too_long", 100)
