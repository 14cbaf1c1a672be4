"""Which turns a prompt holds, and when it begins with another one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.answering.window import WINDOW_STEP, max_turns, window
from core.domain.conversation import Turn
from tests.tables import each_row

MANY = 99


def conversation(count: int) -> list[Turn]:
    """So many turns, from the first on."""
    return [Turn(f"q{index}", f"a{index}", index=index) for index in range(count)]


def held(count: int, memory: int, fitting: int = MANY) -> list[int]:
    """The indexes of the turns that a prompt holds after so many, as they are read from a store."""
    most = max_turns(memory)
    turns = conversation(count)[-most:] if most else []
    return [turn.index for turn in window(turns, memory, min(fitting, len(turns)))]


@each_row(("memory", "fitting", "before", "sizes"), [
    (0, MANY, 0, [0] * 9),
    (1, MANY, 0, [0, 1, 2, 3, 1, 2, 3, 1, 2]),
    (3, MANY, 0, [0, 1, 2, 3, 4, 5, 3, 4, 5, 3]),
    (10, MANY, 0, [*range(13), 10, 11, 12, 10]),
    # A full context is cut in steps too.
    (10, 0, 20, [0] * 6),
    (10, 1, 20, [1] * 6),
    (10, 2, 20, [2] * 6),
    (10, 3, 21, [3, 2] * 3),
    (10, 4, 21, [3, 4] * 3),
    (10, 5, 21, [3, 4, 5] * 3),
    (10, 8, 21, [6, 7, 8] * 3),
    (10, 10, 21, [10] * 6),
    (10, 11, 22, [10, 11] * 3),
])  # fmt: skip
def test_how_many_turns_a_prompt_holds(memory: int, fitting: int, before: int, sizes: list[int]) -> None:
    """Question by question, from that on which has so many turns before it."""
    assert [len(held(before + count, memory, fitting)) for count in range(len(sizes))] == sizes


@pytest.mark.slow
@given(st.integers(1, 10), st.integers(0, 60))
def test_it_holds_the_last_turns_and_at_least_as_many_as_asked_for(memory: int, count: int) -> None:
    indexes = held(count, memory)
    assert indexes == list(range(count - len(indexes), count))
    assert min(memory, count) <= len(indexes) <= max_turns(memory)
    following = held(count + 1, memory)
    assert following[0] - (indexes or [0])[0] in (0, WINDOW_STEP)


@pytest.mark.slow
@given(st.integers(1, 10), st.integers(1, 30), st.integers(0, 30), st.data())
def test_of_the_turns_that_fit_few_are_left_out(memory: int, count: int, first: int, data: st.DataObject) -> None:
    """Now and then the filter has taken one out."""
    turns = [turn for turn in conversation(first + count)[first:] if data.draw(st.integers(0, 9))]
    fitting = data.draw(st.integers(0, len(turns)))
    kept = len(window(turns, memory, fitting))
    assert kept <= min(fitting, max_turns(memory))
    assert kept >= (memory if fitting >= memory else min(fitting, fitting // 2 + 1))
    assert kept == len(turns) or fitting < len(turns) or kept >= memory
