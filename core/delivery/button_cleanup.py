"""Only the last answer of a conversation offers more: the one before it loses its buttons."""

import logging
from collections.abc import Mapping, Sequence

from core.delivery.rate_limiter import ChatRateLimiter
from core.domain.conversation import Reply
from core.domain.platform import NotSent, Platform
from core.domain.reply_states import Lane
from core.domain.store import Store

log = logging.getLogger(__name__)


class ButtonCleanup:
    """Which answer came before is asked of the store, so that it needs no memory and survives restarts."""

    def __init__(self, store: Store, platforms: Mapping[str, Platform], rate: ChatRateLimiter) -> None:
        self._store, self._platforms, self._rate = store, platforms, rate

    async def retire_before(self, reply: Reply) -> None:
        """When there is time. Nothing of this may cost the answer that is shown."""
        if reply.lane is Lane.NOTICE:
            return
        try:
            async with self._store.begin() as tx:
                earlier = await tx.replies.previous_answer(reply)
            if earlier is not None:
                await self._strip(earlier, [chunk.message_id for chunk in reply.chunks])
        except Exception as error:
            log.debug("the answer before reply %s keeps its buttons: %s", reply.id, type(error).__name__)

    async def _strip(self, earlier: Reply, shown: Sequence[str | None]) -> None:
        last = earlier.chunks[-1].message_id
        if last is None or last in shown:
            return
        surface = self._platforms[earlier.chat.platform].channel(earlier)
        await self._rate.wait(surface.key, surface.pace, preview=True)
        async with self._store.begin() as tx:
            question = await tx.turns.last_question(earlier.chat)
        if question is not None and question.id == earlier.question:
            return  # /undo has made it the last one again meanwhile
        try:
            await surface.remove_buttons(last)
        except NotSent as error:
            self._rate.hold(surface.key, error.wait)
