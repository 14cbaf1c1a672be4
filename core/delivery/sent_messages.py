"""The messages of one reply: what they should show, and what is left to do for that. Each change is stored before
anything depends on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from core.domain.conversation import ELSEWHERE, Reply
from core.domain.platform import MessageGone, OutgoingMessage, OutOfReach, Unacceptable
from core.domain.store import Store, Transaction
from core.runtime.failpoints import failpoint
from core.runtime.retry import Backoff, until_stored

WHOLE = "whole"
"""In the nonce of a message that is sent with its text and no placeholder before, where a second send shows twice."""
DOUBTFUL = "doubtful"
"""In the nonce of the notice that takes the place of such a message, where nobody knows whether it came."""
MAX_VANISHED = 2
"""After a message has disappeared more often than this, its reply is given up."""


@dataclass(slots=True)
class MessageState:
    """One message of a reply on its platform.

    `nonce`: what it is sent with. `id`: the platform's, None while it is only intended. `shows`: its content, None
    where that is unknown (after a restart). `maybe_sent`: a send may have been accepted without its id arriving; a
    platform that recognises the nonce keeps the message as it was. `gone`: it can't be changed any more, and another
    has to take its place. `vanished`: how often that happened because it was deleted. `doubtful`: it may show its text
    already, and nobody can tell: a notice of that takes its place.
    """

    nonce: str
    id: str | None = None
    shows: OutgoingMessage | None = None
    maybe_sent: bool = False
    gone: bool = False
    vanished: int = 0
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """A new message is due."""

    index: int
    message: OutgoingMessage


@dataclass(frozen=True, slots=True)
class Edit:
    """A message shows something else than it should."""

    index: int
    message_id: str
    message: OutgoingMessage


@dataclass(frozen=True, slots=True)
class Delete:
    """A message is left that a shorter text no longer needs."""

    index: int
    message_id: str


Step = Send | Edit | Delete


def plan(
    messages: Sequence[OutgoingMessage],
    states: Sequence[MessageState],
    doubtful_notice: Callable[[], OutgoingMessage] | None = None,
) -> list[Step]:
    """The steps, in order, after which the messages in `states` show `messages`. Pure.

    A message that is only intended is sent again. A message whose content is unknown is edited in any case. In place of
    one that may stand there already comes the notice of that, if there is one: never a second answer.
    """
    steps: list[Step] = []
    for index, wanted in enumerate(messages):
        state = states[index] if index < len(states) else None
        is_doubtful = doubtful_notice is not None and state is not None and state.doubtful
        message = replace(doubtful_notice(), controls=wanted.controls) if doubtful_notice and is_doubtful else wanted
        if state is None or state.id is None:
            steps.append(Send(index, message))
        elif state.shows != message:
            steps.append(Edit(index, state.id, message))
    surplus = [(index, state.id) for index, state in enumerate(states) if index >= len(messages)]
    return steps + [Delete(index, message_id) for index, message_id in reversed(surplus) if message_id is not None]


class SentMessages:
    """Keeps the state of a reply's messages, in memory and in the store.

    A database in trouble is waited for. Methods that store raise Stale where the reply is another worker's.
    `instance` makes the nonces of one process differ from another's.
    """

    def __init__(self, store: Store, reply: Reply, instance: str, backoff: Backoff) -> None:
        self._reply, self._instance = reply, instance
        self._stored = partial(until_stored, store, f"reply {reply.id}", backoff=backoff, retries=0)
        self.states = [
            MessageState(
                chunk.nonce,
                chunk.message_id,
                maybe_sent=chunk.message_id is None,
                doubtful=self._is(chunk.nonce, DOUBTFUL) or (chunk.message_id is None and self._is(chunk.nonce, WHOLE)),
            )
            for chunk in reply.chunks
        ]
        """In the order of the reply's text."""
        self.is_elsewhere = bool(reply.chunks) and any(chunk.is_elsewhere for chunk in reply.chunks)
        """Whether its messages are sent outside its thread, from the next one on."""
        self._replacements = 0

    async def intend(self, index: int, *, whole: bool = False) -> str:
        """C3: store that message number `index` is about to be sent; return its nonce. `whole`: with its text.

        A message that was only intended keeps its nonce: the platform may know it already.
        """
        before = self.states[index] if index < len(self.states) else None
        if before is not None and not before.gone:
            return before.nonce
        doubtful = before is not None and before.doubtful
        nonce = f"{self._instance}{ELSEWHERE if self.is_elsewhere else ''}-{self._reply.id}-{index}"
        nonce += f"-{self._replacements}" if self._replacements else ""
        nonce += f"-{DOUBTFUL if doubtful else WHOLE}-{self._reply.id}" if doubtful or whole else ""
        instead_of = before.nonce if before else ""

        async def intend(tx: Transaction) -> None:
            await tx.messages.add_intent(self._reply, nonce, instead_of=instead_of)
            failpoint("intending")

        await self._stored(intend)
        failpoint("intended")
        vanished = before.vanished if before else 0
        self.states[index : index + 1] = [MessageState(nonce, vanished=vanished, doubtful=doubtful)]
        return nonce

    def is_whole(self, index: int) -> bool:
        """Whether the message was intended to be sent with its text."""
        return index < len(self.states) and self._is(self.states[index].nonce, WHOLE)

    def _is(self, nonce: str, kind: str) -> bool:
        """Whether a nonce is of that kind, and this reply's: a retry takes over the messages of another one."""
        return nonce.endswith(f"-{kind}-{self._reply.id}")

    def doubt(self, index: int) -> None:
        """A message that was sent with its text may have been accepted: another is to say so in its place."""
        self._replacements += 1
        self.states[index].doubtful = self.states[index].gone = True

    async def set_sent(self, index: int, message_id: str, message: OutgoingMessage | None) -> None:
        """C4: store the id that the platform has given. `message`: the content, None where it is unknown."""
        state = self.states[index]
        state.id, state.shows, state.maybe_sent = message_id, message, False
        await self._stored(lambda tx: tx.messages.set_id(self._reply, state.nonce, message_id))
        failpoint("noted")

    async def remove(self, index: int) -> None:
        """The message is deleted."""
        await self._stored(lambda tx: tx.messages.remove(self._reply, self.states[index].nonce))
        del self.states[index]

    async def delay(self, now: int, until: int) -> None:
        """Store that the platform accepts nothing for this chat before `until`: a restart must not forget it. Both in
        milliseconds UTC."""
        await self._stored(lambda tx: tx.replies.delay(self._reply, now, until))

    async def delete_question(self) -> bool:
        """The question's message is deleted: so is what the history has of it. False where the reply answers others
        too, and nothing is deleted."""

        async def delete(tx: Transaction) -> bool:
            chat, bot, external_id = self._reply.chat, self._reply.bot, self._reply.external_id
            reply = await tx.inbox.find_question(chat.platform, bot, external_id)
            if reply is None or reply.question is None:
                return False
            await tx.turns.delete_pair(reply.question)
            return True

        return await self._stored(delete)

    def replace(self, index: int, gone: MessageGone) -> None:
        """Have another message sent in place of one that is gone. Raises Unacceptable where that was done too often.

        Where the messages are out of reach, all of them are sent anew, so that they stand together.
        """
        self._replacements += 1
        affected = [self.states[index]]
        if isinstance(gone, OutOfReach):
            affected = [state for state in self.states if state.id is not None or state is affected[0]]
        else:
            affected[0].vanished += 1
        if self.states[index].vanished > MAX_VANISHED:
            raise Unacceptable from gone
        for state in affected:
            state.id, state.gone = None, True
