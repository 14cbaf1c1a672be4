"""The pace: how many ids of prompts a step may read, so that nobody's stream stalls. Pure: durations are handed in."""

STALL = 0.2
"""Seconds that the others' next token may take while a prompt is read."""
BREATH = 1.0
"""Seconds of a step in which nobody's stream can stall: a cancel is noticed after it."""
LEAST, MOST = 16, 512
"""Ids a step. More would be no faster, and take more memory."""
GRAIN = 8
"""Only multiples of it: products are prepared anew for every number of rows."""
TELLING = 16
"""A step of fewer ids says little about how fast ids are read."""


class Pace:
    """Learns from every step."""

    def __init__(self) -> None:
        self.rate = 100.0
        """Ids read a second; at first a guess, rather too low."""

    def budget(self, decoding: int) -> int:
        """How many ids of prompts to read in a step that also brings `decoding` others a token."""
        room = self.rate * STALL - decoding if decoding else self.rate * BREATH
        return max(LEAST, min(MOST, int(room) // GRAIN * GRAIN))

    def ahead(self) -> int:
        """How many to read while nobody waits, but somebody may come."""
        return self.budget(1)

    def note(self, ids: int, seconds: float) -> None:
        """A step of so many ids took so long."""
        if ids >= TELLING and seconds > 0:
            self.rate += 0.5 * (ids / seconds - self.rate)
