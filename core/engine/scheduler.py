"""The scheduler: which ids of which sequences the next step computes, and in which blocks. Pure; knows no torch.

Sequences join and leave at any step. Those that draw tokens are in every step; beside them prompts are read, the oldest
first, as many ids as the pace allows. Where memory runs out, the youngest is put back and goes on later.
"""

from collections import deque

from core.engine.block_manager import NO_PARENT, BlockManager
from core.engine.prefill_budget import MAX_PREFILL_IDS, PrefillBudget
from core.engine.sequence import Sequence, SequenceSlice

MAX_ATTENTION_PAIRS = 1 << 22
"""Ids read in a step times ids that they see, at most: each pair takes some bytes for every head of a key."""
MAX_WARMING_OWNERS = 64
"""Owners whose next prompt is remembered to be read ahead."""


class Scheduler:
    """Owns every sequence and every block."""

    def __init__(self, blocks: BlockManager, slots: int, pace: PrefillBudget | None = None) -> None:
        self.blocks, self._max_running = blocks, slots
        self.prefill_budget = pace or PrefillBudget()
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        """In the order in which they were admitted."""
        self._warming: dict[str, Sequence] = {}
        """What each owner's next prompt is likely to begin with: computed when there is nothing else to do."""

    @property
    def has_work(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.waiting or self.running or self._warming)

    def add(self, sequence: Sequence) -> None:
        """To be generated, after those that wait already."""
        self.stop_warming(sequence.owner)
        self.waiting.append(sequence)

    def warm(self, sequence: Sequence) -> None:
        """To be read when there is nothing else to do, in place of the owner's last one."""
        self.stop_warming(sequence.owner)
        self._warming[sequence.owner] = sequence
        if len(self._warming) > MAX_WARMING_OWNERS:
            self.stop_warming(next(iter(self._warming)))

    def remove(self, id: int) -> Sequence | None:
        """Forget a sequence, wherever it is; the sequence. None: there is none, any more."""
        for place in (self.running, self.waiting):
            for sequence in place:
                if sequence.id == id:
                    place.remove(sequence)
                    self._release(sequence)
                    return sequence
        return None

    def drop_owner(self, owner: str) -> None:
        """Forget what is kept for this owner alone, and keep nothing more of what he is being answered."""
        self.stop_warming(owner)
        for sequence in (*self.running, *self.waiting):
            if sequence.owner == owner:
                sequence.cacheable = False
        self.blocks.drop_owner(owner)

    def next_batch(self) -> list[SequenceSlice]:
        """What to compute now; nothing if there is nothing to do. Each part's sequence has blocks enough for it."""
        if not self.waiting and not self.running:
            return self._next_warming()
        self._pause_warming()
        self._admit()
        return self._with_blocks(self._slices())

    def advance(self, batch: list[SequenceSlice]) -> None:
        """The batch has been computed."""
        for part in batch:
            part.sequence.computed = part.end
            self._register_blocks(part.sequence)
        for owner in [owner for owner, sequence in self._warming.items() if not sequence.uncomputed]:
            self.stop_warming(owner)

    # Who takes part

    def _admit(self) -> None:
        """First come, first served, while there is room for a whole prompt, and a block more for each that runs."""
        while self.waiting and len(self.running) < self._max_running:
            sequence = self.waiting[0]
            found = self.blocks.find_prefix(sequence.ids)
            free = self.blocks.available - self.blocks.count_unused(found) - self._reserved_blocks()
            if self.running and self.blocks.blocks_for(len(sequence.ids) + 1) - len(found) > free:
                return
            self._attach_prefix(sequence, found)
            self.running.append(self.waiting.popleft())

    def _reserved_blocks(self) -> int:
        """What those who run will take: for all that they have yet to compute, and a block more each."""
        needed = self.blocks.blocks_for
        return sum(needed(len(sequence.ids) + 1) - len(sequence.blocks) + 1 for sequence in self.running)

    def _attach_prefix(self, sequence: Sequence, found: list[int]) -> None:
        self.blocks.acquire(found, sequence.owner if sequence.cacheable else None)
        sequence.blocks = found
        sequence.registered = len(found)
        sequence.computed = len(found) * self.blocks.size

    def _slices(self) -> list[SequenceSlice]:
        """A token for everybody who draws, and of the prompts as many ids as the pace allows; the oldest first."""
        budget = self.prefill_budget.prefill_ids(sum(sequence.uncomputed == 1 for sequence in self.running))
        parts = []
        for sequence in self.running:
            if sequence.uncomputed > 1:
                self._adopt_found_blocks(sequence)
            count = 1 if sequence.uncomputed == 1 else min(sequence.uncomputed, budget, self._max_prefill_ids(sequence))
            if count > 0:
                parts.append(SequenceSlice(sequence, sequence.computed, count))
                budget -= count if sequence.uncomputed > 1 else 0
        return parts

    def _adopt_found_blocks(self, sequence: Sequence) -> None:
        """Of chats that came together and begin alike, the first has read what the others find now."""
        if sequence.cacheable and len(sequence.blocks) == sequence.registered:
            further = self.blocks.find_prefix(sequence.ids)[sequence.registered :]
            self.blocks.acquire(further, sequence.owner)
            sequence.blocks += further
            sequence.registered += len(further)
            sequence.computed = max(sequence.computed, sequence.registered * self.blocks.size)

    def _max_prefill_ids(self, sequence: Sequence) -> int:
        """How many ids of a prompt may be read at once, for what they see not to take too much memory."""
        return max(self.blocks.size, MAX_ATTENTION_PAIRS // (sequence.computed + MAX_PREFILL_IDS))

    def _with_blocks(self, parts: list[SequenceSlice]) -> list[SequenceSlice]:
        """With blocks for each. As the oldest come first, who is put back for one of them is not yet among them."""
        return [part for part in parts if part.sequence in self.running and self._allocate_blocks(part)]

    def _allocate_blocks(self, part: SequenceSlice) -> bool:
        sequence = part.sequence
        short = self.blocks.blocks_for(part.end) - len(sequence.blocks)
        while short > self.blocks.available:
            youngest = self.running.pop()
            self._release(youngest)
            self.waiting.appendleft(youngest)
            if youngest is sequence:
                return False
        sequence.blocks += [self.blocks.allocate() for _ in range(short)]
        return True

    # What was computed

    def _register_blocks(self, sequence: Sequence) -> None:
        """Its full blocks can be found from now on."""
        size = self.blocks.size
        while sequence.cacheable and (sequence.registered + 1) * size <= sequence.computed:
            place = sequence.registered
            before = sequence.blocks[place - 1] if place else NO_PARENT
            ids = tuple(sequence.ids[place * size : (place + 1) * size])
            block = self.blocks.register(sequence.blocks[place], before, ids, sequence.owner)
            if block is None:
                sequence.cacheable = False
                return
            sequence.blocks[place] = block
            sequence.registered += 1

    def _release(self, sequence: Sequence) -> None:
        self.blocks.release(sequence.blocks)
        sequence.blocks, sequence.computed, sequence.registered = [], 0, 0

    # Reading ahead

    def _next_warming(self) -> list[SequenceSlice]:
        while self._warming:
            sequence = next(iter(self._warming.values()))
            if not sequence.blocks:
                self._attach_prefix(sequence, self.blocks.find_prefix([*sequence.ids, NO_PARENT]))
            count = min(sequence.uncomputed, self.prefill_budget.warming_ids())
            short = self.blocks.blocks_for(sequence.computed + count) - len(sequence.blocks)
            if count and short <= self.blocks.available:
                sequence.blocks += [self.blocks.allocate() for _ in range(short)]
                return [SequenceSlice(sequence, sequence.computed, count)]
            self.stop_warming(sequence.owner)
        return []

    def _pause_warming(self) -> None:
        """Somebody waits. What was read stays as what is kept does, to be found again."""
        for sequence in self._warming.values():
            if sequence.blocks:
                self._release(sequence)

    def stop_warming(self, owner: str) -> None:
        """Read no further for this owner."""
        if sequence := self._warming.pop(owner, None):
            self._release(sequence)
