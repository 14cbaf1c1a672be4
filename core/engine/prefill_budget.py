"""The pace: how many ids of prompts a step may read, so that nobody's stream stalls. Pure: durations are handed in."""

from bisect import bisect_right
from collections.abc import Sequence

MAX_DECODE_STALL_S = 0.2
"""Seconds that the others' next token may take while a prompt is read."""
MAX_PREFILL_STEP_S = 0.5
"""Seconds of a step in which nobody's stream can stall: a cancel is noticed after it."""
MIN_PREFILL_IDS, MAX_PREFILL_IDS = 16, 512
"""Ids a step. More would be no faster, and take more memory."""
PREFILL_IDS_MULTIPLE = 8
"""Only multiples of it: products are prepared anew for every number of rows."""
MIN_MEASURED_IDS = 16
"""A step of fewer ids says little about how fast ids are read."""
MAX_COST_RATIO, MIN_RATE_RATIO = 2.0, 1.2
"""Where even the least takes too long: up to so many times as long is well spent on so many times as many ids a
second."""

StepCosts = Sequence[tuple[int, float]]
"""Numbers of rows, rising, and the seconds that such a step took when the machine was measured."""
UNMEASURED_COSTS: StepCosts = ((1, 0.01), (100, 1.0))
"""Of a machine that was not measured; rather too slow."""


class PrefillBudget:
    """Knows what steps cost, and learns from each how much faster or slower the machine is just now."""

    def __init__(self, costs: StepCosts = UNMEASURED_COSTS) -> None:
        self.costs = costs
        self.speed_factor = 1.0
        """How fast the machine is now, 1 as it was measured."""

    def step_seconds(self, rows: int) -> float:
        """What a step of so many rows should take now."""
        return self._measured(rows) / self.speed_factor

    def prefill_ids(self, decoding: int) -> int:
        """How many ids of prompts to read in a step that also brings `decoding` others a token. Never fewer than
        LEAST."""
        limit = MAX_DECODE_STALL_S if decoding else MAX_PREFILL_STEP_S
        sizes = range(MAX_PREFILL_IDS, MIN_PREFILL_IDS - 1, -PREFILL_IDS_MULTIPLE)
        fits = next((ids for ids in sizes if self.step_seconds(ids + decoding) <= limit), None)
        return fits or self._best_rate(decoding)

    def _best_rate(self, decoding: int) -> int:
        """Where even LEAST takes too long. Other kernels may serve more rows, or a step cost much whatever its size:
        then more ids are hardly dearer, and never to read them at once would be slow for ever."""
        least = MIN_PREFILL_IDS + decoding
        best = least
        for rows in range(least + PREFILL_IDS_MULTIPLE, MAX_PREFILL_IDS + decoding + 1, PREFILL_IDS_MULTIPLE):
            affordable = self.step_seconds(rows) <= MAX_COST_RATIO * self.step_seconds(least)
            if affordable and self._rate(rows) > max(MIN_RATE_RATIO * self._rate(least), self._rate(best)):
                best = rows
        return best - decoding

    def _rate(self, rows: int) -> float:
        return rows / self.step_seconds(rows)

    def warming_ids(self) -> int:
        """How many to read while nobody waits, but somebody may come."""
        return self.prefill_ids(1)

    def observe(self, rows: int, seconds: float) -> None:
        """A step of so many rows took so long."""
        if rows >= MIN_MEASURED_IDS and seconds > 0:
            self.speed_factor += 0.5 * (self._measured(rows) / seconds - self.speed_factor)

    def _measured(self, rows: int) -> float:
        """Between two that were measured on a line; before and behind in proportion."""
        place = bisect_right(self.costs, rows, key=lambda cost: cost[0])
        if place == 0 or place == len(self.costs):
            known, seconds = self.costs[0 if place == 0 else -1]
            return seconds * (rows / known if place else 1.0)
        (fewer, quicker), (more, slower) = self.costs[place - 1], self.costs[place]
        return quicker + (slower - quicker) * (rows - fewer) / (more - fewer)
