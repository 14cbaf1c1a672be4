"""Stopping replies from outside their run, and waiting for what becomes of them."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace

from core.domain.conversation import Reply
from core.domain.reply_states import Lane, ReplyEvent, State
from core.domain.store import Stale, Store, Unavailable

log = logging.getLogger(__name__)

MarkStopped = Callable[[Reply], Awaitable[None]]
"""Shows on the messages of a cancelled reply that it was stopped."""


class ReplyControl:
    """Stops replies, and tells those who wait that replies have changed. One object for a whole service.

    `on_cancelled` is called with the lane of a reply that was cancelled before it ran: others may run now.
    """

    def __init__(
        self, store: Store, mark_stopped: MarkStopped, on_cancelled: Callable[[Lane], None] = lambda lane: None
    ) -> None:
        self._store, self._mark_stopped, self._on_cancelled = store, mark_stopped, on_cancelled
        self.stop_flags: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        """By the reply's id: the flag that its run reads between tokens. It may be raised before the run begins, and is
        to be removed once the reply runs no more."""
        self._changed = asyncio.Event()
        self._marking: set[asyncio.Task[None]] = set()

    async def stop(self, reply: Reply) -> None:
        """Stop a reply as /stop does, without a notice of its own. Idempotent. Raises Unavailable."""
        try:
            async with self._store.begin() as tx:
                before = await tx.replies.get(reply.id)
                moved = await tx.replies.move(before, ReplyEvent.STOP)
        except Stale:
            return
        except Unavailable:
            self.halt(reply.id)  # the commit may have happened
            raise
        if moved.state is State.GENERATING:
            self.halt(reply.id)
        else:
            self._on_cancelled(moved.lane)
        self.tidy(replace(moved, reply_token=before.reply_token))
        self.notify_changed()

    def halt(self, reply_id: int) -> None:
        """Raise the stop flag of a reply that is being generated."""
        self.stop_flags[reply_id].set()

    def tidy(self, reply: Reply) -> None:
        """Mark a cancelled reply's messages, if it has shown any before a crash: their Stop button would stay.

        `reply` still has its reply token. Does not wait.
        """
        if reply.state is State.CANCELLED and any(chunk.message_id for chunk in reply.chunks):
            task = asyncio.create_task(self._mark(reply))
            self._marking.add(task)
            task.add_done_callback(self._marking.discard)

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

    def close(self) -> None:
        """Cancel the marking of messages."""
        for task in self._marking:
            task.cancel()

    async def _mark(self, reply: Reply) -> None:
        try:
            await self._mark_stopped(reply)
        except Exception as error:
            log.info("reply %s keeps what it showed: %s", reply.id, type(error).__name__)
