"""Every kind of fault, a little of each; `make faults-all PART=...` does the whole of one."""

import asyncio

import pytest

from tests.faults.trials.part import Result
from tests.faults.trials.parts import QUICK_PARTS
from tests.patience import LIMIT_S

Running = dict[str, "asyncio.Task[Result]"]


@pytest.mark.slow
@pytest.mark.xdist_group("faults")  # all parts share the fork server, and the loop of one process
@pytest.mark.timeout(5 * LIMIT_S)
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("part", QUICK_PARTS)
async def test_nothing_is_lost_and_nothing_doubled(part: str, parts: Running, results: list[Result]) -> None:
    result = await parts[part]
    results.append(result)
    print(result.told)  # noqa: T201 - the seed
    assert not result.failures, result.told
