"""Which KV cache block holds which ids, who uses it, and which prompts may share it. Imports no torch.

A block holds the keys and values of `size` ids. A full block is registered under its ids and the block before it, so
a prompt with the same beginning shares it. A registered block without users stays cached until no free block is left;
then the least recently used one goes first.

Invariants, checked by the tests: a sequence that uses a block also uses its predecessor, the predecessor has every
owner that the block has, and it is cached at least as long. So a prefix that is found is complete.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

BlockKey = tuple[int, tuple[int, ...]]
"""The preceding block (NO_PARENT for the first) and the block's own ids."""
NO_PARENT = -1


class OutOfBlocks(Exception):
    """Every block is in use."""


@dataclass(slots=True)
class _Block:
    ref_count: int = 0
    key: BlockKey | None = None
    """None while the block is not registered."""
    owners: set[str] = field(default_factory=set)


class BlockManager:
    """Manages `count` blocks of `size` ids each, by number."""

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size
        self._blocks = [_Block() for _ in range(count)]
        self._free = list(range(count - 1, -1, -1))
        self._cached: OrderedDict[int, None] = OrderedDict()
        self._by_key: dict[BlockKey, int] = {}
        self._owned: dict[str, set[int]] = {}

    @property
    def available(self) -> int:
        """Blocks without users: free and cached ones."""
        return len(self._free) + len(self._cached)

    @property
    def cached(self) -> int:
        """Blocks without users whose contents can be found."""
        return len(self._cached)

    def blocks_for(self, length: int) -> int:
        """The number of blocks that `length` ids need."""
        return -(-length // self.size)

    def find_prefix(self, ids: Sequence[int]) -> list[int]:
        """The blocks that hold the longest registered prefix of `ids`.

        Never covers the last id, because its logits must be computed.
        """
        found, parent = [], NO_PARENT
        for start in range(0, len(ids) - self.size, self.size):
            block = self._by_key.get((parent, tuple(ids[start : start + self.size])))
            if block is None:
                break
            found.append(block)
            parent = block
        return found

    def count_unused(self, blocks: Sequence[int]) -> int:
        """How many of these blocks have no users."""
        return sum(block in self._cached for block in blocks)

    def acquire(self, blocks: Sequence[int], owner: str | None) -> None:
        """Add a user to found blocks, and the owner unless it is None."""
        for number in blocks:
            block = self._blocks[number]
            block.ref_count += 1
            self._cached.pop(number, None)
            if owner is not None:
                self._add_owner(number, owner)

    def allocate(self) -> int:
        """Take a free block, evicting the oldest cached one if there is none. Raises OutOfBlocks."""
        if not self._free:
            if not self._cached:
                raise OutOfBlocks
            oldest, _ = self._cached.popitem(last=False)
            self._unregister(oldest)
        number = self._free.pop()
        self._blocks[number].ref_count = 1
        return number

    def register(self, number: int, parent: int, ids: tuple[int, ...], owner: str) -> int | None:
        """Make a full block findable and return the block to use from now on.

        That is another block if one with the same contents is registered already: this one is then released. Returns
        None if `parent` is not registered, as the block could never be found.
        """
        if parent != NO_PARENT and self._blocks[parent].key is None:
            return None
        key = (parent, ids)
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
        """Remove a user from these blocks. Later blocks are evicted before earlier ones."""
        for number in reversed(blocks):
            block = self._blocks[number]
            block.ref_count -= 1
            if block.ref_count == 0 and block.key is None:
                self._free.append(number)
            elif block.ref_count == 0:
                self._cached[number] = None

    def drop_owner(self, owner: str) -> None:
        """Unregister the blocks that only this owner has used, including those still in use."""
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
