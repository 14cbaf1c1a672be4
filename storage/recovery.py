"""Unfinished replies: those of a process that ended, those that nobody works on, delays and the backlog."""

from collections.abc import Callable, Collection, Sequence

from sqlalchemy import bindparam, delete, func, select, union_all, update

from core.domain.conversation import ChatId, Reply
from core.domain.reply_states import ACTIVE, Lane, ReplyEvent, State, next_state
from core.domain.store import Penalty
from storage.connections import Connection, Values
from storage.conversations import LAST_QUESTION, is_chat, key_of
from storage.replies import SHOWN_STATES, SqlReplies
from storage.reply_rows import select_replies, to_reply
from storage.tables import CLOSED_INBOX, chats, inbox, messages, replies

MAX_LOOKED_AT = 1000
"""Replies, of every platform, among which a platform's newest are looked for."""
MAX_ATTEMPTS = 10
"""Claims after which an unfinished answer fails: a bug would have it claimed for ever."""

_here = chats.c.platform == bindparam("of_platform")
_ids = replies.c.id.in_(bindparam("ids", expanding=True))
_GENERATING = select_replies().where(_here, replies.c.state == State.GENERATING)
_ACTIVE = select_replies().where(_here, replies.c.state.in_(ACTIVE))
_IDLE = select_replies().where(
    chats.c.platform.in_(bindparam("platforms", expanding=True)), replies.c.state.in_(ACTIVE),
    (replies.c.updated_at < bindparam("before")) | (replies.c.updated_at > bindparam("now")),
)  # fmt: skip
_BY_IDS = select_replies().where(_ids)
_DELAYED = (
    select_replies()
    .add_columns(replies.c.not_before, replies.c.not_before_set)
    .where(_here, replies.c.not_before > bindparam("now"))
)
_waiting = replies.alias("waiting")
# Queued, or a command that is being carried out, or a new one in any state; each found by an index.
_backlog = union_all(
    select(_waiting.c.id).where(_waiting.c.state == State.QUEUED),
    select(_waiting.c.id).where(_waiting.c.state == State.GENERATING, _waiting.c.lane == Lane.NOTICE),
    select(_waiting.c.id).where(_waiting.c.id > bindparam("after"), _waiting.c.lane == Lane.NOTICE),
)
_BACKLOG = select_replies().where(_here, replies.c.id.in_(_backlog))
_SUPERSEDED = select_replies().where(
    is_chat(), replies.c.lane == Lane.ANSWER, replies.c.state.in_(SHOWN_STATES),
    func.json_array_length(replies.c.chunks) > 0,
    replies.c.question_id.is_(None) | (replies.c.question_id != bindparam("last")),
).order_by(None).order_by(replies.c.id.desc()).limit(bindparam("most"))  # fmt: skip
_LATEST = (
    select(chats.c.platform, chats.c.chat, chats.c.thread)
    .select_from(replies.join(chats, chats.c.id == replies.c.chat_id))
    .where(_here, replies.c.id > select(func.max(replies.c.id)).scalar_subquery() - MAX_LOOKED_AT)
    .order_by(replies.c.id.desc())
    .limit(bindparam("most"))
)
_NEWEST = select(func.max(replies.c.id))
_CHANGE_QUEUED = update(replies).where(_ids, replies.c.state == State.QUEUED)
_CLOSE_INBOX = (
    update(inbox).where(inbox.c.id.in_(select(replies.c.inbox_id).where(_ids))).values(CLOSED_INBOX)
)  # fmt: skip
_CHANGE_TEXT = update(messages).where(messages.c.id == bindparam("question"))
_DELETE_QUESTIONS = delete(messages).where(messages.c.id.in_(bindparam("ids", expanding=True)))


class SqlRecovery:
    """See core.domain.store.Recovery."""

    def __init__(self, connection: Connection, replies: SqlReplies, now: Callable[[], int]) -> None:
        self._connection, self._replies, self._now = connection, replies, now

    async def recover(self, platform: str) -> Sequence[Reply]:
        here = {"of_platform": platform}
        for row in (await self._connection.execute(_GENERATING, here)).all():
            if (reply := to_reply(row)).outcome not in (State.STOPPED, State.CANCELLED):
                await self._replies.move(reply, ReplyEvent.CRASH)
        return [to_reply(row) for row in await self._connection.execute(_ACTIVE, here)]

    async def find_orphaned(
        self, platforms: Collection[str], running: Collection[tuple[int, int]], before: int
    ) -> Sequence[Reply]:
        wanted = {"platforms": list(platforms), "before": before, "now": self._now()}
        idle = await self._connection.execute(_IDLE, wanted)
        orphaned = [reply for row in idle if ((reply := to_reply(row)).id, reply.attempt) not in running]
        for reply in orphaned:
            if reply.state is State.GENERATING and reply.outcome not in (State.STOPPED, State.CANCELLED):
                await self._replies.move(reply, ReplyEvent.CRASH if reply.attempt < MAX_ATTEMPTS else ReplyEvent.FAIL)
        if not orphaned:
            return []
        moved = await self._connection.execute(_BY_IDS, {"ids": [reply.id for reply in orphaned]})
        return [to_reply(row) for row in moved]

    async def delayed(self, platform: str, now: int) -> Sequence[Penalty]:
        rows = await self._connection.execute(_DELAYED, {"of_platform": platform, "now": now})
        return [Penalty(to_reply(row), *row[-2:]) for row in rows]

    async def superseded_answers(self, chat: ChatId, most: int) -> Sequence[Reply]:
        key = key_of(chat)
        last = (await self._connection.execute(LAST_QUESTION, key)).first()
        wanted = {**key, "last": last.id if last else 0, "most": most}
        return [to_reply(row) for row in await self._connection.execute(_SUPERSEDED, wanted)]

    async def superseded(self, platform: str, latest: int, most: int) -> Sequence[Reply]:
        rows = await self._connection.execute(_LATEST, {"of_platform": platform, "most": latest})
        places = dict.fromkeys(ChatId(*row) for row in rows)
        return [reply for place in places for reply in await self.superseded_answers(place, most)]

    async def newest_id(self) -> int:
        return (await self._connection.execute(_NEWEST)).scalar() or 0

    async def backlog(self, platform: str, after: int) -> Sequence[Reply]:
        rows = await self._connection.execute(_BACKLOG, {"of_platform": platform, "after": after})
        return [to_reply(row) for row in rows]

    async def merge(self, into: Reply, others: Sequence[Reply]) -> None:
        text = "\n\n".join(reply.text for reply in (*others, into))
        await self._connection.execute(_CHANGE_TEXT, {"question": into.question, "text": text})
        await self._merge_queued(into, others)
        await self._connection.execute(_DELETE_QUESTIONS, {"ids": [reply.question for reply in others]})

    async def expire(self, reply: Reply, others: Sequence[Reply], text: str) -> Reply:
        # In the notice lane, because another answer may be in progress in the conversation.
        state = next_state(State.QUEUED, ReplyEvent.EXPIRE)
        expired = {"lane": Lane.NOTICE, "state": state, "outcome": State.FAILED, "final": text}
        await self._change_queued([reply], expired)
        await self._merge_queued(reply, others)
        return await self._replies.get(reply.id)

    async def _merge_queued(self, into: Reply, others: Sequence[Reply]) -> None:
        if others:
            state = next_state(State.QUEUED, ReplyEvent.MERGE)
            await self._change_queued(others, {"state": state, "merged_into": into.id})
            await self._connection.execute(_CLOSE_INBOX, {"ids": [reply.id for reply in others]})

    async def _change_queued(self, chosen: Sequence[Reply], changes: Values) -> None:
        ids = [reply.id for reply in chosen]
        await self._connection.execute(_CHANGE_QUEUED, {"ids": ids, "updated_at": self._now(), **changes})
