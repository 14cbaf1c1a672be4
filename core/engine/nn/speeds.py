"""How fast a model's steps are on this machine: what tune.py decides by, measured on some of its layers."""

import hashlib
import platform
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from core.engine import processor
from core.engine.kernels import cache
from core.engine.nn.autotune import FEW, Clock, Tuning, Way, measured, tuned
from core.engine.nn.batch_plan import plan
from core.engine.nn.compiled import Compiled
from core.engine.nn.kv_cache import KV, SIZE
from core.engine.nn.transformer import Transformer
from core.engine.nn.weight_formats import Recipe
from core.engine.sequence import Part, Sequence

ENOUGH = 1 << 26
"""Bytes of weights that no cache holds."""
NEVER = 1 << 30
"""More rows than there ever are."""
LAYERS = 2
"""For many rows, of which the arithmetic is the bound."""


def most_threads() -> int:
    """As many as PyTorch would take, one a core, but no more than this process may use."""
    return max(1, min(torch.get_num_threads(), processor.cores()))


@dataclass(frozen=True, slots=True)
class Measured:
    """What is measured: a model as it is held, and its kernels, if there are any."""

    model: Transformer
    held: Recipe
    kv: KV
    compiled: Compiled | None

    def tune(self, threads: int | None, folder: Path | None) -> Tuning:
        """What is kept of an earlier start, or else what is measured now."""
        file = folder / f"tuning-{self.fingerprint(threads)}.json" if folder else None
        tuning = tuned(lambda: self.measure(threads), file)
        if self.compiled:
            self.compiled.many = tuning.panels or NEVER
        return tuning

    def fingerprint(self, threads: int | None) -> str:
        """Another processor, other cores of it, other libraries, other kernels or another model is measured anew."""
        name = torch.cpu.get_capabilities().get("cpu_name", platform.processor())
        libraries = torch.__version__, cache.fingerprint(), self.compiled is None
        shapes = [(matrix.rows, matrix.columns, matrix.low) for matrix in self.held.all]
        what = repr((name, processor.cores(), libraries, shapes, self.held.dense, threads))
        return hashlib.sha256(what.encode()).hexdigest()[:16]

    def measure(self, threads: int | None) -> Tuning:
        """Some layers, for all of them. (The head, of one row a chat, is left out.)"""
        ways: tuple[Way, ...] = ("kernels", "panels", "torch") if self.compiled else ("torch",)
        found = measured(self.step, ways, threads or most_threads(), threads, Clock())
        whole = len(self.model.layers)
        return replace(found, costs=tuple((rows, cost * whole / self.layers(rows)) for rows, cost in found.costs))

    def layers(self, rows: int) -> int:
        """How many are measured."""
        whole = len(self.model.layers)
        return min(whole, LAYERS if rows >= FEW else -(-ENOUGH * whole // self.held.bytes))

    def step(self, way: Way, rows: int, threads: int) -> None:
        """A prompt of so many ids, of which no logits are wanted, in blocks that nobody uses yet."""
        rows = min(rows, len(self.model.rotation.cos))
        blocks = [number % self.kv.blocks for number in range(-(-rows // SIZE))]
        made = plan([Part(Sequence(0, "", [0] * rows, blocks=blocks), 0, rows)])
        torch.set_num_threads(threads)
        if self.compiled:
            self.compiled.team.active = threads
            self.compiled.many = 1 if way == "panels" else rows + 1
        if self.compiled and way != "torch":
            self.compiled(made, self.layers(rows))
        else:
            self.model(made, self.kv, lambda: None, self.layers(rows))
