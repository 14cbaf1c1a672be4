"""Stand-ins with types: mypy holds each to the protocol it stands for."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from core.delivery.splitting import split, utf16
from core.domain.conversation import Author, ChatId, Incoming, NewReply, Reply, Role
from core.domain.platform import NO_CONTROLS, Controls, MessageGone, OutgoingMessage, Pace
from core.domain.prompt import Prompt
from core.domain.reply_states import Lane
from core.domain.sampling import Sampling
from core.domain.store import Store, Transaction, Unavailable
from core.engine.protocol import FinishReason
from core.filters import FilterAction, Guard, Level, Policy, Verdict
from core.filters.assessment import Assessment
from core.llm.guard_model import GuardUnavailable
from core.llm.model import Stream
from core.markdown.document import Block, Kind, Run
from tests.changes import Changes

CHAT = ChatId("fake", "1")
ANN = Author("ann", "Ann", "en-GB")
BOB = Author("bob", "Bob", "vi-VN")
NO_PACE = Pace()
SAFE = Assessment()
_LABEL = re.compile(r"\A(?:ann|bob|eve|Ann|Bob|Eve): ")


def echo(prompt: Prompt) -> Sequence[str]:
    """Says the question back, word by word, without the label of who asks in a group: an answer that begins with it is
    held back until it is clear that it is no dialogue."""
    content = _LABEL.sub("", prompt[-1].content)
    *words, last = content.split(" ")
    label = [""] if content != prompt[-1].content else []  # still a token
    return [*label, *(f"{word} " for word in words), last]


class FakeStream:
    """The pieces of one answer. With a gate each piece waits to be let through."""

    def __init__(self, pieces: Sequence[str], reason: FinishReason, gate: asyncio.Semaphore | None) -> None:
        self._pieces, self._ends, self._gate = pieces, reason, gate
        self.reason: FinishReason | None = None

    async def __aiter__(self) -> AsyncIterator[str]:
        for piece in self._pieces:
            if self._gate is not None:
                await self._gate.acquire()
            else:
                await asyncio.sleep(0)
            yield piece
        self.reason = self._ends


class FakeModel(Changes):
    """A model that says what `says` makes of the prompt. One word is one token. Each call of it is a change."""

    name = "fake-model"
    context = 4096
    user_role = "user"

    def __init__(self, says: Callable[[Prompt], Sequence[str]] = echo, slots: int = 4) -> None:
        super().__init__()
        self.says, self.slots = says, slots
        self.sampling = Sampling(top_p=0.9)
        self.ends: FinishReason = "stop"
        self.gate: asyncio.Semaphore | None = None
        self.prompts: list[Prompt] = []
        self.samplings: list[Sampling] = []
        self.warmed: list[tuple[Prompt, str]] = []
        self.dropped: list[str] = []
        self.running = 0

    @asynccontextmanager
    async def stream(self, prompt: Prompt, sampling: Sampling, owner: str) -> AsyncIterator[Stream]:
        self.prompts.append(prompt)
        self.samplings.append(sampling)
        self.running += 1
        self.changed()
        try:
            yield FakeStream(self.says(prompt), self.ends, self.gate)
        finally:
            self.running -= 1
            self.changed()

    def warm(self, prompt: Prompt, owner: str) -> None:
        self.warmed.append((prompt, owner))
        self.changed()

    def drop(self, owner: str) -> None:
        self.dropped.append(owner)
        self.changed()

    def count(self, prompt: Prompt) -> int:
        return sum(len(message.content.split()) for message in prompt)

    def status(self) -> str:
        return "nowhere"


class FakeGuardModel(Changes):
    """A guard model that says `says` of every question; GuardUnavailable is raised. With a gate each assessment waits.

    Each call of it is a change.
    """

    name = "fake-guard"

    def __init__(self, says: Assessment | GuardUnavailable = SAFE) -> None:
        super().__init__()
        self.says = says
        self.gate: asyncio.Event | None = None
        self.asked: list[tuple[str, Level, str]] = []
        self.dropped: list[str] = []
        self.waiting = 0

    async def assess(self, question: str, level: Level, owner: str) -> Assessment:
        self.asked.append((question, level, owner))
        self.waiting += 1
        self.changed()
        try:
            if self.gate is not None:
                await self.gate.wait()
            if isinstance(self.says, GuardUnavailable):
                raise self.says
            return self.says
        finally:
            self.waiting -= 1
            self.changed()

    def drop(self, owner: str) -> None:
        self.dropped.append(owner)
        self.changed()

    def status(self) -> str:
        return "nowhere either"


class FakeChannel(Changes):
    """A chat that keeps what was sent and every edit of it. Each call is a change, also one that fails."""

    key = "fake"
    drafts = False

    def __init__(self, limit: int = 4000, pace: Pace = NO_PACE, *, needs_placeholder: bool = False) -> None:
        super().__init__()
        self.limit, self.pace, self.needs_placeholder = limit, pace, needs_placeholder
        self.messages: dict[str, str] = {}
        self.controls: dict[str, Controls] = {}
        self.history: list[str] = []
        self.nonces: list[str] = []
        self.drafted: list[str] = []
        self.typed = self.failed = 0
        self.fails: list[type[Exception] | Exception | None] = []
        """What the next calls raise; the last one stays."""
        self.refuses = "\0"
        self.slow: asyncio.Event | None = None
        self.calling = False
        """Whether a call waits for `slow`, or has."""

    def format(self, markdown: str) -> list[OutgoingMessage]:
        """Messages that show the Markdown as it is written, cut where a paragraph without marks would be."""
        parts = split([Block(Kind.PARAGRAPH, (Run(markdown),))], self._size, self.limit)
        return [OutgoingMessage(self.render(text), text) for text in (part[0].text for part in parts)]

    def render(self, text: str) -> str:
        return text.replace("*", "")

    async def send(self, index: int, message: OutgoingMessage, nonce: str) -> str:
        await self._try(message)
        message_id = str(len(self.nonces) + 1)
        self._show(message_id, message)
        self.nonces.append(nonce)
        return message_id

    async def find(self, index: int, message: OutgoingMessage, nonce: str) -> str | None:
        return None

    async def edit(self, message_id: str, message: OutgoingMessage) -> None:
        await self._try(message)
        if message_id not in self.messages:
            raise MessageGone
        self._show(message_id, message)

    async def delete(self, message_id: str) -> None:
        self.messages.pop(message_id, None)
        self.changed()

    async def remove_buttons(self, message_id: str) -> None:
        self.controls[message_id] = NO_CONTROLS
        self.changed()

    @property
    def draft(self) -> Callable[[OutgoingMessage], Awaitable[None]] | None:
        return self._draft if self.drafts else None

    async def _draft(self, message: OutgoingMessage) -> None:
        self.drafted.append(message.text)
        self.changed()

    async def typing(self) -> None:
        self.typed += 1
        self.changed()

    def _show(self, message_id: str, message: OutgoingMessage) -> None:
        self.messages[message_id] = str(message.body)
        self.controls[message_id] = message.controls
        self.history.append(str(message.body))
        self.changed()

    def _size(self, blocks: Sequence[Block]) -> int:
        return utf16(self.render("\n\n".join(block.text for block in blocks)))

    async def _try(self, message: OutgoingMessage) -> None:
        if self.slow:
            self.calling = True
            await self.slow.wait()
        failure = self.fails[0] if self.fails else None
        self.fails = self.fails[1:] or self.fails
        if failure is None and self.refuses in str(message.body):
            failure = ValueError(self.refuses)
        if failure is not None:
            self.failed += 1
            self.changed()
            raise failure


class FakePlatform(Changes):
    """Chats of one platform; `admins` may set in groups. A new chat is a change."""

    name = "fake"

    def __init__(self) -> None:
        super().__init__()
        self.channels: dict[int, FakeChannel] = {}
        self.admins: set[str] = set()
        self.fails: Exception | None = None
        self.limit = 4000
        self.needs_placeholder = False
        self.slow_first: asyncio.Event | None = None
        """What the calls of the next new chat wait for."""

    def channel(self, reply: Reply) -> FakeChannel:
        if reply.id not in self.channels:
            self.channels[reply.id] = FakeChannel(self.limit, needs_placeholder=self.needs_placeholder)
            self.channels[reply.id].slow, self.slow_first = self.slow_first, None
            self.changed()
        return self.channels[reply.id]

    async def role(self, chat: ChatId, author: Author) -> Role:
        if self.fails:
            raise self.fails
        return Role.ADMIN if author.id in self.admins else Role.MEMBER

    def text(self, reply: Reply) -> str:
        """What a person sees of a reply, message after message."""
        return "\n".join(self.channels[reply.id].messages.values())


class FlakyStore:
    """A store whose next commits fail."""

    def __init__(self, store: Store) -> None:
        self._store, self.fails = store, 0

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        async with self._store.begin() as tx:
            yield tx
            if self.fails:
                self.fails -= 1
                raise Unavailable("database is locked")


class OpenGuard:
    """Releases every piece at once."""

    blocked = False
    verdict = Verdict()

    def feed(self, piece: str) -> str:
        return piece

    def finish(self) -> str:
        return ""


class OpenFilter:
    """A filter that blocks nothing and counts nothing."""

    def check(self, text: str, policy: Policy) -> Verdict:
        return Verdict()

    judge_question = check

    def guard(self, policy: Policy) -> Guard:
        return OpenGuard()

    def count(self, where: str, verdict: Verdict) -> None:
        pass

    def counts(self) -> dict[tuple[str, str], int]:
        return {}


class WordFilter:
    """Blocks texts with a word; its guard releases whole words that are not it."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.found: list[str] = []

    def check(self, text: str, policy: Policy) -> Verdict:
        return Verdict(FilterAction.STOP, "custom", 2) if self.word in text else Verdict()

    judge_question = check

    def guard(self, policy: Policy) -> "WordGuard":
        return WordGuard(self.word)

    def count(self, where: str, verdict: Verdict) -> None:
        self.found.append(where)

    def counts(self) -> dict[tuple[str, str], int]:
        return {("custom", ""): len(self.found)}


class WordGuard:
    """See WordFilter."""

    def __init__(self, word: str) -> None:
        self._word, self._held = word, ""
        self.blocked = False
        self.verdict = Verdict()

    def feed(self, piece: str) -> str:
        self._held += piece
        done, space, self._held = self._held.rpartition(" ")
        return self._release(done + space)

    def finish(self) -> str:
        held, self._held = self._held, ""
        return self._release(held)

    def _release(self, text: str) -> str:
        before, found, _ = text.partition(self._word)
        if found:
            self.blocked, self.verdict = True, Verdict(FilterAction.STOP, "custom", 2)
        return before


_ids = iter(range(1, 1_000_000))


def incoming(
    text: str, author: Author = ANN, chat: ChatId = CHAT, *, private: bool = True, external_id: str = ""
) -> Incoming:
    """A message with an id of its own unless one is given."""
    seq = next(_ids)
    return Incoming(chat, "bot", external_id or f"m:{seq}", seq, author, text, private, time.time_ns() // 1_000_000)


async def owe(tx: Transaction, message: Incoming, lane: Lane) -> Reply | None:
    """Store one message as the intake would; None for one that is stored already."""
    if message.key in await tx.inbox.stored_keys([message]):
        return None
    return (await tx.inbox.add([NewReply(message, lane)]))[0]


async def claim_next(tx: Transaction, lane: Lane = Lane.ANSWER, platform: str = "fake", now: int = 1) -> Reply | None:
    """Claim one reply; None where none can run."""
    return next(iter((await tx.replies.claim(lane, [platform], now, 1)).replies), None)
