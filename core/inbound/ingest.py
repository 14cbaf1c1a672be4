"""C1: what comes in is stored, once, with the reply it is owed. One writer commits all that waits."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from core.commands.registry import find
from core.domain.command_line import CommandLine, parse_command
from core.domain.conversation import Incoming, NewReply, Reply
from core.domain.permissions import Access
from core.domain.reply_states import Lane
from core.domain.store import Store, Transaction, Unavailable
from core.inbound.admission import AdmissionControl
from core.runtime.failpoints import failpoint

AT_ONCE = 1000
"""Messages that one commit stores at most."""


@dataclass(slots=True)
class _Arrival:
    incoming: Incoming
    stored: asyncio.Future[Reply | None]


class _GivenUp(Exception):
    """Somebody waits no longer for what was about to be committed."""


def _wanted(batch: list[_Arrival]) -> list[_Arrival]:
    """Who has given up waiting has told his person so: then nothing should come of it."""
    return [arrival for arrival in batch if not arrival.stored.cancelled()]


class Ingest:
    """A burst of messages costs a few commits, not one each. `stored` is called after each, with what is owed now."""

    def __init__(
        self, store: Store, access: Access, door: AdmissionControl, stored: Callable[[Sequence[Reply]], None]
    ) -> None:
        self._store, self._access, self._door, self._stored = store, access, door, stored
        self._arrivals: asyncio.Queue[_Arrival] = asyncio.Queue()

    async def accept(self, incoming: Incoming) -> Reply | None:
        """Return when the message is stored. None: it was stored before, or nothing is owed for it.

        Raises what the store raised: then nothing is stored.
        """
        arrival = _Arrival(incoming.cleaned(), asyncio.get_running_loop().create_future())
        self._arrivals.put_nowait(arrival)
        return await arrival.stored

    async def amend(self, incoming: Incoming) -> None:
        """A message was edited: its question, where it still waits, is answered as it stands now."""
        owed = self._owed(incoming.cleaned())
        if owed is not None and owed.lane is Lane.ANSWER:
            async with self._store.begin() as tx:
                await tx.inbox.edit_question(owed.incoming)

    async def write(self) -> None:
        """Commit what arrives, for ever."""
        while True:
            batch = [await self._arrivals.get()]
            while not self._arrivals.empty() and len(batch) < AT_ONCE:
                batch.append(self._arrivals.get_nowait())
            await self._commit(batch)

    async def _commit(self, batch: list[_Arrival]) -> None:
        try:
            async with self._store.begin() as tx:
                batch = _wanted(batch)
                owed, replies = await self._admit(tx, [arrival.incoming for arrival in batch])
                if len(_wanted(batch)) < len(batch):
                    raise _GivenUp
                failpoint("admitting")
        except _GivenUp:
            await self._commit(_wanted(batch))
            return
        except Exception as error:
            await self._one_by_one(batch, error)
            return
        failpoint("admitted")
        self._door.told(owed, replies)
        self._stored(replies)
        by_key = {each.incoming.key: reply for each, reply in zip(owed, replies, strict=True)}
        for arrival in batch:
            reply = by_key.pop(arrival.incoming.key, None)  # the second time it is known already
            if not arrival.stored.cancelled():
                arrival.stored.set_result(reply)

    async def _one_by_one(self, batch: list[_Arrival], error: Exception) -> None:
        """One that can't be stored must not cost its neighbours; who sent it must learn that nothing is stored."""
        if len(batch) > 1 and not isinstance(error, Unavailable):
            for arrival in batch:
                await self._commit([arrival])
            return
        for arrival in _wanted(batch):
            arrival.stored.set_exception(error)

    async def _admit(self, tx: Transaction, messages: Sequence[Incoming]) -> tuple[Sequence[NewReply], Sequence[Reply]]:
        known = set(await tx.inbox.stored_keys(messages))
        wanted: list[NewReply] = []
        for message in messages:
            if message.key not in known:
                known.add(message.key)
                wanted += filter(None, [self._owed(message)])
        owed = await self._door.admit(tx, wanted)
        replies = await tx.inbox.add(owed)
        await self._door.join(tx, owed, replies)
        return owed, replies

    def _owed(self, incoming: Incoming) -> NewReply | None:
        if not self._access.admits(incoming.chat, incoming.author):
            # One polite line in private, silence in groups; a stranger's words are not kept.
            return NewReply(replace(incoming, text=""), Lane.NOTICE) if incoming.private else None
        if not incoming.text:  # a picture, a sticker: one short notice in private, silence in groups
            return NewReply(incoming, Lane.NOTICE) if incoming.private else None
        line = parse_command(incoming.text) or CommandLine("")
        if line.name == "ask" and line.argument:
            return NewReply(replace(incoming, text=line.argument), Lane.ANSWER)
        if line.name and find(line.name) is None and not (incoming.private or "@" in incoming.text.split()[0]):
            return None
        return NewReply(incoming, Lane.NOTICE if line.name else Lane.ANSWER)
