"""A store that counts its transactions, notes its claims, and can take its time."""

import asyncio
import random
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from core.dispatch.timing import ServiceTiming
from core.domain.conversation import Reply
from core.domain.reply_states import Lane
from core.domain.store import Claimed, Replies, Store, Transaction
from storage.store import DatabaseStore
from tests.conftest import Bot
from tests.patience import limit

NO_SWEEP = ServiceTiming(sweep_s=3600.0, typing_every_s=3600.0)
"""Nothing runs but what a message causes: a reply that nobody was woken for stays where it is."""


@dataclass(frozen=True)
class Claim:
    """One claim of a lane: how many replies it might have taken, how many it took, whether others still waited."""

    lane: Lane
    limit: int
    taken: int
    waiting: bool


class CountedReplies:
    """Notes each claim."""

    def __init__(self, replies: Replies, claims: list[Claim]) -> None:
        self._replies, self._claims = replies, claims

    def __getattr__(self, name: str) -> Any:
        return getattr(self._replies, name)

    async def claim(self, lane: Lane, platforms: Collection[str], now: int, limit: int) -> Claimed:
        claimed = await self._replies.claim(lane, platforms, now, limit)
        self._claims.append(Claim(lane, limit, len(claimed.replies), claimed.waiting))
        return claimed


@dataclass
class CountingStore:
    """Counts what is begun. `dice` makes it slow at random, before a transaction and after its commit."""

    store: Store
    dice: random.Random | None = None
    begun: int = 0
    claims: list[Claim] = field(default_factory=list)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        self.begun += 1
        await self._dawdle()
        async with self.store.begin() as tx:
            replies = CountedReplies(tx.replies, self.claims)
            names = ("inbox", "messages", "recovery", "turns", "preferences", "chats", "accounts")
            yield cast(Transaction, SimpleNamespace(replies=replies, **{name: getattr(tx, name) for name in names}))
        await self._dawdle()

    async def _dawdle(self) -> None:
        for _ in range(self.dice.randrange(6) if self.dice else 0):
            await asyncio.sleep(0)

    @property
    def empty_claims(self) -> list[Claim]:
        """Those that took nothing."""
        return [claim for claim in self.claims if not claim.taken]

    def reset(self) -> None:
        """Count from here on."""
        self.begun, self.claims = 0, []


async def ended(store: DatabaseStore, reply: Reply) -> Reply:
    """The reply, once it is closed: asked of the store that is not counted."""
    async with limit():
        while True:
            async with store.begin() as tx:
                current = await tx.replies.get(reply.id)
            if not current.state.open:
                return current
            await asyncio.sleep(0.001)


async def at_rest(bot: Bot, counting: CountingStore) -> None:
    """Wait until nothing runs and no transaction has begun for a while."""
    async with limit():
        begun = -1
        while begun != counting.begun or bot.service._dispatcher.running:
            begun = counting.begun
            await asyncio.sleep(0.05)
