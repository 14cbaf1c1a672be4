"""How often a chat may be called. Previews give way; a penalty holds its own chat alone."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from core.domain.platform import Pace

MINUTE = 60.0


@dataclass(slots=True)
class _Past:
    calls: deque[float] = field(default_factory=deque)
    previews: deque[float] = field(default_factory=deque)
    held: float = 0.0
    """Until when nothing may be sent."""

    def forget(self, before: float) -> None:
        for times in (self.calls, self.previews):
            while times and times[0] <= before:
                times.popleft()

    @property
    def empty(self) -> bool:
        return not (self.calls or self.previews or self.held)


class ChatRateLimiter:
    """Lets calls through to each chat at its pace; chats don't wait for one another."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._chats: dict[str, _Past] = {}

    async def wait(self, key: str, pace: Pace, *, preview: bool = False) -> None:
        """Return when the chat may be called; the call is then counted."""
        while (delay := self.delay(key, pace, preview=preview)) > 0:  # noqa: ASYNC110
            await asyncio.sleep(delay)
        self._count(key, preview)

    def delay(self, key: str, pace: Pace, *, preview: bool = False) -> float:
        """Seconds until the chat may be called, as things stand."""
        now, past = self._clock(), self._past(key)
        due = [past.held]
        if past.calls:
            due.append(past.calls[-1] + (pace.interval if preview else pace.gap))
        due += _full(past.calls, pace.calls)
        due += _full(past.previews, pace.previews) if preview else []
        return max(0.0, max(due) - now)

    def hold(self, key: str, seconds: float) -> None:
        """A penalty: nothing is sent there for so long."""
        past = self._past(key)
        past.held = max(past.held, self._clock() + seconds)

    def is_held(self, key: str) -> bool:
        """Whether a penalty runs."""
        return self._past(key).held > self._clock()

    def _count(self, key: str, preview: bool) -> None:
        now = self._clock()
        self._chats[key] = past = self._past(key)
        past.calls.append(now)
        if preview:
            past.previews.append(now)

    def _past(self, key: str) -> _Past:
        now = self._clock()
        for past in self._chats.values():
            past.forget(now - MINUTE)
            past.held = past.held if past.held > now else 0.0
        self._chats = {chat: past for chat, past in self._chats.items() if not past.empty}
        return self._chats.setdefault(key, _Past())


def _full(times: deque[float], most: int) -> list[float]:
    """When the next one is due where a minute is full."""
    return [times[-most] + MINUTE] if most and len(times) >= most else []
