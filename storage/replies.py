"""The work queue: every event of core/domain/reply_states.py as one conditional change of a row."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, func, or_, select, update

from core.domain.conversation import ChatId, Question, Reply
from core.domain.reply_states import ACTIVE, OPEN, Lane, ReplyEvent, State, next_state
from core.domain.store import Claimed, Stale
from storage.chats import is_chat, key_of
from storage.claims import ClaimQueue
from storage.connections import Connection
from storage.mapping import select_replies, to_reply
from storage.tables import CLOSED_INBOX, chats, inbox, replies

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

_reply = replies.alias("reply")
_here = select(_reply.c.chat_id).where(_reply.c.id == bindparam("reply_id")).scalar_subquery()
_SHOWN_STATES = (State.DONE, State.REFUSED, State.STOPPED, State.MERGED, State.FAILED)
"""Of an answer that may have a message on the platform, and is closed."""
_previous = _reply.alias("previous")
_PREVIOUS_ANSWER = select_replies().where(
    replies.c.id
    == select(func.max(_previous.c.id))
    .where(
        _previous.c.chat_id == _here, _previous.c.lane == Lane.ANSWER, _previous.c.id < bindparam("reply_id"),
        _previous.c.state.in_(_SHOWN_STATES), func.json_array_length(_previous.c.chunks) > 0,
    )
    .scalar_subquery()
)  # fmt: skip
_LAST_ANSWER = (
    select(replies.c.chunks)
    .where(replies.c.question_id == bindparam("question"))
    .order_by(replies.c.id.desc())
    .limit(1)
)  # fmt: skip
_OPEN_ANSWERS = select_replies().where(is_chat(), replies.c.lane == Lane.ANSWER, replies.c.state.in_(OPEN))
_QUEUED_ANSWER = (replies.c.lane == Lane.ANSWER) & (replies.c.state == State.QUEUED)
_LONGEST_WAITING = select_replies().where(
    _QUEUED_ANSWER, chats.c.platform.in_(bindparam("platforms", expanding=True))
).limit(bindparam("most"))  # fmt: skip
_COUNTS = (
    select(replies.c.state, func.count())
    .where(replies.c.lane == Lane.ANSWER, replies.c.state.in_(OPEN))
    .group_by(replies.c.state)
)
_DELAY = update(replies).where(
    _ID, replies.c.not_before.is_(None) | (replies.c.not_before < bindparam("until"))
).values(not_before=bindparam("until"))  # fmt: skip


class SqlReplies:
    """See core.domain.store.Replies."""

    def __init__(self, connection: Connection, now: Callable[[], int]) -> None:
        self._connection = connection
        self._queue = ClaimQueue(connection, now)
        self._now = now

    async def claim(self, lane: Lane, platforms: Collection[str], now: int, limit: int) -> Claimed:
        return await self._queue.claim(lane, platforms, now, limit)

    async def get(self, reply_id: int) -> Reply:
        if (reply := await self.find(reply_id)) is None:
            raise LookupError(f"no reply {reply_id}")
        return reply

    async def find(self, reply_id: int) -> Reply | None:
        row = (await self._connection.execute(_FIND, {"reply_id": reply_id})).first()
        return to_reply(row) if row else None

    async def _previous_answer(self, reply: Reply) -> Reply | None:
        row = (await self._connection.execute(_PREVIOUS_ANSWER, {"reply_id": reply.id})).first()
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
            changes |= {"outcome": outcome or State.DONE, "final": final}
        elif event in (ReplyEvent.STOP, ReplyEvent.CLEAR) and target.open:
            changes["outcome"] = State.STOPPED
        if target.open:
            return await self._change(current, changes)
        return await self._close(current, changes, has_texts=row[-1])

    async def deliver(self, reply: Reply) -> Reply | None:
        moved = await self.move(reply, ReplyEvent.DELIVER)
        return await self._previous_answer(moved) if moved.lane is Lane.ANSWER else None

    async def become_answer(self, reply: Reply, question: Question, *, goes_on: bool = False) -> Reply:
        last = await self._connection.execute(_LAST_ANSWER, {"question": question.id})
        chunks = last.scalar() or []
        await self.move(reply, ReplyEvent.AGAIN)
        changes = {"lane": Lane.ANSWER, "question_id": question.id, "goes_on": goes_on, "chunks": chunks}
        await self._connection.execute(_CHANGE, {"reply_id": reply.id, **changes})
        return await self.get(reply.id)

    async def open_answers(self, chat: ChatId) -> Sequence[Reply]:
        return [to_reply(row) for row in await self._connection.execute(_OPEN_ANSWERS, key_of(chat))]

    async def longest_waiting(self, platforms: Collection[str], limit: int) -> Sequence[Reply]:
        wanted = {"platforms": list(platforms), "most": limit}
        return [to_reply(row) for row in await self._connection.execute(_LONGEST_WAITING, wanted)]

    async def count_active(self) -> tuple[int, int]:
        counts = {state: count for state, count in await self._connection.execute(_COUNTS)}
        return sum(counts.get(state, 0) for state in ACTIVE), counts.get(State.QUEUED, 0)

    async def requeue_isolated(self, reply: Reply) -> Reply:
        if (before := await self.get(reply.id)).outcome is State.STOPPED:
            return before
        lost = await self.move(reply, ReplyEvent.LOSE)
        deaths = lost.engine_deaths + lost.isolated
        return await self._change(lost, {"engine_deaths": deaths, "isolated": True})

    async def delay(self, reply: Reply, until: int) -> None:
        # In every state and attempt: the delay is the chat's, not the reply's.
        await self._connection.execute(_DELAY, {"reply_id": reply.id, "until": until})

    async def _change(self, current: Reply, changes: dict[str, Any]) -> Reply:
        """Change columns that are called as the fields of a Reply."""
        await self._connection.execute(_CHANGE, {"reply_id": current.id, "updated_at": self._now(), **changes})
        return replace(current, **changes)

    async def _close(self, current: Reply, changes: dict[str, Any], *, has_texts: bool) -> Reply:
        """Of a closed reply no text is kept: what was said is in the history alone, where /clear deletes it."""
        closed = await self._change(current, changes | {"final": None})
        if has_texts:
            await self._connection.execute(_CLOSE_INBOX, {"reply_id": current.id})
        return replace(closed, text=closed.text if closed.question else "", reply_token="", options={})
