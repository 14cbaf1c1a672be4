"""The scheduler: which ids of which sequences the next step computes, and in which blocks. Imports no torch.

Sequences join and leave between steps. Every step computes a token for each decoding sequence and, beside them, as many
prompt ids as the budget allows, the oldest prompt first. If blocks run out, the youngest sequence is put back and
continues later.
"""

from collections import deque
from collections.abc import Mapping
from collections.abc import Sequence as Items
from dataclasses import replace

from core.engine.block_manager import NO_PARENT, BlockManager
from core.engine.guesser import Guesser
from core.engine.prefill_budget import MAX_PREFILL_IDS, PrefillBudget
from core.engine.sequence import Sequence, SequenceSlice

MAX_ATTENTION_PAIRS = 1 << 22
"""Pairs of a query id and a key id per step. PyTorch's attention takes some bytes per pair and head."""
MAX_WARMING_OWNERS = 64
"""Owners whose prefixes wait to be warmed. The oldest one is dropped for another."""


class Scheduler:
    """Owns the sequences and assigns blocks to them. Up to `max_running` sequences run at once."""

    def __init__(
        self,
        blocks: BlockManager,
        max_running: int,
        prefill_budget: PrefillBudget | None = None,
        guesser: Guesser | None = None,
    ) -> None:
        self.blocks = blocks
        self.prefill_budget = prefill_budget or PrefillBudget()
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        """In the order of their admission."""
        self._max_running, self._guesser = max_running, guesser
        self._warming: dict[str, Sequence] = {}
        """By owner, the prefix to compute while nothing else is to be done."""

    @property
    def has_work(self) -> bool:
        """Whether there is a sequence to run or a prefix to warm."""
        return bool(self.waiting or self.running or self._warming)

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence behind those that wait."""
        self.stop_warming(sequence.owner)
        self.waiting.append(sequence)

    def warm(self, sequence: Sequence) -> None:
        """Compute a prefix while there is no other work, instead of the owner's previous one."""
        self.stop_warming(sequence.owner)
        self._warming[sequence.owner] = sequence
        if len(self._warming) > MAX_WARMING_OWNERS:
            self.stop_warming(next(iter(self._warming)))

    def stop_warming(self, owner: str) -> None:
        """Do not warm this owner's prefix any further. Its full blocks stay cached."""
        if sequence := self._warming.pop(owner, None):
            self._release(sequence)

    def remove(self, id: int) -> Sequence | None:
        """Remove a waiting or running sequence and release its blocks. Returns None if there is none of this id."""
        for place in (self.running, self.waiting):
            for sequence in place:
                if sequence.id == id:
                    place.remove(sequence)
                    self._release(sequence)
                    return sequence
        return None

    def drop_owner(self, owner: str) -> None:
        """Unregister the owner's blocks, and register no more for the owner's present sequences."""
        self.stop_warming(owner)
        for sequence in (*self.running, *self.waiting):
            if sequence.owner == owner:
                sequence.cacheable = False
        self.blocks.drop_owner(owner)

    def next_batch(self) -> list[SequenceSlice]:
        """The slices to compute now, each with blocks allocated; empty if there is no work."""
        if not self.waiting and not self.running:
            return self._next_warming()
        self._pause_warming()
        self._admit()
        return self._with_guesses(self._with_blocks(self._slices()))

    def advance(self, batch: list[SequenceSlice], drawn: Mapping[int, Items[int]]) -> None:
        """Record that a batch has been computed, and register its full blocks.

        `drawn`: by sequence id, the guesses that hold, which become ids of the sequence, and a last token, which does
        not yet. What was computed of other guesses is forgotten.
        """
        for each in batch:
            sequence, held = each.sequence, drawn.get(each.sequence.id, ())[:-1]
            sequence.ids += held
            sequence.computed = each.end + len(held)
            self._register_blocks(sequence)
            if each.guesses:
                self._release_rejected(sequence)
        for owner in [owner for owner, sequence in self._warming.items() if not sequence.uncomputed]:
            self.stop_warming(owner)

    # Admission

    def _admit(self) -> None:
        """Admit waiting sequences in order, while their whole prompts fit beside what the running ones will need."""
        while self.waiting and len(self.running) < self._max_running:
            sequence = self.waiting[0]
            prefix = self.blocks.find_prefix(sequence.ids)
            # Acquiring a cached prefix takes its blocks out of the available ones.
            left = self.blocks.available - self.blocks.count_unused(prefix) - self._reserved_blocks()
            missing = self.blocks.blocks_for(len(sequence.ids) + 1) - len(prefix)
            if self.running and missing > left:
                return
            self._attach_prefix(sequence, prefix)
            self.running.append(self.waiting.popleft())

    def _reserved_blocks(self) -> int:
        """Blocks that the running sequences will need: for their remaining ids, and one more each."""
        blocks_for = self.blocks.blocks_for
        return sum(blocks_for(len(sequence.ids) + 1) - len(sequence.blocks) + 1 for sequence in self.running)

    def _attach_prefix(self, sequence: Sequence, prefix: list[int]) -> None:
        self.blocks.acquire(prefix, sequence.owner if sequence.cacheable else None)
        sequence.blocks = prefix
        sequence.registered = len(prefix)
        sequence.computed = len(prefix) * self.blocks.size

    # Slices of a step

    def _slices(self) -> list[SequenceSlice]:
        """One id for each decoding sequence, and prompt ids within the budget, the oldest sequence first."""
        budget = self.prefill_budget.prefill_ids(sum(sequence.uncomputed == 1 for sequence in self.running))
        slices = []
        for sequence in self.running:
            if sequence.uncomputed > 1:
                self._adopt_found_blocks(sequence)
            decodes = sequence.uncomputed == 1
            count = 1 if decodes else min(sequence.uncomputed, budget, self._max_prefill_ids(sequence))
            if count > 0:
                slices.append(SequenceSlice(sequence, sequence.computed, count))
                budget -= count if sequence.uncomputed > 1 else 0
        return slices

    def _adopt_found_blocks(self, sequence: Sequence) -> None:
        """Use blocks that another sequence has registered since this one was admitted: both began alike."""
        if sequence.cacheable and len(sequence.blocks) == sequence.registered:
            further = self.blocks.find_prefix(sequence.ids)[sequence.registered :]
            self.blocks.acquire(further, sequence.owner)
            sequence.blocks += further
            sequence.registered += len(further)
            sequence.computed = max(sequence.computed, sequence.registered * self.blocks.size)

    def _max_prefill_ids(self, sequence: Sequence) -> int:
        """How many prompt ids fit into MAX_ATTENTION_PAIRS; at least a block."""
        return max(self.blocks.size, MAX_ATTENTION_PAIRS // (sequence.computed + MAX_PREFILL_IDS))

    def _with_blocks(self, slices: list[SequenceSlice]) -> list[SequenceSlice]:
        """The slices for which blocks could be allocated. Slices are in the order of admission, so a sequence that is
        put back for one of them comes after it."""
        return [each for each in slices if each.sequence in self.running and self._allocate_blocks(each)]

    def _allocate_blocks(self, part: SequenceSlice) -> bool:
        """Allocate the blocks of a slice, putting back the youngest sequences until there are enough. Returns False if
        the slice's own sequence was put back."""
        sequence = part.sequence
        missing = self.blocks.blocks_for(part.end) - len(sequence.blocks)
        while missing > self.blocks.available:
            youngest = self.running.pop()
            self._release(youngest)
            self.waiting.appendleft(youngest)
            if youngest is sequence:
                return False
        sequence.blocks += [self.blocks.allocate() for _ in range(missing)]
        return True

    # Guesses

    def _with_guesses(self, batch: list[SequenceSlice]) -> list[SequenceSlice]:
        """Add guesses to a step that only decodes, as far as blocks are free for them: nobody is put back for a guess.

        Beside a prompt nothing is guessed, because many rows are computed in another way than few.
        """
        if not self._guesser or not all(each.count == 1 and each.samples_token for each in batch):
            return batch
        guesses = self._guesser.guess([each.sequence for each in batch])
        return [self._with_blocks_for(*pair) if pair[1] else pair[0] for pair in zip(batch, guesses, strict=True)]

    def _with_blocks_for(self, part: SequenceSlice, guesses: tuple[int, ...]) -> SequenceSlice:
        blocks = part.sequence.blocks
        while len(blocks) * self.blocks.size < part.end + len(guesses) and self.blocks.available:
            blocks.append(self.blocks.allocate())
        return replace(part, guesses=guesses[: len(blocks) * self.blocks.size - part.end])

    def _release_rejected(self, sequence: Sequence) -> None:
        """Release the blocks that only guesses needed. What is left of guesses in the others will be overwritten."""
        needed = self.blocks.blocks_for(sequence.computed)
        self.blocks.release(sequence.blocks[needed:])
        del sequence.blocks[needed:]

    # Computed blocks

    def _register_blocks(self, sequence: Sequence) -> None:
        size = self.blocks.size
        while sequence.cacheable and (sequence.registered + 1) * size <= sequence.computed:
            place = sequence.registered
            parent = sequence.blocks[place - 1] if place else NO_PARENT
            ids = tuple(sequence.ids[place * size : (place + 1) * size])
            block = self.blocks.register(sequence.blocks[place], parent, ids, sequence.owner)
            if block is None:
                sequence.cacheable = False
                return
            sequence.blocks[place] = block
            sequence.registered += 1

    def _release(self, sequence: Sequence) -> None:
        self.blocks.release(sequence.blocks)
        sequence.blocks, sequence.computed, sequence.registered = [], 0, 0

    # Warming prefixes

    def _next_warming(self) -> list[SequenceSlice]:
        while self._warming:
            sequence = next(iter(self._warming.values()))
            if not sequence.blocks:
                # The id behind the prefix has find_prefix return its last block, too.
                self._attach_prefix(sequence, self.blocks.find_prefix([*sequence.ids, NO_PARENT]))
            count = min(sequence.uncomputed, self.prefill_budget.warming_ids())
            missing = self.blocks.blocks_for(sequence.computed + count) - len(sequence.blocks)
            if count and missing <= self.blocks.available:
                sequence.blocks += [self.blocks.allocate() for _ in range(missing)]
                return [SequenceSlice(sequence, sequence.computed, count)]
            self.stop_warming(sequence.owner)
        return []

    def _pause_warming(self) -> None:
        """Release the blocks of prefixes in progress. They stay cached, so warming continues from them later."""
        for sequence in self._warming.values():
            if sequence.blocks:
                self._release(sequence)
