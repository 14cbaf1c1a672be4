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

Key = tuple[int, tuple[int, ...]]
"""The block before (START for the first) and the block's own ids."""
START = -1


class NoRoom(Exception):
    """Every block is in use."""


@dataclass(slots=True)
class _Block:
    users: int = 0
    key: Key | None = None
    """None: it can't be found."""
    owners: set[str] = field(default_factory=set)


class Blocks:
    """`count` blocks of `size` ids each, by number."""

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size
        self._blocks = [_Block() for _ in range(count)]
        self._empty = list(range(count - 1, -1, -1))
        self._kept: OrderedDict[int, None] = OrderedDict()
        self._index: dict[Key, int] = {}
        self._owned: dict[str, set[int]] = {}

    @property
    def available(self) -> int:
        """Blocks that nobody uses."""
        return len(self._empty) + len(self._kept)

    @property
    def kept(self) -> int:
        """Those of them that hold something."""
        return len(self._kept)

    def needed(self, length: int) -> int:
        """Blocks for so many ids."""
        return -(-length // self.size)

    def find(self, ids: Sequence[int]) -> list[int]:
        """The blocks that hold the beginning of `ids`, but never the last id: its logits must be computed."""
        found, before = [], START
        for start in range(0, len(ids) - self.size, self.size):
            block = self._index.get((before, tuple(ids[start : start + self.size])))
            if block is None:
                break
            found.append(block)
            before = block
        return found

    def idle(self, blocks: Sequence[int]) -> int:
        """How many of these nobody uses at present."""
        return sum(block in self._kept for block in blocks)

    def share(self, blocks: Sequence[int], owner: str | None) -> None:
        """Use what was found; None uses it without a trace."""
        for number in blocks:
            block = self._blocks[number]
            block.users += 1
            self._kept.pop(number, None)
            if owner is not None:
                self._own(number, owner)

    def take(self) -> int:
        """Use an empty block, if need be one that was kept. Raises NoRoom."""
        if not self._empty:
            if not self._kept:
                raise NoRoom
            oldest, _ = self._kept.popitem(last=False)
            self._forget(oldest)
        number = self._empty.pop()
        self._blocks[number].users = 1
        return number

    def keep(self, number: int, before: int, ids: tuple[int, ...], owner: str) -> int | None:
        """Let a full block be found; the block to use from now on: another, if that one holds the same already. None if
        the block before can't be found, so that this one could not be either."""
        if before != START and self._blocks[before].key is None:
            return None
        key = (before, ids)
        same = self._index.get(key)
        if same is not None and same != number:
            self.share([same], owner)
            self.release([number])
            return same
        self._blocks[number].key = key
        self._index[key] = number
        self._own(number, owner)
        return number

    def release(self, blocks: Sequence[int]) -> None:
        """Use these no longer. The last are the first to go."""
        for number in reversed(blocks):
            block = self._blocks[number]
            block.users -= 1
            if block.users == 0 and block.key is None:
                self._empty.append(number)
            elif block.users == 0:
                self._kept[number] = None

    def drop(self, owner: str) -> None:
        """Forget what only this owner has used. What he still uses can't be found any more."""
        for number in self._owned.pop(owner, set()):
            block = self._blocks[number]
            block.owners.discard(owner)
            if not block.owners:
                self._kept.pop(number, None)
                self._forget(number)

    def _own(self, number: int, owner: str) -> None:
        self._blocks[number].owners.add(owner)
        self._owned.setdefault(owner, set()).add(number)

    def _forget(self, number: int) -> None:
        block = self._blocks[number]
        if block.key is not None:
            del self._index[block.key]
            block.key = None
        for owner in block.owners:
            self._owned[owner].discard(number)
            if not self._owned[owner]:
                del self._owned[owner]
        block.owners = set()
        if block.users == 0:
            self._empty.append(number)
