"""A press of a button on a Bot API server, and what its person is told."""

import asyncio
from dataclasses import dataclass

from tests.patience import limit


@dataclass(frozen=True, slots=True)
class Answer:
    """What a presser was told."""

    text: str
    alert: bool


@dataclass(frozen=True, slots=True)
class Pressed:
    """A press that waits for its answer."""

    _answer: asyncio.Future[Answer]

    async def answered(self) -> Answer:
        """What the presser is told."""
        async with limit():
            return await self._answer
