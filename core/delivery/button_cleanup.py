"""Only the last answer of a conversation has buttons: the answer before it loses them."""

import logging
from collections.abc import Collection, Mapping

from core.delivery.rate_limiter import ChatRateLimiter
from core.domain.conversation import Reply
from core.domain.platform import NotSent, Platform
from core.domain.reply_states import Lane
from core.domain.store import Store

log = logging.getLogger(__name__)


class ButtonCleanup:
    """Removes the buttons of earlier answers. Keeps nothing in memory, so that restarts change nothing."""

    def __init__(self, store: Store, platforms: Mapping[str, Platform], rate_limiter: ChatRateLimiter) -> None:
        self._store, self._platforms, self._rate_limiter = store, platforms, rate_limiter

    async def remove_earlier_buttons(self, reply: Reply) -> None:
        """Remove the buttons of the answer before this one. Waits for its turn; a failure is only logged."""
        if reply.lane is Lane.NOTICE:
            return
        try:
            async with self._store.begin() as tx:
                earlier = await tx.replies.previous_answer(reply)
            if earlier is not None:
                await self._remove(earlier, {chunk.message_id for chunk in reply.chunks})
        except Exception as error:
            log.debug("the answer before reply %s keeps its buttons: %s", reply.id, type(error).__name__)

    async def _remove(self, earlier: Reply, current_ids: Collection[str | None]) -> None:
        last = earlier.chunks[-1].message_id
        if last is None or last in current_ids:
            return
        channel = self._platforms[earlier.chat.platform].channel(earlier)
        await self._rate_limiter.wait(channel.key, channel.pace, preview=True)
        async with self._store.begin() as tx:
            question = await tx.turns.last_question(earlier.chat)
        if question is not None and question.id == earlier.question:
            return  # /undo has made it the last one again meanwhile
        try:
            await channel.remove_buttons(last)
        except NotSent as error:
            self._rate_limiter.hold(channel.key, error.wait)
