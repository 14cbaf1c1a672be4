"""After the engine's death answers begin one after another, so that the next death shows which of them is to blame.

Kept in memory only: a new process begins with all of them together, and learns anew.
"""

import asyncio
import time
from collections.abc import Callable

from core.answering.assistant import AnswerWriter

PROBATION_PIECES = 8
"""Pieces after which an answer has lived through its beginning, where what kills the engine does so nearly always."""
SUSPECTED_S = 120.0
"""After so long a reply is no suspect any more: it may have been cancelled while it waited."""
MAX_REMEMBERED = 1000
"""Replies that are remembered: some are cancelled while they wait, and never come to their end."""
MAX_SHARED_DEATHS = 3
"""Deaths of the engine beside others, after which an answer runs with no other beside it."""


class EngineDeaths:
    """Knows which answers ran when the engine died, and lets them begin one at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.suspects: dict[int, float] = {}
        """Ids of the replies under which the engine died, and which have not begun again, with the clock's seconds of
        that. While there are any, answers begin one at a time, others' too."""
        self.shown: dict[int, int] = {}
        """By a reply's id: how many characters of its answer people saw when the engine died."""
        self._deaths: dict[int, int] = {}
        """By a reply's id: deaths beside others."""
        self.on_probation: int | None = None
        """The id of the reply that has begun last, while it may still be to blame for a death."""
        self._settled = asyncio.Event()

    def begin(self, reply_id: int) -> None:
        """An answer begins, and no other before `settled`."""
        long_ago = self._clock() - SUSPECTED_S
        self.suspects = {suspect: since for suspect, since in self.suspects.items() if since > long_ago}
        self.on_probation = reply_id
        self._settled.clear()

    async def settled(self) -> None:
        """Return once the answer that began last has lived through its beginning, or has ended."""
        await self._settled.wait()

    def lived(self, reply_id: int) -> None:
        """An answer has lived through its beginning."""
        self.suspects.pop(reply_id, None)
        self.ended(reply_id)

    def died(self, reply_id: int, shown: int) -> bool:
        """The engine died under an answer of which people saw `shown` characters. Return whether the answer is to run
        with no other beside it: it had just begun, or it is for ever among those that die."""
        if len(self._deaths) >= MAX_REMEMBERED:
            self._deaths.clear()
            self.shown.clear()
        to_blame = self.on_probation == reply_id
        deaths = self._deaths[reply_id] = self._deaths.get(reply_id, 0) + 1
        self.shown[reply_id] = max(shown, self.shown.get(reply_id, 0))
        self.suspects[reply_id] = self._clock()
        return to_blame or deaths >= MAX_SHARED_DEATHS

    def ended(self, reply_id: int) -> None:
        """An answer runs no more. Idempotent."""
        if self.on_probation == reply_id:
            self.on_probation = None
            self._settled.set()

    def forget(self, reply_id: int) -> None:
        """An answer has come to its end."""
        self.suspects.pop(reply_id, None)
        self.shown.pop(reply_id, None)
        self._deaths.pop(reply_id, None)

    def forget_all(self) -> None:
        """Nothing waits any more: what has not begun again never will."""
        self.suspects.clear()


class Probation:
    """Where an answer is shown while it grows; notes when it has lived through its beginning."""

    def __init__(self, live: AnswerWriter, deaths: EngineDeaths, reply_id: int) -> None:
        self._live, self._deaths, self._reply_id = live, deaths, reply_id
        self._left = PROBATION_PIECES + 1
        """Pieces; hidden ones count, and what the answer begins with before the model's first one."""

    def write(self, piece: str) -> None:
        """Append a piece. Never waits."""
        self._live.write(piece)
        self._left -= 1
        if not self._left:
            self._deaths.lived(self._reply_id)

    def restart(self) -> None:
        """Begin again with an empty text."""
        self._live.restart()
