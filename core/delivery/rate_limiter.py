"""How often a chat may be called. Previews give way; a penalty holds up its own chat alone."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from core.domain.platform import Pace

WINDOW_S = 60.0
"""What Pace counts in a minute is counted over this long."""


@dataclass(slots=True)
class _ChatCalls:
    """The times of the last minute's calls to a chat, in seconds of the limiter's clock."""

    calls: deque[float] = field(default_factory=deque)
    previews: deque[float] = field(default_factory=deque)
    held_until: float = 0.0

    def forget(self, now: float) -> None:
        """Forget what does not count any more."""
        for times in (self.calls, self.previews):
            while times and times[0] <= now - WINDOW_S:
                times.popleft()
        if self.held_until <= now:
            self.held_until = 0.0

    def is_quiet(self, now: float) -> bool:
        """Whether nothing counts any more. Every preview is a call too."""
        return self.held_until <= now and not (self.calls and self.calls[-1] > now - WINDOW_S)


class ChatRateLimiter:
    """Lets calls through to each chat at its pace; chats don't wait for one another.

    A chat is named by its reply channel's key, "platform:chat". `clock`: seconds. `sleep` waits for so many of them.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._chats: dict[str, _ChatCalls] = {}
        self._forget_quiet_at = 0.0

    async def wait(self, key: str, pace: Pace, *, preview: bool = False) -> None:
        """Return when the chat may be called; the call is then counted."""
        await self.wait_until_due(key, pace, preview=preview)
        self.count(key, preview=preview)

    async def wait_until_due(self, key: str, pace: Pace, *, preview: bool = False) -> None:
        """Return when the chat may be called. Whoever calls it counts that before the event loop runs again."""
        while (delay := self.delay(key, pace, preview=preview)) > 0:
            await self._sleep(delay)

    def count(self, key: str, *, preview: bool = False) -> None:
        """Count a call that is made now."""
        now, chat = self._clock(), self._chat(key)
        chat.calls.append(now)
        if preview:
            chat.previews.append(now)

    def delay(self, key: str, pace: Pace, *, preview: bool = False) -> float:
        """Seconds until the chat may be called, as things stand."""
        now, chat = self._clock(), self._chat(key)
        due = [chat.held_until]
        if chat.calls:
            due.append(chat.calls[-1] + (pace.preview_interval_s if preview else pace.gap_s))
        due += _when_full(chat.calls, pace.calls_per_minute)
        due += _when_full(chat.previews, pace.previews_per_minute) if preview else []
        return max(0.0, max(due) - now)

    def hold(self, key: str, seconds: float) -> None:
        """A penalty: the chat may not be called for so long. Never shortens an earlier one."""
        chat = self._chat(key)
        chat.held_until = max(chat.held_until, self._clock() + seconds)

    def is_held(self, key: str) -> bool:
        """Whether a penalty runs."""
        return self._chat(key).held_until > self._clock()

    def _chat(self, key: str) -> _ChatCalls:
        """The chat's calls. Once a minute, chats that have been quiet for a minute are forgotten."""
        now = self._clock()
        if now >= self._forget_quiet_at:
            self._forget_quiet_at = now + WINDOW_S
            self._chats = {name: chat for name, chat in self._chats.items() if not chat.is_quiet(now)}
        chat = self._chats.setdefault(key, _ChatCalls())
        chat.forget(now)
        return chat


def _when_full(times: deque[float], limit: int) -> list[float]:
    """When the next call is due where the minute is full; `limit` 0 is none."""
    return [times[-limit] + WINDOW_S] if limit and len(times) >= limit else []
