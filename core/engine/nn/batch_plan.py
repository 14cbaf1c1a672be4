"""The plan of a step: every index that its layers need, made once; and for attention in PyTorch who is read
together."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from core.engine.nn.kv_cache import BLOCK_IDS, BlockGather, KVCache
from core.engine.sequence import SequenceSlice

MAX_LENGTH_RATIO = 2
"""Sequences are read together while the longest is at most so many times as long as the shortest."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """`order` has the batch's parts as the rows of the step have them; everything else is int64, by the row.

    `slots`: where keys and values go, block * SIZE + offset. `starts`: where in `blocks` those of the row's sequence
    begin. `last`: the rows of which logits are wanted.
    """

    slices: list[SequenceSlice]
    ids: Integers
    positions: Integers
    slots: Integers
    block_starts: Integers
    blocks: Integers
    logit_rows: Integers


def plan_batch(batch: list[SequenceSlice]) -> BatchPlan:
    """First those that compute one id, the shortest first; then what is read."""
    ones = sorted((part for part in batch if part.count == 1), key=lambda part: part.end)
    order = [*ones, *(part for part in batch if part.count > 1)]
    counts = np.array([part.count for part in order])
    blocks = [np.array(part.sequence.blocks[: -(-part.end // BLOCK_IDS)]) for part in order]
    sizes = np.array([len(each) for each in blocks])
    starts = np.repeat(np.cumsum(sizes) - sizes, counts)
    positions = np.concatenate([np.arange(part.start, part.end) for part in order])
    whole = np.concatenate(blocks)
    return BatchPlan(
        order,
        ids=np.concatenate([np.array(part.sequence.ids[part.start : part.end]) for part in order]),
        positions=positions,
        slots=whole[starts + positions // BLOCK_IDS] * BLOCK_IDS + positions % BLOCK_IDS,
        block_starts=starts,
        blocks=whole,
        logit_rows=np.cumsum(counts)[[part.samples_token for part in order]] - 1,
    )


# In PyTorch


@dataclass(frozen=True, slots=True)
class AttentionGroup:
    """Queries that are answered together: one id each of several sequences, or several ids of one."""

    rows: slice
    gather: BlockGather
    length: int
    """Of the keys and values."""
    mask: torch.Tensor | None
    """Added to the scores; None where everything is to be seen."""


def attention_groups(order: list[SequenceSlice], kv: KVCache, queries: int, like: torch.Tensor) -> list[AttentionGroup]:
    """`queries`: how many query heads share a key head. `like` has the dtype and the device."""
    found, row = [], 0
    for together in by_similar_length([part for part in order if part.count == 1]):
        found.append(decode_group(together, row, kv, like))
        row += len(together)
    for part in order[row:]:
        found.append(prefill_group(part, row, kv, queries, like))
        row += part.count
    return found


def by_similar_length(parts: list[SequenceSlice]) -> list[list[SequenceSlice]]:
    """Of similar length, from parts in order of their length: the shorter ones are read as if they were as long."""
    found: list[list[SequenceSlice]] = []
    for part in parts:
        if found and part.end <= MAX_LENGTH_RATIO * max(found[-1][0].end, 8 * BLOCK_IDS):
            found[-1].append(part)
        else:
            found.append([part])
    return found


def decode_group(parts: list[SequenceSlice], row: int, kv: KVCache, like: torch.Tensor) -> AttentionGroup:
    """One id each of several sequences. What is missing of the shorter is masked, whatever stands there."""
    longest = parts[-1].end
    count = -(-longest // BLOCK_IDS)
    blocks = [(part.sequence.blocks + part.sequence.blocks[:1] * count)[:count] for part in parts]
    ends = torch.tensor([part.end for part in parts], device=like.device)
    mask = None
    if len(parts) > 1:
        beyond = torch.arange(longest, device=like.device) >= ends[:, None]
        mask = torch.zeros(beyond.shape, dtype=like.dtype, device=like.device).masked_fill_(beyond, -torch.inf)
        mask = mask[:, None, None, :]
    return AttentionGroup(slice(row, row + len(parts)), kv.gather(blocks), longest, mask)


def prefill_group(part: SequenceSlice, row: int, kv: KVCache, queries: int, like: torch.Tensor) -> AttentionGroup:
    """Several ids of one sequence; each sees itself and what came before."""
    count = -(-part.end // BLOCK_IDS)
    seen = torch.arange(part.start, part.end, device=like.device)[:, None]
    later = torch.arange(part.end, device=like.device) > seen
    mask = torch.zeros(later.shape, dtype=like.dtype, device=like.device).masked_fill_(later, -torch.inf)
    places = kv.gather([part.sequence.blocks[:count]])
    return AttentionGroup(slice(row, row + part.count), places, part.end, mask.repeat(queries, 1))
