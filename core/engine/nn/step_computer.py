"""Computes steps, by the kernels where they are compiled and by PyTorch elsewhere: batch plan in, logits out."""

import logging
import math
from collections.abc import Sequence as Items
from pathlib import Path

import numpy as np
import torch

from core.domain.sampling import Sampling
from core.engine.hang_detector import ProgressCounter
from core.engine.kernels import cache, machine, sampling
from core.engine.kernels.jit import Array
from core.engine.kernels.team import ThreadTeam
from core.engine.nn import torch_sampling
from core.engine.nn.autotune import FEW_ROWS, Tuning
from core.engine.nn.batch_plan import BatchPlan, plan_batch
from core.engine.nn.decode_graphs import DecodeGraphs
from core.engine.nn.device_copy import copy_together
from core.engine.nn.kernel_model import NO_NUMBER, KernelModel, can_compute, linear_parts
from core.engine.nn.kv_cache import KVCache
from core.engine.nn.sampler import RuleRecord, SequenceSampler
from core.engine.nn.step_benchmark import max_threads
from core.engine.nn.transformer import Transformer
from core.engine.nn.weight_formats import ModelFormat
from core.engine.options import Report
from core.engine.prompt_lookup import count_held
from core.engine.sequence import Sequence, SequenceSlice

logger = logging.getLogger(__name__)


Draw = tuple[SequenceSampler, Items[int]]
"""A sequence that gets tokens: its sampler, and the guesses whose logits were computed, too."""


class StepComputer:
    """A loaded model, its KV cache, and what computes with them.

    `kernel_model` and `team` are None where the kernels can't compute the model. `tuning` is None until the machine
    is measured, and on a GPU. `graphs`: recorded steps of a GPU, None where they are not wanted.
    """

    def __init__(
        self, model: Transformer, kv: KVCache, model_format: ModelFormat, graphs: DecodeGraphs | None = None
    ) -> None:
        self.model, self.kv, self.model_format = model, kv, model_format
        self.kernel_model: KernelModel | None = None
        self.team: ThreadTeam | None = None
        self.tuning: Tuning | None = None
        self._graphs = graphs
        self._progress: Array = np.zeros(1, np.int64)

    def compile(self, folder: Path | None, threads: int | None, report: Report) -> None:
        """Compile the kernels, or load them from `folder`. If that fails, PyTorch computes everything, slowly."""
        if not can_compute(self.model):
            return
        self.team = ThreadTeam(threads or max_threads())
        failure = ""
        for place in dict.fromkeys((folder, None)):  # a damaged folder must not keep the kernels from being compiled
            try:
                with cache.kernel_cache(place, lambda: report("compiling for this processor, once: half a minute")):
                    self._call_every_kernel()
                return
            except Exception as error:
                self.kernel_model = None
                level = logging.WARNING if place else logging.ERROR
                logger.log(level, "the kernels can't be compiled with %s", place or "no folder", exc_info=True)
                failure = type(error).__name__
        report(f"the kernels can't be compiled here ({failure}): PyTorch computes everything, and answers will be slow")

    @torch.inference_mode()
    def compute(self, plan: BatchPlan) -> torch.Tensor:
        """Compute a batch and write its keys and values to the KV cache.

        Returns the logits of the plan's `logit_rows`, float32 [logit rows, vocabulary], valid until the next call.
        Raises ValueError if they are not finite; on a GPU `sample` does, so that the host waits once a step.
        """
        rows, tuning = len(plan.ids), self.tuning
        torch_min_rows = tuning.torch_min_rows if tuning else None
        threads = (tuning.few_rows_threads if rows < FEW_ROWS else tuning.many_rows_threads) if tuning else 0
        if self.team:
            self.team.active = threads or self.team.count
        if self.kernel_model and not (torch_min_rows and rows >= torch_min_rows):
            return self.kernel_model(plan)
        if self._graphs and (logits := self._graphs.compute(plan)) is not None:
            self._count_progress()
            return logits
        if threads:
            torch.set_num_threads(threads)
        logits = self.model(plan, self.kv, self._count_progress).float()
        if logits.is_cpu and not torch.isfinite(logits.amax(-1)).all():
            raise ValueError(NO_NUMBER)
        return logits

    def sample(self, logits: torch.Tensor, draws: list[Draw]) -> list[tuple[int, ...]]:
        """Sample tokens for each sequence: its guesses that hold, and one more.

        `logits`: those after its last token and after each guess, sequence by sequence; they may be changed. Raises
        ValueError if they are not finite.
        """
        rules, penalised_ids = rules_of_rows(draws)
        rule_out_others(logits, draws)
        if self.kernel_model:
            tokens = self._sample_by_kernels(logits.numpy(), rules, penalised_ids)
        else:
            tokens = torch_sampling.sample_rows(logits, rules, penalised_ids).tolist()  # here the host waits
        if torch_sampling.NOT_FINITE in tokens:
            raise ValueError(NO_NUMBER)
        return kept_tokens(draws, tokens)

    def describe(self) -> str:
        """How the weights are held, and what computes with how many rows, in words."""
        if self.kernel_model is None or self.tuning is None:
            return str(self.model_format)
        tuning = self.tuning
        words = [f"{self.model_format} by numba ({machine.INSTRUCTION_SET_NAMES[machine.instruction_set()]})"]
        if tuning.panel_min_rows:
            words.append(f"in panels from {tuning.panel_min_rows} rows on")
        if tuning.torch_min_rows:
            words.append(f"as {self.model_format.dense_dtype} by PyTorch from {tuning.torch_min_rows} rows on")
        return "; ".join((", ".join(words), tuning.threads_text))

    def count_progress(self, counter: ProgressCounter) -> None:
        """From now on count `counter` up after every layer, or every phase of the kernels."""
        self._progress = np.ctypeslib.as_array(counter)
        if self.kernel_model:
            self.kernel_model.progress = self._progress

    def close(self) -> None:
        """End the kernels' threads."""
        if self.team:
            self.team.close()

    def _call_every_kernel(self) -> None:
        """Call each kernel once, in one thread alone, so that it is compiled or loaded."""
        assert self.team
        self.team.active = 1
        self.kernel_model = KernelModel(self.model, self.kv, self.team, self._progress)
        self.kernel_model(plan_batch([SequenceSlice(Sequence(0, "", [0], max_length=2, blocks=[0]), 0, 1)]))
        vocabulary = len(self.model.embedding.rows)
        rules = rules_of_rows([(SequenceSampler(Sampling(), [0]), ())])
        self._sample_by_kernels(np.zeros((1, vocabulary), np.float32), *rules)
        target = self.kv.like.new_empty(1, self.model.head.columns)
        self.kernel_model.unpack_rows(linear_parts(self.model.head)[0], 0, target)
        self.kernel_model.unpack_for_torch()

    def _sample_by_kernels(self, logits: Array, rules: Array, penalised_ids: Array) -> list[int]:
        assert self.team
        tokens = np.empty(len(rules), np.int64)
        self.team.run(sampling.sample_rows, 1, logits, rules, penalised_ids, tokens)
        return list(map(int, tokens))

    def _count_progress(self) -> None:
        self._progress[0] += 1


def rules_of_rows(draws: list[Draw]) -> tuple[Array, Array]:
    """The rules of all rows, RULE_RECORD [rows], and the ids that their penalties apply to, int64."""
    records, penalised, start = list[RuleRecord](), list[Array](), 0
    for sampler, guesses in draws:
        rules, ids = sampler.rules(guesses, start)
        records += rules
        penalised.append(ids)
        start += len(ids)
    return np.array(records, sampling.RULE_RECORD), np.concatenate(penalised)


def rule_out_others(logits: torch.Tensor, draws: list[Draw]) -> None:
    """Leave the choices alone in the rows of the sequences that have some. `logits` [rows, vocabulary], in place."""
    row = 0
    for sampler, guesses in draws:
        end = row + len(guesses) + 1
        if sampler.sampling.choices:
            [choices] = copy_together([np.array(sampler.sampling.choices)], logits.device)
            kept = logits[row:end, choices]
            logits[row:end] = -math.inf
            logits[row:end, choices] = kept
        row = end


def kept_tokens(draws: list[Draw], tokens: list[int]) -> list[tuple[int, ...]]:
    """Of the tokens drawn in all rows, each sequence's guesses that hold and one more. Its sampler remembers them."""
    found, row = [], 0
    for sampler, guesses in draws:
        kept = tokens[row : row + count_held(guesses, tokens[row:]) + 1]
        for token in kept:
            sampler.record(token)
        found.append(tuple(kept))
        row += len(guesses) + 1
    return found
