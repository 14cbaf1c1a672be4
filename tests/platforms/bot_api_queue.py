"""The update queue of a Bot API server: what waits until it is confirmed (tdlib/telegram-bot-api, Client.cpp)."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

DAY = 86_400
LIVES = {"callback_query": 150}
"""Seconds that an update of a kind is kept; a day unless named here."""
UNASKED = ("chat_member", "message_reaction", "message_reaction_count")
"""Kinds that nobody gets without asking for them."""


class Conflict(Exception):
    """The poll is given up for another."""


@dataclass(slots=True)
class Waiting:
    """An update with its time to die."""

    id: int
    body: dict[str, Any]
    expires: float


class Queue:
    """One bot's updates. `clock` tells seconds since 1970, `monotonic` tells how much time has passed."""

    def __init__(self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.clock, self._monotonic = clock, monotonic
        self.webhook = ""
        self.allowed: list[str] | None = None
        self.hurry_s = 0.5
        """Sooner after a poll, one that asks for the same gets one update."""
        self.polls: list[int | None] = []
        """The offsets that were asked for."""
        self._next = random.randint(100_000, 900_000_000)
        self._waiting: list[Waiting] = []
        self._arrived = asyncio.Event()
        self._poll: asyncio.Future[None] | None = None
        self._last: tuple[int | None, float] = (None, float("-inf"))

    def put(self, kind: str, content: Any) -> int:
        """Queue an update, unless nobody asked for its kind; its id."""
        wanted = kind in self.allowed if self.allowed else kind not in UNASKED
        since = content.get("date", self.clock()) if kind == "message" else self.clock()
        return self.put_raw({kind: content}, since + LIVES.get(kind, DAY) - self.clock()) if wanted else 0

    def put_raw(self, body: dict[str, Any], life: float = DAY) -> int:
        """Queue whatever it is."""
        self._next += 1
        self._waiting.append(Waiting(self._next, {"update_id": self._next, **body}, self.clock() + life))
        self._arrived.set()
        return self._next

    def disorder(self, by: random.Random, near: int, copies: int) -> None:
        """What waits comes up to 2 * `copies` - 1 times, each not far from its place; ids go up all the same."""
        places = [
            (place + by.uniform(0, near), update)
            for place, update in enumerate(self._alive())
            for _ in range(by.randint(1, 2 * copies - 1))
        ]
        self._waiting = []
        for _, update in sorted(places, key=lambda each: each[0]):
            self.put_raw({**update.body, "update_id": self._next + 1}, update.expires - self.clock())

    def restart(self, at: int) -> None:
        """Ids begin anew, as after a week without an update. What waits keeps its order."""
        waiting, self._waiting, self._next = self._alive(), [], at
        for update in waiting:
            self.put_raw({**update.body, "update_id": self._next + 1}, update.expires - self.clock())

    @property
    def pending(self) -> int:
        """How many wait, looked at without a look at each."""
        return len(self._waiting)

    @property
    def held(self) -> bool:
        """Whether a poll waits for something to come."""
        return self._poll is not None and not self._poll.done()

    def __len__(self) -> int:
        return len(self._alive())

    async def get(self, offset: int | None, limit: int, held: float, allowed: list[str] | None) -> list[Any]:
        """One poll. Raises Conflict where another one, younger, takes its place."""
        if self._poll is not None and not self._poll.done():
            self._poll.set_exception(Conflict())
        mine = self._poll = asyncio.get_running_loop().create_future()
        self.polls.append(offset)
        self.allowed = allowed if allowed is not None else self.allowed
        limit = 1 if self._hurried(offset) else min(max(limit, 1), 100)
        self._confirm(offset)
        deadline = time.monotonic() + min(held, 50)
        while not (found := self._alive()[:limit]) and (left := deadline - time.monotonic()) > 0:
            self._arrived.clear()
            arrived = asyncio.ensure_future(self._arrived.wait())
            await asyncio.wait({arrived, mine}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            arrived.cancel()
            if mine.done():
                mine.result()
        if not mine.done():
            mine.set_result(None)
        else:
            mine.result()
        return [update.body for update in found]

    def _hurried(self, offset: int | None) -> bool:
        """Whether the same is asked for again too soon."""
        now, (last, at) = self._monotonic(), self._last
        self._last = (offset, now)
        return offset == last and now - at < self.hurry_s

    def _confirm(self, offset: int | None) -> None:
        if offset is None or offset == 0 or offset > self._next + 11:
            return
        if offset < 0:
            self._waiting = self._alive()[offset:]
        else:
            self._waiting = [update for update in self._waiting if update.id >= offset]

    def _alive(self) -> list[Waiting]:
        now = self.clock()
        self._waiting = [update for update in self._waiting if update.expires > now]
        return self._waiting
