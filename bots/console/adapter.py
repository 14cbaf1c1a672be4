"""The terminal as an adapter: each line is a message; the next is read once the last has its outcome."""

import asyncio
import getpass
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager, nullcontext

from bots.console.input import LEAVE, LEAVE_WORDS, Lines, silent_keys
from bots.console.outgoing import ConsoleReplyChannel, Screen
from core.delivery.reply_control import ReplyControl
from core.domain.conversation import Author, ChatId, Incoming, Reply, Role
from core.domain.reply_states import State
from core.inbound.events import Acceptance, Event, MessageReceived

PLATFORM = "console"
LOCAL = "local"
"""The one person, and the one chat."""


class ConsoleAdapter:
    """One conversation at a terminal. `interruptible`: Ctrl-C stops the answer, not the program. `terminal`: the file
    descriptor of the one that a person types at."""

    name = PLATFORM

    def __init__(
        self,
        screen: Screen,
        lines: Lines,
        chat: ChatId,
        control: ReplyControl,
        *,
        interruptible: bool = False,
        terminal: int | None = None,
    ) -> None:
        self._screen, self._lines, self._chat, self._control = screen, lines, chat, control
        self._author = local_author()
        self._interruptible, self._terminal = interruptible, terminal
        self._stopping: asyncio.Task[None] | None = None
        self.all_succeeded = True
        """Whether no line so far has failed."""

    def connected(self) -> AbstractAsyncContextManager[None]:
        """A terminal is always there."""
        return nullcontext()

    async def events(self) -> AsyncIterator[Event]:
        """A message for each line, until the lines end or the person leaves."""
        async for line in self._lines:
            if line in LEAVE or (self._terminal is not None and line.lower() in LEAVE_WORDS):
                return
            event = MessageReceived(self._incoming(line))
            yield event
            receipt = await event.acknowledged()
            if receipt.reply is not None:
                await self.follow(receipt.reply)
            elif receipt.acceptance is Acceptance.REJECTED:
                self.all_succeeded = False

    async def follow(self, reply: Reply) -> None:
        """Return once a reply has its outcome and is shown."""
        with ExitStack() as stack:
            if self._interruptible:
                stack.enter_context(self._stop_on_interrupt(reply))
            if self._terminal is not None:
                stack.enter_context(silent_keys(self._terminal))
            ended = await self._control.wait_for_outcome(reply)
        self._screen.end()
        self.all_succeeded = self.all_succeeded and ended.state is not State.FAILED

    def channel(self, reply: Reply) -> ConsoleReplyChannel:
        """The one screen."""
        return ConsoleReplyChannel(self._screen)

    async def role(self, chat: ChatId, author: Author) -> Role:
        """The only person there is decides."""
        return Role.ADMIN

    def _incoming(self, text: str) -> Incoming:
        now = time.time_ns()
        return Incoming(self._chat, PLATFORM, uuid.uuid4().hex, now, self._author, text, True, now // 1_000_000)

    @contextmanager
    def _stop_on_interrupt(self, reply: Reply) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        before = signal.getsignal(signal.SIGINT)
        loop.add_signal_handler(signal.SIGINT, self._stop, reply)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, before)

    def _stop(self, reply: Reply) -> None:
        self._stopping = asyncio.ensure_future(self._control.stop(reply))


def local_author() -> Author:
    """The person at the terminal, with the language of their locale."""
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
