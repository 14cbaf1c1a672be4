"""Blocks: found by their content, shared, kept, given to somebody else, forgotten."""

import pytest

from core.engine.block_manager import NO_PARENT, BlockManager, OutOfBlocks
from core.engine.sequence import Sequence
from tests.core.engine.invariants import check
from tests.tables import each_row

ABC = tuple(range(1, 13))
"""Three blocks of four."""


def held(blocks: BlockManager, ids: tuple[int, ...], owner: str = "an") -> Sequence:
    """A sequence whose whole blocks are computed and can be found; what can be shared is."""
    found = blocks.find_prefix((*ids, 0))
    blocks.acquire(found, owner)
    sequence = Sequence(1, owner, list(ids), blocks=found)
    for place in range(len(found), len(ids) // blocks.size):
        before = sequence.blocks[-1] if place else NO_PARENT
        number = blocks.register(blocks.allocate(), before, ids[place * blocks.size :][: blocks.size], owner)
        assert number is not None
        sequence.blocks.append(number)
    return sequence


def kept(blocks: BlockManager, ids: tuple[int, ...], owner: str = "an") -> list[int]:
    """The same, and nobody uses them any more."""
    sequence = held(blocks, ids, owner)
    blocks.release(sequence.blocks)
    check(blocks, ())
    return sequence.blocks


@each_row(("length", "needed"), [(0, 0), (1, 1), (3, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_needed(length: int, needed: int) -> None:
    assert BlockManager(1, 4).blocks_for(length) == needed


@each_row(
    ("ids", "found"),
    [
        ((), 0),
        ((1, 2, 3, 4), 0),  # its last id is computed again: what follows it is not known
        ((1, 2, 3, 4, 5), 1),
        ((1, 2, 3, 4, 5, 6, 7, 8), 1),
        ((1, 2, 3, 4, 5, 6, 7, 8, 0), 2),
        (ABC, 2),
        ((*ABC, 0), 3),
        ((*ABC, *ABC, 0), 3),
        ((1, 2, 3, 4, 0, 6, 7, 8, 9, 10, 11, 12, 13), 1),
        ((0, 2, 3, 4, 5, 6, 7, 8, 9), 0),
        ((5, 6, 7, 8, 9, 10, 11, 12, 13), 0),  # the same ids, but not after the same ones
    ],
)
def test_find(ids: tuple[int, ...], found: int) -> None:
    blocks = BlockManager(5, 4)
    numbers = kept(blocks, ABC)
    assert blocks.find_prefix(ids) == numbers[:found]
    assert blocks.count_unused(numbers) == blocks.cached == 3


def test_shared_by_two_and_kept_after_the_second() -> None:
    blocks = BlockManager(5, 4)
    first, second = held(blocks, ABC), held(blocks, (*ABC[:8], 0, 0, 0, 0), "binh")
    assert first.blocks[:2] == second.blocks[:2]
    assert blocks.available == 1
    check(blocks, (first, second))
    blocks.release(first.blocks)
    check(blocks, (second,))
    assert (blocks.available, blocks.cached) == (2, 1)
    blocks.release(second.blocks)
    check(blocks, ())
    assert (blocks.available, blocks.cached) == (5, 4)


def test_a_copy_is_given_back_for_what_is_found_already() -> None:
    blocks = BlockManager(5, 4)
    [number] = kept(blocks, ABC[:4])
    copy = blocks.allocate()
    assert blocks.register(copy, NO_PARENT, ABC[:4], "binh") == number
    check(blocks, (Sequence(1, "binh", list(ABC[:4]), blocks=[number]),))
    assert blocks.available == 4
    assert blocks.allocate() == copy


def test_not_found_after_what_is_not_found() -> None:
    blocks = BlockManager(5, 4)
    before, number = blocks.allocate(), blocks.allocate()
    assert blocks.register(number, before, ABC[4:8], "an") is None
    blocks.release([before, number])
    check(blocks, ())
    assert (blocks.available, blocks.cached) == (5, 0)


def test_what_was_used_last_stays_longest_and_the_end_goes_first() -> None:
    blocks = BlockManager(4, 4)
    old, new = kept(blocks, (1, 1, 1, 1, 2, 2, 2, 2)), kept(blocks, (3, 3, 3, 3, 4, 4, 4, 4))
    blocks.acquire(blocks.find_prefix((1, 1, 1, 1, 0)), "an")
    blocks.release(old[:1])
    assert [blocks.allocate() for _ in range(4)] == [old[1], new[1], new[0], old[0]]
    with pytest.raises(OutOfBlocks):
        blocks.allocate()


def test_empty_ones_are_taken_before_kept_ones() -> None:
    blocks = BlockManager(3, 4)
    [number] = kept(blocks, ABC[:4])
    assert number not in (blocks.allocate(), blocks.allocate())
    assert blocks.find_prefix(ABC) == [number]
    assert blocks.allocate() == number
    assert blocks.find_prefix(ABC) == []


def test_a_block_taken_from_the_kept_is_nobodys_any_more() -> None:
    blocks = BlockManager(1, 4)
    kept(blocks, (1, 1, 1, 1), "an")
    kept(blocks, (2, 2, 2, 2), "binh")
    blocks.drop_owner("an")
    check(blocks, ())
    assert blocks.cached == 1


def test_drop_forgets_what_nobody_else_has_used() -> None:
    blocks = BlockManager(5, 4)
    shared, own = kept(blocks, ABC, "an")[:2], kept(blocks, (*ABC[:8], 0, 0, 0, 0), "binh")[2]
    blocks.drop_owner("an")
    check(blocks, ())
    assert blocks.find_prefix((*ABC[:8], 0, 0, 0, 0, 0)) == [*shared, own]
    assert blocks.find_prefix((*ABC, 0)) == shared
    blocks.drop_owner("binh")
    blocks.drop_owner("nobody")
    check(blocks, ())
    assert (blocks.available, blocks.cached) == (5, 0)


def test_drop_leaves_what_is_in_use_to_its_user_alone() -> None:
    blocks = BlockManager(5, 4)
    sequence = held(blocks, ABC)
    blocks.drop_owner("an")
    check(blocks, (sequence,))
    assert blocks.find_prefix((*ABC, 0)) == []
    assert blocks.available == 2
    again = held(blocks, ABC[:8])
    check(blocks, (sequence, again))
    assert not {*sequence.blocks} & {*again.blocks}
    blocks.release(sequence.blocks)
    check(blocks, (again,))
    assert (blocks.available, blocks.cached) == (3, 0)


def test_used_without_a_trace() -> None:
    blocks = BlockManager(5, 4)
    numbers = kept(blocks, ABC, "an")
    blocks.acquire(numbers, None)
    blocks.drop_owner("an")
    assert blocks.available == 2
    blocks.release(numbers)
    check(blocks, ())
    assert (blocks.available, blocks.cached) == (5, 0)
