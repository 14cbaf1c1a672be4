"""The transition table against the one drawn by hand in docs (states of a reply)."""

from core.domain.reply_states import OPEN, OUTCOMES, ReplyEvent, State, next_state
from tests.tables import each_row

# Rows are states, columns events; "-" means that nothing changes. The open states, as the design draws them:
TABLE = """
            claim       finish   deliver  stop        clear       again   crash    lose    fail    merge   expire
queued      generating  -        -        cancelled   cancelled   -       queued   -       -       merged  sending
generating  -           sending  -        generating  generating  queued  queued   queued  failed  -       -
sending     -           -        outcome  -           -           -       sending  -       failed  -       -
"""


def drawn() -> dict[tuple[State, ReplyEvent], str]:
    """The table as a mapping; what is not drawn is "-"."""
    header, *rows = TABLE.strip("\n").splitlines()
    events = [ReplyEvent(name) for name in header.split()]
    cells = {State(row.split()[0]): row.split()[1:] for row in rows}
    everything = {(state, event): "-" for state in State for event in ReplyEvent}
    return everything | {
        (state, event): cell for state, row in cells.items() for event, cell in zip(events, row, strict=True)
    }


@each_row("outcome", [None, *OUTCOMES])
@each_row(("state", "event"), list(drawn()))
def test_every_event_in_every_state(state: State, event: ReplyEvent, outcome: State | None) -> None:
    cell = drawn()[state, event]
    expected = {"-": None, "outcome": outcome or State.DONE}.get(cell, cell)
    assert next_state(state, event, outcome) == expected


def test_only_three_states_are_open() -> None:
    assert [state for state in State if state.open] == list(OPEN) == [State.QUEUED, State.GENERATING, State.SENDING]
