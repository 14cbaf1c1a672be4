"""Claims (C2): which queued replies are next."""

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    update,
)

from core.domain.conversation import Reply
from core.domain.reply_states import ACTIVE, OPEN, Lane, State
from core.domain.store import Claimed, Stale
from storage.connections import Connection, ResultRow
from storage.mapping import REPLY_COLUMNS, REPLY_SOURCE, to_reply
from storage.tables import chats, replies

_reply = replies.alias("candidate")
_other = replies.alias("other")
_chat = chats.alias("its_chat")
_PLATFORMS: BindParameter[Any] = bindparam("platforms", expanding=True)
_LIMIT: BindParameter[Any] = bindparam("most", type_=Integer)


def _queued(lane: Lane, reply: Any) -> ColumnElement[bool]:
    return and_(reply.c.lane == lane, reply.c.state == State.QUEUED)


_command_before = exists().where(
    _other.c.chat_id == _reply.c.chat_id, _other.c.lane == Lane.NOTICE, _other.c.state.in_(OPEN),
    _other.c.id < _reply.c.id, _other.c.outcome.is_distinct_from(State.REFUSED),  # a refused one has changed nothing
)  # fmt: skip
"""Whether an earlier open command of the conversation may still change the reply."""
_active_here = exists().where(
    _other.c.chat_id == _reply.c.chat_id, _other.c.lane == Lane.ANSWER, _other.c.state.in_(ACTIVE)
)
_earlier_here = exists().where(
    _other.c.chat_id == _reply.c.chat_id, _queued(Lane.ANSWER, _other), _other.c.id < _reply.c.id
)
_generating = (
    select(_other.c.id)
    .join(_chat, _chat.c.id == _other.c.chat_id)
    .where(_other.c.lane == Lane.ANSWER, _other.c.state == State.GENERATING, _chat.c.platform.in_(_PLATFORMS))
)
_GENERATING = _generating.limit(1)
_isolated_running = _generating.where(_other.c.isolated).exists()


def _waiting(lane: Lane) -> Select[*tuple[Any, ...]]:
    """Up to one row more than a claim may take, of what is queued in the lane."""
    return (
        select(_other.c.id)
        .join(_chat, _chat.c.id == _other.c.chat_id)
        .where(_queued(lane, _other), _chat.c.platform.in_(_PLATFORMS))
    )


@cache
def _any_waiting(lane: Lane) -> Select[*tuple[Any, ...]]:
    return _waiting(lane).limit(1)


@cache
def _next(lane: Lane) -> Select[*tuple[Any, ...]]:
    """The replies to claim, in order, each with the chat's row id and how many are queued.

    Answers: an isolated one comes first; while one is generated no other begins. Of each conversation only the oldest.
    """
    queued = (
        select(_reply.c.id, _reply.c.isolated, chats.c.served_at)
        .join(chats, chats.c.id == _reply.c.chat_id)
        .where(_queued(lane, _reply), chats.c.platform.in_(_PLATFORMS), ~_command_before)
    )
    if lane is Lane.ANSWER:
        queued = queued.where(~_active_here, ~_isolated_running, or_(_reply.c.isolated, ~_earlier_here))
        queued = queued.order_by(_reply.c.isolated.desc(), chats.c.served_at, _reply.c.id)
    else:
        queued = queued.order_by(_reply.c.id)
    chosen = queued.limit(_LIMIT).subquery("chosen")
    waiting = select(func.count()).select_from(_waiting(lane).limit(_LIMIT + 1).subquery()).scalar_subquery()
    order = (chosen.c.isolated.desc(), chosen.c.served_at) if lane is Lane.ANSWER else ()
    return (
        select(*REPLY_COLUMNS, replies.c.chat_id, waiting)
        .select_from(REPLY_SOURCE.join(chosen, chosen.c.id == replies.c.id))
        .order_by(*order, chosen.c.id)
        .with_for_update(of=replies)
    )


_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_CLAIM = (
    update(replies)
    .where(replies.c.id.in_(_IDS), replies.c.state == State.QUEUED)
    .values(state=State.GENERATING, attempt=replies.c.attempt + 1, outcome=None)
)
_SERVED = update(chats).where(chats.c.id.in_(_IDS))


class ClaimQueue:
    """What Replies.claim does, see core.domain.store."""

    def __init__(self, connection: Connection, now: Callable[[], int]) -> None:
        self._connection = connection
        self._now = now

    async def claim(self, lane: Lane, platforms: Collection[str], now: int, limit: int) -> Claimed:
        """See core.domain.store.Replies."""
        here = {"platforms": list(platforms)}
        rows = (await self._connection.execute(_next(lane), {**here, "most": limit})).all()
        claimed = [_claimed(row) for row in rows]
        if claimed and claimed[0].isolated:
            # It begins with no other beside it, once none is being generated.
            running = (await self._connection.execute(_GENERATING, here)).first()
            claimed = claimed[:1] if running is None else []
        if not claimed:
            waiting = await self._connection.execute(_any_waiting(lane), here)
            return Claimed((), waiting.first() is not None)
        ids = [reply.id for reply in claimed]
        changed = await self._connection.execute(_CLAIM, {"ids": ids, "updated_at": self._now()})
        if changed.rowcount != len(ids):
            raise Stale(f"one of the replies {ids} has been claimed")
        if lane is Lane.ANSWER:
            served = [row[len(REPLY_COLUMNS)] for row in rows[: len(ids)]]
            await self._connection.execute(_SERVED, {"ids": served, "served_at": now})
        return Claimed(claimed, rows[0][-1] > len(ids))


def _claimed(row: ResultRow) -> Reply:
    reply = to_reply(row)
    return replace(reply, state=State.GENERATING, attempt=reply.attempt + 1, outcome=None)
