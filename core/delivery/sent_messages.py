"""The messages of one reply: intended, sent, shown, gone. Each change is stored before anything depends on it."""

from collections.abc import Awaitable, Callable, Sequence

from core.delivery.plan import MessageState
from core.domain.conversation import Reply
from core.domain.platform import MessageGone, OutgoingMessage, OutOfReach, Unacceptable
from core.domain.store import Store, Transaction
from core.runtime.failpoints import failpoint
from core.runtime.retry import Backoff, until_stored

MAX_VANISHED = 2
"""After a message has disappeared more often than this, its reply is given up."""


class SentMessages:
    """Keeps the state of a reply's messages, in memory and in the store.

    A database in trouble is waited for. Methods that store raise Stale where the reply is another worker's.
    `instance` makes the nonces of one process differ from another's.
    """

    def __init__(self, store: Store, reply: Reply, instance: str, backoff: Backoff) -> None:
        self._store, self._reply, self._instance, self._backoff = store, reply, instance, backoff
        self._states = [
            MessageState(chunk.nonce, chunk.message_id, maybe_sent=chunk.message_id is None) for chunk in reply.chunks
        ]
        self._replacements = 0

    @property
    def states(self) -> Sequence[MessageState]:
        """In the order of the reply's text."""
        return self._states

    async def intend(self, index: int) -> str:
        """C3: store that message number `index` is about to be sent; return its nonce.

        A message that was only intended keeps its nonce: the platform may know it already.
        """
        before = self._states[index] if index < len(self._states) else None
        if before is not None and not before.gone:
            return before.nonce
        nonce = f"{self._instance}-{self._reply.id}-{index}"
        nonce += f"-{self._replacements}" if self._replacements else ""
        instead_of = before.nonce if before else ""
        await self._write(lambda tx: tx.messages.add_intent(self._reply, nonce, instead_of=instead_of), "intending")
        failpoint("intended")
        self._states[index : index + 1] = [MessageState(nonce, vanished=before.vanished if before else 0)]
        return nonce

    async def set_sent(self, index: int, message_id: str, message: OutgoingMessage | None) -> None:
        """C4: store the id that the platform has given. `message`: the content, None where it is unknown."""
        state = self._states[index]
        state.id, state.shows, state.maybe_sent = message_id, message, False
        await self._write(lambda tx: tx.messages.set_id(self._reply, state.nonce, message_id))
        failpoint("noted")

    async def remove(self, index: int) -> None:
        """The message is deleted."""
        await self._write(lambda tx: tx.messages.remove(self._reply, self._states[index].nonce))
        del self._states[index]

    async def delay(self, until: int) -> None:
        """Store that the platform accepts nothing for this chat before `until` (milliseconds UTC): a restart must not
        forget it."""
        await self._write(lambda tx: tx.replies.delay(self._reply, until))

    def replace(self, index: int, gone: MessageGone) -> None:
        """Have another message sent in place of one that is gone. Raises Unacceptable where that was done too often.

        Where the messages are out of reach, all of them are sent anew, so that they stand together.
        """
        self._replacements += 1
        affected = [self._states[index]]
        if isinstance(gone, OutOfReach):
            affected = [state for state in self._states if state.id is not None]
        else:
            affected[0].vanished += 1
        if self._states[index].vanished > MAX_VANISHED:
            raise Unacceptable from gone
        for state in affected:
            state.id, state.gone = None, True

    async def _write(self, step: Callable[[Transaction], Awaitable[None]], point: str = "") -> None:
        async def write(tx: Transaction) -> None:
            await step(tx)
            failpoint(point)

        await until_stored(self._store, f"reply {self._reply.id}", write, self._backoff, retries=0)
