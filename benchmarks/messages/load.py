"""Questions in many chats, and when their answers were seen."""

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.messages.bot import END
from benchmarks.messages.platforms import Front

PLACEHOLDER = "…"
ANSWER_LIMIT_S = 120.0
"""After which a missing answer ends the benchmark."""


@dataclass(slots=True)
class Asked:
    """A question; times in seconds of the machine's monotonic clock."""

    number: int
    at: float
    ended: asyncio.Future[None]
    first_text_at: float = 0.0
    ended_at: float = 0.0


@dataclass(slots=True)
class Load:
    """Asks one question at a time in each chat."""

    front: Front
    answered: int = 0
    """How many questions have been answered."""
    _asked: dict[int, Asked] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.front.shown = self._shown

    async def ask(self, chat: int, words: int, speed: int = 0) -> Asked:
        """A question, once it is answered. `speed`: words a second; 0 is all at once."""
        number = next(self._numbers)
        asked = self._asked[chat] = Asked(number, time.monotonic(), asyncio.get_running_loop().create_future())
        self.front.ask(chat, f"Question {number}: {words} words, {speed} a second, please.")
        async with asyncio.timeout(ANSWER_LIMIT_S):
            await asked.ended
        return asked

    async def paced(self, questions: int, chats: int, rate: float, words: int) -> Sequence[Asked]:
        """Questions at a steady rate a second, in the chats in turn."""
        began = time.monotonic()
        tasks = list[asyncio.Task[Asked]]()
        for number in range(questions):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            if (before := number - chats) >= 0:
                await tasks[before]  # one question at a time in each chat
            tasks.append(asyncio.create_task(self.ask(number % chats, words)))
        return await asyncio.gather(*tasks)

    async def closed_loop(self, chat: int, words: int) -> None:
        """Question after question in a chat, until cancelled."""
        while True:
            await self.ask(chat, words)

    def _shown(self, chat: int, text: str, growing: bool) -> None:
        asked = self._asked.get(chat)
        if asked is None or text == PLACEHOLDER:
            return
        now = time.monotonic()
        asked.first_text_at = asked.first_text_at or now
        if growing:
            return
        del self._asked[chat]
        asked.ended_at = now
        if not text.rstrip().endswith(END):
            asked.ended.set_exception(RuntimeError(f"not an answer: {text[-200:]!r}"))
        elif not asked.ended.done():
            self.answered += 1
            asked.ended.set_result(None)
