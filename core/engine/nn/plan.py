"""The plan of a step: every index and mask that its layers need, made once."""

from dataclasses import dataclass

import torch

from core.engine.nn.kv import KV, SIZE, Places
from core.engine.sequence import Part

SPREAD = 2
"""Sequences are read together while the longest is at most so many times as long as the shortest."""


@dataclass(frozen=True, slots=True)
class Group:
    """Queries that are answered together: one id each of several sequences, or several ids of one."""

    rows: slice
    places: Places
    length: int
    """Of the keys and values."""
    mask: torch.Tensor | None
    """Added to the scores; None where everything is to be seen."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`order` has the batch's parts as the rows of the step have them."""

    order: list[Part]
    ids: torch.Tensor
    positions: torch.Tensor
    slots: torch.Tensor
    last: torch.Tensor
    """The rows of which logits are wanted."""
    groups: list[Group]


def plan(batch: list[Part], kv: KV, queries: int, like: torch.Tensor) -> Plan:
    """`queries`: how many query heads share a key head. `like` has the dtype and the device."""
    ones = sorted((part for part in batch if part.count == 1), key=lambda part: part.end)
    longer = [part for part in batch if part.count > 1]
    order = [*ones, *longer]
    ids = [token for part in order for token in part.sequence.ids[part.start : part.end]]
    positions = [position for part in order for position in range(part.start, part.end)]
    slots = [
        part.sequence.blocks[position // SIZE] * SIZE + position % SIZE
        for part in order
        for position in range(part.start, part.end)
    ]
    groups, row, last = [], 0, []
    for together in alike(ones):
        groups.append(decoding(together, row, kv, like))
        row += len(together)
    for part in longer:
        groups.append(reading(part, row, kv, queries, like))
        row += part.count
    row = 0
    for part in order:
        row += part.count
        if part.draws:
            last.append(row - 1)
    ids_, positions_, slots_, last_ = (numbers(each, like) for each in (ids, positions, slots, last))
    return Plan(order, ids_, positions_, slots_, last_, groups)


def numbers(values: list[int], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.long, device=like.device)


def alike(parts: list[Part]) -> list[list[Part]]:
    """Of similar length, from parts in order of their length: the shorter ones are read as if they were as long."""
    groups: list[list[Part]] = []
    for part in parts:
        if groups and part.end <= SPREAD * max(groups[-1][0].end, 8 * SIZE):
            groups[-1].append(part)
        else:
            groups.append([part])
    return groups


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
