"""The scheduler: which ids of which sequences the next step computes, and in which blocks. Pure; knows no torch.

Sequences join and leave at any step. Those that draw tokens are in every step; beside them prompts are read, the oldest
first, as many ids as the pace allows. Where memory runs out, the youngest is put back and goes on later.
"""

from collections import deque

from core.engine.block_manager import START, Blocks
from core.engine.prefill_budget import MOST, Pace
from core.engine.sequence import Part, Sequence

AREA = 1 << 22
"""Ids read in a step times ids that they see, at most: each pair takes some bytes for every head of a key."""
AHEAD = 64
"""Owners whose next prompt is remembered to be read ahead."""


class Scheduler:
    """Owns every sequence and every block."""

    def __init__(self, blocks: Blocks, slots: int, pace: Pace | None = None) -> None:
        self.blocks, self.slots = blocks, slots
        self.pace = pace or Pace()
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        """In the order in which they were admitted."""
        self.ahead: dict[str, Sequence] = {}
        """What each owner's next prompt is likely to begin with: computed when there is nothing else to do."""

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.waiting or self.running or self.ahead)

    def add(self, sequence: Sequence) -> None:
        """To be generated, after those that wait already."""
        self.end_ahead(sequence.owner)
        self.waiting.append(sequence)

    def read_ahead(self, sequence: Sequence) -> None:
        """To be read when there is nothing else to do, in place of the owner's last one."""
        self.end_ahead(sequence.owner)
        self.ahead[sequence.owner] = sequence
        if len(self.ahead) > AHEAD:
            self.end_ahead(next(iter(self.ahead)))

    def remove(self, id: int) -> Sequence | None:
        """Forget a sequence, wherever it is; the sequence. None: there is none, any more."""
        for place in (self.running, self.waiting):
            for sequence in place:
                if sequence.id == id:
                    place.remove(sequence)
                    self._free(sequence)
                    return sequence
        return None

    def drop(self, owner: str) -> None:
        """Forget what is kept for this owner alone, and keep nothing more of what he is being answered."""
        self.end_ahead(owner)
        for sequence in (*self.running, *self.waiting):
            if sequence.owner == owner:
                sequence.lasting = False
        self.blocks.drop(owner)

    def next_batch(self) -> list[Part]:
        """What to compute now; nothing if there is nothing to do. Each part's sequence has blocks enough for it."""
        if not self.waiting and not self.running:
            return self._next_ahead()
        self._pause_ahead()
        self._admit()
        return self._fitted(self._wanted())

    def advance(self, batch: list[Part]) -> None:
        """The batch has been computed."""
        for part in batch:
            part.sequence.computed = part.end
            self._keep(part.sequence)
        for owner in [owner for owner, sequence in self.ahead.items() if not sequence.missing]:
            self.end_ahead(owner)

    # Who takes part

    def _admit(self) -> None:
        """First come, first served, while there is room for a whole prompt, and a block more for each that runs."""
        while self.waiting and len(self.running) < self.slots:
            sequence = self.waiting[0]
            found = self.blocks.find(sequence.ids)
            free = self.blocks.available - self.blocks.idle(found) - self._promised()
            if self.running and self.blocks.needed(len(sequence.ids) + 1) - len(found) > free:
                return
            self._enter(sequence, found)
            self.running.append(self.waiting.popleft())

    def _promised(self) -> int:
        """What those who run will take: for all that they have yet to compute, and a block more each."""
        needed = self.blocks.needed
        return sum(needed(len(sequence.ids) + 1) - len(sequence.blocks) + 1 for sequence in self.running)

    def _enter(self, sequence: Sequence, found: list[int]) -> None:
        self.blocks.share(found, sequence.owner if sequence.lasting else None)
        sequence.blocks = found
        sequence.kept = len(found)
        sequence.computed = len(found) * self.blocks.size

    def _wanted(self) -> list[Part]:
        """A token for everybody who draws, and of the prompts as many ids as the pace allows; the oldest first."""
        budget = self.pace.budget(sum(sequence.missing == 1 for sequence in self.running))
        parts = []
        for sequence in self.running:
            if sequence.missing > 1:
                self._catch_up(sequence)
            count = 1 if sequence.missing == 1 else min(sequence.missing, budget, self._area(sequence))
            if count > 0:
                parts.append(Part(sequence, sequence.computed, count))
                budget -= count if sequence.missing > 1 else 0
        return parts

    def _catch_up(self, sequence: Sequence) -> None:
        """Of chats that came together and begin alike, the first has read what the others find now."""
        if sequence.lasting and len(sequence.blocks) == sequence.kept:
            further = self.blocks.find(sequence.ids)[sequence.kept :]
            self.blocks.share(further, sequence.owner)
            sequence.blocks += further
            sequence.kept += len(further)
            sequence.computed = max(sequence.computed, sequence.kept * self.blocks.size)

    def _area(self, sequence: Sequence) -> int:
        """How many ids of a prompt may be read at once, for what they see not to take too much memory."""
        return max(self.blocks.size, AREA // (sequence.computed + MOST))

    def _fitted(self, parts: list[Part]) -> list[Part]:
        """With blocks for each. As the oldest come first, who is put back for one of them is not yet among them."""
        return [part for part in parts if part.sequence in self.running and self._room(part)]

    def _room(self, part: Part) -> bool:
        sequence = part.sequence
        short = self.blocks.needed(part.end) - len(sequence.blocks)
        while short > self.blocks.available:
            youngest = self.running.pop()
            self._free(youngest)
            self.waiting.appendleft(youngest)
            if youngest is sequence:
                return False
        sequence.blocks += [self.blocks.take() for _ in range(short)]
        return True

    # What was computed

    def _keep(self, sequence: Sequence) -> None:
        """Its full blocks can be found from now on."""
        size = self.blocks.size
        while sequence.lasting and (sequence.kept + 1) * size <= sequence.computed:
            place = sequence.kept
            before = sequence.blocks[place - 1] if place else START
            ids = tuple(sequence.ids[place * size : (place + 1) * size])
            block = self.blocks.keep(sequence.blocks[place], before, ids, sequence.owner)
            if block is None:
                sequence.lasting = False
                return
            sequence.blocks[place] = block
            sequence.kept += 1

    def _free(self, sequence: Sequence) -> None:
        self.blocks.release(sequence.blocks)
        sequence.blocks, sequence.computed, sequence.kept = [], 0, 0

    # Reading ahead

    def _next_ahead(self) -> list[Part]:
        while self.ahead:
            sequence = next(iter(self.ahead.values()))
            if not sequence.blocks:
                self._enter(sequence, self.blocks.find([*sequence.ids, START]))
            count = min(sequence.missing, self.pace.ahead())
            short = self.blocks.needed(sequence.computed + count) - len(sequence.blocks)
            if count and short <= self.blocks.available:
                sequence.blocks += [self.blocks.take() for _ in range(short)]
                return [Part(sequence, sequence.computed, count)]
            self.end_ahead(sequence.owner)
        return []

    def _pause_ahead(self) -> None:
        """Somebody waits. What was read stays as what is kept does, to be found again."""
        for sequence in self.ahead.values():
            if sequence.blocks:
                self._free(sequence)

    def end_ahead(self, owner: str) -> None:
        """Read no further for this owner."""
        if sequence := self.ahead.pop(owner, None):
            self._free(sequence)
