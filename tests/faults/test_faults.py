"""Every kind of fault, a little of each; `make faults-all PART=...` does the whole of one."""

import asyncio

import pytest

from tests.faults.trials.part import Result
from tests.faults.trials.parts import PARTS
from tests.tables import each_row

Running = dict[str, "asyncio.Task[Result]"]


@pytest.mark.timeout(170)
@pytest.mark.asyncio(loop_scope="session")
@each_row("part", PARTS)
async def test_nothing_is_lost_and_nothing_doubled(part: str, parts: Running, results: list[Result]) -> None:
    result = await parts[part]
    results.append(result)
    print(result.told)  # noqa: T201 - the seed
    assert not result.failures, result.told
