"""Every kind of fault, a little of each; `make faults-all PART=...` does the whole of one."""

import pytest

from tests.faults.trials.part import Part, Result, chosen_seed, run
from tests.faults.trials.parts import PARTS
from tests.faults.world import Bench


@pytest.mark.timeout(150)
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS.keys())
async def test_nothing_is_lost_and_nothing_doubled(part: Part, trials_bench: Bench, results: list[Result]) -> None:
    result = await run(part, trials_bench, part.quick, chosen_seed())
    results.append(result)
    print(result.told)  # noqa: T201 - the seed
    assert not result.failures, result.told
