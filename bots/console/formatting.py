"""Markdown as a terminal shows it: lines with colours, and the plain words between the markup. Pure."""

from io import StringIO

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console
from rich.markdown import Markdown

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
"""What looks like HTML in an answer is text: vector<int> must not lose its type."""
_MAX_OPEN_LINES = 8
"""Lines at the end of plain text that may still change; those above are final, so that a long answer scrolls."""


def to_lines(markdown: str, width: int) -> list[str]:
    """The text as lines of at most `width` characters, with ANSI colours."""
    page = Console(file=StringIO(), width=width, force_terminal=True, color_system="256", legacy_windows=False)
    rendered = Markdown("", code_theme="ansi_dark")
    rendered.parsed = _MARKDOWN.parse(markdown)
    page.print(rendered)
    assert isinstance(page.file, StringIO)
    return [line.rstrip() for line in page.file.getvalue().rstrip("\n").split("\n")]


def count_final_lines(markdown: str, lines: int, width: int) -> int:
    """How many of the rendered lines can't change any more while the text grows.

    Those of all blocks but the last are final: a table or a list is laid out anew with each of its lines. Of plain text
    and code all but the last few are, or an answer longer than the screen would not scroll.
    """
    blocks = [token for token in _MARKDOWN.parse(markdown) if token.level == 0 and token.map]
    if not blocks:
        return 0
    if blocks[-1].type in ("paragraph_open", "fence", "code_block"):
        return max(0, lines - _MAX_OPEN_LINES)
    before = markdown.split("\n")[: (blocks[-1].map or [0])[0]]
    return len(to_lines("\n".join(before), width)) if any(map(str.strip, before)) else 0


def to_plain_text(markdown: str) -> str:
    """What a person reads, without markup, one block a line."""
    blocks = [token for token in _MARKDOWN.parse(markdown) if token.type in ("inline", "fence", "code_block")]
    return "\n".join("".join(map(_words, block.children or [block])) for block in blocks)


def _words(token: Token) -> str:
    return "\n" if token.type in ("softbreak", "hardbreak") else token.content
