"""What wakes the loops that claim replies: each lane for itself."""

import asyncio

from core.domain.reply_states import Lane

_MAY_GO_ON = {Lane.ANSWER: (Lane.ANSWER,), Lane.NOTICE: (Lane.NOTICE, Lane.ANSWER)}
"""By the lane of a reply that has ended, the lanes in which its conversation may go on: an open answer holds up other
answers, an open command holds up everything behind it."""


class LaneSignals:
    """Tells the claim loop of a lane that a reply may be claimable there. One loop waits on each lane.

    A notification that comes while nobody waits is kept for the next wait. A reply that ends wakes a lane only where it
    may have held something up: the lane's last claim has left replies in the queue, or a claim is under way.
    """

    def __init__(self) -> None:
        self._notified = {lane: asyncio.Event() for lane in Lane}
        self._may_wait = set(Lane)
        """Lanes in which a reply may be held up."""

    def notify(self, *lanes: Lane) -> None:
        """A reply may be claimable in these lanes."""
        for lane in lanes:
            self._notified[lane].set()

    def notify_all(self) -> None:
        """A reply may be claimable in any lane."""
        self.notify(*Lane)

    def notify_ended(self, lane: Lane) -> None:
        """A reply of this lane is open no more: what it held up may be claimable."""
        self.notify(*(each for each in _MAY_GO_ON[lane] if each in self._may_wait))

    def may_wait(self, lane: Lane) -> bool:
        """Whether a reply may be queued in the lane, as far as is known without asking the store."""
        return lane in self._may_wait or self._notified[lane].is_set()

    def claiming(self, lane: Lane) -> None:
        """A claim begins, which will see what earlier notifications were about."""
        self._notified[lane].clear()
        self._may_wait.add(lane)

    def claimed(self, lane: Lane, *, waiting: bool) -> None:
        """A claim has ended. `waiting`: it has left replies in the queue."""
        if not waiting:
            self._may_wait.discard(lane)

    async def wait(self, lane: Lane) -> None:
        """Return once the lane has been notified since its last claim began."""
        await self._notified[lane].wait()
