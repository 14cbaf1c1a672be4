"""Only the last answer of a conversation has buttons: the answer before it loses them."""

import logging
from collections import deque
from collections.abc import Mapping

from core.delivery.rate_limiter import ChatRateLimiter
from core.domain.conversation import Reply
from core.domain.platform import NotSent, Platform

log = logging.getLogger(__name__)

MAX_REMEMBERED_QUESTIONS = 1000


class ButtonCleanup:
    """Removes the buttons of earlier answers."""

    def __init__(self, platforms: Mapping[str, Platform], rate_limiter: ChatRateLimiter) -> None:
        self._platforms, self._rate_limiter = platforms, rate_limiter
        self._deleted: deque[int | None] = deque(maxlen=MAX_REMEMBERED_QUESTIONS)
        """Ids of questions that /undo has deleted."""

    def note_deleted(self, question: int) -> None:
        """A question is deleted with its answer: the answer before it is the last one again, and keeps its buttons."""
        self._deleted.append(question)

    async def remove_earlier_buttons(self, reply: Reply, earlier: Reply) -> None:
        """Remove the buttons of `earlier`, the answer before `reply`. Waits for its turn; a failure is only logged."""
        last = earlier.chunks[-1].message_id
        if last is None or last in {chunk.message_id for chunk in reply.chunks}:  # /retry shows its answer there
            return
        try:
            channel = self._platforms[earlier.chat.platform].channel(earlier)
            await self._rate_limiter.wait(channel.key, channel.pace, preview=True)
            if reply.question in self._deleted and earlier.question not in self._deleted:
                return
            await channel.remove_buttons(last)
        except NotSent as error:
            self._rate_limiter.hold(channel.key, error.wait)
        except Exception as error:
            log.debug("the answer before reply %s keeps its buttons: %s", reply.id, type(error).__name__)
