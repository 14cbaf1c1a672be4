"""A text as a terminal shows it: lines with colours, and the plain words. Pure."""

import re
from collections.abc import Iterator, Sequence
from io import StringIO

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style as Look
from rich.syntax import Syntax
from rich.text import Text

from core.markdown.document import Block, Kind, Style, lead, plain_text, shown_runs
from core.markdown.reader import read
from core.markdown.tables import laid_out

_MAX_OPEN_LINES = 8
"""Lines at the end of words or code that may still change; those above are final, so that a long answer scrolls."""
_LOOKS = {Style.BOLD: Look(bold=True), Style.ITALIC: Look(italic=True), Style.STRUCK: Look(strike=True),
          Style.UNDERLINED: Look(underline=True), Style.CODE: Look(color="cyan")}  # fmt: skip
_NO_LIMIT = 10_000
_WORD = re.compile(r"\s*\S+\s*")
_ADDRESS = re.compile(r"://|www\.|@\w")
_HEADING = Look(bold=True, color="magenta")
_QUOTE = "▌ "


def to_lines(markdown: str, width: int) -> list[str]:
    """The text as lines of at most `width` characters, with ANSI colours; code and addresses as wide as they are."""
    return [line for block in _blocks(markdown, width) for line in _lines(block, width)]


def count_final_lines(markdown: str, width: int) -> int:
    """How many of the lines can't change any more while the text grows.

    Those of all blocks but the last are final: a table is laid out anew with each of its rows. Of words and code all
    but the last few are, or an answer longer than the screen would not scroll.
    """
    blocks = _blocks(markdown, width)
    above = sum(len(list(_lines(block, width))) for block in blocks[:-1])
    if not blocks or blocks[-1].repeated:
        return above
    return max(above, above + len(list(_lines(blocks[-1], width))) - _MAX_OPEN_LINES)


def to_plain_text(markdown: str) -> str:
    """What a person reads, without colours."""
    return plain_text(_blocks(markdown, _NO_LIMIT), _is_link)


def _blocks(markdown: str, width: int) -> Sequence[Block]:
    return list(laid_out(read(markdown), width, _is_link))


def _is_link(address: str) -> bool:
    """Nothing in a terminal is sure to be one: every address is written."""
    return False


def _lines(block: Block, width: int) -> Iterator[str]:
    """A block as lines; a blank one before it where one was written."""
    if block.gap:
        yield ""
    bar = _QUOTE if block.quotes else ""
    out = StringIO()
    page = Console(file=out, width=width - len(bar), force_terminal=True, color_system="256", legacy_windows=False)
    if block.kind is Kind.CODE:
        page.width = max(page.width, *(cell_len(line) + 1 for line in block.text.split("\n")))
        page.print(Syntax(block.text, block.language or "text", theme="ansi_dark", background_color="default"))
    else:
        for line in _wrapped(_words(block), page):
            page.print(line, soft_wrap=True)
    yield from (bar + line.rstrip() for line in out.getvalue().rstrip("\n").split("\n"))


def _wrapped(text: Text, page: Console) -> Iterator[Text]:
    """The lines of a text. A word that is wider than the page is divided, unless it has an address."""
    for paragraph in text.split(allow_blank=True):
        paragraph.expand_tabs(4)
        for line in paragraph.divide(_line_starts(paragraph.plain, page.width)):
            if cell_len(line.plain.rstrip()) <= page.width or _ADDRESS.search(line.plain):
                line.rstrip()
                yield line
            else:
                yield from line.wrap(page, page.width)


def _line_starts(text: str, width: int) -> Sequence[int]:
    """Where the lines of a paragraph begin but the first, each with as many whole words as fit."""
    starts, used = list[int](), 0
    for word in _WORD.finditer(text):
        if used and used + cell_len(word[0].rstrip()) > width:
            starts.append(word.start())
            used = 0
        used += cell_len(word[0])
    return starts


def _words(block: Block) -> Text:
    words = Text(lead(block), style=_HEADING if block.kind is Kind.HEADING else "")
    for run in shown_runs(block, _is_link):
        looks = [_LOOKS[style] for style in _LOOKS if style in run.style]
        words.append(run.text, Look.combine([Look(), *looks]))
    return words
