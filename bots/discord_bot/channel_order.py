"""The order of each channel: what happens with its messages is delivered one after another.

The core stores the newest message's id as how far a channel has been read. So a message is delivered only once the
earlier ones of its channel are acknowledged, those too that were missed and are read back (see Backfill).
"""

import asyncio
from collections.abc import Sequence
from functools import partial

from discord import Message

from bots.discord_bot.backfill import Backfill
from bots.discord_bot.message_events import MessageEvents
from core.runtime.supervision import Work, logged

MAX_WAITING = 1000
"""Messages that wait to be acknowledged. Further ones are dropped, and read back later."""


class ChannelOrder:
    """Lines up what happens in each channel. No method waits."""

    def __init__(self, events: MessageEvents, backfill: Backfill, tasks: asyncio.TaskGroup) -> None:
        self._events, self._backfill, self._tasks = events, backfill, tasks
        self._latest: dict[int, asyncio.Task[None]] = {}
        """The last in each channel's line."""
        self._waiting = 0

    def received(self, message: Message) -> None:
        """Somebody wrote a message."""
        if self._waiting >= MAX_WAITING:
            self._backfill.start_over()
            return
        self._line_up(message.channel.id, message.id, partial(self._events.received, message, live=True))

    def edited(self, message: Message) -> None:
        """A message changed. Link previews, which Discord itself adds, are no edits."""
        if message.edited_at is not None and not message.author.bot and self._waiting < MAX_WAITING:
            self._line_up(message.channel.id, message.id, partial(self._events.edited, message))

    def deleted(self, channel_id: int, message_ids: Sequence[int]) -> None:
        """Messages of a channel were deleted."""
        if message_ids and self._waiting < MAX_WAITING:
            deliver = partial(self._events.deleted, channel_id, message_ids)
            self._line_up(channel_id, message_ids[0], deliver)

    def is_behind(self, channel_id: int) -> bool:
        """Whether something of a channel is not acknowledged yet: it is in its line, or may be missed."""
        return channel_id in self._latest or self._backfill.is_behind(channel_id)

    async def wait_for(self, channel_id: int) -> None:
        """Return when everything that was heard in a channel until now, and all that was missed, is acknowledged."""
        if (latest := self._latest.get(channel_id)) is not None:
            await asyncio.wait({latest})
        await self._backfill.wait_for(channel_id)

    def _line_up(self, channel_id: int, message_id: int, work: Work) -> None:
        self._waiting += 1
        in_turn = partial(self._in_turn, channel_id, work, self._latest.get(channel_id))
        task = self._tasks.create_task(logged(f"message {message_id}", in_turn))
        self._latest[channel_id] = task
        task.add_done_callback(partial(self._forget, channel_id))

    def _forget(self, channel_id: int, done: asyncio.Task[None]) -> None:
        if self._latest.get(channel_id) is done:
            del self._latest[channel_id]

    async def _in_turn(self, channel_id: int, work: Work, before: asyncio.Task[None] | None) -> None:
        try:
            if before is not None:
                await asyncio.wait({before})
            await self._backfill.wait_for(channel_id)
            await work()
        finally:
            self._waiting -= 1
