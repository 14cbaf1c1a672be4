"""Chooses threads and kernels for this machine, by measurements at the first start with a model.

The result is kept in a file. A measurement disturbed by other programs is used for this start and repeated at the next.
"""

import json
import math
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
from core.engine.prefill_budget import StepCosts, interpolate

ComputePath = Literal["kernels", "panels", "torch"]
"""What computes products: the kernels output by output, the kernels panel by panel, or PyTorch."""
RunStep = Callable[[ComputePath, int, int], None]
"""Computes a step by a path, with a number of rows and a number of threads."""

MEASURED_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Numbers of rows for which steps are measured."""
FEW_ROWS = 8
"""Steps of fewer rows are bound by memory bandwidth and may use a different number of threads."""
MAX_TIME_RATIOS: dict[ComputePath, float] = {"panels": 1.0, "torch": 0.8}
"""A path is chosen if it takes at most this share of the previous path's time. PyTorch must be clearly faster: each of
its products waits for all threads, which costs much more as soon as other programs run."""
DECODE_ROWS = (1, 2, 3, 4, 5, 6, 7, 8)
"""Numbers of rows for which steps are measured that all get a token. More would be computed in panels."""
MIN_MEASURE_S, MIN_RUNS = 0.05, 3
"""Time and runs per measurement, at least."""
MAX_MEASURE_S, MAX_TOGETHER_S = 1.0, 3.0
"""Time after which a measurement, or one of several in turn, ends with fewer runs."""
MAX_STEADY_CORES = 0.2
"""Cores used by other programs, up to which a measurement counts as undisturbed."""
MAX_STEADY_SPREAD = 1.6
"""Ratio of the median to the shortest run, up to which a measurement counts as undisturbed."""
MAX_PLAUSIBLE_VALUE = 1e6
"""Seconds or cores. A file with more is damaged."""
MAX_PLAUSIBLE_COUNT = 4096
"""Threads or rows. A file with more is damaged."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """The measured choices for a model on this machine.

    `few_rows_threads`: threads for steps of fewer than FEW_ROWS rows; `many_rows_threads`: for all others.
    `panel_min_rows`, `torch_min_rows`: rows from which panels or PyTorch are faster; None for never.
    `other_cores`: cores used by other programs during the measurement. `spread`: median run over shortest run.
    `decode_costs`: durations of whole steps, for DECODE_ROWS rows that all get a token; `costs` leaves the head out.
    """

    few_rows_threads: int
    many_rows_threads: int
    torch_min_rows: int | None
    costs: StepCosts
    other_cores: float = 0.0
    spread: float = 1.0
    panel_min_rows: int | None = None
    decode_costs: StepCosts = ()

    @property
    def threads_text(self) -> str:
        """The number of threads, in words."""
        counts = sorted({self.few_rows_threads, self.many_rows_threads})
        return " to ".join(f"{count} thread{'s' if count > 1 else ''}" for count in counts)

    @property
    def few_rows_seconds(self) -> tuple[float, ...]:
        """The seconds of steps of 1, 2, .. rows that all get a token, as far as they are measured and no product is
        computed in another way than for one row."""
        most = max((rows for rows, _ in self.decode_costs), default=0)
        limits = [limit - 1 for limit in (self.panel_min_rows, self.torch_min_rows) if limit]
        return tuple(interpolate(self.decode_costs, rows) for rows in range(1, min([most, *limits]) + 1))

    @property
    def steady(self) -> bool:
        """Whether the measurement was undisturbed and need not be repeated."""
        return self.other_cores <= MAX_STEADY_CORES and self.spread <= MAX_STEADY_SPREAD

    @property
    def plausible(self) -> bool:
        """Whether the values can come from a measurement; False for a damaged file."""
        row_limits = self.torch_min_rows, self.panel_min_rows
        return (
            all(is_count(count) for count in (self.few_rows_threads, self.many_rows_threads))
            and all(limit is None or is_count(limit) for limit in row_limits)
            and all(0 <= float(value) < MAX_PLAUSIBLE_VALUE for value in (self.other_cores, self.spread))
            and bool(self.costs)
            and all(are_costs(costs) for costs in (self.costs, self.decode_costs))
        )


def load_or_measure(measure: "Callable[[], Tuning]", file: Path | None) -> Tuning:
    """The tuning in the file, or a new measurement. Of two disturbed measurements the better one is used and kept."""
    kept = load_tuning(file) if file else None
    if kept and kept.steady:
        return kept
    measured = measure()
    if kept and (kept.other_cores, kept.spread) < (measured.other_cores, measured.spread):
        return kept
    if file:
        save_tuning(measured, file)
    return measured


def load_tuning(file: Path) -> Tuning | None:
    """The tuning in a file; None if there is none or it is damaged."""
    with suppress(SetupError, KeyError, OverflowError, TypeError, ValueError):
        content: Any = read_json(file)
        costs, decode_costs = (
            tuple((int(rows), float(seconds)) for rows, seconds in content.pop(name))
            for name in ("costs", "decode_costs")
        )
        tuning = Tuning(costs=costs, decode_costs=decode_costs, **content)
        if tuning.plausible:
            return tuning
    return None


def are_costs(costs: StepCosts) -> bool:
    """Whether these values from a file can be measured durations."""
    rows = [rows for rows, _ in costs]
    return rows == sorted(set(rows)) and all(rows > 0 and 0 < seconds < MAX_PLAUSIBLE_VALUE for rows, seconds in costs)


def is_count(value: object) -> bool:
    """Whether a value from a file can be a number of threads or rows."""
    return type(value) is int and 1 <= value <= MAX_PLAUSIBLE_COUNT


def save_tuning(tuning: Tuning, file: Path) -> None:
    """Write a file atomically. If the folder is not writable, the next start measures again."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(asdict(tuning)))
        unfinished.replace(file)


class Clock:
    """Measures by the shortest of several runs, as other programs may slow single ones down."""

    def __init__(self) -> None:
        self.spreads: list[float] = []
        self._begin = time.monotonic(), processor.other_cpu_s()

    def best_seconds(self, run: Callable[[], object]) -> float:
        """The shortest of several runs, after one that warms up the caches."""
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

    def best_of_each(self, runs: Sequence[Callable[[], object]]) -> list[float]:
        """The shortest of several times of each, in turn: what slows the machine down for a while slows down all."""
        best, begin = [math.inf] * len(runs), time.perf_counter()
        for count in range(MIN_RUNS + 1):
            for place, run in enumerate(runs):
                start = time.perf_counter()
                run()
                if count:  # the first warms up the caches
                    best[place] = min(best[place], time.perf_counter() - start)
            if count and time.perf_counter() - begin > MAX_TOGETHER_S:
                break
        return best

    def other_cores(self) -> float:
        """The cores that other programs have used since the clock was made."""
        begin, before = self._begin
        return max(0.0, processor.other_cpu_s() - before) / max(time.monotonic() - begin, 1e-3)

    def spread(self) -> float:
        """The median run over the shortest run: the median of all measurements."""
        return statistics.median(self.spreads) if self.spreads else 1.0


def measure_tuning(
    step: RunStep, paths: Sequence[ComputePath], max_threads: int, threads: int | None, clock: Clock
) -> Tuning:
    """Measure the best numbers of threads, then the rows from which each further path is faster.

    `paths`: those that the model and the machine have. `threads`: fixes the number of threads instead.
    """
    first = paths[0]

    def seconds(path: ComputePath, rows: int, count: int) -> float:
        return clock.best_seconds(lambda: step(path, rows, count))

    def best_threads(rows: int) -> int:
        counts = sorted({max(1, max_threads >> shift) for shift in range(max_threads.bit_length())}, reverse=True)
        times = {count: seconds(first, rows, count) for count in counts}
        return min(times, key=lambda count: times[count])

    few, many = (threads, threads) if threads else (best_threads(1), best_threads(MEASURED_ROWS[-3]))
    costs = {rows: seconds(first, rows, few if rows < FEW_ROWS else many) for rows in MEASURED_ROWS}
    min_rows: dict[ComputePath, int] = {}
    for path in paths[1:]:
        for rows in reversed(MEASURED_ROWS):
            cost = seconds(path, rows, few if rows < FEW_ROWS else many)
            if cost > MAX_TIME_RATIOS[path] * costs[rows]:
                break
            min_rows[path], costs[rows] = rows, cost
    noise = round(clock.other_cores(), 2), round(clock.spread(), 2)
    found = Tuning(few, many, min_rows.get("torch"), tuple(costs.items()), *noise, min_rows.get("panels"))
    # Beside other programs one thread may only seem best, and a late thread does little harm to a team.
    return (
        found
        if threads or found.steady
        else replace(found, few_rows_threads=max_threads, many_rows_threads=max_threads)
    )
