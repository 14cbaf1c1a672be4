"""What is best on this machine is measured at the first start with a model, and kept in a file: how many threads, from
how many rows on PyTorch's products are faster than the kernels, and how long steps take.

What was measured beside other work is kept with how much that was, used for this start, and measured again at the next.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from core.checkpoints.json_files import read_json
from core.domain.errors import SetupError
from core.engine import processor
from core.engine.prefill_budget import StepCosts

ComputePath = Literal["kernels", "panels", "torch"]
"""The kernels one output after the other, or a panel after the other, or PyTorch."""
RunStep = Callable[[ComputePath, int, int], None]
"""Computes something that costs in proportion to a step: in this way, of so many rows, with so many threads."""

MEASURED_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Numbers of rows that are measured."""
FEW_ROWS = 8
"""Fewer rows than these are bound by memory, and may have a number of threads of their own."""
MAX_TIME_RATIOS: dict[ComputePath, float] = {"panels": 1.0, "torch": 0.8}
"""A way is taken where it takes so much of the time of the one before. A smaller gain of PyTorch's is lost many times
over as soon as other programs run, because each of its products waits for all threads."""
MIN_MEASURE_S, MIN_RUNS = 0.05, 3
"""How long each candidate runs, at least, and how often, unless it takes LONG."""
MAX_MEASURE_S = 1.0
MAX_STEADY_CORES = 0.2
"""Cores that others use, from which on figures are for the moment only."""
MAX_STEADY_SPREAD = 1.6
"""The median run over the shortest, from which on they are, too."""
MAX_PLAUSIBLE_VALUE = 1e6
"""Seconds of a step, or cores that others use: a damaged file."""
MAX_PLAUSIBLE_COUNT = 4096
"""Threads or rows: more of them are a mistake."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """`few` threads below FEW rows, `many` from there on; PyTorch's products from `crossing` rows on, panels from
    `panels` rows on, or never (None). `costs`: see Pace. `others`: the cores that others used meanwhile; `spread`: the
    median run over the shortest."""

    few_rows_threads: int
    many_rows_threads: int
    torch_min_rows: int | None
    costs: StepCosts
    other_cores: float = 0.0
    spread: float = 1.0
    panel_min_rows: int | None = None

    @property
    def threads_text(self) -> str:
        """How many, in words."""
        words = [
            f"{count} thread{'s' if count > 1 else ''}"
            for count in sorted({self.few_rows_threads, self.many_rows_threads})
        ]
        return " to ".join(words)

    @property
    def steady(self) -> bool:
        """Whether it need not be measured again."""
        return self.other_cores <= MAX_STEADY_CORES and self.spread <= MAX_STEADY_SPREAD


def load_or_measure(measure: "Callable[[], Tuning]", file: Path | None) -> Tuning:
    """What is kept, or else what is measured now; of two that are not steady the better one."""
    kept = load_tuning(file) if file else None
    if kept and kept.steady:
        return kept
    found = measure()
    if kept and (kept.other_cores, kept.spread) < (found.other_cores, found.spread):
        return kept
    if file:
        save_tuning(found, file)
    return found


def load_tuning(file: Path) -> Tuning | None:
    """What is kept, if it is whole."""
    with suppress(SetupError, KeyError, OverflowError, TypeError, ValueError):
        content: Any = read_json(file)
        costs = tuple((int(rows), float(seconds)) for rows, seconds in content.pop("costs"))
        tuning = Tuning(costs=costs, **content)
        crossing = all(value is None or is_count(value) for value in (tuning.torch_min_rows, tuning.panel_min_rows))
        numbers = all(0 <= float(value) < MAX_PLAUSIBLE_VALUE for value in (tuning.other_cores, tuning.spread))
        rising = [rows for rows, _ in costs] == sorted({rows for rows, _ in costs}) and all(
            rows > 0 and 0 < cost < MAX_PLAUSIBLE_VALUE for rows, cost in costs
        )
        if (
            is_count(tuning.few_rows_threads)
            and is_count(tuning.many_rows_threads)
            and crossing
            and numbers
            and costs
            and rising
        ):
            return tuning
    return None


def is_count(value: object) -> bool:
    """Whether it can be one of threads or of rows."""
    return type(value) is int and 1 <= value <= MAX_PLAUSIBLE_COUNT


def save_tuning(tuning: Tuning, file: Path) -> None:
    """A folder that can't be written to only means that it is measured again."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps(asdict(tuning)))
        beside.replace(file)


class Clock:
    """Measures by the best of some runs; what else the machine is doing makes single ones slow."""

    def __init__(self) -> None:
        self.spreads: list[float] = []
        self._begin = time.monotonic(), processor.other_cpu_s()

    def best_seconds(self, run: Callable[[], object]) -> float:
        """The shortest of several runs, after one that is not counted."""
        times: list[float] = []
        begin = time.perf_counter()
        while len(times) <= MIN_RUNS or time.perf_counter() - begin < MIN_MEASURE_S:
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
            if len(times) > 1 and time.perf_counter() - begin > MAX_MEASURE_S:
                break
        counted = times[1:]
        self.spreads.append(statistics.median(counted) / max(min(counted), 1e-9))
        return min(counted)

    def other_cores(self) -> float:
        """Cores that others have used since it was made."""
        begin, before = self._begin
        return max(0.0, processor.other_cpu_s() - before) / max(time.monotonic() - begin, 1e-3)

    def spread(self) -> float:
        """The median run over the shortest, as it usually was."""
        return statistics.median(self.spreads) if self.spreads else 1.0


def measure_tuning(step: RunStep, ways: Sequence[ComputePath], most: int, threads: int | None, clock: Clock) -> Tuning:
    """The threads, then the crossings. `ways`: those that this model and machine have. `most`: threads, unless
    `threads` says how many."""
    first = ways[0]

    def seconds(way: ComputePath, rows: int, count: int) -> float:
        return clock.best_seconds(lambda: step(way, rows, count))

    def fastest(rows: int) -> int:
        counts = sorted({max(1, most >> shift) for shift in range(most.bit_length())}, reverse=True)
        times = {count: seconds(first, rows, count) for count in counts}
        return min(times, key=lambda count: times[count])

    few, many = (threads, threads) if threads else (fastest(1), fastest(MEASURED_ROWS[-3]))
    costs = {rows: seconds(first, rows, few if rows < FEW_ROWS else many) for rows in MEASURED_ROWS}
    crossings: dict[ComputePath, int] = {}
    for way in ways[1:]:
        for rows in reversed(MEASURED_ROWS):
            cost = seconds(way, rows, few if rows < FEW_ROWS else many)
            if cost > MAX_TIME_RATIOS[way] * costs[rows]:
                break
            crossings[way], costs[rows] = rows, cost
    noise = round(clock.other_cores(), 2), round(clock.spread(), 2)
    found = Tuning(few, many, crossings.get("torch"), tuple(costs.items()), *noise, crossings.get("panels"))
    # Beside other work one thread may only have seemed the best; and a team takes no harm from one that comes late.
    return found if threads or found.steady else replace(found, few_rows_threads=most, many_rows_threads=most)
