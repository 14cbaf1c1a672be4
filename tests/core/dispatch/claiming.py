"""The claim loops of a dispatcher, over a store whose claims end as a test says."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

from core.delivery.rate_limiter import ChatRateLimiter
from core.delivery.reply_control import ReplyControl
from core.dispatch.dispatcher import Dispatcher, Slot
from core.dispatch.environment import Environment
from core.dispatch.timing import ServiceTiming
from core.domain.conversation import Reply
from core.domain.reply_states import Lane
from core.domain.store import Claimed, Store, Transaction
from core.runtime.retry import Backoff

AT_ONCE = 4
TIMING = ServiceTiming(database_backoff=Backoff(0.0, 0.0))


class ClaimLoops:
    """A dispatcher whose loops find nothing to claim: what wakes a lane is seen by its claims."""

    def __init__(self) -> None:
        self.held_up: set[Lane] = set()
        """Lanes in which each claim leaves replies in the queue."""
        self.gate = asyncio.Event()
        """A claim ends when it is set, as it is at first."""
        self.gate.set()
        self.errors: list[Exception] = []
        """Raised by the next claims."""
        self._made = Counter[Lane]()
        store = cast(Store, self)
        control = ReplyControl(store)
        self.dispatcher = Dispatcher(Environment(store, control, ChatRateLimiter(), lambda: 0, TIMING), AT_ONCE)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        yield cast(Transaction, SimpleNamespace(replies=self))

    async def claim(self, lane: Lane, platforms: Collection[str], now: int, limit: int) -> Claimed:
        self._made[lane] += 1
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop()
        return Claimed((), lane in self.held_up)

    async def made(self) -> Counter[Lane]:
        """The claims that were begun since the last look, once nothing goes on by itself."""
        for _ in range(20):
            await asyncio.sleep(0)
        made, self._made = self._made, Counter[Lane]()
        return made


@asynccontextmanager
async def claim_loops() -> AsyncIterator[ClaimLoops]:
    """The loops of both lanes while the block lasts."""

    async def run(reply: Reply, slot: Slot) -> None:
        raise AssertionError("nothing is claimed")

    claims = ClaimLoops()
    loops = [asyncio.create_task(claims.dispatcher.run_lane(lane, run)) for lane in Lane]
    try:
        yield claims
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
