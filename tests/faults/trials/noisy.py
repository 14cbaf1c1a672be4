"""One noisy chat beside nine quiet ones."""

import asyncio
import time
from collections.abc import Sequence
from statistics import mean

from tests.faults.models import Kind
from tests.faults.talks import TelegramTalk
from tests.faults.trials.part import Part
from tests.faults.world import Bench, World, world
from tests.patience import LIMIT_S

QUIET, ROUNDS, NOISE = 9, 2, 8
MOST = 1.5
ANY = frozenset({"done", "merged", "refused", "failed"})
"""What becomes of a noise is no matter here, as long as it is something."""


async def trial(bench: Bench, number: int, seed: int) -> Sequence[str]:
    """The quiet ones wait at most one and a half times as long as without it."""
    waits: dict[bool, list[float]] = {}
    for noisy in (False, True):
        async with world(bench, seed) as w:
            waits[noisy] = await _waits(w, noisy)
            if found := await w.judged():
                return found
    alone, beside = mean(waits[False]), mean(waits[True])
    return [f"{beside:.2f} s beside it, {alone:.2f} s without"] if beside > MOST * alone else []


async def _waits(w: World, noisy: bool) -> list[float]:
    w.platforms = ("telegram",)
    quiet = [w.talks.on_telegram() for _ in range(QUIET)]
    noise = w.talks.on_telegram()
    await w.start(Kind(speed=30, slots=2))
    for talk in (*quiet, noise):
        talk.command("/memory 5")
    await w.settled()
    if noisy:
        for _ in range(NOISE):
            noise.ask(ends=ANY)
        await asyncio.sleep(0.3)
    found = await asyncio.gather(*(_asked(w, talk) for talk in quiet))
    return [each for waits in found for each in waits]


async def _asked(w: World, talk: TelegramTalk) -> list[float]:
    """Seconds that each answer took."""
    waits = []
    for _ in range(ROUNDS):
        said, began = talk.ask(), time.monotonic()
        while not any(f"{said.token}z" in seen.text and not seen.growing for seen in talk.seen()):
            await asyncio.sleep(0.01)
            assert time.monotonic() - began < LIMIT_S, f"{said.token} is not answered"
        waits.append(time.monotonic() - began)
    return waits


PART = Part("noisy", trial, 1, 10, timed=True)
