"""The life of a reply: which event moves it from which state to which. Pure; the store walks this table.

queued ──claim──> generating ──finish──> sending ──deliver──> done | refused | stopped | failed
  │                   │
  │                   ├──crash, lose, again──> queued
  │                   └──fail──> failed
  ├──stop, clear──> cancelled
  ├──merge──> merged
  └──expire──> sending
"""

from enum import StrEnum


class Lane(StrEnum):
    """`answer`: a question for the model, one at a time in a conversation. `notice`: the rest, beside the answers."""

    ANSWER = "answer"
    NOTICE = "notice"


class State(StrEnum):
    """Where a reply stands. The first three are open, the others terminal."""

    QUEUED = "queued"
    GENERATING = "generating"
    SENDING = "sending"
    DONE = "done"
    REFUSED = "refused"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    MERGED = "merged"
    FAILED = "failed"

    @property
    def open(self) -> bool:
        """Whether something is still owed to the person who asked."""
        return self in OPEN


OPEN = (State.QUEUED, State.GENERATING, State.SENDING)
ACTIVE = (State.GENERATING, State.SENDING)
OUTCOMES = (State.DONE, State.REFUSED, State.STOPPED, State.FAILED)
"""Where a delivered text may lead."""


class Event(StrEnum):
    """What can happen to a reply."""

    CLAIM = "claim"  # a worker takes it; raises the attempt
    FINISH = "finish"  # the final text is known and stored, with the outcome it will lead to
    DELIVER = "deliver"  # the platform has accepted the final text
    STOP = "stop"  # /stop, /undo, /retry, Ctrl-C
    CLEAR = "clear"  # /clear
    AGAIN = "again"  # /retry: the command's own row becomes an answer
    CRASH = "crash"  # the process died under it; seen at the next start
    LOSE = "lose"  # the engine died under it: it will run by itself
    EXPIRE = "expire"  # nobody answered it for a day: an apology, for all that waited so long there
    FAIL = "fail"  # nothing can be sent any more: no notice either
    MERGE = "merge"  # another reply answers it too


_NEXT: dict[tuple[State, Event], State] = {
    (State.QUEUED, Event.CLAIM): State.GENERATING,
    (State.QUEUED, Event.STOP): State.CANCELLED,
    (State.QUEUED, Event.CLEAR): State.CANCELLED,
    (State.QUEUED, Event.MERGE): State.MERGED,
    (State.QUEUED, Event.EXPIRE): State.SENDING,
    (State.QUEUED, Event.CRASH): State.QUEUED,
    (State.GENERATING, Event.FINISH): State.SENDING,
    # Only a flag: the outcome is noted, and the sequence is freed at the next token.
    (State.GENERATING, Event.STOP): State.GENERATING,
    (State.GENERATING, Event.CLEAR): State.GENERATING,
    (State.GENERATING, Event.AGAIN): State.QUEUED,
    (State.GENERATING, Event.CRASH): State.QUEUED,
    (State.GENERATING, Event.LOSE): State.QUEUED,
    (State.GENERATING, Event.FAIL): State.FAILED,
    (State.SENDING, Event.CRASH): State.SENDING,
    (State.SENDING, Event.FAIL): State.FAILED,
}


def after(state: State, event: Event, outcome: State | None = None) -> State | None:
    """The state that `event` leads to, or None where it changes nothing.

    `outcome` is what the reply's final text was stored with; only a delivery asks for it.
    """
    if (state, event) == (State.SENDING, Event.DELIVER):
        return outcome or State.DONE
    return _NEXT.get((state, event))
