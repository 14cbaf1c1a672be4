"""The pace: how many ids of prompts a step may read, so that nobody's stream stalls. Pure: durations are handed in."""

from bisect import bisect_right
from collections.abc import Sequence

STALL = 0.2
"""Seconds that the others' next token may take while a prompt is read."""
BREATH = 0.5
"""Seconds of a step in which nobody's stream can stall: a cancel is noticed after it."""
LEAST, MOST = 16, 512
"""Ids a step. More would be no faster, and take more memory."""
GRAIN = 8
"""Only multiples of it: products are prepared anew for every number of rows."""
TELLING = 16
"""A step of fewer ids says little about how fast ids are read."""
DEARER, FASTER = 2.0, 1.2
"""Where even the least takes too long: up to so many times as long is well spent on so many times as many ids a
second."""

Costs = Sequence[tuple[int, float]]
"""Numbers of rows, rising, and the seconds that such a step took when the machine was measured."""
GUESS: Costs = ((1, 0.01), (100, 1.0))
"""Of a machine that was not measured; rather too slow."""


class Pace:
    """Knows what steps cost, and learns from each how much faster or slower the machine is just now."""

    def __init__(self, costs: Costs = GUESS) -> None:
        self.costs = costs
        self.speed = 1.0
        """How fast the machine is now, 1 as it was measured."""

    def seconds(self, rows: int) -> float:
        """What a step of so many rows should take now."""
        return self._measured(rows) / self.speed

    def budget(self, decoding: int) -> int:
        """How many ids of prompts to read in a step that also brings `decoding` others a token. Never fewer than
        LEAST."""
        limit = STALL if decoding else BREATH
        sizes = range(MOST, LEAST - 1, -GRAIN)
        fits = next((ids for ids in sizes if self.seconds(ids + decoding) <= limit), None)
        return fits or self._best_rate(decoding)

    def _best_rate(self, decoding: int) -> int:
        """Where even LEAST takes too long. Other kernels may serve more rows, or a step cost much whatever its size:
        then more ids are hardly dearer, and never to read them at once would be slow for ever."""
        least = LEAST + decoding
        best = least
        for rows in range(least + GRAIN, MOST + decoding + 1, GRAIN):
            affordable = self.seconds(rows) <= DEARER * self.seconds(least)
            if affordable and self._rate(rows) > max(FASTER * self._rate(least), self._rate(best)):
                best = rows
        return best - decoding

    def _rate(self, rows: int) -> float:
        return rows / self.seconds(rows)

    def ahead(self) -> int:
        """How many to read while nobody waits, but somebody may come."""
        return self.budget(1)

    def note(self, rows: int, seconds: float) -> None:
        """A step of so many rows took so long."""
        if rows >= TELLING and seconds > 0:
            self.speed += 0.5 * (self._measured(rows) / seconds - self.speed)

    def _measured(self, rows: int) -> float:
        """Between two that were measured on a line; before and behind in proportion."""
        place = bisect_right(self.costs, rows, key=lambda cost: cost[0])
        if place == 0 or place == len(self.costs):
            known, seconds = self.costs[0 if place == 0 else -1]
            return seconds * (rows / known if place else 1.0)
        (fewer, quicker), (more, slower) = self.costs[place - 1], self.costs[place]
        return quicker + (slower - quicker) * (rows - fewer) / (more - fewer)
