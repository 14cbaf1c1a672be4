"""How often a chat may be called. Previews give way; a penalty holds up its own chat alone."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from core.domain.platform import Pace

log = logging.getLogger(__name__)

MAX_HOLD_S = 3600.0
"""A chat is held for at most this long: whoever asked for more is asked again, and says how much is left."""
LONG_HOLD_S = 60.0
"""A longer one is logged: people wait for it."""
WINDOW_S = 60.0
"""What Pace counts in a minute is counted over this long."""


@dataclass(slots=True)
class _ChatCalls:
    """What counts of a chat's calls; times in seconds of the limiter's clock.

    There is one for each chat of the last minute, so it holds nothing that the chat's pace does not need.
    """

    last: float = float("-inf")
    """The last call of any kind."""
    held_until: float = 0.0
    calls: tuple[float, ...] = ()
    previews: tuple[float, ...] = ()
    """The last calls, and the last previews: as many as the pace allows in a minute; none where that has no bound."""


class ChatRateLimiter:
    """Lets calls through to each chat at its pace; chats don't wait for one another.

    A chat is named by its reply channel's key, "platform:chat", and has one pace. `clock`: seconds. `sleep` waits for
    so many of them.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._chats: dict[str, _ChatCalls] = {}
        self._forget_quiet_at = 0.0

    async def wait(self, key: str, pace: Pace, *, preview: bool = False, counted: bool = True) -> None:
        """Return when the chat may be called; the call is then counted.

        With `counted` False it is not: whoever calls the chat counts that before the event loop runs again.
        """
        while (delay := self.delay(key, pace, preview=preview)) > 0:
            await self._sleep(delay)
        if counted:
            self.count(key, pace, preview=preview)

    def count(self, key: str, pace: Pace, *, preview: bool = False) -> None:
        """Count a call that is made now. Once a minute, chats that have been quiet for a minute are forgotten."""
        now = self._clock()
        if now >= self._forget_quiet_at:
            self._forget_quiet_at, since = now + WINDOW_S, now - WINDOW_S
            self._chats = {
                name: chat for name, chat in self._chats.items() if chat.last > since or chat.held_until > now
            }
        chat = self._chats.get(key)
        if chat is None:
            chat = self._chats[key] = _ChatCalls()
        chat.last = now
        if pace.calls_per_minute:
            chat.calls = (*chat.calls, now)[-pace.calls_per_minute :]
        if preview and pace.previews_per_minute:
            chat.previews = (*chat.previews, now)[-pace.previews_per_minute :]

    def delay(self, key: str, pace: Pace, *, preview: bool = False) -> float:
        """Seconds until the chat may be called, as things stand."""
        chat = self._chats.get(key)
        if chat is None:
            return 0.0
        due = max(chat.held_until, chat.last + (pace.preview_interval_s if preview else pace.gap_s))
        if 0 < pace.calls_per_minute <= len(chat.calls):
            due = max(due, chat.calls[-pace.calls_per_minute] + WINDOW_S)
        if preview and 0 < pace.previews_per_minute <= len(chat.previews):
            due = max(due, chat.previews[-pace.previews_per_minute] + WINDOW_S)
        return max(0.0, due - self._clock())

    def hold(self, key: str, seconds: float) -> float:
        """A penalty: the chat may not be called for so long, but for MAX_HOLD_S at most. Never shortens an earlier one.
        Returns the seconds that this one lasts."""
        held = min(seconds, MAX_HOLD_S)
        if held > LONG_HOLD_S:
            bound = f"; it is tried again after {held:.0f} s" if held < seconds else ""
            log.warning("%s may not be called for %.0f s%s", key, seconds, bound)
        chat = self._chats.setdefault(key, _ChatCalls())
        chat.held_until = max(chat.held_until, self._clock() + held)
        return held

    def is_held(self, key: str) -> bool:
        """Whether a penalty runs."""
        chat = self._chats.get(key)
        return chat is not None and chat.held_until > self._clock()
