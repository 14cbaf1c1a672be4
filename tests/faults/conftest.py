"""One place for all trials of a run, and what they counted."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from storage.database import ROOT
from tests.faults.trials.part import Result
from tests.faults.world import Bench, bench

COUNTS = ROOT / "build" / "faults.json"


@pytest.fixture(scope="session")
def results() -> Iterator[list[Result]]:
    """What each part came to; its numbers are kept for whoever compares runs."""
    results: list[Result] = []
    began = time.monotonic()
    yield results
    counts: dict[str, float] = {"seconds": round(time.monotonic() - began, 1)}
    for result in results:
        name = result.part.name.replace("-", "_")
        counts[f"{name}_{result.part.unit}"] = result.trials * result.part.each
        counts[f"{name}_failures"] = len(result.failures)
        counts[f"{name}_seconds"] = round(result.seconds, 1)
    COUNTS.parent.mkdir(exist_ok=True)
    COUNTS.write_text(json.dumps(counts, indent=1) + "\n")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def trials_bench() -> AsyncIterator[Bench]:
    """Bots are forked from one process for all of them."""
    async with bench() as made:
        yield made
    await asyncio.sleep(0)
