"""The table of states as docs/states.md draws it."""

from functools import cache

from core.domain.reply_states import ReplyEvent, State
from storage.database import ROOT

PENDING, WAITING_REPEAT, MARK_OWED = "*pending*", "*waiting retry or continue*", "*mark owed*"
ROWS = [*State, PENDING, WAITING_REPEAT, MARK_OWED]
"""States, and what has a row of its own."""


@cache
def drawn() -> dict[tuple[str, ReplyEvent], str]:
    """By row and event what the event leads to: a state, "outcome" or "-"."""
    lines = (ROOT / "docs" / "states.md").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| state |"))
    header, _, *rows = lines[start : lines.index("", start)]
    events = [ReplyEvent(name) for name in _cells(header)[1:]]
    table = {name: cells for name, *cells in map(_cells, rows)}
    assert set(events) == set(ReplyEvent) and set(table) == set(ROWS), "a row or a column is missing"
    return {(name, event): cell for name, cells in table.items() for event, cell in zip(events, cells, strict=True)}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
