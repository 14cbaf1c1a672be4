"""The whole of one part: `make faults-all PART=random`, with SEED=... for the same trials again, COUNT=1 for one."""

import asyncio
import os
import platform
import sys
import time

import psutil

from storage.database import ROOT
from tests.faults.trials.part import Part, Result, chosen_seed, hands, run
from tests.faults.trials.parts import PARTS
from tests.faults.world import bench

RECORD = ROOT / "docs" / "reliability.md"


def main() -> None:
    """Run it, tell it, keep it."""
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in PARTS:
        sys.exit(f"PART is one of {', '.join(PARTS)}")
    count = int(os.environ.get("COUNT") or 0)
    result = asyncio.run(_whole(PARTS[name], count))
    print(result.told)  # noqa: T201
    if not count:
        with RECORD.open("a", encoding="utf-8") as record:
            record.write(row(result))
    sys.exit(bool(result.failures))


async def _whole(part: Part, count: int) -> Result:
    async with bench() as place:
        return await run(part, place, count or part.whole, chosen_seed(), hands(part))


def row(result: Result) -> str:
    """A line of the table in docs/reliability.md."""
    part = result.part
    memory = psutil.virtual_memory().total / 2**30
    cells = (
        time.strftime("%Y-%m-%d"),
        part.name,
        f"{result.trials * part.each} {part.unit}",
        len(result.failures),
        result.seed,
        f"{result.seconds:.0f}",
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}",
    )
    return f"| {' | '.join(map(str, cells))} |\n"


if __name__ == "__main__":
    main()
