"""A growing message: when to edit, where to split, the final edit always. What decides is pure."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType

from core.delivery.partial_markdown import finished
from core.delivery.plan import Delete, Edit, Send, Step, plan
from core.delivery.rate_limiter import ChatRateLimiter
from core.domain.conversation import Chunk, Reply
from core.domain.platform import (
    NO_CONTROLS,
    PLACEHOLDER,
    Ambiguous,
    Controls,
    Drafts,
    MessageGone,
    NotSent,
    OutgoingMessage,
    OutOfReach,
    ReplyChannel,
    SentMessageLookup,
    Unacceptable,
    Unreachable,
)
from core.domain.reply_states import Lane
from core.domain.store import Store, Transaction
from core.runtime.cancellation import uncancelled
from core.runtime.failpoints import failpoint
from core.runtime.retry import DATABASE_BACKOFF, Backoff, while_unavailable

log = logging.getLogger(__name__)

TYPING_EVERY_S = 4.0
"""Platforms show a typing indicator for five seconds."""
SEND_BACKOFF = Backoff(1.0, 60.0)
"""Between attempts at a final text."""


GIVEN_UP = 24 * 3600 * 1000
"""Milliseconds after which nobody waits for a message any more."""
MOST_GONE = 2
"""So often a message may vanish before its reply is given up."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What every live message works with. `allowed` is the last gate: it judges a text as a person would read it.
    `instance` makes the nonces of one process differ from another's."""

    store: Store
    rate: ChatRateLimiter
    instance: str
    allowed: Callable[[str], bool]
    now: Callable[[], int]
    send_backoff: Backoff = SEND_BACKOFF
    database_backoff: Backoff = DATABASE_BACKOFF
    typing_every_s: float = TYPING_EVERY_S


class StreamingMessage:
    """One reply on its surface. Inside the block `write` shows what grows, with `running` to be pressed under it;
    `finish` shows the final text, always. `lost` is set where nobody can be reached there any more."""

    def __init__(
        self, delivery: Delivery, reply: Reply, surface: ReplyChannel, running: Controls, lost: asyncio.Event
    ) -> None:
        self._delivery, self._reply, self._surface = delivery, reply, surface
        self._running, self._lost = running, lost
        self._answer = reply.lane is Lane.ANSWER
        self._chunks = list(reply.chunks)
        self._shown: list[OutgoingMessage | None] = []
        self._gone: Counter[int] = Counter()
        self._generation = 0
        self._unsure = {index for index, chunk in enumerate(reply.chunks) if chunk.message_id is None}
        """Messages that may have been taken already: a platform that knows their nonces keeps them as they were."""
        self._drafts = surface if isinstance(surface, Drafts) and surface.drafts else None
        self._needs_placeholder = surface.needs_placeholder and (self._answer or bool(self._unsure))
        self._vanished: set[int] = set()
        """Messages that are gone: their nonces stand for what is not there any more."""
        self._text = ""
        self._changed = asyncio.Event()
        self._painter: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "StreamingMessage":
        self._painter = asyncio.create_task(self._paint())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.rest()

    def write(self, piece: str) -> None:
        """Let the message grow. Never waits: a slow platform does not hold up the model."""
        self._text += piece
        if piece.strip():
            self._changed.set()

    def restart(self) -> None:
        """Forget what was written; the next text takes its place."""
        self._text = ""
        self._changed.clear()

    async def rest(self) -> None:
        """No more previews; returns when the last one has ended. Idempotent."""
        if self._painter is not None:
            painter, self._painter = self._painter, None
            painter.cancel()
            await asyncio.gather(painter, return_exceptions=True)

    def allows(self, text: str) -> bool:
        """Whether every message of `text` passes the last gate as it will be rendered."""
        return self._pass(self._surface.format(text))

    def rendered(self, text: str) -> str:
        """`text` as a person would read it, all of its messages."""
        return "\n".join(part.text for part in self._surface.format(text))

    async def finish(self, text: str, controls: Controls = NO_CONTROLS) -> None:
        """Show the final text; returns when the platform has accepted all of it.

        Raises Unacceptable, Unreachable or ChatMoved where it never will be.
        """
        await self.rest()
        parts = self._parts(text, controls)
        while steps := plan(parts, self._chunks, self._shown):
            await self._insist(steps[0])

    # Previews

    async def _paint(self) -> None:
        try:
            if self._needs_placeholder and self._drafts is None and not self._chunks and self._running.actions:
                await self._turn()
                await uncancelled(self._step(Send(0, self._stub())))
            while True:
                await self._something_new()
                if self._news():
                    await self._turn(preview=True)
                self._changed.clear()
                if parts := self._news():
                    await uncancelled(self._preview(parts))
        except Unreachable:
            self._lost.set()
        except Exception as error:
            # Previews are optional: the final edit will meet the same trouble, and it is the one that counts.
            if isinstance(error, NotSent):
                await self._hold(error.wait)
            log.info("reply %s: no more previews: %s", self._reply.id, type(error).__name__)

    def _news(self) -> list[OutgoingMessage]:
        """What a preview should show, where that is more than what is shown, and may be."""
        parts = self._parts(finished(self._text), self._running) if self._text.strip() else []
        drafted = self._drafts is not None and not self._chunks
        return parts if (drafted or plan(parts, self._chunks, self._shown)) and self._pass(parts) else []

    async def _preview(self, parts: list[OutgoingMessage]) -> None:
        """One call: what more there is to do has its turn."""
        if self._drafts is not None and not self._chunks:
            await self._drafts.draft(parts[-1])
            return
        await self._step(plan(parts, self._chunks, self._shown)[0])
        if plan(parts, self._chunks, self._shown):
            self._changed.set()

    async def _something_new(self) -> None:
        while not self._changed.is_set():
            if not self._text:
                await self._type()
            try:
                async with asyncio.timeout(self._delivery.typing_every_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _type(self) -> None:
        """Only a courtesy, and none to a command, which is answered at once."""
        if self._answer and not self._delivery.rate.is_held(self._surface.key):
            try:
                await uncancelled(self._surface.typing())  # a penalty must be heard of
            except NotSent as error:
                await self._hold(error.wait)
            except Exception as error:
                log.debug("reply %s: no typing: %s", self._reply.id, type(error).__name__)

    # Steps

    async def _insist(self, step: Step) -> None:
        """Until the platform has taken it, or has said that it never will. What may have been taken is sent again: an
        edit changes nothing then, nor does a send that the platform knows again, and of an answer it is only a stub. So
        is a notice from the second time on: its text shows twice at most."""
        given_up = self._delivery.now() + GIVEN_UP
        for pause in self._delivery.send_backoff.pauses():
            await self._turn()
            if self._delivery.now() > given_up:
                raise Unacceptable
            try:
                return await uncancelled(self._step(step))
            except NotSent as error:
                await self._hold(error.wait or pause)
            except Ambiguous:
                self._needs_placeholder = self._needs_placeholder or self._surface.needs_placeholder
                await self._hold(pause)
            except MessageGone as gone:
                return self._forget(step.index, gone)

    async def _step(self, step: Step) -> None:
        match step:
            case Send(index, part):
                await self._send(index, self._stub() if self._needs_placeholder else part)
            case Edit(index, message_id, part):
                await self._surface.edit(message_id, part)
                failpoint("edited")
                self._now_shows(index, part)
            case Delete(index, message_id):
                await self._surface.delete(message_id)
                await self._unsent(index)

    async def _send(self, index: int, part: OutgoingMessage) -> None:
        nonce = await self._intend(index)
        if index in self._unsure and isinstance(self._surface, SentMessageLookup):
            found = await self._surface.find(index, part, nonce)
            if found is not None:
                await self._note(index, nonce, found)
                return
        try:
            message_id = await self._surface.send(index, part, nonce)
        except Ambiguous:
            self._unsure.add(index)
            raise
        failpoint("sent")
        await self._note(index, nonce, message_id)
        if index not in self._unsure:
            self._now_shows(index, part)

    async def _note(self, index: int, nonce: str, message_id: str) -> None:
        """C4. Nobody knows what a message shows that was not just sent."""
        self._chunks[index] = Chunk(nonce, message_id)
        self._now_shows(index, None)
        await self._stored(lambda tx: tx.messages.set_id(self._reply, nonce, message_id))
        failpoint("noted")

    async def _intend(self, index: int) -> str:
        """C3. A message that was only intended keeps its nonce: the platform may know it already."""
        if index < len(self._chunks) and index not in self._vanished:
            return self._chunks[index].nonce
        nonce = f"{self._delivery.instance}-{self._reply.id}-{index}"
        nonce += f"-{self._generation}" if self._generation else ""
        instead_of = self._chunks[index].nonce if index < len(self._chunks) else ""
        await self._stored(lambda tx: tx.messages.add_intent(self._reply, nonce, instead_of=instead_of), "intending")
        failpoint("intended")
        self._chunks[index : index + 1] = [Chunk(nonce)]
        self._vanished.discard(index)
        self._unsure.discard(index)
        return nonce

    async def _unsent(self, index: int) -> None:
        await self._stored(lambda tx: tx.messages.remove(self._reply, self._chunks[index].nonce))
        del self._chunks[index], self._shown[index:]

    async def _stored(self, step: Callable[[Transaction], Awaitable[None]], point: str = "") -> None:
        """One step in the store; a database in trouble is waited for."""

        async def store() -> None:
            async with self._delivery.store.begin() as tx:
                await step(tx)
                failpoint(point)

        await while_unavailable(f"reply {self._reply.id}", store, self._delivery.database_backoff)

    def _forget(self, index: int, gone: MessageGone) -> None:
        """The message is not there any more: another takes its place. Where that goes too, somebody wants none. What is
        out of reach is nobody's doing: then all of them are sent anew, so that they stand together."""
        self._generation += 1
        known = [at for at, chunk in enumerate(self._chunks) if chunk.message_id is not None]
        if not isinstance(gone, OutOfReach):
            known = [index]
            self._gone[index] += 1
        if self._gone[index] > MOST_GONE:
            raise Unacceptable from gone
        for at in known:
            self._chunks[at] = replace(self._chunks[at], message_id=None)
            self._vanished.add(at)

    def _now_shows(self, index: int, part: OutgoingMessage | None) -> None:
        self._shown += [None] * (index + 1 - len(self._shown))
        self._shown[index] = part

    # Small things

    def _parts(self, text: str, controls: Controls) -> list[OutgoingMessage]:
        *parts, last = self._surface.format(text)
        return [*parts, replace(last, controls=controls)]

    def _stub(self) -> OutgoingMessage:
        return self._parts(PLACEHOLDER, self._running)[0]

    def _pass(self, parts: Sequence[OutgoingMessage]) -> bool:
        return all(self._delivery.allowed(part.text) for part in parts)

    async def _turn(self, *, preview: bool = False) -> None:
        await self._delivery.rate.wait(self._surface.key, self._surface.pace, preview=preview)

    async def _hold(self, seconds: float) -> None:
        """A restart must not forget a penalty."""
        self._delivery.rate.hold(self._surface.key, seconds)
        if seconds >= 1:
            until = self._delivery.now() + round(seconds * 1000)
            await self._stored(lambda tx: tx.replies.delay(self._reply, until))
