"""The plan of a step: the indices that every layer needs, computed once."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.engine.nn.kv_cache import BLOCK_IDS
from core.engine.sequence import SequenceSlice

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
