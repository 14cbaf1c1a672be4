"""The console's adapter: a line becomes an Incoming, its reply goes to the screen, the next line waits for that."""

import asyncio
import getpass
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext

from bots.console.input import LEAVE, Lines
from bots.console.outgoing import ConsoleReplyChannel, Screen
from core.dispatch.service import ChatService
from core.domain.conversation import Author, ChatId, Incoming, Reply, Role
from core.domain.reply_states import State

PLATFORM = "console"
LOCAL = "local"
"""The one person, and the one chat."""


class ConsolePlatform:
    """See core.domain.conversation.Platform."""

    name = PLATFORM

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def channel(self, reply: Reply) -> ConsoleReplyChannel:
        """The one screen."""
        return ConsoleReplyChannel(self._screen)

    async def role(self, chat: ChatId, author: Author) -> Role:
        """The only one there is."""
        return Role.ADMIN


def somebody() -> Author:
    """The person at the terminal, with the language of his locale."""
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return Author(LOCAL, user_name(), locale.partition(".")[0])


def user_name() -> str:
    """The name to call the person by; a container may know none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "you"


def new_chat() -> ChatId:
    """A conversation of its own, whose name sorts by time."""
    return ChatId(PLATFORM, LOCAL, time.strftime("%Y%m%d-%H%M%S-") + uuid.uuid4().hex[:4])


class Repl:
    """One conversation at a terminal. `interruptible`: Ctrl-C stops the answer, not the program."""

    def __init__(
        self, service: ChatService, screen: Screen, chat: ChatId, author: Author, *, interruptible: bool = False
    ) -> None:
        self._service, self._screen, self._chat, self._author = service, screen, chat, author
        self._keys = self._interruptible if interruptible else lambda reply: nullcontext()
        self._stopping: asyncio.Task[None] | None = None

    async def run(self, lines: Lines) -> bool:
        """Until the lines end. Whether every one of them came to a good end."""
        good = True
        async for line in _until_left(lines):
            good = await self.say(line) is not State.FAILED and good
        return good

    async def say(self, text: str) -> State | None:
        """One line to its outcome; None where nothing is owed for it."""
        reply = await self._service.ingest.accept(self._incoming(text))
        return await self.follow(reply) if reply else None

    async def follow(self, reply: Reply) -> State:
        """Wait for a reply's outcome."""
        with self._keys(reply):
            ended = await self._service.control.wait_for_outcome(reply)
        self._screen.end()
        return ended.state

    def _incoming(self, text: str) -> Incoming:
        now = time.time_ns()
        return Incoming(self._chat, "console", uuid.uuid4().hex, now, self._author, text, True, now // 1_000_000)

    @contextmanager
    def _interruptible(self, reply: Reply) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        before = signal.getsignal(signal.SIGINT)
        loop.add_signal_handler(signal.SIGINT, self._stop, reply)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, before)

    def _stop(self, reply: Reply) -> None:
        self._stopping = asyncio.ensure_future(self._service.control.stop(reply))


async def _until_left(lines: Lines) -> AsyncIterator[str]:
    async for line in lines:
        if line in LEAVE:
            return
        yield line
