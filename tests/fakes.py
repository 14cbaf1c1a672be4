"""Stand-ins with types: mypy holds each to the protocol it stands for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from core.chat import Author, ChatId, Incoming, Reply, Role, Surface
from core.engine.messages import Reason
from core.engine.sampling import Sampling
from core.filters import Verdict
from core.model import Stream
from core.prompts import Prompt

CHAT = ChatId("fake", "1")
ANN = Author("ann", "Ann", "en-GB")
BOB = Author("bob", "Bob", "vi-VN")


def echo(prompt: Prompt) -> Sequence[str]:
    """Says the question back, word by word."""
    words = prompt[-1].content.split(" ")
    return [f"{word} " for word in words[:-1]] + words[-1:]


class FakeStream:
    """The pieces of one answer. With a gate each piece waits to be let through."""

    def __init__(self, pieces: Sequence[str], reason: Reason, gate: asyncio.Semaphore | None) -> None:
        self._pieces, self._ends, self._gate = pieces, reason, gate
        self.reason: Reason | None = None

    async def __aiter__(self) -> AsyncIterator[str]:
        for piece in self._pieces:
            if self._gate is not None:
                await self._gate.acquire()
            else:
                await asyncio.sleep(0)
            yield piece
        self.reason = self._ends


class FakeModel:
    """A model that says what `says` makes of the prompt. One word is one token."""

    name = "fake-model"
    context = 4096

    def __init__(self, says: Callable[[Prompt], Sequence[str]] = echo, slots: int = 4) -> None:
        self.says, self.slots = says, slots
        self.sampling = Sampling(top_p=0.9)
        self.ends: Reason = "stop"
        self.gate: asyncio.Semaphore | None = None
        self.prompts: list[Prompt] = []
        self.samplings: list[Sampling] = []
        self.running = 0

    @asynccontextmanager
    async def stream(self, prompt: Prompt, sampling: Sampling, owner: str) -> AsyncIterator[Stream]:
        self.prompts.append(prompt)
        self.samplings.append(sampling)
        self.running += 1
        try:
            yield FakeStream(self.says(prompt), self.ends, self.gate)
        finally:
            self.running -= 1

    def count(self, prompt: Prompt) -> int:
        return sum(len(message.content.split()) for message in prompt)

    def status(self) -> str:
        return "nowhere"


class FakeSurface:
    """A chat that keeps what was sent and every edit of it."""

    interval = 0.0
    key = "fake"

    def __init__(self, limit: int = 4000) -> None:
        self.limit = limit
        self.messages: dict[str, str] = {}
        self.history: list[str] = []
        self.nonces: list[str] = []
        self.typed = 0
        self.fails: type[Exception] | None = None
        self.refuses = "\0"
        self.slow: asyncio.Event | None = None

    def render(self, text: str) -> str:
        return text.replace("*", "")

    async def send(self, text: str, nonce: str) -> str:
        await self._try(text)
        message_id = str(len(self.messages) + 1)
        self.messages[message_id] = text
        self.history.append(text)
        self.nonces.append(nonce)
        return message_id

    async def edit(self, message_id: str, text: str) -> None:
        await self._try(text)
        self.messages[message_id] = text
        self.history.append(text)

    async def typing(self) -> None:
        self.typed += 1

    async def _try(self, text: str) -> None:
        if self.slow:
            await self.slow.wait()
        if self.fails:
            raise self.fails
        if self.refuses in text:
            raise ValueError(self.refuses)


class FakePlatform:
    """Chats of one platform; `admins` may set in groups."""

    name = "fake"

    def __init__(self) -> None:
        self.surfaces: dict[int, FakeSurface] = {}
        self.admins: set[str] = set()
        self.limit = 4000

    def surface(self, reply: Reply) -> Surface:
        return self.surfaces.setdefault(reply.id, FakeSurface(self.limit))

    async def role(self, reply: Reply) -> Role:
        return Role.ADMIN if reply.private or reply.author.id in self.admins else Role.MEMBER

    def text(self, reply: Reply) -> str:
        """What a person sees of a reply, message after message."""
        return "\n".join(self.surfaces[reply.id].messages.values())


class WordFilter:
    """Blocks texts with a word; its guard releases whole words that are not it."""

    def __init__(self, word: str) -> None:
        self.word = word

    def check(self, text: str) -> Verdict:
        return Verdict(self.word in text, "test")

    def guard(self) -> "WordGuard":
        return WordGuard(self.word)


class WordGuard:
    """See WordFilter."""

    def __init__(self, word: str) -> None:
        self._word, self._held = word, ""
        self.blocked = False

    def feed(self, piece: str) -> str:
        self._held += piece
        done, space, self._held = self._held.rpartition(" ")
        return self._release(done + space)

    def finish(self) -> str:
        held, self._held = self._held, ""
        return self._release(held)

    def _release(self, text: str) -> str:
        before, found, _ = text.partition(self._word)
        self.blocked = self.blocked or bool(found)
        return before


_ids = iter(range(1, 1_000_000))


def incoming(
    text: str, author: Author = ANN, chat: ChatId = CHAT, *, private: bool = True, external_id: str = ""
) -> Incoming:
    """A message with an id of its own unless one is given."""
    seq = next(_ids)
    return Incoming(chat, "bot", external_id or f"m:{seq}", seq, author, text, private, 1_700_000_000_000 + seq)
