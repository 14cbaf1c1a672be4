"""Tables: aligned as code where they are narrow, else as a list of their rows. Pure."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

from core.markdown.document import Block, Kind, Run, Runs, Style, Table, text_of, with_addresses

_GAP = "  "
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(?:(?!\1).)++\1(?!`)")
_FORMULA = re.compile(r"\$[^$\s][^$]*\$")
_PREFIX = re.compile(r"[ \t>]*+")
_PIPE = re.compile(r"(?<!\\)\|")


def repaired_row(line: str, columns: int) -> str:
    """A row's source so that it has no more cells than its table: a pipe in code, and what is too much, is text."""
    prefix = _PREFIX.match(line)
    start = prefix.end() if prefix else 0
    row = _CODE_SPAN.sub(lambda code: _PIPE.sub(r"\\|", code[0]), line[start:].rstrip())
    if len(_PIPE.split(row)) > columns + 2:
        row = _FORMULA.sub(lambda formula: _PIPE.sub(r"\\|", formula[0]), row)
    cells = _PIPE.split(row)
    opening = int(cells[0] == "")
    closing = int(len(cells) > 1 and cells[-1].strip() == "")
    inner = cells[opening : len(cells) - closing]
    if len(inner) > columns:
        inner = [*inner[: columns - 1], r"\|".join(inner[columns - 1 :])]
    return line[:start] + "|".join([*cells[:opening], *inner, *cells[len(cells) - closing :]])


def laid_out(blocks: Sequence[Block], columns: int, links: Callable[[str], bool]) -> Iterator[Block]:
    """The blocks with every table as blocks of other kinds. `columns`: how wide an aligned one may be. `links`: whether
    an address can be a link; in code none can."""
    for block in blocks:
        if block.table is None:
            yield block
            continue
        lines = _aligned(block.table)
        if max(map(_width, lines)) <= columns:
            head = "\n".join(lines[:2])
            yield replace(block, kind=Kind.CODE, runs=(Run("\n".join(lines), Style.CODE),), repeated=head)
        else:
            yield from _listed(block, block.table)


def _aligned(table: Table) -> list[str]:
    cells = [[_cell(runs) for runs in row] for row in (table.header, *table.rows)]
    widths = [max(_width(row[column]) for row in cells if column < len(row)) for column in range(len(cells[0]))]
    lines = [_GAP.join(cell + " " * (widths[at] - _width(cell)) for at, cell in enumerate(row)) for row in cells]
    return [lines[0].rstrip(), _GAP.join("─" * width for width in widths), *(line.rstrip() for line in lines[1:])]


def _cell(runs: Runs) -> str:
    return " ".join(text_of(with_addresses(runs, lambda address: False)).split())


def _width(text: str) -> int:
    """Columns that the text takes in a monospaced font."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _listed(block: Block, table: Table) -> Iterator[Block]:
    """Each row as a paragraph: its first cell in bold, and a line "header: value" for each other one. The header of a
    column without any value stands alone: the table is one to fill in."""
    first, *headers = table.header
    rows = table.rows or [((),) * len(table.header)]
    values = [{at for at, cell in enumerate(row) if cell} for row in rows]
    empty = set(range(len(table.header))).difference(*values)
    if first:
        shown = Table(table.header, ())
        yield replace(block, kind=Kind.PARAGRAPH, runs=_styled(first, Style.ITALIC), table=shown)
    for at, row in enumerate(rows):
        runs, shown = list(_styled(row[0], Style.BOLD)), Table(table.header, (row,))
        for column, (header, value) in enumerate(zip_longest(headers, row[1:], fillvalue=()), 1):
            if value or (column in empty and header):
                colon = (*header, Run(": " if value else ":")) if header else ()
                runs += [*((Run("\n"),) if runs else ()), *colon, *value]
        if runs:
            gap = block.gap if not at and not first else True
            yield replace(block, kind=Kind.PARAGRAPH, runs=tuple(runs), marker="", gap=gap, table=shown)


def _styled(runs: Runs, style: Style) -> Runs:
    return tuple(replace(run, style=run.style | style) for run in runs)
