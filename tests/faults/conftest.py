"""One place for all trials of a run, and what they counted."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from storage.database import ROOT
from tests.faults.trials.part import Result, chosen_seed, hands, run
from tests.faults.trials.parts import PARTS
from tests.faults.world import Bench, bench

COUNTS = ROOT / "build" / "faults.json"


class Results(list[Result]):
    """What each part came to, and how long all of them took: the session goes on with other tests."""

    def __init__(self) -> None:
        super().__init__()
        self._began, self.seconds = time.monotonic(), 0.0

    def append(self, result: Result) -> None:
        super().append(result)
        self.seconds = time.monotonic() - self._began


@pytest.fixture(scope="session")
def results() -> Iterator[Results]:
    """Their numbers are kept for whoever compares runs."""
    results = Results()
    yield results
    counts: dict[str, float] = {"seconds": round(results.seconds, 1)}
    for result in results:
        name = result.part.name.replace("-", "_")
        counts[f"{name}_{result.part.unit}"] = result.trials * result.part.each
        counts[f"{name}_failures"] = len(result.failures)
    COUNTS.parent.mkdir(exist_ok=True)
    COUNTS.write_text(json.dumps(counts, indent=1) + "\n")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def parts(request: pytest.FixtureRequest) -> AsyncIterator[dict[str, asyncio.Task[Result]]]:
    """All parts that were asked for, at once: their trials wait more than they work. Timed ones come last, alone."""
    asked = {item.callspec.params.get("part") for item in request.session.items if hasattr(item, "callspec")}
    chosen = [part for part in PARTS.values() if part.name in asked]
    seed, shared = chosen_seed(), hands()
    async with bench() as place:
        tasks = {
            part.name: asyncio.create_task(run(part, place, part.quick, seed, shared))
            for part in chosen
            if not part.timed
        }

        async def timed(others: list[asyncio.Task[Result]], name: str, place: Bench) -> Result:
            await asyncio.wait(others) if others else None
            return await run(PARTS[name], place, PARTS[name].quick, seed, hands(PARTS[name]))

        for part in chosen:
            if part.timed:
                tasks[part.name] = asyncio.create_task(timed(list(tasks.values()), part.name, place))
        try:
            yield tasks
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
