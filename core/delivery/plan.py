"""What to do so that a reply's messages show what they should. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.domain.platform import OutgoingMessage


@dataclass(slots=True)
class MessageState:
    """One message of a reply on its platform.

    `nonce`: what it is sent with. `id`: the platform's, None while it is only intended. `shows`: its content, None
    where that is unknown (after a restart). `maybe_sent`: a send may have been accepted without its id arriving; a
    platform that recognises the nonce keeps the message as it was. `gone`: it can't be changed any more, and another
    has to take its place. `vanished`: how often that happened because it was deleted.
    """

    nonce: str
    id: str | None = None
    shows: OutgoingMessage | None = None
    maybe_sent: bool = False
    gone: bool = False
    vanished: int = 0


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


def plan(messages: Sequence[OutgoingMessage], states: Sequence[MessageState]) -> list[Step]:
    """The steps, in order, after which the messages in `states` show `messages`.

    A message that is only intended is sent again. A message whose content is unknown is edited in any case.
    """
    steps: list[Step] = []
    for index, message in enumerate(messages):
        state = states[index] if index < len(states) else None
        if state is None or state.id is None:
            steps.append(Send(index, message))
        elif state.shows != message:
            steps.append(Edit(index, state.id, message))
    surplus = [(index, state.id) for index, state in enumerate(states) if index >= len(messages)]
    return steps + [Delete(index, message_id) for index, message_id in reversed(surplus) if message_id is not None]
