"""Which turns a prompt holds, and when it begins with another one."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from core.answering.window import WINDOW_STEP, max_turns, window
from core.domain.conversation import Turn
from tests.tables import each_row


def conversation(count: int) -> list[Turn]:
    """So many turns, from the first on."""
    return [Turn(f"q{index}", f"a{index}", index=index) for index in range(count)]


def held(count: int, memory: int) -> list[int]:
    """The indexes of the turns that a prompt holds after so many, read from a store."""
    most = max_turns(memory)
    turns = conversation(count)[-most:] if most else []
    return [turn.index for turn in window(turns, memory, len(turns))]


@each_row(("memory", "sizes"), [
    (0, [0] * 9),
    (1, [0, 1, 2, 3, 1, 2, 3, 1, 2]),
    (3, [0, 1, 2, 3, 4, 5, 3, 4, 5, 3]),
    (10, [*range(13), 10, 11, 12, 10]),
])  # fmt: skip
def test_how_many_turns_a_prompt_holds(memory: int, sizes: list[int]) -> None:
    assert [len(held(count, memory)) for count in range(len(sizes))] == sizes


@given(st.integers(1, 10), st.integers(0, 60))
def test_it_holds_the_last_turns_and_at_least_as_many_as_asked_for(memory: int, count: int) -> None:
    indexes = held(count, memory)
    assert indexes == list(range(count - len(indexes), count))
    assert min(memory, count) <= len(indexes) <= max_turns(memory)
    following = held(count + 1, memory)
    assert following[0] - (indexes or [0])[0] in (0, WINDOW_STEP)


@each_row("memory", range(1, 11))
def test_it_begins_with_another_turn_at_every_third_question(memory: int) -> None:
    firsts = [held(count, memory)[0] for count in range(memory + 3, memory + 33)]
    assert sum(one != other for one, other in pairwise(firsts)) == 9


@given(st.integers(1, 10), st.integers(1, 30), st.integers(0, 30), st.data())
def test_of_the_turns_that_fit_few_are_left_out(memory: int, count: int, first: int, data: st.DataObject) -> None:
    turns = [turn for turn in conversation(first + count)[first:] if data.draw(st.integers(0, 9))]
    fitting = data.draw(st.integers(0, len(turns)))
    kept = len(window(turns, memory, fitting))
    assert kept <= min(fitting, max_turns(memory))
    assert kept >= (memory if fitting >= memory else min(fitting, fitting // 2 + 1))
    assert kept == len(turns) or fitting < len(turns) or kept >= memory


@each_row(("fitting", "kept"), [
    (0, [0] * 6), (1, [1] * 6), (2, [2] * 6), (3, [3, 2] * 3), (4, [3, 4] * 3), (5, [3, 4, 5] * 2), (8, [6, 7, 8] * 2),
])  # fmt: skip
def test_a_full_context_is_cut_in_steps_too(fitting: int, kept: list[int]) -> None:
    """Ten turns are asked for, and fewer fit."""
    assert [len(window(conversation(count)[-12:], 10, fitting)) for count in range(21, 27)] == kept
