"""Typing indicators for people whose questions wait behind others."""

import asyncio
import logging

from core.dispatch.dispatcher import Dispatcher
from core.dispatch.environment import Environment
from core.domain.platform import NotSent, ReplyChannel
from core.domain.reply_states import Lane

log = logging.getLogger(__name__)

MAX_CHATS_PER_ROUND = 20


class TypingIndicator:
    """Shows in the chats whose questions have waited longest that an answer is on its way."""

    def __init__(self, environment: Environment, dispatcher: Dispatcher) -> None:
        self._env, self._dispatcher = environment, dispatcher

    async def run(self) -> None:
        """Refresh the indicators, without end. Failures are ignored: they are a courtesy."""
        while True:
            await asyncio.sleep(self._env.timing.typing_every_s)
            all_settled = self._env.settled.issuperset(self._env.platforms)
            if all_settled and not self._dispatcher.may_wait(Lane.ANSWER):
                continue
            try:
                async with self._env.store.begin() as tx:
                    waiting = await tx.replies.longest_waiting(self._env.platforms, MAX_CHATS_PER_ROUND)
                channels = [self._env.platforms[reply.chat.platform].channel(reply) for reply in waiting]
                free = [channel for channel in channels if not self._env.rate_limiter.is_held(channel.key)]
                await asyncio.gather(*map(self._show, free))
            except Exception as error:
                log.debug("no typing indicators: %s", type(error).__name__)

    async def _show(self, channel: ReplyChannel) -> None:
        try:
            await channel.typing()
        except NotSent as error:
            self._env.rate_limiter.hold(channel.key, error.wait)
        except Exception as error:
            log.debug("no typing indicator: %s", type(error).__name__)
