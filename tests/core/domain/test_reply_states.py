"""The transition table against the one in docs/states.md, which people read."""

from core.domain.reply_states import OPEN, OUTCOMES, ReplyEvent, State, next_state
from tests.drawn_states import drawn
from tests.tables import each_row

STATES = [(state, event) for state in State for event in ReplyEvent]


@each_row("outcome", [None, *OUTCOMES])
@each_row(("state", "event"), STATES)
def test_every_event_in_every_state(state: State, event: ReplyEvent, outcome: State | None) -> None:
    cell = drawn()[state, event]
    expected = {"-": None, "outcome": outcome or State.DONE}.get(cell, cell)
    assert next_state(state, event, outcome) == expected


def test_only_three_states_are_open() -> None:
    assert [state for state in State if state.open] == list(OPEN) == [State.QUEUED, State.GENERATING, State.SENDING]
