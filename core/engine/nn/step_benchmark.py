"""How fast a model's steps are on this machine: what tune.py decides by, measured on some of its layers."""

import hashlib
import platform
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from core.engine import processor
from core.engine.kernels import cache
from core.engine.nn.autotune import FEW_ROWS, Clock, ComputePath, Tuning, load_or_measure, measure_tuning
from core.engine.nn.batch_plan import plan_batch
from core.engine.nn.kernel_model import KernelModel
from core.engine.nn.kv_cache import BLOCK_IDS, KVCache
from core.engine.nn.transformer import Transformer
from core.engine.nn.weight_formats import ModelFormat
from core.engine.sequence import Sequence, SequenceSlice

MIN_MEASURED_BYTES = 1 << 26
"""Bytes of weights that no cache holds."""
NEVER_ROWS = 1 << 30
"""More rows than there ever are."""
MANY_ROWS_LAYERS = 2
"""For many rows, of which the arithmetic is the bound."""


def max_threads() -> int:
    """As many as PyTorch would take, one a core, but no more than this process may use."""
    return max(1, min(torch.get_num_threads(), processor.available_cores()))


@dataclass(frozen=True, slots=True)
class StepBenchmark:
    """What is measured: a model as it is held, and its kernels, if there are any."""

    model: Transformer
    model_format: ModelFormat
    kv: KVCache
    kernel_model: KernelModel | None

    def tune(self, threads: int | None, folder: Path | None) -> Tuning:
        """What is kept of an earlier start, or else what is measured now."""
        file = folder / f"tuning-{self.fingerprint(threads)}.json" if folder else None
        tuning = load_or_measure(lambda: self.measure(threads), file)
        if self.kernel_model:
            self.kernel_model.panel_min_rows = tuning.panel_min_rows or NEVER_ROWS
        return tuning

    def fingerprint(self, threads: int | None) -> str:
        """Another processor, other cores of it, other libraries, other kernels or another model is measured anew."""
        name = torch.cpu.get_capabilities().get("cpu_name", platform.processor())
        libraries = torch.__version__, cache.fingerprint(), self.kernel_model is None
        shapes = [(matrix.rows, matrix.columns, matrix.low_bits) for matrix in self.model_format.all_matrices]
        what = repr((name, processor.available_cores(), libraries, shapes, self.model_format.dense_dtype, threads))
        return hashlib.sha256(what.encode()).hexdigest()[:16]

    def measure(self, threads: int | None) -> Tuning:
        """Some layers, for all of them. (The head, of one row a chat, is left out.)"""
        ways: tuple[ComputePath, ...] = ("kernels", "panels", "torch") if self.kernel_model else ("torch",)
        found = measure_tuning(self.run_step, ways, threads or max_threads(), threads, Clock())
        whole = len(self.model.layers)
        return replace(
            found, costs=tuple((rows, cost * whole / self.measured_layers(rows)) for rows, cost in found.costs)
        )

    def measured_layers(self, rows: int) -> int:
        """How many are measured."""
        whole = len(self.model.layers)
        return min(
            whole,
            MANY_ROWS_LAYERS if rows >= FEW_ROWS else -(-MIN_MEASURED_BYTES * whole // self.model_format.total_bytes),
        )

    def run_step(self, way: ComputePath, rows: int, threads: int) -> None:
        """A prompt of so many ids, of which no logits are wanted, in blocks that nobody uses yet."""
        rows = min(rows, len(self.model.rotary.cos))
        blocks = [number % self.kv.blocks for number in range(-(-rows // BLOCK_IDS))]
        made = plan_batch([SequenceSlice(Sequence(0, "", [0] * rows, blocks=blocks), 0, rows)])
        torch.set_num_threads(threads)
        if self.kernel_model:
            self.kernel_model.team.active = threads
            self.kernel_model.panel_min_rows = 1 if way == "panels" else rows + 1
        if self.kernel_model and way != "torch":
            self.kernel_model(made, self.measured_layers(rows))
        else:
            self.model(made, self.kv, lambda: None, self.measured_layers(rows))
