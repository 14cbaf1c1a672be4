"""How a model is to be loaded and run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.engine.worker import Runner

Report = Callable[[str], None]
"""Told each step of a start, in words for the owner."""
LoadRunner = Callable[[Report], Runner]
"""Makes the runner in the worker's process. Must be picklable: a Loader, a function of a module, a partial of one."""
WeightFormat = Literal["auto", "float32", "bf16", "int8", "int4"]
"""How weights are held. auto: a GGUF file's 4 bits stay, its other numbers get 8; of other models the MLP gets 4."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The folder of a model and how to run it. None leaves it to the machine or to the model.

    `threads` is for the CPU, `context` a limit below the model's own, `kv_bytes` what keys and values may take, `free`
    the bytes of memory that may be taken in all, `cache` a folder in which what was measured of this machine is kept.
    """

    folder: Path
    weights: WeightFormat = "auto"
    threads: int | None = None
    context: int | None = None
    kv_bytes: int | None = None
    free: int | None = None
    cache: Path | None = None
