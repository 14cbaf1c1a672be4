"""Where the console's lines come from: a person at a prompt, or a pipe."""

import asyncio
import termios
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.formatted_text import HTML
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent

from core.commands.registry import COMMANDS

LEAVE = ("/exit", "/quit", "/bye")
LEAVE_WORDS = (*LEAVE, "exit", "quit")
"""What ends it for a person, in any case of letters. In a pipe the bare words may be something to translate."""


@contextmanager
def silent_keys(terminal: int) -> Iterator[None]:
    """What is typed meanwhile is kept for the next prompt, and not shown in the middle of an answer.

    `terminal`: its file descriptor. Ctrl-C works as before.
    """
    before = termios.tcgetattr(terminal)
    silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(terminal, termios.TCSANOW, silent)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


class Lines(Protocol):
    """An async iterator of what is said."""

    def __aiter__(self) -> AsyncIterator[str]: ...


class PipedLines:
    """A pipe's lines, each read only when it is asked for."""

    def __init__(self, source: TextIO) -> None:
        self._source = source

    async def __aiter__(self) -> AsyncIterator[str]:
        while line := await self._read():
            if text := line.strip():
                yield text

    async def _read(self) -> str:
        """In a thread of its own, which may stay behind when the program ends: an executor's would be waited for."""
        loop = asyncio.get_running_loop()
        line: asyncio.Future[str] = loop.create_future()

        def take(text: str) -> None:
            if not line.cancelled():
                line.set_result(text)

        def read() -> None:
            loop.call_soon_threadsafe(take, self._source.readline())

        threading.Thread(target=read, daemon=True).start()
        return await line


class PromptedLines:
    """A person's lines, with editing, history and completion of commands. Ctrl-D ends them."""

    def __init__(self, history: Path) -> None:
        keys = KeyBindings()
        keys.add("escape", "enter")(_new_line)
        words = [f"/{name}" for command in COMMANDS for name in (command.name, *command.aliases)]
        self._session: PromptSession[str] = PromptSession(
            HTML("<ansigreen><b>&gt; </b></ansigreen>"),
            history=FileHistory(str(history)),
            completer=WordCompleter([*words, *LEAVE], sentence=True),
            complete_while_typing=False,
            key_bindings=keys,
        )

    async def __aiter__(self) -> AsyncIterator[str]:
        while True:
            try:
                line = await self._session.prompt_async()
            except KeyboardInterrupt:
                continue  # an abandoned line
            except EOFError:
                return
            if text := line.strip():
                yield text


def _new_line(event: KeyPressEvent) -> None:
    event.current_buffer.insert_text("\n")
