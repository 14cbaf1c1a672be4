"""Stopping replies from outside their run, and waiting for what becomes of them."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from core.delivery.withdrawal import end_reply
from core.domain.conversation import Reply
from core.domain.reply_states import ReplyEvent, State
from core.domain.store import Stale, Store, Unavailable


class ReplyControl:
    """Stops replies, and tells those who wait that replies have changed. One object for a whole service.

    `on_cancelled` is called with a reply that was cancelled before it ran: others may run now, and if it is SENDING,
    its final text is to be shown.
    """

    def __init__(self, store: Store, on_cancelled: Callable[[Reply], None] = lambda reply: None) -> None:
        self._store, self._on_cancelled = store, on_cancelled
        self.stop_flags: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        """By the reply's id: the flag that its run reads between tokens. It may be raised before the run begins, and is
        to be removed once the reply runs no more."""
        self._changed = asyncio.Event()

    async def stop(self, reply: Reply) -> None:
        """Stop a reply as /stop does, without a notice of its own. Idempotent. Raises Unavailable."""
        try:
            async with self._store.begin() as tx:
                moved = await end_reply(tx, await tx.replies.get(reply.id), ReplyEvent.STOP)
        except Stale:
            return
        except Unavailable:
            self.halt(reply.id)  # the commit may have happened
            raise
        if moved.state is State.GENERATING:
            self.halt(reply.id)
        else:
            self.cancelled(moved)
        self.notify_changed()

    def halt(self, reply_id: int) -> None:
        """Raise the stop flag of a reply that is being generated."""
        self.stop_flags[reply_id].set()

    def cancelled(self, reply: Reply) -> None:
        """A reply was cancelled before it ran, see end_reply. To be called once that is stored. Does not wait."""
        self._on_cancelled(reply)

    async def wait_for_outcome(self, reply: Reply) -> Reply:
        """The reply, once it is in a final state. Raises Unavailable."""
        while True:
            changed = self._changed
            async with self._store.begin() as tx:
                current = await tx.replies.get(reply.id)
            if not current.state.open:
                return current
            await changed.wait()

    def notify_changed(self) -> None:
        """A reply's state has changed: wake everybody who waits for an outcome. Each looks whether it was theirs."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait_for_change(self) -> None:
        """Return when a reply's state changes next."""
        await self._changed.wait()
