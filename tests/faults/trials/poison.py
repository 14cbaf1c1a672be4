"""A message that kills the engine each time, beside seven neighbours."""

from collections.abc import Sequence

from tests.faults.answers import BOOM
from tests.faults.models import DIED, Kind
from tests.faults.trials.part import Part
from tests.faults.world import Bench, world

NEIGHBOURS = 7
DEATHS = (4, 5)
"""The first is anybody's, and the next shows which question it is, or the first where answers begin one by one already.
Alone it dies three times."""


async def trial(bench: Bench, number: int, seed: int) -> Sequence[str]:
    """It fails with a notice after three deaths alone; its neighbours don't suffer."""
    async with world(bench, seed) as w:
        poisoned = w.talks.on(w.random.choice(w.platforms))
        neighbours = [w.talks.on(w.platforms[n % 2]) for n in range(NEIGHBOURS)]
        await w.start(Kind(speed=20, slots=4))
        await w.connected()
        for talk in neighbours:
            talk.ask()
        await w.until(w.talks.seen, "answering")
        poisoned.ask(BOOM, ends=frozenset({"failed"}))
        for talk in (poisoned, *neighbours):
            talk.ask()
        found = await w.judged()
        deaths = w.log.read_text("utf-8").count(DIED)
        return found if deaths in DEATHS else [*found, f"{deaths} deaths, not {DEATHS}"]


PART = Part("poison", trial, 1, 20)
