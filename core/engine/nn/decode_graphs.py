"""Decode steps that a GPU replays. Each is recorded once, for a usual number of rows and a length up to which keys are
read; then the host starts one graph a step instead of some hundred operations."""

from collections.abc import Callable

import numpy as np
import torch

from core.engine.nn.attention_groups import GroupPlan, on_device, pad_blocks
from core.engine.nn.batch_plan import BatchPlan
from core.engine.nn.device_copy import copy_together
from core.engine.nn.kv_cache import BLOCK_IDS, KVCache
from core.engine.nn.transformer import StepInputs, Transformer

GRAPH_ROWS = (1, 2, 4, 8, 16)
"""Rows that steps are recorded for; a step of fewer has rows that nobody reads."""
MIN_LENGTH = 256
"""Ids that are read of each sequence, at least; twice as many in the next graph, and so on."""
WARM_UPS = 3
"""Steps before a recording: libraries set themselves up at the first ones."""

Replay = Callable[[], torch.Tensor]
"""Computes a recorded step again, on what its inputs hold by now. Its result is overwritten by the next step."""
Record = Callable[[Callable[[], torch.Tensor]], Replay]
"""Records a step."""


class DecodeGraphs:
    """The recorded steps of a model. What is read or written for rows that nobody reads is in `scratch_block`, which no
    sequence may use. `context`: ids of a sequence, at most."""

    def __init__(self, model: Transformer, kv: KVCache, context: int, scratch_block: int, record: Record) -> None:
        self._model, self._kv, self._context, self._record = model, kv, context, record
        self._scratch = scratch_block
        self._recorded: dict[tuple[int, int], tuple[torch.Tensor, Replay]] = {}

    def compute(self, plan: BatchPlan) -> torch.Tensor | None:
        """The logits of a step, [rows, vocabulary], valid until the next one. None for a step that is not recorded:
        with a prompt, guesses, or too many rows."""
        count = len(plan.slices)
        if count > GRAPH_ROWS[-1] or not len(plan.ids) == count == len(plan.logit_rows):
            return None
        rows = next(each for each in GRAPH_ROWS if each >= count)
        length = MIN_LENGTH
        while length < max(each.end for each in plan.slices):
            length *= 2
        length = min(length, -(-self._context // BLOCK_IDS) * BLOCK_IDS)
        if (rows, length) not in self._recorded:
            self._recorded[rows, length] = self._record_step(rows, length)
        inputs, replay = self._recorded[rows, length]
        [new] = copy_together([self._inputs(plan, rows, length)], inputs.device)
        inputs.copy_(new)
        return replay()[:count]

    def _inputs(self, plan: BatchPlan | None, rows: int, length: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The inputs of a step, one behind the other: ids, positions, slots and ends of `rows` rows, then the rows of a
        layer's blocks. Without a plan all rows are such as nobody reads."""
        slices = plan.slices if plan else []
        numbers = np.zeros((4, rows), np.int64)
        numbers[2], numbers[3] = self._scratch * BLOCK_IDS, 1
        if plan:
            numbers[:, : len(slices)] = plan.ids, plan.positions, plan.slots, [each.end for each in slices]
        block_lists = [each.sequence.blocks for each in slices] + [[self._scratch]] * (rows - len(slices))
        return np.concatenate((numbers.ravel(), self._kv.block_rows(pad_blocks(block_lists, length))))

    def _record_step(self, rows: int, length: int) -> tuple[torch.Tensor, Replay]:
        like = self._kv.like
        inputs = torch.from_numpy(self._inputs(None, rows, length)).to(like.device)
        ids, positions, slots, ends = inputs[: 4 * rows].view(4, rows)
        index, nothing = inputs[4 * rows :], np.empty(0, np.int64)
        plan = GroupPlan(slice(0, rows), rows, length, 0, nothing, nothing)

        def step() -> torch.Tensor:
            group = on_device(plan, index, ends, self._model.sizes.queries_per_key, like)
            rotary = self._model.rotary.tables(positions, self._model.sizes, like)
            hidden = self._model.compute_layers(ids, StepInputs(rotary, slots, [group]), self._kv, lambda: None)
            return self._model.head(self._model.norm(hidden)).float()

        return inputs, self._record(step)


def record_on_gpu(step: Callable[[], torch.Tensor]) -> Replay:
    """Record a step as a CUDA graph."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        logits = step()

    def replay() -> torch.Tensor:
        graph.replay()
        return logits

    return replay
