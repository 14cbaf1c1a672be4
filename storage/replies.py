"""The work queue: every event of core/domain/reply_states.py as one conditional change of a row."""

from collections.abc import Callable, Collection, Sequence

from sqlalchemy import Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.domain.conversation import ChatId, Question, Reply
from core.domain.reply_states import ACTIVE, OPEN, Lane, ReplyEvent, State, next_state
from core.domain.store import Claimed, Stale
from storage.chats import get_chat
from storage.fence import lock_current_row
from storage.mapping import select_replies, select_reply
from storage.tables import CLOSED_INBOX, ChatRow, InboxRow, ReplyRow


class SqlReplies:
    """See core.domain.store.Replies."""

    def __init__(self, session: AsyncSession, now: Callable[[], int]) -> None:
        self._session = session
        self._now = now

    async def claim(self, lane: Lane, platforms: Collection[str], now: int, limit: int) -> Claimed:
        replies = list[Reply]()
        while len(replies) < limit and (reply := await self._claim_next(lane, platforms, now)) is not None:
            replies.append(reply)
        queued = ReplyRow.lane == lane, ReplyRow.state == State.QUEUED, ChatRow.platform.in_(platforms)
        waiting = (await self._session.execute(select(ReplyRow.id).join(ChatRow).where(*queued).limit(1))).first()
        return Claimed(replies, waiting is not None)

    async def _claim_next(self, lane: Lane, platforms: Collection[str], now: int) -> Reply | None:
        row = await (self._next_command(platforms) if lane is Lane.NOTICE else self._next_answer(platforms))
        if row is None:
            return None
        reply = await self.move(await self.get(row.id), ReplyEvent.CLAIM)
        if lane is Lane.ANSWER:
            await self._session.execute(update(ChatRow).where(ChatRow.id == row.chat_id).values(served_at=now))
        return reply

    async def _next_command(self, platforms: Collection[str]) -> ReplyRow | None:
        """The oldest command with no earlier open command in its conversation."""
        query = _queued(Lane.NOTICE, platforms)
        return (await self._session.scalars(query.order_by(ReplyRow.id))).first()

    async def _next_answer(self, platforms: Collection[str]) -> ReplyRow | None:
        """The next answer that may begin now. An isolated one comes first, but waits until no other is being
        generated; while it is generated itself, no other begins."""
        other = aliased(ReplyRow)
        active = select(other.id).where(
            other.chat_id == ReplyRow.chat_id, other.lane == Lane.ANSWER, other.state.in_(ACTIVE)
        )
        query = _queued(Lane.ANSWER, platforms).where(~active.exists())
        isolated = (await self._session.scalars(query.where(ReplyRow.isolated).order_by(ReplyRow.id))).first()
        running = _generating(platforms)
        running = running if isolated else running.where(ReplyRow.isolated)
        if (await self._session.execute(running)).first() is not None:
            return None
        if isolated:
            return isolated
        return (await self._session.scalars(query.order_by(ChatRow.served_at, ReplyRow.id))).first()

    async def get(self, reply_id: int) -> Reply:
        if (reply := await self.find(reply_id)) is None:
            raise LookupError(f"no reply {reply_id}")
        return reply

    async def find(self, reply_id: int) -> Reply | None:
        return await select_reply(self._session, ReplyRow.id == reply_id)

    async def deliver(self, reply: Reply) -> Reply | None:
        await self.move(reply, ReplyEvent.DELIVER)
        return await self.previous_answer(reply) if reply.lane is Lane.ANSWER else None

    async def previous_answer(self, reply: Reply) -> Reply | None:
        here = select(ReplyRow.chat_id).where(ReplyRow.id == reply.id).scalar_subquery()
        before = (ReplyRow.chat_id == here) & (ReplyRow.lane == Lane.ANSWER) & (ReplyRow.id < reply.id)
        sent = ReplyRow.state.not_in((*OPEN, State.CANCELLED)) & (func.json_array_length(ReplyRow.chunks) > 0)
        latest = select(func.max(ReplyRow.id)).where(before & sent).scalar_subquery()
        return await select_reply(self._session, ReplyRow.id == latest)

    async def move(
        self, reply: Reply, event: ReplyEvent, *, outcome: State | None = None, final: str | None = None
    ) -> Reply:
        row = await lock_current_row(self._session, reply)
        if event is ReplyEvent.FINISH and (row.state, row.final) == (State.SENDING, final):
            return await self.get(reply.id)  # an earlier commit of the same text, whose success was not reported
        if (target := next_state(State(row.state), event, State(row.outcome) if row.outcome else None)) is None:
            raise Stale(f"reply {reply.id}: {event} in {row.state}")
        row.state, row.updated_at = target, self._now()
        if event is ReplyEvent.CLAIM:
            row.attempt, row.outcome = row.attempt + 1, None
        elif event is ReplyEvent.FINISH:
            row.outcome, row.final = outcome or State.DONE, final
        elif event in (ReplyEvent.STOP, ReplyEvent.CLEAR) and target.open:
            row.outcome = State.STOPPED
        if not target.open:
            await self._delete_texts(row)
        await self._session.flush()
        return await self.get(reply.id)

    async def become_answer(self, reply: Reply, question: Question, *, goes_on: bool = False) -> Reply:
        earlier = select(ReplyRow).where(ReplyRow.question_id == question.id).order_by(ReplyRow.id.desc()).limit(1)
        last = (await self._session.scalars(earlier)).one_or_none()
        await self.move(reply, ReplyEvent.AGAIN)
        row = await lock_current_row(self._session, reply)
        row.lane, row.question_id, row.goes_on = Lane.ANSWER, question.id, goes_on
        row.chunks = list(last.chunks) if last else []
        await self._session.flush()
        return await self.get(reply.id)

    async def open_answers(self, chat: ChatId) -> Sequence[Reply]:
        if (row := await get_chat(self._session, chat)) is None:
            return []
        here = (ReplyRow.chat_id == row.id) & (ReplyRow.lane == Lane.ANSWER)
        return await select_replies(self._session, here & ReplyRow.state.in_(OPEN))

    async def longest_waiting(self, platforms: Collection[str], limit: int) -> Sequence[Reply]:
        queued = (ReplyRow.lane == Lane.ANSWER) & (ReplyRow.state == State.QUEUED)
        oldest = select(ReplyRow.id).join(ChatRow).where(queued, ChatRow.platform.in_(platforms))
        return await select_replies(self._session, ReplyRow.id.in_(oldest.order_by(ReplyRow.id).limit(limit)))

    async def count_active(self) -> tuple[int, int]:
        open_answers = ReplyRow.lane == Lane.ANSWER, ReplyRow.state.in_(OPEN)
        query = select(ReplyRow.state, func.count()).where(*open_answers).group_by(ReplyRow.state)
        counts = {state: count for state, count in await self._session.execute(query)}
        return sum(counts.get(state, 0) for state in ACTIVE), counts.get(State.QUEUED, 0)

    async def requeue_isolated(self, reply: Reply) -> Reply:
        if (before := await self.get(reply.id)).outcome is State.STOPPED:
            return before
        await self.move(reply, ReplyEvent.LOSE)
        row = await lock_current_row(self._session, reply)
        row.engine_deaths, row.isolated = row.engine_deaths + row.isolated, True
        await self._session.flush()
        return await self.get(reply.id)

    async def delay(self, reply: Reply, until: int) -> None:
        # In every state and attempt: the delay is the chat's, not the reply's.
        earlier = (ReplyRow.not_before.is_(None)) | (ReplyRow.not_before < until)
        delayed = update(ReplyRow).where(ReplyRow.id == reply.id, earlier)
        await self._session.execute(delayed.values(not_before=until))

    async def _delete_texts(self, row: ReplyRow) -> None:
        """Of a closed reply: what was said is in the history alone, where /clear deletes it."""
        row.final = None
        await self._session.execute(update(InboxRow).where(InboxRow.id == row.inbox_id).values(CLOSED_INBOX))


def _queued(lane: Lane, platforms: Collection[str]) -> Select[ReplyRow]:
    """One queued reply that no earlier open command of its conversation may change."""
    other = aliased(ReplyRow)
    refused = other.outcome.is_not_distinct_from(State.REFUSED)  # such a command has changed nothing
    command_before = select(other.id).where(
        other.chat_id == ReplyRow.chat_id, other.lane == Lane.NOTICE, other.state.in_(OPEN), other.id < ReplyRow.id,
        ~refused,
    )  # fmt: skip
    return (
        select(ReplyRow)
        .join(ChatRow, ChatRow.id == ReplyRow.chat_id)
        .where(ReplyRow.lane == lane, ReplyRow.state == State.QUEUED, ChatRow.platform.in_(platforms))
        .where(~command_before.exists())
        .limit(1)
    )


def _generating(platforms: Collection[str]) -> Select[int]:
    """The id of one answer that is being generated."""
    generating = ReplyRow.lane == Lane.ANSWER, ReplyRow.state == State.GENERATING
    return select(ReplyRow.id).join(ChatRow).where(*generating, ChatRow.platform.in_(platforms)).limit(1)
