"""What to do so that messages show what they should. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.domain.conversation import Chunk
from core.domain.platform import (
    OutgoingMessage,
)


@dataclass(frozen=True, slots=True)
class Send:
    """A new message is due."""

    index: int
    part: OutgoingMessage


@dataclass(frozen=True, slots=True)
class Edit:
    """A message shows something else than it should."""

    index: int
    message_id: str
    part: OutgoingMessage


@dataclass(frozen=True, slots=True)
class Delete:
    """A message is left that a shorter text no longer needs."""

    index: int
    message_id: str


Step = Send | Edit | Delete


def plan(
    parts: Sequence[OutgoingMessage], chunks: Sequence[Chunk], shown: Sequence[OutgoingMessage | None]
) -> list[Step]:
    """What to do so that the messages `chunks`, which show `shown`, show `parts`; in order.

    `shown` is shorter than `chunks` where nobody knows what they show (after a restart): those are edited in any case.
    A chunk without an id was only intended: it is sent again.
    """
    steps: list[Step] = []
    for index, part in enumerate(parts):
        known = chunks[index].message_id if index < len(chunks) else None
        if known is None:
            steps.append(Send(index, part))
        elif index >= len(shown) or shown[index] != part:
            steps.append(Edit(index, known, part))
    surplus = [(index, chunk.message_id) for index, chunk in enumerate(chunks) if index >= len(parts)]
    return steps + [Delete(index, known) for index, known in reversed(surplus) if known is not None]
