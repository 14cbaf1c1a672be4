"""The measured bot: the real program around a fake model. A script of its own, so that it also runs on another tree.

It imports the product from PYTHONPATH and nothing else of this repository. SIGUSR1 writes what it has counted since
its start, as JSON, to the file that BENCH_FILE names; SIGUSR2 does so, too, once memory that is not in use has gone
back to the system. With BENCH_SOCKET set it has one adapter instead of those of the
configuration, which speaks lines of JSON over that Unix socket: the bot and its store alone.

A question says how it is to be answered: see QUESTION.
"""

import asyncio
import ctypes
import gc
import json
import os
import random
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

import bots.bootstrap
from bots.config import read_config
from core.domain.conversation import Author, ChatId, Incoming, Reply, Role
from core.domain.platform import ButtonAction, OutgoingMessage, Pace
from core.domain.prompt import Prompt
from core.domain.sampling import Sampling
from core.inbound.events import CaughtUp, Event, MessageReceived

FILE, SOCKET = "BENCH_FILE", "BENCH_SOCKET"
QUESTION = re.compile(r"Question (\d+): (\d+) words, (\d+) a second")
"""The question's number, and the answer's words and words a second; 0 a second is all at once. A word is a token."""
END = "Done."
"""Every answer's last word."""
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
VOCABULARY = (
    "river", "stone", "cloud", "garden", "window", "table", "paper", "lamp", "bread", "apple", "meadow", "bridge",
    "harbour", "village", "forest", "valley", "summer", "winter", "morning", "evening", "music", "painter", "teacher",
    "student", "library", "engine", "wheel", "copper", "silver", "cotton", "basket", "kettle", "ladder", "lantern",
    "marble", "mountain", "island", "ocean", "planet", "rocket", "signal", "spring", "station", "street", "sugar",
    "sunrise", "temple", "theatre", "thunder", "timber", "tunnel", "vessel", "violin", "wagon", "water", "weather",
    "yellow", "orange", "purple", "green", "simple", "gentle", "quiet", "bright", "early", "often", "slowly",
    "together", "around", "between", "above", "under", "across", "along", "near", "beyond",
)  # fmt: skip


def words(number: int, count: int) -> list[str]:
    """An answer's pieces: words at random with some Markdown, the same for the same number. No filter objects."""
    made = random.Random(number).choices(VOCABULARY, k=count - 1)
    for place in range(5, count - 1, 12):
        made[place] = f"**{made[place]}**"
    return [word + ("\n\n" if place % 40 == 39 else " ") for place, word in enumerate(made)] + [END]


class Counts:
    """What has happened since the start."""

    def __init__(self) -> None:
        self.transactions = self.statements = self.tokens = 0
        self.last_token: dict[int, float] = {}
        """By the question's number: seconds of the machine's monotonic clock."""

    def install(self, file: Path) -> None:
        """Count from now on, in every database; write to `file` on a signal."""
        event.listen(Engine, "begin", self._begun)
        event.listen(Engine, "before_cursor_execute", self._executed)
        signal.signal(signal.SIGUSR1, lambda number, frame: self._write(file))
        signal.signal(signal.SIGUSR2, lambda number, frame: self._write(file, trim=True))

    def _write(self, file: Path, *, trim: bool = False) -> None:
        if trim:
            gc.collect()
            LIBC.malloc_trim(0)
        counts = {
            "cpu_s": time.process_time(),
            "transactions": self.transactions,
            "statements": self.statements,
            "tokens": self.tokens,
            "last_token": self.last_token,
            "tree": str(Path(bots.bootstrap.__file__).parents[1]),
        }
        unfinished = file.with_suffix(".part")
        unfinished.write_text(json.dumps(counts))
        unfinished.rename(file)

    def _begun(self, connection: object) -> None:
        self.transactions += 1

    def _executed(self, connection: object, cursor: object, statement: str, *arguments: object) -> None:
        if not statement.startswith("BEGIN"):  # some drivers are told to begin by a statement, others are not
            self.statements += 1


class Words:
    """The stream of one answer."""

    def __init__(self, pieces: list[str], speed: int, number: int, counts: Counts) -> None:
        self._pieces, self._speed, self._number, self._counts = pieces, speed, number, counts
        self.reason: Any = None

    async def __aiter__(self) -> AsyncIterator[str]:
        began, last = time.monotonic(), len(self._pieces) - 1
        for place, piece in enumerate(self._pieces):
            if self._speed:
                await asyncio.sleep(max(0.0, began + place / self._speed - time.monotonic()))
            self._counts.tokens += 1
            if place == last:
                self._counts.last_token[self._number] = time.monotonic()
            yield piece
        self.reason = "stop"


class Model:
    """Answers as the question says, and costs next to nothing."""

    name, context, slots, user_role = "benchmark", 4096, 16, "user"

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self.sampling = Sampling(top_p=0.9)

    @asynccontextmanager
    async def stream(self, prompt: Prompt, sampling: Sampling, owner: str) -> AsyncIterator[Words]:
        """See core.llm.model.Model, here and below."""
        found = QUESTION.search(prompt[-1].content)
        number, count, speed = map(int, found.groups()) if found else (0, 8, 0)
        yield Words(words(number, count), speed, number, self._counts)

    def warm(self, prompt: Prompt, owner: str) -> None:
        """Nothing is computed."""

    def drop(self, owner: str) -> None:
        """Nothing is kept."""

    def count(self, prompt: Prompt) -> int:
        """A word is a token."""
        return sum(len(message.content.split()) for message in prompt)

    def status(self) -> str:
        """Nowhere."""
        return "benchmark"


class Lines:
    """An adapter without a platform: a line comes in for a question, a line goes out for each call."""

    name = "lines"

    def __init__(self, socket: str) -> None:
        self._socket = socket

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Inside the block the bot can send."""
        self._reader, self._writer = await asyncio.open_unix_connection(self._socket)
        try:
            yield
        finally:
            self._writer.close()

    async def events(self) -> AsyncIterator[Event]:
        """A question for each line, without end."""
        yield CaughtUp(self.name)
        seq = 0
        while line := await self._reader.readline():
            asked, seq = json.loads(line), seq + 1
            chat = ChatId(self.name, str(asked["chat"]))
            author = Author(chat.chat, "Ann", "en")
            now_ms = time.time_ns() // 1_000_000
            yield MessageReceived(Incoming(chat, "bot", f"m:{seq}", seq, author, asked["text"], True, now_ms))
        await asyncio.Event().wait()  # the driver has gone, and ends this process

    def channel(self, reply: Reply) -> "LineChannel":
        """Where a reply goes."""
        return LineChannel(reply.chat.chat, self._writer)

    async def role(self, chat: ChatId, author: Author) -> Role:
        """Nobody is an admin."""
        return Role.MEMBER


class LineChannel:
    """Where one reply is shown: previews as seldom as on the platforms, everything else at once."""

    pace = Pace(preview_interval_s=1.5)
    needs_placeholder = False

    def __init__(self, chat: str, writer: asyncio.StreamWriter) -> None:
        self.key = f"lines:{chat}"
        self._chat, self._writer, self._sent = int(chat), writer, 0

    def format(self, markdown: str) -> list[OutgoingMessage]:
        """The text as it is."""
        return [OutgoingMessage(markdown, markdown)]

    async def send(self, index: int, part: OutgoingMessage, nonce: str) -> str:
        """See core.domain.platform.ReplyChannel, here and below."""
        self._tell(part)
        return nonce

    async def edit(self, message_id: str, part: OutgoingMessage) -> None:
        """The whole text again."""
        self._tell(part)

    async def delete(self, message_id: str) -> None:
        """Nobody looks."""

    async def remove_buttons(self, message_id: str) -> None:
        """Nobody looks."""

    async def typing(self) -> None:
        """Nobody looks."""

    def _tell(self, part: OutgoingMessage) -> None:
        growing = ButtonAction.STOP in part.controls.actions
        line = json.dumps({"chat": self._chat, "text": part.text, "growing": growing})
        self._writer.write(line.encode() + b"\n")


def main() -> None:
    """Run until killed, at the latest when the driver ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    counts = Counts()
    counts.install(Path(os.environ[FILE]))
    if socket := os.environ.get(SOCKET):

        def lines(*parts: object) -> Iterator[Lines]:
            yield Lines(socket)

        bots.bootstrap.adapters = lines  # type: ignore[assignment]
    asyncio.run(bots.bootstrap.run_with_database(read_config(), Model(counts)))


if __name__ == "__main__":
    main()
