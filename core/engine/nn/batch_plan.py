"""The plan of a step: the indices that every layer needs, computed once, and the groups of PyTorch's attention."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from core.engine.nn.kv_cache import BLOCK_IDS, BlockGather, KVCache
from core.engine.sequence import SequenceSlice

MAX_LENGTH_RATIO = 2
"""Ratio of the longest to the shortest sequence in one attention group."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """`slices` in the order of their rows; a row is one id of one sequence. All arrays are int64.

    `ids`, `positions`: [rows], the id of each row and its position in its sequence.
    `slots`: [rows], where its key and value go: block * BLOCK_IDS + offset.
    `block_starts`: [rows], where in `blocks` the block numbers of its sequence begin.
    `logit_rows`: the rows whose logits are computed: for each slice that samples a token, its last one before the
    guesses, and those of the guesses.
    """

    slices: list[SequenceSlice]
    ids: Integers
    positions: Integers
    slots: Integers
    block_starts: Integers
    blocks: Integers
    logit_rows: Integers


def plan_batch(batch: list[SequenceSlice]) -> BatchPlan:
    """Put slices of one row first, the shortest sequence first, and compute the indices."""
    ones = sorted((each for each in batch if each.rows == 1), key=lambda each: each.end)
    slices = [*ones, *(each for each in batch if each.rows > 1)]
    counts = np.array([each.rows for each in slices])
    block_lists = [np.array(each.sequence.blocks[: -(-(each.start + each.rows) // BLOCK_IDS)]) for each in slices]
    sizes = np.array([len(each) for each in block_lists])
    block_starts = np.repeat(np.cumsum(sizes) - sizes, counts)
    positions = np.concatenate([np.arange(each.start, each.start + each.rows) for each in slices])
    blocks = np.concatenate(block_lists)
    return BatchPlan(
        slices,
        ids=np.concatenate([np.array(each.ids) for each in slices]),
        positions=positions,
        slots=blocks[block_starts + positions // BLOCK_IDS] * BLOCK_IDS + positions % BLOCK_IDS,
        block_starts=block_starts,
        blocks=blocks,
        logit_rows=np.concatenate(
            [
                np.arange(end - 1 - len(each.guesses), end)
                for each, end in zip(slices, np.cumsum(counts), strict=True)
                if each.samples_token
            ]
            or [np.empty(0, np.int64)]
        ),
    )


# Attention in PyTorch


@dataclass(frozen=True, slots=True)
class AttentionGroup:
    """Rows whose attention is computed in one call: one id each of several sequences, or several ids of one.

    `gather`: where their keys and values are, `length` ids of each sequence. `mask`: added to the scores; None if
    every row sees every key.
    """

    rows: slice
    gather: BlockGather
    length: int
    mask: torch.Tensor | None


def attention_groups(
    slices: list[SequenceSlice], kv: KVCache, queries_per_key: int, like: torch.Tensor
) -> list[AttentionGroup]:
    """Group the slices of a plan. `queries_per_key`: query heads per key head. `like` gives dtype and device."""
    groups, row = [], 0
    for ones in by_similar_length([each for each in slices if each.rows == 1]):
        groups.append(decode_group(ones, row, kv, like))
        row += len(ones)
    for each in slices[row:]:
        groups.append(prefill_group(each, row, kv, queries_per_key, like))
        row += each.rows
    return groups


def by_similar_length(slices: list[SequenceSlice]) -> list[list[SequenceSlice]]:
    """Split slices, in order of their length, into groups of similar length. Shorter ones are padded to the longest."""
    groups: list[list[SequenceSlice]] = []
    for each in slices:
        if groups and each.end <= MAX_LENGTH_RATIO * max(groups[-1][0].end, 8 * BLOCK_IDS):
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups


def decode_group(slices: list[SequenceSlice], row: int, kv: KVCache, like: torch.Tensor) -> AttentionGroup:
    """A group of one id each of several sequences, from `row` on. Keys beyond a sequence's end are masked."""
    longest = slices[-1].end
    count = -(-longest // BLOCK_IDS)
    blocks = [(each.sequence.blocks + each.sequence.blocks[:1] * count)[:count] for each in slices]
    ends = torch.tensor([each.end for each in slices], device=like.device)
    mask = None
    if len(slices) > 1:
        beyond = torch.arange(longest, device=like.device) >= ends[:, None]
        mask = torch.zeros(beyond.shape, dtype=like.dtype, device=like.device).masked_fill_(beyond, -torch.inf)
        mask = mask[:, None, None, :]
    return AttentionGroup(slice(row, row + len(slices)), kv.gather(blocks), longest, mask)


def prefill_group(
    part: SequenceSlice, row: int, kv: KVCache, queries_per_key: int, like: torch.Tensor
) -> AttentionGroup:
    """A group of several ids of one sequence, from `row` on. Each id sees itself and those before it."""
    end = part.start + part.rows
    count = -(-end // BLOCK_IDS)
    positions = torch.arange(part.start, end, device=like.device)[:, None]
    later = torch.arange(end, device=like.device) > positions
    mask = torch.zeros(later.shape, dtype=like.dtype, device=like.device).masked_fill_(later, -torch.inf)
    gather = kv.gather([part.sequence.blocks[:count]])
    return AttentionGroup(slice(row, row + part.rows), gather, end, mask.repeat(queries_per_key, 1))
