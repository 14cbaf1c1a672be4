"""SIGTERM while fifty answers are being generated."""

import time
from collections.abc import Sequence

from tests.faults.models import Kind
from tests.faults.trials.part import Part
from tests.faults.world import LONGEST_END, Bench, world

ANSWERS = 50


async def trial(bench: Bench, number: int, seed: int) -> Sequence[str]:
    """Out within twenty seconds; what could not be finished is, after the next start. Nothing ambiguous is left."""
    async with world(bench, seed) as w:
        speed = 4.0 if not number else w.random.choice((8.0, 2.0, 0.5, 0.2))
        talks = [w.talks.on(w.platforms[n % 2], group=n % 3 == 0) for n in range(ANSWERS)]
        bot = await w.start(Kind(speed=speed, slots=ANSWERS))
        await w.connected()
        for talk in talks:
            talk.ask()
        await w.until(lambda: w.database.progress()[0] == ANSWERS, "accepting")
        await w.until(lambda: all(talk.seen() for talk in talks), "answering")
        began = time.monotonic()
        await w.end(bot)
        took = time.monotonic() - began
        await w.start(Kind(slots=ANSWERS))
        found = await w.judged()
        return found if took <= LONGEST_END else [*found, f"out after {took:.1f} s"]


PART = Part("sigterm", trial, 1, 30)
