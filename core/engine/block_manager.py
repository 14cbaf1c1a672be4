"""Blocks: which piece of the KV memory holds what, who uses it, who may find it again. Pure; knows no torch.

A block has room for the keys and values of `size` ids. Once full it can be found by its ids and the block before it, so
that a prompt which begins like another shares that one's blocks. A block without users is kept, and given to somebody
else only when no empty one is left: the least recently used first.

Invariants, which the tests hold: a block's predecessor is used by everybody who uses the block, has every owner that it
has, and is kept at least as long. So what is found is always whole, from the first id on.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

BlockKey = tuple[int, tuple[int, ...]]
"""The block before (START for the first) and the block's own ids."""
NO_PARENT = -1


class OutOfBlocks(Exception):
    """Every block is in use."""


@dataclass(slots=True)
class _Block:
    ref_count: int = 0
    key: BlockKey | None = None
    """None: it can't be found."""
    owners: set[str] = field(default_factory=set)


class BlockManager:
    """`count` blocks of `size` ids each, by number."""

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size
        self._blocks = [_Block() for _ in range(count)]
        self._free = list(range(count - 1, -1, -1))
        self._cached: OrderedDict[int, None] = OrderedDict()
        self._by_key: dict[BlockKey, int] = {}
        self._owned: dict[str, set[int]] = {}

    @property
    def available(self) -> int:
        """Blocks that nobody uses."""
        return len(self._free) + len(self._cached)

    @property
    def cached(self) -> int:
        """Those of them that hold something."""
        return len(self._cached)

    def blocks_for(self, length: int) -> int:
        """Blocks for so many ids."""
        return -(-length // self.size)

    def find_prefix(self, ids: Sequence[int]) -> list[int]:
        """The blocks that hold the beginning of `ids`, but never the last id: its logits must be computed."""
        found, before = [], NO_PARENT
        for start in range(0, len(ids) - self.size, self.size):
            block = self._by_key.get((before, tuple(ids[start : start + self.size])))
            if block is None:
                break
            found.append(block)
            before = block
        return found

    def count_unused(self, blocks: Sequence[int]) -> int:
        """How many of these nobody uses at present."""
        return sum(block in self._cached for block in blocks)

    def acquire(self, blocks: Sequence[int], owner: str | None) -> None:
        """Use what was found; None uses it without a trace."""
        for number in blocks:
            block = self._blocks[number]
            block.ref_count += 1
            self._cached.pop(number, None)
            if owner is not None:
                self._add_owner(number, owner)

    def allocate(self) -> int:
        """Use an empty block, if need be one that was kept. Raises NoRoom."""
        if not self._free:
            if not self._cached:
                raise OutOfBlocks
            oldest, _ = self._cached.popitem(last=False)
            self._unregister(oldest)
        number = self._free.pop()
        self._blocks[number].ref_count = 1
        return number

    def register(self, number: int, before: int, ids: tuple[int, ...], owner: str) -> int | None:
        """Let a full block be found; the block to use from now on: another, if that one holds the same already. None if
        the block before can't be found, so that this one could not be either."""
        if before != NO_PARENT and self._blocks[before].key is None:
            return None
        key = (before, ids)
        same = self._by_key.get(key)
        if same is not None and same != number:
            self.acquire([same], owner)
            self.release([number])
            return same
        self._blocks[number].key = key
        self._by_key[key] = number
        self._add_owner(number, owner)
        return number

    def release(self, blocks: Sequence[int]) -> None:
        """Use these no longer. The last are the first to go."""
        for number in reversed(blocks):
            block = self._blocks[number]
            block.ref_count -= 1
            if block.ref_count == 0 and block.key is None:
                self._free.append(number)
            elif block.ref_count == 0:
                self._cached[number] = None

    def drop_owner(self, owner: str) -> None:
        """Forget what only this owner has used. What he still uses can't be found any more."""
        for number in self._owned.pop(owner, set()):
            block = self._blocks[number]
            block.owners.discard(owner)
            if not block.owners:
                self._cached.pop(number, None)
                self._unregister(number)

    def _add_owner(self, number: int, owner: str) -> None:
        self._blocks[number].owners.add(owner)
        self._owned.setdefault(owner, set()).add(number)

    def _unregister(self, number: int) -> None:
        block = self._blocks[number]
        if block.key is not None:
            del self._by_key[block.key]
            block.key = None
        for owner in block.owners:
            self._owned[owner].discard(number)
            if not self._owned[owner]:
                del self._owned[owner]
        block.owners = set()
        if block.ref_count == 0:
            self._free.append(number)
