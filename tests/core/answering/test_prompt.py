"""Building prompts, and fitting them into the context window."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.answering.prompt import MAX_BYTES_PER_TOKEN, QuestionPrompt, build_prompt, fit_prompt, speaker_label
from core.answering.window import max_turns
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


SAID = st.text(st.sampled_from("ab \n"), max_size=60)


@st.composite
def last_turns(draw: st.DrawFn) -> list[Turn]:
    """The last turns of a conversation; now and then the filter has taken one out."""
    first = draw(st.integers(0, 30))
    indexes = [index for index in range(first, first + draw(st.integers(0, 12))) if draw(st.integers(0, 9))]
    return [Turn(draw(SAID), draw(SAID), index=index) for index in indexes]


@given(last_turns(), st.integers(1, 10), st.text(min_size=1, max_size=80), st.integers(1, 80))
def test_trimming_drops_only_the_oldest_and_few_more_than_it_must(
    turns: list[Turn], memory: int, text: str, budget: int
) -> None:
    """Up to two more, so that not every prompt begins with another turn: never so that fewer than `memory` are left,
    and where fewer fit, more than half of those are left."""
    settings: Settings = replace(SETTINGS, memory=memory)
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
    fitting = max(
        number
        for number in range(len(turns) + 1)
        if words(build_prompt(settings, turns[len(turns) - number :], QuestionPrompt(text))) <= budget
    )
    assert fitting - 2 <= kept <= fitting or kept >= memory
    assert kept >= (memory if fitting >= memory else min(fitting, fitting // 2 + 1))
    assert kept >= min(memory, len(turns)) or fitting < len(turns)


@pytest.mark.slow
@each_row(("memory", "words_a_turn", "moves"), [(3, 10, 10), (3, 22, 15), (10, 10, 10), (10, 15, 10), (10, 22, 15)])
def test_a_full_context_does_not_begin_with_another_turn_each_time(memory: int, words_a_turn: int, moves: int) -> None:
    """Of 30 questions only every third begins with another turn than the one before, or every second where only three
    or four turns fit into the context."""
    settings, budget = replace(SETTINGS, memory=memory), 100
    turns = [Turn("q " * (words_a_turn // 2), "a " * (words_a_turn // 2), index=index) for index in range(50)]
    firsts = []
    for asked in range(20, 50):
        read = turns[asked - max_turns(memory) : asked]
        prompt = fit_prompt(settings, read, QuestionPrompt("why?"), budget, words)
        firsts.append(asked - (len(prompt) - 2) // 2)
    assert sum(one != other for one, other in pairwise(firsts)) <= moves


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
