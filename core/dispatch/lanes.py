"""What wakes the loops that claim replies: each lane for itself."""

import asyncio

from core.domain.reply_states import Lane

_MAY_GO_ON = {Lane.ANSWER: (Lane.ANSWER,), Lane.NOTICE: (Lane.NOTICE, Lane.ANSWER)}
"""By the lane of a reply that has ended, the lanes in which its conversation may go on: an open answer holds up other
answers, an open command holds up everything behind it."""


class LaneSignals:
    """Tells the claim loop of a lane that a reply may be claimable there. One loop waits on each lane.

    A notification that comes while nobody waits is kept for the next wait.
    """

    def __init__(self) -> None:
        self._notified = {lane: asyncio.Event() for lane in Lane}

    def notify(self, *lanes: Lane) -> None:
        """A reply may be claimable in these lanes."""
        for lane in lanes:
            self._notified[lane].set()

    def notify_all(self) -> None:
        """A reply may be claimable in any lane."""
        self.notify(*Lane)

    def notify_ended(self, lane: Lane) -> None:
        """A reply of this lane is open no more: what it held up may be claimable."""
        self.notify(*_MAY_GO_ON[lane])

    def clear(self, lane: Lane) -> None:
        """Forget earlier notifications, before a claim that will see what they are about."""
        self._notified[lane].clear()

    async def wait(self, lane: Lane) -> None:
        """Return once the lane has been notified since it was cleared."""
        await self._notified[lane].wait()
