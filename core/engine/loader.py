"""What to load, and how. Travels to the worker's process and is called there; only that call imports torch."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from core.engine.worker import Runner

Report = Callable[[str], None]
"""Told each step of a start, in words for the owner."""

Load = Callable[[Report], Runner]
"""Makes the runner in the worker's process. Must be picklable: a Loader, a function of a module, a partial of one."""

Dtype = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Loader:
    """The folder of a model and how to run it. None leaves it to the machine or to the model.

    `threads` is for the CPU, `context` a limit below the model's own, `free` the bytes of memory that may be taken.
    """

    folder: Path
    dtype: Dtype = "auto"
    threads: int | None = None
    context: int | None = None
    free: int | None = None

    def __call__(self, report: Report) -> Runner:
        report("starting the engine")
        runner: Runner = import_module("core.engine.runner").load(self, report)
        return runner
