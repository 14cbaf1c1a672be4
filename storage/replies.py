"""The work queue: replies and their rows, which are next (C2), every event of core/domain/reply_states.py as one
conditional change of a row, and the messages of a reply: intents and ids, in the order of its text."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    exists,
    func,
    or_,
    select,
    update,
)

from core.domain.conversation import ELSEWHERE, ChatId, Question, Reply, fit_id
from core.domain.reply_states import ACTIVE, OPEN, Lane, ReplyEvent, State, next_state
from core.domain.store import Claimed, Stale
from storage.connections import Connection
from storage.conversations import is_chat, key_of
from storage.reply_rows import REPLY_COLUMNS, REPLY_SOURCE, select_replies, to_reply
from storage.tables import CLOSED_INBOX, chats, inbox, replies

_reply = replies.alias("candidate")
_other = replies.alias("other")
_chat = chats.alias("its_chat")
_PLATFORMS: BindParameter[Any] = bindparam("platforms", expanding=True)
_LIMIT: BindParameter[Any] = bindparam("most", type_=Integer)


def _queued(lane: Lane, reply: Any) -> ColumnElement[bool]:
    return and_(reply.c.lane == lane, reply.c.state == State.QUEUED)


def _command_before(*lanes: Lane) -> ColumnElement[bool]:
    """Whether an earlier command of the lanes is open in the conversation, one that was not refused at once."""
    return exists().where(
        _other.c.chat_id == _reply.c.chat_id, _other.c.lane.in_(lanes), _other.c.state.in_(OPEN),
        _other.c.id < _reply.c.id, _other.c.outcome.is_distinct_from(State.REFUSED),
    )  # fmt: skip


_HELD_UP_BY = {
    Lane.ANSWER: (Lane.NOTICE,),
    Lane.NOTICE: (Lane.NOTICE,),
    Lane.LOOK: (Lane.NOTICE, Lane.LOOK),
}
"""By a reply's lane, the lanes of the earlier commands that it waits for: those that may still change it, and of those
that only look one at a time."""
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
    """What is queued in the lane on the platforms."""
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
        .where(_queued(lane, _reply), chats.c.platform.in_(_PLATFORMS), ~_command_before(*_HELD_UP_BY[lane]))
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
_LAST_SERVED = select(func.max(chats.c.served_at))

_ID = replies.c.id == bindparam("reply_id")
_FIND = select_replies().where(_ID)
_has_texts = or_(inbox.c.text.is_not(None), inbox.c.reply_token.is_not(None), inbox.c.options.is_not(None))
_CURRENT = (
    _FIND.add_columns(_has_texts)
    .where(replies.c.attempt == bindparam("of_attempt"))
    .with_for_update(of=replies)
)  # fmt: skip
_CHANGE = update(replies).where(_ID)
_CLOSE_INBOX = (
    update(inbox)
    .where(inbox.c.id == select(replies.c.inbox_id).where(_ID).scalar_subquery())
    .values(CLOSED_INBOX)
)  # fmt: skip

_here = select(_reply.c.chat_id).where(_reply.c.id == bindparam("reply_id")).scalar_subquery()
SHOWN_STATES = (State.DONE, State.REFUSED, State.STOPPED, State.MERGED, State.FAILED)
"""Of an answer that may have a message on the platform, and is closed."""
_previous = _reply.alias("previous")
_PREVIOUS_ANSWER = select_replies().where(
    replies.c.id
    == select(_previous.c.id)
    .where(
        _previous.c.chat_id == _here, _previous.c.lane == Lane.ANSWER, _previous.c.id < bindparam("reply_id"),
        _previous.c.state.in_(SHOWN_STATES), func.json_array_length(_previous.c.chunks) > 0,
        _previous.c.question_id.is_not(None),  # what is taken back or refused has no buttons any more
    )
    .order_by(_previous.c.id.desc())
    .limit(1)
    .scalar_subquery()
)  # fmt: skip
_LAST_ANSWER = (
    select(replies.c.chunks)
    .where(replies.c.question_id == bindparam("question"))
    .order_by(replies.c.id.desc())
    .limit(1)
)  # fmt: skip
_OPEN_ANSWERS = select_replies().where(is_chat(), replies.c.lane == Lane.ANSWER, replies.c.state.in_(OPEN))
_OPEN_COMMANDS = select_replies().where(is_chat(), replies.c.lane != Lane.ANSWER, replies.c.state.in_(OPEN))
_LONGEST_WAITING = select_replies().where(
    _queued(Lane.ANSWER, replies), chats.c.platform.in_(_PLATFORMS)
).limit(_LIMIT)  # fmt: skip
_COUNTS = (
    select(replies.c.state, func.count())
    .where(replies.c.lane == Lane.ANSWER, replies.c.state.in_(OPEN))
    .group_by(replies.c.state)
)
_DELAY = update(replies).where(
    _ID,
    replies.c.not_before.is_(None)
    | (replies.c.not_before < bindparam("until"))
    | (replies.c.not_before_set > bindparam("set_at")),
).values(not_before=bindparam("until"), not_before_set=bindparam("set_at"))  # fmt: skip
_CHUNKS = select(replies.c.chunks).where(_ID, replies.c.attempt == bindparam("of_attempt")).with_for_update()
_CHATS_CHUNKS = (
    select(replies.c.chunks)
    .join(chats, chats.c.id == replies.c.chat_id)
    .where(
        chats.c.platform == bindparam("platform"),
        chats.c.chat == bindparam("chat"),
        # SQLite's LIKE takes "a" for "A", so what it finds is compared again.
        cast(replies.c.chunks, Text).contains(bindparam("part", type_=Text), escape="/"),
    )
)


_ENDED_AS = {
    ReplyEvent.STOP: State.STOPPED, ReplyEvent.CLEAR: State.STOPPED, ReplyEvent.DISCARD: State.CANCELLED
}  # fmt: skip
"""By the event that ends a reply which is being generated, the outcome that its worker finds."""


class SqlReplies:
    """See core.domain.store.Replies."""

    def __init__(self, connection: Connection, now: Callable[[], int]) -> None:
        self._connection = connection
        self._now = now
        self._last_served: int | None = None
        """The newest `served_at`; None before the first claim."""

    async def claim(self, lane: Lane, platforms: Collection[str], now: int, limit: int) -> Claimed:
        here = {"platforms": list(platforms)}
        rows = (await self._connection.execute(_next(lane), {**here, "most": limit})).all()
        claimed = [
            replace(reply, state=State.GENERATING, attempt=reply.attempt + 1, outcome=None)
            for reply in map(to_reply, rows)
        ]
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
            if self._last_served is None:
                self._last_served = (await self._connection.execute(_LAST_SERVED)).scalar() or 0
            self._last_served = max(now, self._last_served + 1)
            await self._connection.execute(_SERVED, {"ids": served, "served_at": self._last_served})
        return Claimed(claimed, rows[0][-1] > len(ids))

    async def get(self, reply_id: int) -> Reply:
        if (reply := await self.find(reply_id)) is None:
            raise LookupError(f"no reply {reply_id}")
        return reply

    async def find(self, reply_id: int) -> Reply | None:
        row = (await self._connection.execute(_FIND, {"reply_id": reply_id})).first()
        return to_reply(row) if row else None

    async def move(
        self, reply: Reply, event: ReplyEvent, *, outcome: State | None = None, final: str | None = None
    ) -> Reply:
        attempt = {"reply_id": reply.id, "of_attempt": reply.attempt}
        if (row := (await self._connection.execute(_CURRENT, attempt)).first()) is None:
            raise Stale(f"reply {reply.id}: attempt {reply.attempt} is over")
        current = to_reply(row)
        if event is ReplyEvent.FINISH and (current.state, current.final) == (State.SENDING, final):
            return current  # an earlier commit of the same text, whose success was not reported
        if (target := next_state(current.state, event, current.outcome)) is None:
            raise Stale(f"reply {reply.id}: {event} in {current.state}")
        changes: dict[str, Any] = {"state": target}
        if event is ReplyEvent.CLAIM:
            changes |= {"attempt": current.attempt + 1, "outcome": None}
        elif event is ReplyEvent.FINISH:
            is_discarded = current.outcome is State.CANCELLED
            ended = (State.CANCELLED, "") if is_discarded else (outcome or State.DONE, final)
            changes |= dict(zip(("outcome", "final"), ended, strict=True))
        elif event is ReplyEvent.WITHDRAW:
            # In the notice lane, because another answer may be in progress in the conversation.
            changes |= {"attempt": current.attempt + 1, "lane": Lane.NOTICE, "outcome": State.CANCELLED, "final": final}
        elif target in OPEN and (ended_as := _ENDED_AS.get(event)) and current.outcome is not State.CANCELLED:
            changes["outcome"] = ended_as
        return await self._change(current, changes, has_texts=row[-1])

    async def deliver(self, reply: Reply) -> Reply | None:
        moved = await self.move(reply, ReplyEvent.DELIVER)
        if moved.lane is not Lane.ANSWER:
            return None
        row = (await self._connection.execute(_PREVIOUS_ANSWER, {"reply_id": reply.id})).first()
        return to_reply(row) if row else None

    async def become_answer(self, reply: Reply, question: Question, *, goes_on: bool = False) -> Reply:
        last = await self._connection.execute(_LAST_ANSWER, {"question": question.id})
        # What stands outside a thread that was closed stays there: a new answer has messages of its own.
        chunks = [chunk for chunk in last.scalar() or [] if ELSEWHERE not in chunk["nonce"]]
        await self.move(reply, ReplyEvent.AGAIN)
        changes = {"lane": Lane.ANSWER, "question_id": question.id, "goes_on": goes_on, "chunks": chunks}
        await self._connection.execute(_CHANGE, {"reply_id": reply.id, **changes})
        return await self.get(reply.id)

    async def open_answers(self, chat: ChatId) -> Sequence[Reply]:
        return [to_reply(row) for row in await self._connection.execute(_OPEN_ANSWERS, key_of(chat))]

    async def open_commands(self, chat: ChatId) -> Sequence[Reply]:
        return [to_reply(row) for row in await self._connection.execute(_OPEN_COMMANDS, key_of(chat))]

    async def longest_waiting(self, platforms: Collection[str], limit: int) -> Sequence[Reply]:
        wanted = {"platforms": list(platforms), "most": limit}
        return [to_reply(row) for row in await self._connection.execute(_LONGEST_WAITING, wanted)]

    async def count_active(self) -> tuple[int, int]:
        counts = {state: count for state, count in await self._connection.execute(_COUNTS)}
        return sum(counts.get(state, 0) for state in ACTIVE), counts.get(State.QUEUED, 0)

    async def requeue(self, reply: Reply, *, isolated: bool) -> Reply:
        if (before := await self.get(reply.id)).outcome in (State.STOPPED, State.CANCELLED):
            return before
        lost = await self.move(reply, ReplyEvent.LOSE)
        deaths = lost.engine_deaths + lost.isolated
        return await self._change(lost, {"engine_deaths": deaths, "isolated": isolated})

    async def delay(self, reply: Reply, now: int, until: int) -> None:
        # In every state and attempt: the delay is the chat's, not the reply's.
        await self._connection.execute(_DELAY, {"reply_id": reply.id, "set_at": now, "until": until})

    async def _change(self, current: Reply, changes: dict[str, Any], *, has_texts: bool = True) -> Reply:
        """Change columns that are called as the fields of a Reply.

        Of a closed reply no text is kept: what was said is in the history alone, where /clear deletes it. `has_texts`:
        whether the row of its message holds any.
        """
        is_open = changes.get("state", current.state) in OPEN
        if not is_open:
            changes = {**changes, "final": None}
        await self._connection.execute(_CHANGE, {"reply_id": current.id, "updated_at": self._now(), **changes})
        changed = replace(current, **changes)
        if is_open:
            return changed
        if has_texts:
            await self._connection.execute(_CLOSE_INBOX, {"reply_id": current.id})
        return replace(changed, text=changed.text if changed.question else "", reply_token="", options={})


class SqlMessages:
    """See core.domain.store.Messages."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add_intent(self, reply: Reply, nonce: str, *, instead_of: str = "") -> None:
        chunks, intended = await self._lock_current(reply), {"nonce": nonce, "id": None}
        if any(chunk["nonce"] == nonce for chunk in chunks):
            return
        if instead_of:
            chunks = [intended if chunk["nonce"] == instead_of else chunk for chunk in chunks]
        else:
            chunks = [*chunks, intended]
        await self._connection.execute(_CHANGE, {"reply_id": reply.id, "chunks": chunks})

    async def set_id(self, reply: Reply, nonce: str, message_id: str) -> None:
        chunks = await self._lock_current(reply)
        chunks = [{**chunk, "id": message_id} if chunk["nonce"] == nonce else chunk for chunk in chunks]
        await self._connection.execute(_CHANGE, {"reply_id": reply.id, "chunks": chunks})

    async def remove(self, reply: Reply, nonce: str) -> None:
        kept = [chunk for chunk in await self._lock_current(reply) if chunk["nonce"] != nonce]
        await self._connection.execute(_CHANGE, {"reply_id": reply.id, "chunks": kept})

    async def exists(self, platform: str, chat: str, message_id: str) -> bool:
        part = f'"id": {json.dumps(message_id)}'
        for special in "/%_":
            part = part.replace(special, "/" + special)
        wanted = {"platform": platform, "chat": fit_id(chat), "part": part}
        candidates = (await self._connection.execute(_CHATS_CHUNKS, wanted)).scalars()
        return any(chunk["id"] == message_id for chunks in candidates for chunk in chunks)

    async def _lock_current(self, reply: Reply) -> list[dict[str, Any]]:
        """The reply's stored messages, locked until the transaction ends. Raises Stale where its attempt is over: a
        worker may change a reply only while the attempt that it claimed is the current one."""
        attempt = {"reply_id": reply.id, "of_attempt": reply.attempt}
        if (row := (await self._connection.execute(_CHUNKS, attempt)).first()) is None:
            raise Stale(f"reply {reply.id}: attempt {reply.attempt} is over")
        return list(row[0])
