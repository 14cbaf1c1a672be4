"""What must hold of blocks and sequences at any time; an AssertionError says what does not."""

from collections import Counter as Tally
from collections.abc import Collection

from core.engine.block_manager import NO_PARENT, BlockManager
from core.engine.scheduler import Scheduler
from core.engine.sequence import Sequence
from tests.core.engine.fakes import Counter


def check(blocks: BlockManager, holders: Collection[Sequence]) -> None:
    """The books agree with each other and with what the sequences hold."""
    check_places(blocks, holders)
    check_index(blocks)
    check_owners(blocks)
    for number, block in enumerate(blocks._blocks):
        if block.key and block.key[0] != NO_PARENT:
            check_predecessor(blocks, number, block.key[0], holders)


def check_places(blocks: BlockManager, holders: Collection[Sequence]) -> None:
    """Each block is one of empty, kept or in use, and is used by so many as hold it."""
    used = Tally(number for sequence in holders for number in sequence.blocks)
    places = [*blocks._free, *blocks._cached, *used]
    assert sorted(places) == list(range(blocks.count))
    assert blocks.available == len(places) - len(used)
    assert blocks.cached == len(blocks._cached)
    for number, block in enumerate(blocks._blocks):
        assert block.ref_count == used[number]
    for sequence in holders:
        assert len(set(sequence.blocks)) == len(sequence.blocks)


def check_index(blocks: BlockManager) -> None:
    """What is indexed is what has a key; all that is kept, nothing that is empty."""
    assert blocks._by_key == {block.key: number for number, block in enumerate(blocks._blocks) if block.key}
    assert len(blocks._by_key) == sum(block.key is not None for block in blocks._blocks)
    assert all(len(ids) == blocks.size for _, ids in blocks._by_key)
    assert all(blocks._blocks[number].key for number in blocks._cached)
    assert not any(blocks._blocks[number].key for number in blocks._free)


def check_owners(blocks: BlockManager) -> None:
    """Whatever can be found has owners, nothing else has; they are booked both ways."""
    owned: dict[str, set[int]] = {}
    for number, block in enumerate(blocks._blocks):
        assert bool(block.owners) == bool(block.key)
        for owner in block.owners:
            owned.setdefault(owner, set()).add(number)
    assert owned == blocks._owned


def check_predecessor(blocks: BlockManager, number: int, before: int, holders: Collection[Sequence]) -> None:
    """It can be found, is whose the block is, is used by whoever uses the block, and goes later."""
    block, predecessor = blocks._blocks[number], blocks._blocks[before]
    assert predecessor.key
    assert predecessor.owners >= block.owners
    for sequence in holders:
        if number in sequence.blocks:
            assert sequence.blocks[sequence.blocks.index(number) - 1] == before
    if before in blocks._cached:
        order = list(blocks._cached)
        assert order.index(number) < order.index(before)


def check_scheduler(scheduler: Scheduler) -> None:
    """Sequences are served in order; those that wait hold no blocks; none has computed more than fits its blocks."""
    everyone = [*scheduler.running, *scheduler.waiting]
    assert [sequence.id for sequence in everyone] == sorted(sequence.id for sequence in everyone)
    assert len(scheduler.running) <= scheduler._max_running
    assert not any(sequence.blocks or sequence.computed for sequence in scheduler.waiting)
    holders = [*scheduler.running, *scheduler._warming.values()]
    check(scheduler.blocks, holders)
    for sequence in holders:
        check_sequence(scheduler.blocks, sequence)


def check_sequence(blocks: BlockManager, sequence: Sequence) -> None:
    """Blocks enough; of what can be found, the beginning, by its own ids."""
    size = blocks.size
    assert blocks.blocks_for(sequence.computed) <= len(sequence.blocks) <= blocks.blocks_for(len(sequence.ids))
    assert sequence.registered * size <= sequence.computed <= len(sequence.ids)
    if sequence.cacheable:
        assert sequence.registered == sequence.computed // size
        before = NO_PARENT
        for place, number in enumerate(sequence.blocks[: sequence.registered]):
            ids = tuple(sequence.ids[place * size : (place + 1) * size])
            assert blocks._blocks[number].key == (before, ids)
            assert sequence.owner in blocks._blocks[number].owners
            before = number


def check_memory(blocks: BlockManager, runner: Counter) -> None:
    """What can be found is in the memory, at the position that it is found for."""
    for number, block in enumerate(blocks._blocks):
        if block.key:
            before, ids = block.key
            start = blocks.size * depth(blocks, before)
            assert runner.memory[number] == dict(enumerate(enumerate(ids, start)))


def depth(blocks: BlockManager, number: int) -> int:
    """How many blocks from the first to this one."""
    count = 0
    while number != NO_PARENT:
        key = blocks._blocks[number].key
        assert key
        number, count = key[0], count + 1
    return count
