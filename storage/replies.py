"""The work queue: every event of core/states.py as one conditional change of a row."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy import Select, Text, cast, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from core.chat import Author, ChatId, Chunk, Incoming, Question, Reply, Stale
from core.states import ACTIVE, OPEN, Event, Lane, State, after
from storage.chats import find_chat
from storage.tables import ChatRow, InboxRow, MessageRow, ReplyRow


class StoredReplies:
    """See core.chat.Replies."""

    def __init__(self, session: AsyncSession, now: Callable[[], int]) -> None:
        self._session = session
        self._now = now

    async def add(self, incoming: Incoming, lane: Lane) -> Reply | None:
        """C1 for one message: inbox, the question's turn, the reply. None where the inbox knows it."""
        if await self._known(incoming):
            return None
        chat = await find_chat(self._session, incoming.chat)
        chat.active = True
        question = self._question(incoming, chat) if lane is Lane.ANSWER else None
        inbox = self._inbox(incoming, chat, None if question else incoming.text)
        self._session.add_all(filter(None, (inbox, question)))
        await self._session.flush()
        reply = ReplyRow(
            inbox_id=inbox.id, chat_id=chat.id, conversation=chat.conversation, lane=lane, state=State.QUEUED,
            question_id=question.id if question else None, updated_at=self._now(),
        )  # fmt: skip
        self._session.add(reply)
        await self._session.flush()
        return await self.get(reply.id)

    async def claim(self, lane: Lane, platforms: Collection[str], now: int) -> Reply | None:
        """The next one: its conversation must have nothing that goes before it."""
        query = self._claimable(lane).where(ChatRow.platform.in_(platforms))
        row = (await self._session.execute(query)).scalars().first()
        if row is None:
            return None
        reply = await self.move(await self.get(row.id), Event.CLAIM)
        if lane is Lane.ANSWER:
            await self._session.execute(update(ChatRow).where(ChatRow.id == row.chat_id).values(served_at=now))
        return reply

    def _claimable(self, lane: Lane) -> Select[Any]:
        other = aliased(ReplyRow)
        same = select(other.id).where(other.chat_id == ReplyRow.chat_id)
        command_before = same.where(other.lane == Lane.NOTICE, other.state.in_(OPEN), other.id < ReplyRow.id)
        query = (
            select(ReplyRow)
            .join(ChatRow, ChatRow.id == ReplyRow.chat_id)
            .where(ReplyRow.lane == lane, ReplyRow.state == State.QUEUED, ~command_before.exists())
            .limit(1)
        )
        if lane is Lane.NOTICE:
            return query.order_by(ReplyRow.id)
        active = same.where(other.lane == Lane.ANSWER, other.state.in_(ACTIVE))
        return query.where(~active.exists()).order_by(ChatRow.served_at, ReplyRow.id)

    async def get(self, reply_id: int) -> Reply:
        """The reply as it stands."""
        return (await self._nouns(ReplyRow.id == reply_id))[0]

    async def find(self, reply_id: int) -> Reply | None:
        """The same for an id that may be none."""
        found = await self._nouns(ReplyRow.id == reply_id)
        return found[0] if found else None

    async def amend(self, incoming: Incoming) -> bool:
        """The new text, where the question still waits."""
        waits = select(ReplyRow.question_id).join(InboxRow, InboxRow.id == ReplyRow.inbox_id)
        mine = waits.where(
            InboxRow.platform == incoming.chat.platform, InboxRow.bot == incoming.bot,
            InboxRow.external_id == incoming.external_id, ReplyRow.state == State.QUEUED, ReplyRow.attempt == 0,
            ReplyRow.lane == Lane.ANSWER,
        )  # fmt: skip
        question = (await self._session.scalars(mine)).one_or_none()
        if question is None or not incoming.text:
            return False
        await self._session.execute(update(MessageRow).where(MessageRow.id == question).values(text=incoming.text))
        return True

    async def shows(self, platform: str, chat: str, message_id: str) -> bool:
        """Looked for in the chunks as they are stored."""
        here = select(ReplyRow.id).join(ChatRow).where(ChatRow.platform == platform, ChatRow.chat == chat)
        written = cast(ReplyRow.chunks, Text).contains(f'"id": "{message_id}"', autoescape=True)
        return (await self._session.execute(here.where(written).limit(1))).first() is not None

    async def earlier(self, reply: Reply) -> Reply | None:
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
        row = await self._fenced(reply)
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
        row = await self._fenced(reply)
        row.lane, row.question_id, row.goes_on = Lane.ANSWER, question.id, goes_on
        row.chunks = list(last.chunks) if last else []
        await self._session.flush()
        return await self.get(reply.id)

    async def intend(self, reply: Reply, nonce: str, *, instead_of: str = "") -> None:
        """C3."""
        row, intended = await self._fenced(reply), {"nonce": nonce, "id": None}
        if instead_of:
            row.chunks = [intended if chunk["nonce"] == instead_of else chunk for chunk in row.chunks]
        else:
            row.chunks = [*row.chunks, intended]

    async def sent(self, reply: Reply, nonce: str, message_id: str) -> None:
        """C4."""
        row = await self._fenced(reply)
        row.chunks = [{**chunk, "id": message_id} if chunk["nonce"] == nonce else chunk for chunk in row.chunks]

    async def unsent(self, reply: Reply, nonce: str) -> None:
        """The message is deleted."""
        row = await self._fenced(reply)
        row.chunks = [chunk for chunk in row.chunks if chunk["nonce"] != nonce]

    async def open(self, chat: ChatId) -> Sequence[Reply]:
        """The conversation's open answers, oldest first."""
        row = await find_chat(self._session, chat)
        return await self._nouns(
            (ReplyRow.chat_id == row.id) & (ReplyRow.lane == Lane.ANSWER) & ReplyRow.state.in_(OPEN)
        )

    async def waiting(self, platforms: Collection[str], limit: int) -> Sequence[Reply]:
        """The oldest queued answers."""
        queued = (ReplyRow.lane == Lane.ANSWER) & (ReplyRow.state == State.QUEUED)
        oldest = select(ReplyRow.id).join(ChatRow).where(queued, ChatRow.platform.in_(platforms))
        return await self._nouns(ReplyRow.id.in_(oldest.order_by(ReplyRow.id).limit(limit)))

    async def load(self) -> tuple[int, int]:
        """Running and waiting answers."""
        query = select(ReplyRow.state, func.count()).where(ReplyRow.lane == Lane.ANSWER).group_by(ReplyRow.state)
        counts = {state: count for state, count in await self._session.execute(query)}
        return sum(counts.get(state, 0) for state in ACTIVE), counts.get(State.QUEUED, 0)

    async def recover(self, platforms: Collection[str]) -> Sequence[Reply]:
        """The crash event for what is open here. What is being sent, and what was to be stopped, is returned."""
        here = ChatRow.platform.in_(platforms)
        for reply in await self._nouns(here & (ReplyRow.state == State.GENERATING)):
            if reply.outcome is not State.STOPPED:
                await self.move(reply, Event.CRASH)
        return await self._nouns(here & ReplyRow.state.in_(ACTIVE))

    async def _known(self, incoming: Incoming) -> bool:
        query = select(InboxRow.id).where(
            InboxRow.platform == incoming.chat.platform,
            InboxRow.bot == incoming.bot,
            InboxRow.external_id == incoming.external_id,
        )
        return (await self._session.execute(query)).first() is not None

    def _question(self, incoming: Incoming, chat: ChatRow) -> MessageRow:
        return MessageRow(
            chat_id=chat.id, conversation=chat.conversation, role="user", text=incoming.text,
            author_id=incoming.author.id, author_name=incoming.author.name, at=incoming.at,
        )  # fmt: skip

    def _inbox(self, incoming: Incoming, chat: ChatRow, text: str | None) -> InboxRow:
        return InboxRow(
            platform=incoming.chat.platform, bot=incoming.bot, external_id=incoming.external_id, chat_id=chat.id,
            seq=incoming.seq, private=incoming.private, author_id=incoming.author.id,
            author_name=incoming.author.name, locale=incoming.author.locale, text=text,
            origin=incoming.origin or None, received_at=self._now(),
        )  # fmt: skip

    async def _fenced(self, reply: Reply) -> ReplyRow:
        query = select(ReplyRow).where(ReplyRow.id == reply.id, ReplyRow.attempt == reply.attempt).with_for_update()
        row = (await self._session.scalars(query)).one_or_none()
        if row is None:
            raise Stale(f"reply {reply.id}: attempt {reply.attempt} is over")
        return row

    async def _close(self, row: ReplyRow) -> None:
        """Nothing is owed any more: the texts live on in the history alone."""
        row.final = None
        await self._session.execute(update(InboxRow).where(InboxRow.id == row.inbox_id).values(text=None, origin=None))

    async def _nouns(self, condition: Any) -> list[Reply]:
        begun = aliased(MessageRow)
        query = (
            select(ReplyRow, InboxRow, ChatRow, MessageRow, begun.text)
            .join(InboxRow, InboxRow.id == ReplyRow.inbox_id)
            .join(ChatRow, ChatRow.id == ReplyRow.chat_id)
            .outerjoin(MessageRow, MessageRow.id == ReplyRow.question_id)
            .outerjoin(begun, (begun.reply_to == ReplyRow.question_id) & ReplyRow.goes_on)
            .where(condition)
            .order_by(ReplyRow.id)
        )
        return [_noun(*row) for row in await self._session.execute(query)]


def _noun(row: ReplyRow, inbox: InboxRow, chat: ChatRow, question: MessageRow | None, begun: str | None) -> Reply:
    return Reply(
        id=row.id,
        chat=ChatId(chat.platform, chat.chat, chat.thread),
        private=inbox.private,
        conversation=row.conversation,
        lane=Lane(row.lane),
        state=State(row.state),
        attempt=row.attempt,
        author=Author(inbox.author_id, inbox.author_name, inbox.locale),
        text=question.text if question else inbox.text or "",
        bot=inbox.bot,
        external_id=inbox.external_id,
        seq=inbox.seq,
        origin=inbox.origin or "",
        question=question.id if question else None,
        asker=Author(question.author_id, question.author_name) if question else None,
        outcome=State(row.outcome) if row.outcome else None,
        final=row.final,
        chunks=tuple(Chunk(chunk["nonce"], chunk["id"]) for chunk in row.chunks),
        begun=begun or "",
    )
