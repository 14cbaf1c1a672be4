"""What is stored of a batch of messages, and the refusal of those that are too many: one line a minute for a person."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from core.domain.conversation import ChatId, NewReply, Reply
from core.domain.reply_states import Lane, State
from core.domain.store import Transaction
from core.i18n.person_language import read_language

REFUSAL_INTERVAL_S = 60.0
"""A person is told once in this time and conversation that their questions are too many, and once that their commands
are."""


class Asker(NamedTuple):
    """A person in a conversation, as one who asks questions, or as one who gives commands."""

    chat: ChatId
    person: str
    gives_commands: bool = False


@dataclass(slots=True)
class Admitted:
    """What is to be stored of a batch, in its order."""

    replies: list[NewReply]
    refusals: dict[Asker, int] = field(default_factory=dict)
    """Where in `replies` a person's refusal stands."""
    answered_by: dict[int, list[int]] = field(default_factory=dict)
    """By the place of a reply in `replies`, the places of those that are merged into it."""
    commands: dict[Asker, tuple[int, ...]] = field(default_factory=dict)
    """When those who gave commands in the batch gave their last ones."""

    def merge(self, place: int, into: int) -> None:
        """The reply at `into` answers the message at `place` too. Nothing is kept of that."""
        self.replies[place] = merged(self.replies[place])
        self.answered_by.setdefault(into, []).append(place)


def merged(new: NewReply, into: int | None = None) -> NewReply:
    """A message that another reply answers: the stored one with the id `into`, or one of its own batch. It changes
    nothing, so it is no command that questions wait for."""
    lane = Lane.NOTICE if new.lane is Lane.ANSWER else Lane.LOOK
    return NewReply(replace(new.incoming, text=""), lane, State.MERGED, merged_into=into)


class Refusals:
    """Refuses messages, and remembers who was told. `clock`: seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.told: dict[Asker, tuple[float, int]] = {}
        """When a person was told last (the clock's seconds), and by which reply; the oldest first."""

    async def refuse(
        self, tx: Transaction, admitted: Admitted, place: int, asker: Asker, describe: Callable[[str], str]
    ) -> None:
        """Refuse the message at a place. `describe` says why, in a language.

        What is refused within a minute is merged into one line. An interaction needs a line of its own.
        """
        incoming = admitted.replies[place].incoming
        told_at, by = self.told.get(asker, (-math.inf, None))
        if not incoming.reply_token:
            if asker in admitted.refusals:
                return admitted.merge(place, admitted.refusals[asker])
            if told_at > self._clock() - REFUSAL_INTERVAL_S:
                admitted.replies[place] = merged(admitted.replies[place], by)
                return None
        admitted.refusals[asker] = place
        language = await read_language(tx, incoming.chat.platform, incoming.author)
        unread = replace(incoming, text="")  # nothing is kept of what is refused
        admitted.replies[place] = NewReply(unread, Lane.NOTICE, State.SENDING, final=describe(language))
        return None

    def record(self, admitted: Admitted, stored: Sequence[Reply]) -> None:
        """The batch is stored. Those of whom something was let in are told again the next time."""
        now, told = self._clock(), self.told
        while told and told[oldest := next(iter(told))][0] <= now - REFUSAL_INTERVAL_S:
            del told[oldest]
        for each in admitted.replies:
            if each.state is State.QUEUED:
                told.pop(Asker(each.incoming.chat, each.incoming.author.id, each.lane is not Lane.ANSWER), None)
        for asker, place in admitted.refusals.items():
            told.pop(asker, None)
            told[asker] = now, stored[place].id
