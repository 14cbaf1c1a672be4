"""What piled up while the bot was away: answered together, once per author; too old for that, one apology. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from core.domain.conversation import ChatId, Reply
from core.domain.reply_states import Lane, State

PATIENCE = 120_000
"""Milliseconds that a question must have waited at the start."""
TOO_OLD = 24 * 3600 * 1000
"""Milliseconds after which nobody waits for an answer any more."""
LONGEST = 4000
"""Characters that are put together at most, so that they fit into a model's context."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One reply for several messages: `into` is the newest, `others` are older, oldest first."""

    into: Reply
    others: tuple[Reply, ...] = ()


def expired(waiting: Sequence[Reply], started: int) -> list[Batch]:
    """One pile for each conversation in which questions are too old, of all that are. Where one was begun before a
    crash, its message takes the apology."""
    old = defaultdict[ChatId, list[Reply]](list)
    for reply in waiting:
        if _queued(reply) and reply.at <= started - TOO_OLD:
            old[reply.chat].append(reply)
    return [_pile(sorted(replies, key=lambda reply: bool(reply.chunks))) for replies in old.values()]


def mergeable(waiting: Sequence[Reply], started: int) -> list[Batch]:
    """Each author's questions in a conversation, where there are several that waited for long; `waiting` has commands
    too, and what was asked before one is not put together with what was asked after it. What was asked through an
    interaction has a response of its own to fill in, and what was begun has a message: they stay alone."""
    groups: list[list[Reply]] = []
    growing: dict[ChatId, dict[str, list[Reply]]] = {}
    for reply in waiting:
        if reply.lane is Lane.NOTICE:
            growing.pop(reply.chat, None)
        elif started - TOO_OLD < reply.at <= started - PATIENCE and not (
            reply.reply_token or reply.chunks or reply.attempt
        ):
            here = growing.setdefault(reply.chat, {})
            if reply.author.id not in here or _length(here[reply.author.id]) + len(reply.text) > LONGEST:
                groups.append([])
                here[reply.author.id] = groups[-1]
            here[reply.author.id].append(reply)
    return [_pile(group) for group in groups if len(group) > 1]


def _queued(reply: Reply) -> bool:
    return reply.lane is Lane.ANSWER and reply.state is State.QUEUED


def _pile(replies: Sequence[Reply]) -> Batch:
    return Batch(replies[-1], tuple(replies[:-1]))


def _length(replies: Sequence[Reply]) -> int:
    return sum(len(reply.text) + 2 for reply in replies)
