"""The work queue: every event of core/domain/reply_states.py as one conditional change of a row."""

from collections.abc import Callable, Collection, Sequence

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.domain.conversation import ChatId, Question, Reply
from core.domain.reply_states import ACTIVE, OPEN, Event, Lane, State, after
from core.domain.store import Stale
from storage.chats import get_chat
from storage.fence import lock_current_row
from storage.mapping import nouns
from storage.tables import CLOSED_INBOX, ChatRow, InboxRow, ReplyRow


class StoredReplies:
    """See core.domain.store.Replies."""

    def __init__(self, session: AsyncSession, now: Callable[[], int]) -> None:
        self._session = session
        self._now = now

    async def claim(self, lane: Lane, platforms: Collection[str], now: int) -> Reply | None:
        """The next one: its conversation must have nothing that goes before it."""
        row = await self._next(lane, platforms)
        if row is None:
            return None
        reply = await self.move(await self.get(row.id), Event.CLAIM)
        if lane is Lane.ANSWER:
            await self._session.execute(update(ChatRow).where(ChatRow.id == row.chat_id).values(served_at=now))
        return reply

    async def _next(self, lane: Lane, platforms: Collection[str]) -> ReplyRow | None:
        """What runs by itself goes first, once nothing else is being generated, and nothing begins beside it."""
        query = self._claimable(lane).where(ChatRow.platform.in_(platforms))
        if lane is Lane.NOTICE:
            return (await self._session.scalars(query.order_by(ReplyRow.id))).first()
        alone = (await self._session.scalars(query.where(ReplyRow.alone).order_by(ReplyRow.id))).first()
        generating = ReplyRow.lane == Lane.ANSWER, ReplyRow.state == State.GENERATING, ChatRow.platform.in_(platforms)
        running = select(ReplyRow.id).join(ChatRow).where(*generating).limit(1)
        running = running if alone else running.where(ReplyRow.alone)
        if (await self._session.execute(running)).first() is not None:
            return None
        return alone or (await self._session.scalars(query.order_by(ChatRow.served_at, ReplyRow.id))).first()

    def _claimable(self, lane: Lane) -> Select[ReplyRow]:
        other = aliased(ReplyRow)
        same = select(other.id).where(other.chat_id == ReplyRow.chat_id)
        busy = other.outcome.is_not_distinct_from(State.REFUSED)  # it has changed nothing
        command_before = same.where(other.lane == Lane.NOTICE, other.state.in_(OPEN), other.id < ReplyRow.id, ~busy)
        query = (
            select(ReplyRow)
            .join(ChatRow, ChatRow.id == ReplyRow.chat_id)
            .where(ReplyRow.lane == lane, ReplyRow.state == State.QUEUED, ~command_before.exists())
            .limit(1)
        )
        if lane is Lane.NOTICE:
            return query
        active = same.where(other.lane == Lane.ANSWER, other.state.in_(ACTIVE))
        return query.where(~active.exists())

    async def get(self, reply_id: int) -> Reply:
        """The reply as it stands."""
        return (await self._nouns(ReplyRow.id == reply_id))[0]

    async def find(self, reply_id: int) -> Reply | None:
        """The same for an id that may be none."""
        found = await self._nouns(ReplyRow.id == reply_id)
        return found[0] if found else None

    async def previous_answer(self, reply: Reply) -> Reply | None:
        """The conversation's answer before this one that was shown."""
        here = select(ReplyRow.chat_id).where(ReplyRow.id == reply.id).scalar_subquery()
        before = (ReplyRow.chat_id == here) & (ReplyRow.lane == Lane.ANSWER) & (ReplyRow.id < reply.id)
        shown = ReplyRow.state.not_in((*OPEN, State.CANCELLED)) & (func.json_array_length(ReplyRow.chunks) > 0)
        latest = select(func.max(ReplyRow.id)).where(before & shown).scalar_subquery()
        found = await self._nouns(ReplyRow.id == latest)
        return found[0] if found else None

    async def move(
        self, reply: Reply, event: Event, *, outcome: State | None = None, final: str | None = None
    ) -> Reply:
        """Apply an event, where the fence holds and the table knows it."""
        row = await lock_current_row(self._session, reply)
        if event is Event.FINISH and (row.state, row.final) == (State.SENDING, final):
            return await self.get(reply.id)  # a commit that nobody knew had happened
        if (target := after(State(row.state), event, State(row.outcome) if row.outcome else None)) is None:
            raise Stale(f"reply {reply.id}: {event} in {row.state}")
        row.state, row.updated_at = target, self._now()
        if event is Event.CLAIM:
            row.attempt, row.outcome = row.attempt + 1, None
        elif event is Event.FINISH:
            row.outcome, row.final = outcome or State.DONE, final
        elif event in (Event.STOP, Event.CLEAR) and target.open:
            row.outcome = State.STOPPED
        if not target.open:
            await self._close(row)
        await self._session.flush()
        return await self.get(reply.id)

    async def become_answer(self, reply: Reply, question: Question, *, goes_on: bool = False) -> Reply:
        """The command's row waits as an answer, with the messages of the question's last answer."""
        earlier = select(ReplyRow).where(ReplyRow.question_id == question.id).order_by(ReplyRow.id.desc()).limit(1)
        last = (await self._session.scalars(earlier)).one_or_none()
        await self.move(reply, Event.AGAIN)
        row = await lock_current_row(self._session, reply)
        row.lane, row.question_id, row.goes_on = Lane.ANSWER, question.id, goes_on
        row.chunks = list(last.chunks) if last else []
        await self._session.flush()
        return await self.get(reply.id)

    async def open_answers(self, chat: ChatId) -> Sequence[Reply]:
        """The conversation's open answers, oldest first."""
        if (row := await get_chat(self._session, chat)) is None:
            return []
        return await self._nouns(
            (ReplyRow.chat_id == row.id) & (ReplyRow.lane == Lane.ANSWER) & ReplyRow.state.in_(OPEN)
        )

    async def longest_waiting(self, platforms: Collection[str], limit: int) -> Sequence[Reply]:
        """The oldest queued answers."""
        queued = (ReplyRow.lane == Lane.ANSWER) & (ReplyRow.state == State.QUEUED)
        oldest = select(ReplyRow.id).join(ChatRow).where(queued, ChatRow.platform.in_(platforms))
        return await self._nouns(ReplyRow.id.in_(oldest.order_by(ReplyRow.id).limit(limit)))

    async def count_active(self) -> tuple[int, int]:
        """Running and waiting answers."""
        open_ones = ReplyRow.lane == Lane.ANSWER, ReplyRow.state.in_(OPEN)
        query = select(ReplyRow.state, func.count()).where(*open_ones).group_by(ReplyRow.state)
        counts = {state: count for state, count in await self._session.execute(query)}
        return sum(counts.get(state, 0) for state in ACTIVE), counts.get(State.QUEUED, 0)

    async def requeue_isolated(self, reply: Reply) -> Reply:
        """Back into the queue, to run by itself; what was to be stopped stays where it is."""
        if (before := await self.get(reply.id)).outcome is State.STOPPED:
            return before
        await self.move(reply, Event.LOSE)
        row = await lock_current_row(self._session, reply)
        row.strikes, row.alone = row.strikes + row.alone, True
        await self._session.flush()
        return await self.get(reply.id)

    async def delay(self, reply: Reply, until: int) -> None:
        """Whatever its state: the penalty is its chat's."""
        later = (ReplyRow.not_before.is_(None)) | (ReplyRow.not_before < until)
        held = update(ReplyRow).where(ReplyRow.id == reply.id, later)
        await self._session.execute(held.values(not_before=until))

    async def _close(self, row: ReplyRow) -> None:
        """Nothing is owed any more: the texts live on in the history alone."""
        row.final = None
        await self._session.execute(update(InboxRow).where(InboxRow.id == row.inbox_id).values(CLOSED_INBOX))

    async def _nouns(self, condition: ColumnElement[bool]) -> list[Reply]:
        return await nouns(self._session, condition)
