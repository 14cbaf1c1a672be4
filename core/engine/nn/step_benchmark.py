"""Measures a model's steps on this machine, on some of its layers, for the choices in autotune.py."""

import hashlib
import platform
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from core.engine import processor
from core.engine.kernels import cache
from core.engine.nn.autotune import DECODE_ROWS, FEW_ROWS, Clock, ComputePath, Tuning, load_or_measure, measure_tuning
from core.engine.nn.batch_plan import BatchPlan, plan_batch
from core.engine.nn.kernel_model import KernelModel
from core.engine.nn.kv_cache import BLOCK_IDS, KVCache
from core.engine.nn.transformer import Transformer
from core.engine.nn.weight_formats import ModelFormat
from core.engine.prefill_budget import StepCosts
from core.engine.sequence import Sequence, SequenceSlice

MIN_MEASURED_BYTES = 1 << 26
"""Weights measured for few rows, at least: more than a processor's caches hold."""
MANY_ROWS_LAYERS = 2
"""Layers measured for many rows, which are bound by arithmetic."""
NEVER_ROWS = 1 << 30
"""More rows than a step ever has."""


def max_threads() -> int:
    """PyTorch's default, one per core, but at most the cores that this process may use."""
    return max(1, min(torch.get_num_threads(), processor.available_cores()))


@dataclass(frozen=True, slots=True)
class StepBenchmark:
    """Measures the steps of a model, and of its kernels if there are any."""

    model: Transformer
    model_format: ModelFormat
    kv: KVCache
    kernel_model: KernelModel | None

    def tune(self, threads: int | None, folder: Path | None) -> Tuning:
        """The tuning kept in `folder` from an earlier start, or a new measurement. `threads` fixes their number."""
        file = folder / f"tuning-{self.fingerprint(threads)}.json" if folder else None
        tuning = load_or_measure(lambda: self.measure(threads), file)
        if self.kernel_model:
            self.kernel_model.panel_min_rows = tuning.panel_min_rows or NEVER_ROWS
        return tuning

    def fingerprint(self, threads: int | None) -> str:
        """Identifies a measurement: by processor, cores, libraries, kernels, the model's shapes and formats."""
        name = torch.cpu.get_capabilities().get("cpu_name", platform.processor())
        libraries = torch.__version__, cache.fingerprint(), self.kernel_model is None
        shapes = [(matrix.rows, matrix.columns, matrix.low_bits) for matrix in self.model_format.all_matrices]
        what = repr((name, processor.available_cores(), libraries, shapes, self.model_format.dense_dtype, threads))
        return hashlib.sha256(what.encode()).hexdigest()[:16]

    def measure(self, threads: int | None) -> Tuning:
        """Measure some layers, and scale the costs up to all of them. Leaves out the head, which has few rows."""
        paths: tuple[ComputePath, ...] = ("kernels", "panels", "torch") if self.kernel_model else ("torch",)
        clock = Clock()
        tuning = measure_tuning(self.run_step, paths, threads or max_threads(), threads, clock)
        layers = len(self.model.layers)
        costs = tuple((rows, cost * layers / self.measured_layers(rows)) for rows, cost in tuning.costs)
        return replace(tuning, costs=costs, decode_costs=self.measure_decoding(tuning, clock))

    def measure_decoding(self, tuning: Tuning, clock: Clock) -> StepCosts:
        """The seconds of whole steps for DECODE_ROWS rows, as far as the context has as many positions, with the logits
        of all rows, by the kernels."""
        if self.kernel_model is None:
            return ()
        possible = [rows for rows in DECODE_ROWS if rows <= len(self.model.rotary.cos)]
        times = clock.best_of_each([partial(self.run_decoding, rows, tuning) for rows in possible])
        return tuple(zip(possible, times, strict=True))

    def run_decoding(self, rows: int, tuning: Tuning) -> None:
        """Compute a whole step of `rows` rows with their logits, by the kernels."""
        assert self.kernel_model
        self.kernel_model.team.active = tuning.few_rows_threads if rows < FEW_ROWS else tuning.many_rows_threads
        self.kernel_model.panel_min_rows = NEVER_ROWS
        self.kernel_model(replace(self.plan(rows), logit_rows=np.arange(rows)))

    def measured_layers(self, rows: int) -> int:
        """The number of layers that are measured for steps of `rows` rows."""
        layers = len(self.model.layers)
        if rows >= FEW_ROWS:
            return min(layers, MANY_ROWS_LAYERS)
        return min(layers, -(-MIN_MEASURED_BYTES * layers // self.model_format.total_bytes))

    def run_step(self, path: ComputePath, rows: int, threads: int) -> None:
        """Compute a prompt of `rows` ids without logits."""
        plan = self.plan(rows)
        torch.set_num_threads(threads)
        if self.kernel_model:
            self.kernel_model.team.active = threads
            self.kernel_model.panel_min_rows = 1 if path == "panels" else rows + 1
        if self.kernel_model and path != "torch":
            self.kernel_model(plan, self.measured_layers(rows))
        else:
            self.model(plan, self.kv, lambda: None, self.measured_layers(rows))

    def plan(self, rows: int) -> BatchPlan:
        """The plan of a prompt of `rows` ids without logits, in blocks that no sequence uses yet."""
        rows = min(rows, len(self.model.rotary.cos))
        blocks = [number % self.kv.blocks for number in range(-(-rows // BLOCK_IDS))]
        return plan_batch([SequenceSlice(Sequence(0, "", [0] * rows, blocks=blocks), 0, rows)])
