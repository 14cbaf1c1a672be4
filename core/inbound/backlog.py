"""What waited while the bot was away: merged by author, or too old and given one apology. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from core.domain.conversation import ChatId, Reply
from core.domain.reply_states import Lane, State

MERGE_AFTER_MS = 120_000
"""A question that waited at least this long at the start may be merged with others."""
EXPIRE_AFTER_MS = 24 * 3600 * 1000
"""A question that waited this long at the start is not answered any more."""
MAX_MERGED_CHARACTERS = 4000
"""Questions are merged up to this length, so that they fit into a model's context."""
_SEPARATOR_LENGTH = 2


@dataclass(frozen=True, slots=True)
class Batch:
    """One reply for several messages: `into` is the newest, `others` are older, oldest first."""

    into: Reply
    others: tuple[Reply, ...] = ()


def expired(waiting: Sequence[Reply], started: int) -> list[Batch]:
    """The questions that are too old, one batch for each conversation. `started`: when the bot started, ms UTC by the
    platform's clock, which dates the questions.

    Where one was begun before a crash, its message takes the apology. What is to be answered again is not among them:
    its messages show an answer.
    """
    old = defaultdict[ChatId, list[Reply]](list)
    for reply in waiting:
        is_question = reply.lane is Lane.ANSWER and reply.state is State.QUEUED and not reply.is_repeat
        if is_question and reply.at <= started - EXPIRE_AFTER_MS:
            old[reply.chat].append(reply)
    return [_batch(sorted(replies, key=lambda reply: bool(reply.chunks))) for replies in old.values()]


def mergeable(waiting: Sequence[Reply], started: int) -> list[Batch]:
    """Each author's questions in a conversation, where several waited for long. `started`: as above.

    `waiting` holds commands too: what was asked before one that changes something is not merged with what was asked
    after it.
    """
    groups: list[list[Reply]] = []
    growing: dict[ChatId, dict[str, list[Reply]]] = {}
    for reply in waiting:
        if reply.lane is Lane.NOTICE:
            growing.pop(reply.chat, None)
        elif reply.lane is Lane.ANSWER and _may_merge(reply, started):
            by_author = growing.setdefault(reply.chat, {})
            group = by_author.get(reply.author.id)
            if group is None or _length(group) + len(reply.text) > MAX_MERGED_CHARACTERS:
                groups.append([])
                group = by_author[reply.author.id] = groups[-1]
            group.append(reply)
    return [_batch(group) for group in groups if len(group) > 1]


def _may_merge(reply: Reply, started: int) -> bool:
    """An interaction needs a response of its own, and an answer that was begun has a message: they stay alone."""
    waited_long = started - EXPIRE_AFTER_MS < reply.at <= started - MERGE_AFTER_MS
    return waited_long and not (reply.reply_token or reply.chunks or reply.attempt)


def _batch(replies: Sequence[Reply]) -> Batch:
    return Batch(replies[-1], tuple(replies[:-1]))


def _length(replies: Sequence[Reply]) -> int:
    return sum(len(reply.text) + _SEPARATOR_LENGTH for reply in replies)
