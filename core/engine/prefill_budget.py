"""How many prompt ids a step may compute, so that running answers never stall. Durations are handed in."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

MAX_DECODE_STALL_S = 0.2
"""Longest step while other sequences wait for their next token."""
MAX_PREFILL_STEP_S = 0.5
"""Longest step while no sequence is decoding. Cancels are handled between steps."""
MIN_PREFILL_IDS, MAX_PREFILL_IDS = 16, 512
"""Prompt ids per step. More than the maximum is no faster and takes more memory."""
PREFILL_IDS_MULTIPLE = 8
"""Budgets are multiples of this: PyTorch prepares its products anew for every number of rows."""
MIN_MEASURED_IDS = 16
"""Steps with fewer ids say little about the prefill rate."""
MAX_COST_RATIO, MIN_RATE_RATIO = 2.0, 1.2
"""Where even MIN_PREFILL_IDS take too long, a larger step may take this many times as long if it computes at least this
many times as many ids per second."""

StepCosts = Sequence[tuple[int, float]]
"""Pairs of a number of rows, ascending, and the measured seconds of such a step."""
UNMEASURED_COSTS: StepCosts = ((1, 0.01), (100, 1.0))
"""For a machine that was not measured. Rather too slow than too fast."""


@dataclass(frozen=True, slots=True)
class RunnerCosts:
    """The measured durations of a runner's steps.

    `prefill`: of any number of rows. `guesses`: the seconds of steps of 1, 2, .. rows that all get a token, as far as
    each row is computed bit for bit as it is alone; empty if nothing is to be guessed.
    """

    prefill: StepCosts = UNMEASURED_COSTS
    guesses: tuple[float, ...] = ()


class PrefillBudget:
    """Estimates the duration of steps, and corrects the estimate by the steps that it observes."""

    def __init__(self, costs: StepCosts = UNMEASURED_COSTS) -> None:
        self.costs = costs
        self.speed_factor = 1.0
        """The machine's current speed relative to when it was measured."""

    def step_seconds(self, rows: int) -> float:
        """The expected duration of a step of `rows` rows."""
        return interpolate(self.costs, rows) / self.speed_factor

    def prefill_ids(self, decoding: int) -> int:
        """The prompt ids for a step in which `decoding` sequences get a token; at least MIN_PREFILL_IDS."""
        limit = MAX_DECODE_STALL_S if decoding else MAX_PREFILL_STEP_S
        sizes = range(MAX_PREFILL_IDS, MIN_PREFILL_IDS - 1, -PREFILL_IDS_MULTIPLE)
        fits = next((ids for ids in sizes if self.step_seconds(ids + decoding) <= limit), None)
        return fits or self._best_rate(decoding)

    def warming_ids(self) -> int:
        """The prompt ids for a step that warms a prefix, short enough for a request that may arrive."""
        return self.prefill_ids(1)

    def observe(self, rows: int, seconds: float) -> None:
        """Correct the speed estimate by a step of `rows` rows that took `seconds`."""
        if rows >= MIN_MEASURED_IDS and seconds > 0:
            self.speed_factor += 0.5 * (interpolate(self.costs, rows) / seconds - self.speed_factor)

    def _best_rate(self, decoding: int) -> int:
        """The budget where even MIN_PREFILL_IDS take too long.

        More rows may be computed by faster kernels, or a step may have a high fixed cost. Larger steps then cost
        little more, and small ones would make every prompt slow.
        """
        least = MIN_PREFILL_IDS + decoding
        best = least
        for rows in range(least + PREFILL_IDS_MULTIPLE, MAX_PREFILL_IDS + decoding + 1, PREFILL_IDS_MULTIPLE):
            affordable = self.step_seconds(rows) <= MAX_COST_RATIO * self.step_seconds(least)
            if affordable and self._rate(rows) > max(MIN_RATE_RATIO * self._rate(least), self._rate(best)):
                best = rows
        return best - decoding

    def _rate(self, rows: int) -> float:
        return rows / self.step_seconds(rows)


def interpolate(costs: StepCosts, rows: int) -> float:
    """The seconds of a step of `rows` rows: linear between measurements, and in proportion to the rows beyond them."""
    place = bisect_right(costs, rows, key=lambda cost: cost[0])
    if place == 0 or place == len(costs):
        nearest, seconds = costs[0 if place == 0 else -1]
        return seconds * (rows / nearest if place else 1.0)
    (fewer, quicker), (more, slower) = costs[place - 1], costs[place]
    return quicker + (slower - quicker) * (rows - fewer) / (more - fewer)
