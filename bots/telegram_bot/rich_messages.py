"""Answers with tables and formulas as Telegram's rich messages, in their HTML (Bot API 10.1). Pure.

Source of tags and limits: core.telegram.org/bots/api#rich-message-formatting-options.
"""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from bots.telegram_bot.formatting import Rendered, is_link
from core.markdown.document import Block, Kind, Run, Style, Table, shown_runs, with_addresses

MAX_CHARACTERS = 32_768
MAX_BLOCKS = 500
MAX_DEPTH = 16
MAX_COLUMNS = 20
_STYLE_TAGS = {Style.BOLD: "b", Style.ITALIC: "i", Style.UNDERLINED: "u", Style.STRUCK: "s", Style.CODE: "code"}
_MAX_INLINE_DEPTH = len(_STYLE_TAGS) + 1
"""Of styles and a link around the same words."""
_LINE_BREAK = re.compile(r"\n *")
_NUMBER = re.compile(r"\d+")
_LETTER = re.compile(r"[a-zA-Z]+[.)]")
_LATEX_SYNTAX = re.compile(r"\\(?:begin|end)\{\w+\*?\}|\\[a-zA-Z]+|\\.|[{}$\s]", re.DOTALL)
_UNDONE, _DONE = "☐", "☑"


@dataclass(frozen=True, slots=True)
class RichMessage:
    """A message as Telegram's HTML, and the same as text and entities, for a server that does not take it."""

    html: str
    plain: Rendered


def rich_message(rendered: Rendered) -> RichMessage | None:
    """The message as a rich one; None where it has neither a table nor a formula, or more than Telegram takes."""
    blocks = rendered.blocks
    if not any(block.table or block.latex or any(run.latex for run in block.runs) for block in blocks):
        return None
    writer = _Writer()
    for same in _with_whole_tables(blocks):
        writer.write(same)
    return RichMessage(writer.end(), rendered) if writer.fits else None


def formula_letters(blocks: Sequence[Block]) -> str:
    """What a person reads of formulas that Telegram sets: LaTeX can write one word in parts."""
    sources = [latex for block in blocks for latex in (block.latex, *(run.latex for run in block.runs)) if latex]
    tables = [block.table for block in blocks if block.table]
    cells = [runs for table in tables for row in (table.header, *table.rows) for runs in row]
    sources += [run.latex for runs in cells for run in runs if run.latex]
    return "\n".join(_LATEX_SYNTAX.sub("", latex) for latex in sources)


def _with_whole_tables(blocks: Sequence[Block]) -> Iterator[Block]:
    """The blocks, with one in place of all neighbours that show rows of the same table."""
    for _, same in groupby(blocks, key=lambda block: id(block.table.header if block.table else block)):
        first, *rest = same
        if first.table:
            rows = [row for block in (first, *rest) if block.table for row in block.table.rows]
            first = Block(Kind.TABLE, quotes=first.quotes, depth=first.depth, table=Table(first.table.header, rows))
        yield first


class _Writer:
    """The HTML so far, and what is open in it: quotes, and within them lists."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._quotes = 0
        self._lists: list[str] = []
        """The tags of the lists that are open, each with an open item."""
        self._inner_quotes = 0
        """Quotes that are open in the innermost item."""
        self._item_is_empty = False
        self._blocks = self._characters = self._depth = self._columns = 0

    @property
    def fits(self) -> bool:
        """Whether Telegram takes it."""
        return (
            self._characters <= MAX_CHARACTERS
            and self._blocks <= MAX_BLOCKS
            and self._depth + _MAX_INLINE_DEPTH <= MAX_DEPTH
            and self._columns <= MAX_COLUMNS
        )

    def write(self, block: Block) -> None:
        """Add a block."""
        in_item = not block.marker and 0 < block.depth <= len(self._lists) and block.quotes > self._quotes
        if in_item:
            self._set_inner_quotes(block)
        else:
            self._close_inner_quotes()
            self._set_quotes(block.quotes)
            self._set_lists(block)
        self._blocks += 1
        self._depth = max(self._depth, self._quotes + 2 * len(self._lists) + self._inner_quotes + 1)
        self._out.append(self._written(block))
        self._item_is_empty = False

    def end(self) -> str:
        """Close what is open; return the whole."""
        self._close_inner_quotes()
        self._set_quotes(0)
        self._close_lists(0)
        return "".join(self._out)

    def _set_quotes(self, quotes: int) -> None:
        if quotes != self._quotes:
            self._close_lists(0)
            change = quotes - self._quotes
            self._out.append("<blockquote>" * change if change > 0 else "</blockquote>" * -change)
            self._blocks += max(change, 0)
            self._quotes = quotes

    def _set_inner_quotes(self, block: Block) -> None:
        """Quotes within the item that is open."""
        wanted = block.quotes - self._quotes
        if wanted != self._inner_quotes or len(self._lists) != block.depth:
            self._close_inner_quotes()
            self._close_lists(block.depth)
            self._out.append("<blockquote>" * wanted)
            self._inner_quotes = wanted
            self._blocks += wanted
        self._item_is_empty = False

    def _close_inner_quotes(self) -> None:
        self._out.append("</blockquote>" * self._inner_quotes)
        self._inner_quotes = 0

    def _set_lists(self, block: Block) -> None:
        tag = "ol" if block.marker[:1].isdigit() else "ul"
        self._close_lists(block.depth)
        if block.marker and len(self._lists) == block.depth:
            if self._lists[-1] == tag:
                self._out.append(f"</li>{_item(block.marker)}")
                self._blocks += 1
            else:
                self._close_lists(block.depth - 1)
        while len(self._lists) < block.depth:
            self._lists.append(tag)
            self._out.append(f"<{tag}>{_item(block.marker)}")
            self._blocks += 2
        self._item_is_empty = bool(block.marker)

    def _close_lists(self, depth: int) -> None:
        while len(self._lists) > depth:
            self._out.append(f"</li></{self._lists.pop()}>")

    def _written(self, block: Block) -> str:
        if block.table is not None:
            return self._table(block.table)
        if block.latex:
            self._characters += len(block.latex)
            return f"<tg-math-block>{_escaped(block.latex)}</tg-math-block>"
        if block.kind is Kind.RULE:
            return "<hr/>"
        if block.kind is Kind.CODE:
            return self._code(block)
        words = self._words(shown_runs(block, is_link))
        if self._item_is_empty and block.kind is Kind.PARAGRAPH:
            return words
        tag = f"h{block.level}" if block.kind is Kind.HEADING else "p"
        return f"<{tag}>{words}</{tag}>"

    def _code(self, block: Block) -> str:
        self._characters += len(block.text)
        code = _escaped(block.text)
        if block.language:
            code = f'<code class="language-{_escaped(block.language)}">{code}</code>'
        return f"<pre>{code}</pre>"

    def _table(self, table: Table) -> str:
        rows = [("th", table.header), *(("td", row) for row in table.rows)]
        self._blocks += len(rows)
        self._columns = max(self._columns, *(len(row) for _, row in rows))
        cells = [
            "".join(f"<{tag}>{self._words(with_addresses(cell, is_link))}</{tag}>" for cell in row) for tag, row in rows
        ]
        return "<table bordered>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"

    def _words(self, runs: Sequence[Run]) -> str:
        out = list[str]()
        for address, same in groupby(runs, key=lambda run: run.address):
            words = "".join(map(self._run, same))
            out.append(f'<a href="{_escaped(address)}">{words}</a>' if is_link(address) else words)
        return "".join(out)

    def _run(self, run: Run) -> str:
        self._characters += max(len(run.text), len(run.latex))
        words = (
            f"<tg-math>{_escaped(run.latex)}</tg-math>" if run.latex else _LINE_BREAK.sub("<br>", _escaped(run.text))
        )
        for style, tag in _STYLE_TAGS.items():
            if style in run.style and not (run.latex and style is Style.CODE):
                words = f"<{tag}>{words}</{tag}>"
        return words


def _item(marker: str) -> str:
    """The tag that begins an item of a list: its number is the author's."""
    number, box = _NUMBER.match(marker), marker[-1:]
    checkbox = f'<input type="checkbox"{" checked" if box == _DONE else ""}>' if box in (_UNDONE, _DONE) else ""
    letter = f"{marker} " if _LETTER.fullmatch(marker) else ""  # the author's, too
    return (f'<li value="{int(number[0])}">' if number else "<li>") + checkbox + letter


def _escaped(text: str) -> str:
    return html.escape(text).replace("&#x27;", "&apos;")
