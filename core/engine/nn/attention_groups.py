"""PyTorch's attention in groups: rows whose attention is computed in one call."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from core.engine.nn.batch_plan import Integers
from core.engine.nn.kv_cache import BLOCK_IDS, BlockGather, KVCache
from core.engine.sequence import SequenceSlice

MAX_LENGTH_RATIO = 2
"""Ratio of the longest to the shortest sequence in one group of several."""


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """One id each of several sequences, or several ids of one.

    `rows`: of the step. `length`: ids of each sequence that are read, from slot `first_slot` on or from the rows
    `index` of a layer's blocks, see KVCache.block_rows. `ends`: int64 [rows], how many of its sequence's ids each row
    sees; empty if every row sees all.
    """

    rows: slice
    sequences: int
    length: int
    first_slot: int
    index: Integers
    ends: Integers


@dataclass(frozen=True, slots=True)
class AttentionGroup:
    """A group on the device. `mask`: added to the scores; None if every row sees every key."""

    rows: slice
    gather: BlockGather
    length: int
    mask: torch.Tensor | None


def plan_groups(slices: Sequence[SequenceSlice], kv: KVCache) -> list[GroupPlan]:
    """Group the slices of a plan, in their order: those of one row come first, the shortest first."""
    groups, row = list[GroupPlan](), 0
    for ones in by_similar_length([each for each in slices if each.rows == 1]):
        ends = np.array([each.end for each in ones]) if len(ones) > 1 else _NO_INDICES
        groups.append(_plan_group([each.sequence.blocks for each in ones], row, ones[-1].end, ends, kv))
        row += len(ones)
    for each in slices[row:]:
        ends = np.arange(each.start, each.start + each.rows) + 1
        groups.append(_plan_group([each.sequence.blocks], row, each.start + each.rows, ends, kv))
        row += each.rows
    return groups


_NO_INDICES: Integers = np.empty(0, np.int64)


def _plan_group(block_lists: list[list[int]], row: int, length: int, ends: Integers, kv: KVCache) -> GroupPlan:
    count, sequences, blocks = -(-length // BLOCK_IDS), len(block_lists), pad_blocks(block_lists, length)
    rows = slice(row, row + max(sequences, len(ends)))
    first = blocks[0][0]
    if sequences == 1 and blocks[0] == list(range(first, first + count)):
        return GroupPlan(rows, sequences, length, first * BLOCK_IDS, _NO_INDICES, ends)
    return GroupPlan(rows, sequences, length, 0, kv.block_rows(blocks), ends)


def pad_blocks(block_lists: Sequence[list[int]], length: int) -> list[list[int]]:
    """As many blocks of each sequence as hold `length` ids. A list that is too short is filled up with its first block:
    what is read there has to be masked."""
    count = -(-length // BLOCK_IDS)
    return [(each + each[:1] * count)[:count] for each in block_lists]


def by_similar_length(slices: list[SequenceSlice]) -> list[list[SequenceSlice]]:
    """Split slices, in order of their length, into groups of similar length. Shorter ones are padded to the longest."""
    groups: list[list[SequenceSlice]] = []
    for each in slices:
        if groups and each.end <= MAX_LENGTH_RATIO * max(groups[-1][0].end, 8 * BLOCK_IDS):
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups


def on_device(
    plan: GroupPlan, index: torch.Tensor, ends: torch.Tensor, queries_per_key: int, like: torch.Tensor
) -> AttentionGroup:
    """A group with its arrays on the device. `queries_per_key`: query heads per key head. `like` gives dtype and
    device."""
    gather = BlockGather(plan.sequences, plan.first_slot, index if len(index) else None)
    if not len(ends):
        return AttentionGroup(plan.rows, gather, plan.length, None)
    beyond = torch.arange(plan.length, device=like.device) >= ends.view(plan.sequences, 1, -1, 1)
    mask = torch.zeros(beyond.shape, dtype=like.dtype, device=like.device).masked_fill_(beyond, -torch.inf)
    if mask.shape[2] > 1:  # all queries that share a key head are rows of one product
        mask = mask.repeat(1, 1, queries_per_key, 1)
    return AttentionGroup(plan.rows, gather, plan.length, mask)
