"""What a terminal shows: streamed Markdown for people, plain final texts for pipes."""

import itertools
import sys
from collections.abc import Sequence
from io import StringIO
from typing import Protocol, TextIO

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, Group
from rich.live import Live
from rich.markdown import Markdown
from rich.spinner import Spinner
from rich.text import Text

from core.domain.platform import OutgoingMessage, Pace

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
"""What looks like HTML in an answer is text: vector<int> must not lose its type."""
_LIVE_LINES = 8
"""Lines at the end of an answer that may still change; those above are printed for good, so that it scrolls."""


class Screen(Protocol):
    """Where replies are shown, one after the other."""

    def typing(self) -> None:
        """Something is coming."""

    def show(self, text: str) -> None:
        """The reply as it stands."""

    def end(self) -> None:
        """The reply is complete."""


class PlainScreen:
    """For pipes: the final text alone."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._text = ""

    def typing(self) -> None:
        """Nothing: whoever reads a pipe sees no spinner."""

    def show(self, text: str) -> None:
        """Remember it; a pipe can't be edited."""
        self._text = text

    def end(self) -> None:
        """Print it."""
        if self._text:
            print(self._text, file=self._out, flush=True)
        self._text = ""


class LiveScreen:
    """For people: Markdown that grows. What has scrolled out of the last lines is printed and not touched again."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._lines: list[str] = []
        self._printed: list[str] = []

    def typing(self) -> None:
        """A spinner, until there is text."""
        if not self._lines:
            self._window().update(Spinner("dots", style="dim"))

    def show(self, text: str) -> None:
        """The text as it stands; an edit of lines that are printed already prints it all anew."""
        self._lines = self._render(text)
        if self._lines[: len(self._printed)] != self._printed:
            self._printed = []
        self._print(self._lines[len(self._printed) : self._settled(text)])
        rest = self._lines[len(self._printed) :]
        self._window().update(Group(*(Text.from_ansi(line) for line in rest)), refresh=True)

    def end(self) -> None:
        """Leave the whole text on the screen."""
        if self._live is not None:
            self._live.update("")
            self._live.stop()
        self._print(self._lines[len(self._printed) :])
        self._live, self._lines, self._printed = None, [], []

    def _settled(self, text: str) -> int:
        """How many lines will not change any more: those of the blocks before the last, which may be a table or a list
        that is laid out anew with every line. Plain text longer than the screen must scroll all the same."""
        blocks = [token for token in _MARKDOWN.parse(text) if token.level == 0 and token.map]
        if not blocks:
            return 0
        if blocks[-1].type in ("paragraph_open", "fence", "code_block"):
            return max(0, len(self._lines) - _LIVE_LINES)
        lines = text.split("\n")[: (blocks[-1].map or [0])[0]]
        return len(self._render("\n".join(lines))) if any(map(str.strip, lines)) else 0

    def _window(self) -> Live:
        if self._live is None:
            self._live = Live(console=self._console, transient=True, refresh_per_second=8)
            self._live.start()
        return self._live

    def _print(self, lines: list[str]) -> None:
        for line in lines:
            self._console.print(Text.from_ansi(line))
        self._printed += lines

    def _render(self, text: str) -> list[str]:
        page = Console(
            file=StringIO(), width=self._console.width, force_terminal=True, color_system="256", legacy_windows=False
        )
        markdown = Markdown("", code_theme="ansi_dark")
        markdown.parsed = _MARKDOWN.parse(text)
        page.print(markdown)
        assert isinstance(page.file, StringIO)
        return [line.rstrip() for line in page.file.getvalue().rstrip("\n").split("\n")]


class ConsoleReplyChannel:
    """One reply on a screen. See core.domain.platform.ReplyChannel."""

    key = "console"
    pace = Pace(interval=0.08)
    needs_placeholder = False

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._ids = itertools.count(1)

    def format(self, markdown: str) -> Sequence[OutgoingMessage]:
        """One, however long; its words as they stand between the markup."""
        return [OutgoingMessage("\n".join(_words(markdown)), markdown)]

    async def send(self, index: int, part: OutgoingMessage, nonce: str) -> str:
        """Show the first text."""
        self._screen.show(str(part.body))
        return str(next(self._ids))

    async def edit(self, message_id: str, part: OutgoingMessage) -> None:
        """Show what it has become."""
        self._screen.show(str(part.body))

    async def delete(self, message_id: str) -> None:
        """There is only ever one."""

    async def remove_buttons(self, message_id: str) -> None:
        """A terminal has no buttons."""

    async def typing(self) -> None:
        """A spinner."""
        self._screen.typing()


def _words(text: str) -> list[str]:
    blocks = [token for token in _MARKDOWN.parse(text) if token.type in ("inline", "fence", "code_block")]
    return ["".join(map(_word, block.children or [block])) for block in blocks]


def _word(part: Token) -> str:
    return "\n" if part.type in ("softbreak", "hardbreak") else part.content


def is_terminal() -> bool:
    """Whether a person sits at both ends."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
