"""A growing message: when to edit, where to split, the final edit always. What decides is pure."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

from core.chat import Chunk, Reply, Store, Surface
from core.shield import whole
from core.splitting import close, split, utf16
from core.states import Lane

log = logging.getLogger(__name__)

TYPING_EVERY = 4.0
"""Seconds; platforms show it for five."""
EMPTY = "…"
"""What is left of a message that a shorter text no longer needs."""


@dataclass(frozen=True, slots=True)
class Send:
    """A new message is due."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Edit:
    """A message shows something else than it should."""

    index: int
    message_id: str
    text: str


def plan(parts: Sequence[str], chunks: Sequence[Chunk], shown: Sequence[str]) -> list[Send | Edit]:
    """What to do so that the messages `chunks`, which show `shown`, show `parts`; in order.

    `shown` is shorter than `chunks` where nobody knows what they show (after a restart): those are edited in any case.
    A chunk without an id was only intended: it is sent again.
    """
    actions: list[Send | Edit] = []
    for index in range(max(len(parts), len(chunks))):
        text = parts[index] if index < len(parts) else EMPTY
        known = chunks[index].message_id if index < len(chunks) else None
        if known is not None and (index >= len(shown) or shown[index] != text):
            actions.append(Edit(index, known, text))
        elif known is None and index < len(parts):
            actions.append(Send(index, text))
    return actions


class RateGate:
    """One call to a chat at a time, `interval` seconds apart; chats don't wait for one another."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    async def wait(self, key: str, interval: float) -> None:
        """Return when the chat may be called."""
        now = time.monotonic()
        at = max(now, self._next.get(key, 0.0))
        self._next = {chat: due for chat, due in self._next.items() if due > now} | {key: at + interval}
        if at > now:
            await asyncio.sleep(at - now)


class LiveMessage:
    """One reply on its surface. Inside the block `write` shows what grows; `finish` shows the final text, always.

    `allowed` is the last gate: it judges a text as the platform will render it. A preview that it refuses is not shown.
    """

    def __init__(
        self,
        store: Store,
        reply: Reply,
        surface: Surface,
        rate: RateGate,
        instance: str,
        allowed: Callable[[str], bool],
    ) -> None:
        self._store, self._reply, self._surface, self._rate = store, reply, surface, rate
        self._instance, self._allowed = instance, allowed
        self._chunks = list(reply.chunks)
        self._shown: list[str] = []
        self._text = ""
        self._changed = asyncio.Event()
        self._painter: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "LiveMessage":
        self._painter = asyncio.create_task(self._paint())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._rest()

    def write(self, piece: str) -> None:
        """Let the message grow. Never waits: a slow platform does not hold up the model."""
        self._text += piece
        if piece.strip():
            self._changed.set()

    def restart(self) -> None:
        """Forget what was written; the next text takes its place."""
        self._text = ""
        self._changed.clear()

    def allows(self, text: str) -> bool:
        """Whether every message of `text` passes the last gate as it will be rendered."""
        return all(map(self._passes, self._parts(text)))

    async def finish(self, text: str) -> None:
        """Show the final text; returns when the platform has accepted all of it."""
        await self._rest()
        for action in plan(self._parts(text), self._chunks, self._shown):
            await self._pace()
            await self._act(action)

    async def _paint(self) -> None:
        try:
            while True:
                await self._something_new()
                await self._pace()
                self._changed.clear()
                parts = self._parts(close(self._text))
                if self._text.strip() and all(map(self._passes, parts)):
                    for action in plan(parts, self._chunks, self._shown)[:1]:  # the rest has its turn
                        await whole(self._act(action))
        except Exception as error:
            # Previews are optional: the final edit will meet the same trouble, and it is the one that counts.
            log.warning("reply %s: no more previews: %s", self._reply.id, type(error).__name__)

    async def _something_new(self) -> None:
        while not self._changed.is_set():
            if not self._text:
                await self._type()
            try:
                async with asyncio.timeout(TYPING_EVERY):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _type(self) -> None:
        """Only a courtesy, and none to a command, which is answered at once."""
        if self._reply.lane is Lane.ANSWER:
            with suppress(Exception):
                await self._surface.typing()

    async def _pace(self) -> None:
        await self._rate.wait(self._surface.key, self._surface.interval)

    def _passes(self, part: str) -> bool:
        return self._allowed(self._surface.render(part))

    async def _rest(self) -> None:
        if self._painter is not None:
            painter, self._painter = self._painter, None
            painter.cancel()
            await asyncio.gather(painter, return_exceptions=True)

    def _parts(self, text: str) -> list[str]:
        return split(text, lambda part: utf16(self._surface.render(part)) <= self._surface.limit)

    async def _act(self, action: Send | Edit) -> None:
        if isinstance(action, Send):
            await self._send(action)
        else:
            await self._surface.edit(action.message_id, action.text)
        self._shown[action.index :] = [action.text, *self._shown[action.index + 1 :]]

    async def _send(self, action: Send) -> None:
        nonce = await self._intend(action.index)
        message_id = await self._surface.send(action.text, nonce)
        self._chunks[action.index] = Chunk(nonce, message_id)
        async with self._store.begin() as tx:  # C4
            await tx.replies.sent(self._reply, nonce, message_id)

    async def _intend(self, index: int) -> str:
        """C3. A message that was only intended keeps its nonce: the platform may know it already."""
        if index < len(self._chunks):
            return self._chunks[index].nonce
        nonce = f"{self._instance}-{self._reply.id}-{index}"
        async with self._store.begin() as tx:
            await tx.replies.intend(self._reply, nonce)
        self._chunks.append(Chunk(nonce))
        return nonce
