"""C1: a message is stored once, with the reply that it is owed. One writer commits everything that waits."""

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from core.commands.registry import UNKNOWN, find
from core.delivery.withdrawal import discard
from core.domain.command_line import parse_command
from core.domain.conversation import Incoming, NewReply, Reply
from core.domain.permissions import Access
from core.domain.reply_states import Lane, State
from core.domain.store import Stale, Store, Transaction, Unavailable
from core.i18n import t
from core.i18n.person_language import read_language
from core.inbound.admission import AdmissionControl
from core.inbound.refusals import Admitted
from core.runtime.failpoints import failpoint

MAX_MESSAGES_PER_COMMIT = 1000
_ANSWERED = (State.SENDING, State.DONE, State.REFUSED, State.STOPPED, State.FAILED)
"""States of a reply of which people see the end, or are about to."""


@dataclass(slots=True, eq=False)
class _Pending:
    """A message that somebody waits to see stored."""

    incoming: Incoming
    stored: asyncio.Future[Reply | None]
    """Cancelled where nobody waits any more: the person was told so, and nothing should come of it."""
    is_committing: bool = False
    """From here on the commit decides: it can't be withdrawn."""


class _Abandoned(Exception):
    """Somebody stopped waiting while the transaction ran: it is rolled back and made anew without their message."""


class Ingest:
    """Stores messages. A burst of them costs a few commits, not one each.

    `access`: whom the bot answers. `on_stored` is called after each commit with the replies that are owed now;
    `on_doubt` after one that failed and may have happened all the same; `on_discarded` with each reply that was ended
    in silence.
    """

    def __init__(
        self,
        store: Store,
        access: Access,
        admission: AdmissionControl,
        on_stored: Callable[[Sequence[Reply]], None],
        on_doubt: Callable[[], None] = lambda: None,
        on_discarded: Callable[[Reply], None] = lambda reply: None,
    ) -> None:
        self.access = access
        self._store, self._admission = store, admission
        self._on_stored, self._on_doubt, self._on_discarded = on_stored, on_doubt, on_discarded
        self._pending: asyncio.Queue[_Pending] = asyncio.Queue()

    async def accept(self, incoming: Incoming) -> Reply | None:
        """Return when the message is stored. None: it was stored before, or nothing is owed for it.

        Raises what the store raised: then nothing is stored. Cancelled before its commit has begun, nothing of the
        message is kept; cancelled later, it returns what has become of it.
        """
        pending = _Pending(incoming.cleaned(), asyncio.get_running_loop().create_future())
        self._pending.put_nowait(pending)
        try:
            return await asyncio.shield(pending.stored)
        except asyncio.CancelledError:
            if not pending.is_committing:
                pending.stored.cancel()
                raise
        return await asyncio.shield(pending.stored)

    async def edit(self, incoming: Incoming) -> None:
        """A message was edited: its question, if it still waits, gets the new text. Raises what the store raises."""
        async with self._store.begin() as tx:
            new = await self._owed(tx, incoming.cleaned())
            if new is not None and new.lane is Lane.ANSWER:
                await tx.inbox.edit_question(new.incoming)

    async def delete(self, platform: str, bot: str, external_id: str) -> None:
        """A message was deleted: its question, if there is no answer yet, gets none. Raises what the store raises."""
        try:
            async with self._store.begin() as tx:
                reply = await tx.inbox.find_question(platform, bot, external_id)
                discarded = reply and await discard(tx, reply)
        except Stale:
            return
        if discarded:
            self._on_discarded(discarded)

    async def run(self) -> None:
        """Commit what arrives, without end."""
        while True:
            batch = [await self._pending.get()]
            while not self._pending.empty() and len(batch) < MAX_MESSAGES_PER_COMMIT:
                batch.append(self._pending.get_nowait())
            await self._store_all(batch)

    async def _store_all(self, batch: list[_Pending]) -> None:
        """Store a batch in one commit; where a message can't be stored, each by itself, so that it costs no other chat.

        What follows it in its own chat fails with it, and is handed over again behind it: the order stays.
        """
        groups, failed = [batch], dict[tuple[str, str], Exception]()
        while groups:
            group = groups.pop(0)
            if failed or any(pending.stored.cancelled() for pending in group):
                group = _still_wanted(group, failed)
            if not group:
                continue
            try:
                admitted, replies = await self._commit(group)
            except _Abandoned:
                groups.insert(0, group)
            except Exception as error:
                if len(group) > 1 and not isinstance(error, Unavailable):
                    groups[:0] = [[pending] for pending in group]
                else:
                    self._fail(group, error)
                    failed |= {_chat(pending): error for pending in group}
            else:
                self._announce(group, admitted, replies)

    async def _commit(self, group: Sequence[_Pending]) -> tuple[Admitted, Sequence[Reply]]:
        async with self._store.begin() as tx:
            stored = set(await tx.inbox.stored_keys([pending.incoming for pending in group]))
            owed: list[NewReply] = []
            for pending in group:
                if (key := pending.incoming.key) not in stored:
                    stored.add(key)
                    asked = pending.incoming
                    asked = await _without_answered(tx, asked) if asked.joins else asked
                    if (new := await self._owed(tx, asked)) is not None:
                        owed.append(await _ask_again(tx, new) if pending.incoming.missed else new)
            discarded = [await _discard_joined(tx, new.incoming) for new in owed if new.incoming.joins]
            admitted = await self._admission.admit(tx, owed)
            replies = await tx.inbox.add(admitted.replies)
            if admitted.answered_by:
                await self._admission.join_merged(tx, admitted, replies)
            if any(pending.stored.cancelled() for pending in group):
                raise _Abandoned
            for pending in group:
                pending.is_committing = True
            failpoint("admitting")
        failpoint("admitted")
        for reply in itertools.chain.from_iterable(discarded):
            self._on_discarded(reply)
        return admitted, replies

    def _announce(self, group: Sequence[_Pending], admitted: Admitted, replies: Sequence[Reply]) -> None:
        self._admission.record(admitted, replies)
        self._on_stored(replies)
        by_key = {each.incoming.key: reply for each, reply in zip(admitted.replies, replies, strict=True)}
        for pending in group:
            reply = by_key.pop(pending.incoming.key, None)  # the same message twice: the second is stored already
            if not pending.stored.cancelled():
                pending.stored.set_result(reply)

    def _fail(self, group: Sequence[_Pending], error: Exception) -> None:
        """Whoever sent a message must learn that nothing is stored."""
        if isinstance(error, Unavailable):
            self._on_doubt()
        for pending in group:
            if not pending.stored.cancelled():
                pending.stored.set_exception(error)

    async def _owed(self, tx: Transaction, incoming: Incoming) -> NewReply | None:
        """The reply that is owed for a message; None where nothing is.

        In private chats strangers, and messages without a text, get one line at once; in groups they get silence.
        """
        if not self.access.admits(incoming.chat, incoming.author):
            user = f"{incoming.chat.platform}:{incoming.author.id}"
            return await _line(tx, incoming, "refused.access", user=user)  # a stranger's words are not kept
        if not incoming.text:  # a picture, a sticker
            return await _line(tx, incoming, "media.only_text")
        command = parse_command(incoming.text) if incoming.text.startswith("/") else None
        if command and command.name == "ask" and command.argument:
            incoming = replace(incoming, text=command.argument)
        elif command:
            known, addressed = find(command.name), incoming.private or "@" in incoming.text.split()[0]
            looks = (known or UNKNOWN).changes_nothing(command.argument)
            return NewReply(incoming, Lane.LOOK if looks else Lane.NOTICE) if addressed or known else None
        if incoming.has_unseen_media:  # the question says that the model can't see it
            language = await read_language(tx, incoming.chat.platform, incoming.author)
            incoming = replace(incoming, text=f"{incoming.text}\n\n{t(language, 'media.unseen')}")
        return NewReply(incoming, Lane.ANSWER)


async def _without_answered(tx: Transaction, incoming: Incoming) -> Incoming:
    """What is asked by a message that joins others, where some may be answered already."""
    if incoming.alone is None:
        return incoming
    for external_id in incoming.joins:
        reply = await tx.inbox.find_question(incoming.chat.platform, incoming.bot, external_id)
        if reply is not None and reply.state in _ANSWERED:
            return replace(incoming, text=incoming.alone, joins=())
    return incoming


async def _discard_joined(tx: Transaction, incoming: Incoming) -> list[Reply]:
    """End the replies to the messages whose text `incoming` holds too, where they have no answer yet."""
    discarded = []
    for external_id in incoming.joins:
        reply = await tx.inbox.find_question(incoming.chat.platform, incoming.bot, external_id)
        if reply is not None and reply.state in (State.QUEUED, State.GENERATING):
            with suppress(Stale):
                discarded.append(await discard(tx, reply))
    return discarded


async def _line(tx: Transaction, incoming: Incoming, key: str, **values: object) -> NewReply | None:
    """A reply that is ready to be shown, in private chats only."""
    return await _ready(tx, incoming, key, **values) if incoming.private else None


async def _ask_again(tx: Transaction, new: NewReply) -> NewReply:
    """What is owed for a message that is found too late to be answered. It tells everybody in the conversation."""
    return await _ready(tx, new.incoming, "error.missed") if new.state is State.QUEUED else new


async def _ready(tx: Transaction, incoming: Incoming, key: str, **values: object) -> NewReply:
    """A reply that is ready to be shown."""
    language = await read_language(tx, incoming.chat.platform, incoming.author)
    return NewReply(replace(incoming, text=""), Lane.NOTICE, State.SENDING, final=t(language, key, **values))


def _still_wanted(group: Sequence[_Pending], failed: Mapping[tuple[str, str], Exception]) -> list[_Pending]:
    """Without those that nobody waits for, and those behind a failure in their chat, which fail with it."""
    wanted = [pending for pending in group if not pending.stored.cancelled()]
    for pending in wanted:
        if _chat(pending) in failed:
            pending.stored.set_exception(failed[_chat(pending)])
    return [pending for pending in wanted if _chat(pending) not in failed]


def _chat(pending: _Pending) -> tuple[str, str]:
    return pending.incoming.chat.platform, pending.incoming.chat.chat
