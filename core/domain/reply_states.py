"""The states of a reply: which event moves it from which state to which. Pure; the store applies this table.

queued ──claim──> generating ──finish──> sending ──deliver──> done | refused | stopped | failed
  │                   │
  │                   ├──crash, lose, again──> queued
  │                   └──fail──> failed
  ├──stop, clear, discard──> cancelled
  ├──withdraw──> sending ──deliver──> cancelled
  ├──merge──> merged
  └──expire──> sending

docs/states.md has the whole table, and says why.
"""

from enum import StrEnum


class Lane(StrEnum):
    """The queue of a reply. ANSWER: questions for the model, one at a time in a conversation. NOTICE: commands that
    change something, and notices; they wait for no answer, and later questions wait for them. LOOK: commands that only
    look, for which only each other wait."""

    ANSWER = "answer"
    NOTICE = "notice"
    LOOK = "look"


class State(StrEnum):
    """The state of a reply. The first three are open, the others terminal."""

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
        """Whether the person who asked is still to get a reply."""
        return self in OPEN


OPEN = (State.QUEUED, State.GENERATING, State.SENDING)
ACTIVE = (State.GENERATING, State.SENDING)
OUTCOMES = (State.DONE, State.REFUSED, State.STOPPED, State.FAILED, State.CANCELLED)
"""The terminal states that a delivered final text may lead to."""


class ReplyEvent(StrEnum):
    """What happens to a reply."""

    CLAIM = "claim"  # a worker takes it, which raises the attempt
    FINISH = "finish"  # the final text is stored, with the outcome that its delivery leads to
    DELIVER = "deliver"  # the platform has accepted the final text
    STOP = "stop"  # /stop, /undo, /retry, Ctrl-C
    CLEAR = "clear"  # /clear
    WITHDRAW = "withdraw"  # as STOP and CLEAR, where what people see of a queued reply must still be changed
    DISCARD = "discard"  # nobody is to see an answer: the question's message was deleted while it waited or ran
    AGAIN = "again"  # /retry: the command's own row becomes an answer
    CRASH = "crash"  # its process died, or nobody works on it any more
    LOSE = "lose"  # the engine died while it was generated: it will run again
    EXPIRE = "expire"  # it was queued for too long: an apology is sent instead
    FAIL = "fail"  # nothing can be sent any more, not even a notice
    MERGE = "merge"  # another reply answers its message too


_TRANSITIONS: dict[tuple[State, ReplyEvent], State] = {
    (State.QUEUED, ReplyEvent.CLAIM): State.GENERATING,
    (State.QUEUED, ReplyEvent.STOP): State.CANCELLED,
    (State.QUEUED, ReplyEvent.CLEAR): State.CANCELLED,
    (State.QUEUED, ReplyEvent.DISCARD): State.CANCELLED,
    (State.QUEUED, ReplyEvent.WITHDRAW): State.SENDING,
    (State.QUEUED, ReplyEvent.MERGE): State.MERGED,
    (State.QUEUED, ReplyEvent.EXPIRE): State.SENDING,
    (State.QUEUED, ReplyEvent.CRASH): State.QUEUED,
    (State.GENERATING, ReplyEvent.FINISH): State.SENDING,
    # The state is kept: only the outcome is stored, and the worker stops at the next token.
    (State.GENERATING, ReplyEvent.STOP): State.GENERATING,
    (State.GENERATING, ReplyEvent.CLEAR): State.GENERATING,
    (State.GENERATING, ReplyEvent.DISCARD): State.GENERATING,
    (State.GENERATING, ReplyEvent.AGAIN): State.QUEUED,
    (State.GENERATING, ReplyEvent.CRASH): State.QUEUED,
    (State.GENERATING, ReplyEvent.LOSE): State.QUEUED,
    (State.GENERATING, ReplyEvent.FAIL): State.FAILED,
    (State.SENDING, ReplyEvent.CRASH): State.SENDING,
    (State.SENDING, ReplyEvent.FAIL): State.FAILED,
}


def next_state(state: State, event: ReplyEvent, outcome: State | None = None) -> State | None:
    """The state that `event` leads to, or None where the event has no meaning in `state`.

    `outcome` is what the reply's final text was stored with; only Event.DELIVER needs it.
    """
    if (state, event) == (State.SENDING, ReplyEvent.DELIVER):
        return outcome or State.DONE
    return _TRANSITIONS.get((state, event))
