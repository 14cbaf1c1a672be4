"""How many threads a step takes: the best number, or one while the machine is busy with something else. Pure.

Every product of a step waits for its slowest thread, so beside one busy process two threads of two cores can be twenty
times slower than alone, and slower than one. Steps tell: when they take much longer than such steps do, one thread
takes over, and the best number is tried again from time to time.
"""

SLOW = 2.5
"""So many times its usual duration makes a step suspicious."""
STRIKES = 2
"""So many such steps in a row make one thread take over."""
FIRST, LONGEST = 32, 512
"""Steps of one thread before the best number is tried again; twice as many each time that it was no better."""

Kind = tuple[int, int]
"""Steps that should take as long: how many sequences draw a token, and the magnitude of how much they see."""


class Threads:
    """Told of every step; says how many threads the next one takes."""

    def __init__(self, best: int) -> None:
        self.best = self.count = best
        self._usual: dict[Kind, float] = {}
        """Seconds of such a step with the best number of threads."""
        self._alone: dict[Kind, float] = {}
        """The same with one thread, since it took over."""
        self._strikes = self._steps = 0
        self._patience = FIRST

    def note(self, kind: Kind, seconds: float) -> None:
        """A step of this kind took so long."""
        if self.best == 1:
            return
        if self.count == 1:
            self._alone[kind] = min(seconds, self._alone.get(kind, seconds))
            self._steps += 1
            self.count = self.best if self._steps >= self._patience else 1
        elif self._alone:
            self._decide(kind, seconds)
        else:
            self._watch(kind, seconds)

    def _watch(self, kind: Kind, seconds: float) -> None:
        usual = self._usual.setdefault(kind, seconds)
        self._strikes = self._strikes + 1 if seconds > SLOW * usual else 0
        if self._strikes == STRIKES:
            self._take_over()
        elif not self._strikes:
            self._usual[kind] = min(usual, seconds)

    def _decide(self, kind: Kind, seconds: float) -> None:
        """The best number was tried again. Of steps of this kind one thread may know nothing: then it goes on."""
        if kind in self._alone and seconds >= self._alone[kind]:
            self._patience = min(2 * self._patience, LONGEST)
            self._take_over()
        else:
            self._usual[kind] = seconds  # where it was suspected for nothing, this is usual now
            self._alone, self._strikes, self._patience = {}, 0, FIRST

    def _take_over(self) -> None:
        self.count, self._steps, self._strikes, self._alone = 1, 0, 0, {}
