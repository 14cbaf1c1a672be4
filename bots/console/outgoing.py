"""What a terminal shows: streamed Markdown for people, plain final texts for pipes."""

import itertools
from collections.abc import Sequence
from typing import Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from bots.console.formatting import count_final_lines, to_lines, to_plain_text
from core.domain.platform import OutgoingMessage, Pace


class Screen(Protocol):
    """Where replies are shown, one after the other."""

    def typing(self) -> None:
        """An answer is on its way."""

    def show(self, text: str) -> None:
        """The reply as it is now."""

    def end(self) -> None:
        """The reply is complete."""


class PlainScreen:
    """For pipes: final texts only."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._text = ""

    def typing(self) -> None:
        """Nothing: a pipe has no spinner."""

    def show(self, text: str) -> None:
        """Keep the text: what is in a pipe can't be edited."""
        self._text = text

    def end(self) -> None:
        """Print the text."""
        if self._text:
            print(self._text, file=self._out, flush=True)
        self._text = ""


class LiveScreen:
    """For people: Markdown that grows. Lines that are final are printed and not touched again."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._lines: list[str] = []
        self._printed: list[str] = []

    def typing(self) -> None:
        """A spinner, until there is text."""
        if not self._lines:
            self._window().update(Spinner("dots", style="dim"), refresh=True)

    def show(self, text: str) -> None:
        """Show the text. An edit of lines that are printed already prints all of it again."""
        if not self._lines:
            self._window().update("", refresh=True)  # no spinner beside the first lines
        self._lines = to_lines(text, self._console.width)
        if self._lines[: len(self._printed)] != self._printed:
            self._printed = []
        final = count_final_lines(text, self._console.width)
        self._print(self._lines[len(self._printed) : final])
        rest = self._lines[len(self._printed) :]
        self._window().update(Group(*(Text.from_ansi(line) for line in rest)), refresh=True)

    def end(self) -> None:
        """Leave the whole text on the screen."""
        if self._live is not None:
            self._live.update("")
            self._live.stop()
        self._print(self._lines[len(self._printed) :])
        self._live, self._lines, self._printed = None, [], []

    def _window(self) -> Live:
        if self._live is None:
            self._live = Live(console=self._console, transient=True, refresh_per_second=8)
            self._live.start()
        return self._live

    def _print(self, lines: list[str]) -> None:
        for line in lines:
            self._console.print(Text.from_ansi(line), soft_wrap=True)
        self._printed += lines


class ConsoleReplyChannel:
    """One reply on a screen. See core.domain.platform.ReplyChannel."""

    key = "console"
    pace = Pace(preview_interval_s=0.08)
    needs_placeholder = False

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._ids = itertools.count(1)

    def format(self, markdown: str) -> Sequence[OutgoingMessage]:
        """One message, however long."""
        return [OutgoingMessage(to_plain_text(markdown), markdown)]

    async def send(self, index: int, part: OutgoingMessage, nonce: str) -> str:
        """Show the first text."""
        self._screen.show(str(part.body))
        return str(next(self._ids))

    async def edit(self, message_id: str, part: OutgoingMessage) -> None:
        """Show the text as it is now."""
        self._screen.show(str(part.body))

    async def delete(self, message_id: str) -> None:
        """Nothing: a reply on a screen is one message."""

    async def remove_buttons(self, message_id: str) -> None:
        """Nothing: a terminal has no buttons."""

    async def typing(self) -> None:
        """Show a spinner."""
        self._screen.typing()
