"""A table with a line for each peer, made of the rows of a report."""

from collections.abc import Mapping, Sequence

from benchmarks.engine.peers import ALL_PEERS, OURS, TITLES
from benchmarks.engine.speech import Answer
from benchmarks.engine.table import Row, Series, format_number, markdown

COLUMNS = {
    "prefill": "prefill, tok/s",
    "decode_1": "decode, 1 chat, tok/s",
    "decode_4": "4 chats",
    "decode_8": "8 chats",
    "decode_16": "16 chats",
    "turn_2": "first token, turn 2, ms",
    "turn_8": "turn 8",
    "load": "load, s",
    "peak": "peak memory, MB",
    "agreement": "tokens as ours",
}
"""The heading of each figure, by the beginning of its rows' keys."""
LACKING = {"turn_2": "conversation", "turn_8": "conversation"} | {f"decode_{n}": "many chats" for n in (4, 8, 16)}
WORDS = {"conversation": "no prefix cache", "many chats": "one at a time"}
"""Said in place of a figure that a peer lacks something for."""


def overview(rows: Sequence[Row], about: Mapping[str, Answer]) -> str:
    """The table; "" if fewer than two peers were measured. `about`: what each peer tells of itself."""
    columns = {key: head for key, head in COLUMNS.items() if figures(rows, key)}
    names = [name for name in (OURS, *ALL_PEERS) if name in about]
    if not columns or len(names) < 3:
        return ""
    lines = [["peer", "version", "weights", *columns.values()]]
    for name in names:
        told = about[name]
        cells = [cell(figures(rows, key).get(TITLES[name]), key, told) for key in columns]
        lines.append([TITLES[name], str(told.get("version", "")), str(told.get("weights", "")), *cells])
    return markdown(lines)


def figures(rows: Sequence[Row], key: str) -> dict[str, Series]:
    """By a peer's title, its series of one figure."""
    names = {key, *(f"{key}_{name}" for name in ALL_PEERS)}
    return {series.name: series for row in rows if row.key in names for series in (row.ours, *row.peers)}


def cell(series: Series | None, key: str, told: Answer) -> str:
    if series:
        return format_number(series.median)
    lack = LACKING.get(key, "")
    return WORDS[lack] if lack in told.get("lacks", ()) else ""
