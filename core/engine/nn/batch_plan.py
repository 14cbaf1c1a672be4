"""The plan of a step: every index that its layers need, made once; and for attention in PyTorch who is read
together."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from core.engine.nn.kv_cache import KV, SIZE, Places
from core.engine.sequence import Part

SPREAD = 2
"""Sequences are read together while the longest is at most so many times as long as the shortest."""

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Plan:
    """`order` has the batch's parts as the rows of the step have them; everything else is int64, by the row.

    `slots`: where keys and values go, block * SIZE + offset. `starts`: where in `blocks` those of the row's sequence
    begin. `last`: the rows of which logits are wanted.
    """

    order: list[Part]
    ids: Numbers
    positions: Numbers
    slots: Numbers
    starts: Numbers
    blocks: Numbers
    last: Numbers


def plan(batch: list[Part]) -> Plan:
    """First those that compute one id, the shortest first; then what is read."""
    ones = sorted((part for part in batch if part.count == 1), key=lambda part: part.end)
    order = [*ones, *(part for part in batch if part.count > 1)]
    counts = np.array([part.count for part in order])
    blocks = [np.array(part.sequence.blocks[: -(-part.end // SIZE)]) for part in order]
    sizes = np.array([len(each) for each in blocks])
    starts = np.repeat(np.cumsum(sizes) - sizes, counts)
    positions = np.concatenate([np.arange(part.start, part.end) for part in order])
    whole = np.concatenate(blocks)
    return Plan(
        order,
        ids=np.concatenate([np.array(part.sequence.ids[part.start : part.end]) for part in order]),
        positions=positions,
        slots=whole[starts + positions // SIZE] * SIZE + positions % SIZE,
        starts=starts,
        blocks=whole,
        last=np.cumsum(counts)[[part.draws for part in order]] - 1,
    )


# In PyTorch


@dataclass(frozen=True, slots=True)
class Group:
    """Queries that are answered together: one id each of several sequences, or several ids of one."""

    rows: slice
    places: Places
    length: int
    """Of the keys and values."""
    mask: torch.Tensor | None
    """Added to the scores; None where everything is to be seen."""


def groups(order: list[Part], kv: KV, queries: int, like: torch.Tensor) -> list[Group]:
    """`queries`: how many query heads share a key head. `like` has the dtype and the device."""
    found, row = [], 0
    for together in alike([part for part in order if part.count == 1]):
        found.append(decoding(together, row, kv, like))
        row += len(together)
    for part in order[row:]:
        found.append(reading(part, row, kv, queries, like))
        row += part.count
    return found


def alike(parts: list[Part]) -> list[list[Part]]:
    """Of similar length, from parts in order of their length: the shorter ones are read as if they were as long."""
    found: list[list[Part]] = []
    for part in parts:
        if found and part.end <= SPREAD * max(found[-1][0].end, 8 * SIZE):
            found[-1].append(part)
        else:
            found.append([part])
    return found


def decoding(parts: list[Part], row: int, kv: KV, like: torch.Tensor) -> Group:
    """One id each of several sequences. What is missing of the shorter is masked, whatever stands there."""
    longest = parts[-1].end
    count = -(-longest // SIZE)
    blocks = [(part.sequence.blocks + part.sequence.blocks[:1] * count)[:count] for part in parts]
    ends = torch.tensor([part.end for part in parts], device=like.device)
    mask = None
    if len(parts) > 1:
        beyond = torch.arange(longest, device=like.device) >= ends[:, None]
        mask = torch.zeros(beyond.shape, dtype=like.dtype, device=like.device).masked_fill_(beyond, -torch.inf)
        mask = mask[:, None, None, :]
    return Group(slice(row, row + len(parts)), kv.places(blocks), longest, mask)


def reading(part: Part, row: int, kv: KV, queries: int, like: torch.Tensor) -> Group:
    """Several ids of one sequence; each sees itself and what came before."""
    count = -(-part.end // SIZE)
    seen = torch.arange(part.start, part.end, device=like.device)[:, None]
    later = torch.arange(part.end, device=like.device) > seen
    mask = torch.zeros(later.shape, dtype=like.dtype, device=like.device).masked_fill_(later, -torch.inf)
    places = kv.places([part.sequence.blocks[:count]])
    return Group(slice(row, row + part.count), places, part.end, mask.repeat(queries, 1))
