"""Only the last answer of a conversation has buttons: the answer before it loses them, and one that is taken back."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence

from core.delivery.rate_limiter import ChatRateLimiter
from core.domain.conversation import Reply
from core.domain.platform import Ambiguous, NotSent, Platform

log = logging.getLogger(__name__)

MAX_REMEMBERED_QUESTIONS = 1000
AT_ONCE = 4
"""Chats that are called at once for what was left behind: a platform bears so many calls a second in all."""
MAX_TRIES = 5
"""To remove the buttons of one answer."""


class ButtonCleanup:
    """Removes the buttons of earlier answers."""

    def __init__(self, platforms: Mapping[str, Platform], rate_limiter: ChatRateLimiter) -> None:
        self._platforms, self._rate_limiter = platforms, rate_limiter
        self._deleted: deque[int | None] = deque(maxlen=MAX_REMEMBERED_QUESTIONS)
        """Ids of questions that /undo has deleted."""
        self._left_behind: asyncio.Queue[Reply] = asyncio.Queue()

    def note_deleted(self, question: int) -> None:
        """A question is deleted with its answer: the answer before it is the last one again, and keeps its buttons."""
        self._deleted.append(question)

    async def remove_earlier_buttons(self, reply: Reply | None, earlier: Reply) -> None:
        """Remove the buttons of `earlier`: the answer before `reply`, or one that `reply` has taken back; without
        `reply` one that the last process left behind.

        Waits for its turn, and again where the platform asks for that; any other failure is only logged.
        """
        channel, last = self._platforms[earlier.chat.platform].channel(earlier), earlier.chunks[-1].message_id
        shared = {chunk.message_id for chunk in reply.chunks} if reply else set()
        if last is None or last in shared:  # /retry shows its answer there
            return
        for _ in range(MAX_TRIES):
            try:
                await self._rate_limiter.wait(channel.key, channel.pace, preview=True)
                if reply and reply.question in self._deleted and earlier.question not in self._deleted:
                    return
                return await channel.remove_buttons(last)
            except NotSent as error:
                self._rate_limiter.hold(channel.key, error.wait)
            except Ambiguous as error:
                log.debug("the buttons of reply %s are removed once more: %s", earlier.id, type(error).__name__)
            except Exception as error:
                log.debug("reply %s keeps its buttons: %s", earlier.id, type(error).__name__)
                return

    def superseded(self, replies: Sequence[Reply]) -> None:
        """Answers whose buttons the last process may have left behind. Does not wait."""
        for reply in replies:
            self._left_behind.put_nowait(reply)

    async def run(self) -> None:
        """Remove the buttons of what was left behind, a few at a time, without end."""
        await asyncio.gather(*(self._work_off() for _ in range(AT_ONCE)))

    async def _work_off(self) -> None:
        while True:
            await self.remove_earlier_buttons(None, await self._left_behind.get())
