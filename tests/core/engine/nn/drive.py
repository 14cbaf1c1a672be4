"""Runs sequences through a scheduler and a runner to their end, as the worker does, without its channel and clock."""

from collections import Counter
from collections.abc import Sequence as Ids
from dataclasses import replace
from itertools import count
from typing import Any, Literal

import numpy as np
import torch

from core.domain.sampling import Sampling
from core.engine.block_manager import BlockManager
from core.engine.guesser import Guesser
from core.engine.kernels.products import PANEL_MIN_ROWS
from core.engine.nn.autotune import Tuning
from core.engine.nn.batch_plan import plan_batch
from core.engine.nn.kernel_model import linear_parts, linears
from core.engine.nn.linear import LowBitLinear, unpack_in_torch
from core.engine.nn.model_runner import TorchRunner
from core.engine.prefill_budget import MAX_PREFILL_IDS, UNMEASURED_COSTS, PrefillBudget
from core.engine.scheduler import Scheduler
from core.engine.sequence import Sequence, SequenceSlice
from core.engine.worker import WARMING_ID

GREEDY = Sampling(temperature=0)
Way = Literal["kernels", "products", "torch"]
"""By the kernels; with PyTorch's products of matrices that the kernels unpack, as for many rows; all in PyTorch."""


def by(runner: TorchRunner, way: Way) -> TorchRunner:
    """The same, with everything computed in this way, whatever is the faster one here."""
    assert runner.computer.kernel_model, "there are no kernels for it"
    runner.computer.tuning = Tuning(1, 1, 1 if way == "products" else None, UNMEASURED_COSTS)
    runner.computer.kernel_model.panel_min_rows = PANEL_MIN_ROWS
    if way == "torch":
        runner.computer.kernel_model = None
        for product in linears(runner.computer.model):
            for part in linear_parts(product):
                assert isinstance(part, LowBitLinear)
                part.unpack_rows = unpack_in_torch
    return runner


class Steady(PrefillBudget):
    """Always the same, whatever the machine does."""

    def __init__(self, ids: int) -> None:
        super().__init__()
        self.ids = ids

    def prefill_ids(self, decoding: int) -> int:
        return self.ids


class Drive:
    """`blocks`: fewer than the runner has. `prefill_ids`: prompt ids per step. Without a `guesser` nothing is
    guessed."""

    numbers = count(1)

    def __init__(
        self,
        runner: TorchRunner,
        blocks: int | None = None,
        prefill_ids: int = MAX_PREFILL_IDS,
        slots: int = 100,
        guesser: Guesser | None = None,
    ) -> None:
        self.runner = runner
        self.scheduler = Scheduler(
            BlockManager(blocks or runner.blocks, runner.block_size),
            slots,
            Steady(prefill_ids),
            guesser,
        )
        self.tokens: dict[int, list[int]] = {}
        """What each has drawn."""
        self.computed: Counter[int] = Counter()
        """How many ids were computed of each."""
        self.widest = 0
        """Sequences in one step."""
        self.guessed = self.held = 0
        """Guesses that were computed, and those of them that held."""

    def add(self, prompt: Ids[int], tokens: int, sampling: Sampling = GREEDY, id: int | None = None) -> int:
        """To be answered with so many tokens; its id."""
        id = next(self.numbers) if id is None else id
        self.tokens[id] = []
        self.scheduler.add(Sequence(id, "someone", list(prompt), sampling, len(prompt) + tokens))
        return id

    def warm(self, prompt: Ids[int]) -> None:
        self.scheduler.warm(Sequence(WARMING_ID, "someone", list(prompt)))

    def cancel(self, id: int) -> None:
        assert self.scheduler.remove(id)
        self.runner.forget(id)

    def steps(self, number: int) -> None:
        for _ in range(number):
            self.step()

    def step(self) -> bool:
        """Whether there was anything to do."""
        batch = self.scheduler.next_batch()
        drawn = self.runner.run(batch) if batch else {}
        self.scheduler.advance(batch, drawn)
        self.widest = max(self.widest, len(batch))
        for part in batch:
            self.computed[part.sequence.id] += part.rows
            if part.sequence.id in drawn:
                self.guessed += len(part.guesses)
                self.held += len(drawn[part.sequence.id]) - 1
                self.draw(part.sequence, drawn[part.sequence.id])
        return bool(batch)

    def draw(self, sequence: Sequence, tokens: tuple[int, ...]) -> None:
        sequence.ids.append(tokens[-1])
        self.tokens[sequence.id] += tokens
        if len(sequence.ids) == sequence.max_length:
            self.cancel(sequence.id)

    def run(self) -> dict[int, list[int]]:
        """To the end of all; by the id what each has drawn."""
        while self.step():
            pass
        assert not self.scheduler.has_work
        return self.tokens


def answers(
    runner: TorchRunner,
    *prompts: Ids[int],
    tokens: int = 12,
    sampling: Sampling = GREEDY,
    prefill_ids: int = MAX_PREFILL_IDS,
) -> list[list[int]]:
    """What follows on each prompt, all at once."""
    drive = Drive(runner, prefill_ids=prefill_ids)
    ids = [drive.add(prompt, tokens, sampling) for prompt in prompts]
    drawn = drive.run()
    return [drawn[id] for id in ids]


@torch.inference_mode()
def logits(runner: TorchRunner, ids: Ids[int], chunk: int = 1 << 20) -> torch.Tensor:
    """At every position, the ids computed so many at once."""
    blocks = list(range(runner.blocks - 1, -1, -1))  # in an order of their own
    sequence = Sequence(0, "someone", list(ids), GREEDY, len(ids) + 1, blocks=blocks)
    found = []
    for start in range(0, len(ids), chunk):
        part = SequenceSlice(sequence, start, min(chunk, len(ids) - start))
        found.append(runner.computer.compute(replace(plan_batch([part]), logit_rows=np.arange(part.count))).clone())
        assert found[-1].dtype == torch.float32
    return torch.cat(found)


@torch.inference_mode()
def strays(model: Any, ids: Ids[int], tokens: Ids[int], penalty: float = 1.0) -> float:
    """By how much, of a logit, the worst of these tokens is behind the likeliest, by transformers' model: 0 where all
    are its greedy answer."""
    whole = [*ids, *tokens]
    scores = model(torch.tensor([whole[:-1]])).logits[0, len(ids) - 1 :].float()
    found = 0.0
    for number, (row, token) in enumerate(zip(scores, tokens, strict=True)):
        seen = torch.tensor(sorted(set(whole[: len(ids) + number])))
        row[seen] = torch.where(row[seen] < 0, row[seen] * penalty, row[seen] / penalty)
        found = max(found, float(row.max() - row[token]))
    return found
