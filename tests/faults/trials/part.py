"""A part of the trials: the same kind of fault many times, each with a seed of its own."""

import asyncio
import os
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tests.faults.world import Bench

AT_ONCE = 4
"""Trials. They wait more than they work."""
LONGEST = 3300.0
"""Seconds after which no further trial of a part begins."""

Trial = Callable[[Bench, int, int], Awaitable[Sequence[str]]]
"""A trial by its number and its seed; what did not hold. One that is `single` is told how often instead of a number."""


@dataclass(frozen=True, slots=True)
class Part:
    """`quick` and `whole` are how many trials; each has `each` of what is counted. A part without quick ones is left
    out of `make faults`. `timed`: time is what is judged, so that nothing else may go on meanwhile."""

    name: str
    trial: Trial
    quick: int
    whole: int
    unit: str = "trials"
    each: int = 1
    timed: bool = False
    single: bool = False


@dataclass(slots=True)
class Result:
    """How a part went."""

    part: Part
    seed: int
    trials: int = 0
    failures: list[str] = field(default_factory=list)
    """What did not hold in each trial that failed."""
    seconds: float = 0.0

    @property
    def told(self) -> str:
        """In a line, and one for each failure."""
        count = self.trials * self.part.each
        line = f"{self.part.name}: {count} {self.part.unit}, {len(self.failures)} failures, {self.seconds:.1f} s, " \
               f"SEED={self.seed}"  # fmt: skip
        return "\n".join([line, *self.failures])


def hands(part: Part | None = None) -> asyncio.Semaphore:
    """For the trials that go on at once."""
    return asyncio.Semaphore(1 if part and part.timed else AT_ONCE)


def chosen_seed() -> int:
    """Of the environment, or a new one."""
    return int(os.environ.get("SEED") or random.randrange(1_000_000))


async def run(part: Part, bench: Bench, count: int, seed: int, hands: asyncio.Semaphore) -> Result:
    """So many trials, as many at once as there are hands; the seed of the n-th is `seed` + n."""
    result = Result(part, seed)
    began = time.monotonic()

    async def one(number: int, told: int, counts: int) -> None:
        async with hands:
            if time.monotonic() - began > LONGEST:
                return
            found = await _found(part, bench, told, seed + number)
            result.trials += counts
            if found:
                result.failures.append(f"  {part.name} {number}, SEED={seed + number}: " + "; ".join(found))

    if part.single:
        await one(0, count, count)
    else:
        await asyncio.gather(*(one(number, number, 1) for number in range(count)))
    result.seconds = time.monotonic() - began
    return result


async def _found(part: Part, bench: Bench, number: int, seed: int) -> Sequence[str]:
    try:
        return await part.trial(bench, number, seed)
    except AssertionError as error:
        return [str(error)]
    except Exception as error:  # a trial that breaks off has failed, and the others go on
        where = "".join(traceback.format_tb(error.__traceback__)[-2:])
        return [f"{type(error).__name__}: {error}\n{where}"]
