"""The options of loading a model, and the types that loading shares with its callers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.engine.worker import Runner

Report = Callable[[str], None]
"""Called with each step of loading a model, in words for the owner of the bot."""
LoadRunner = Callable[[Report], Runner]
"""Makes the runner in the worker's process. Must be picklable: a Loader, a module's function, or a partial of one."""
WeightFormat = Literal["auto", "float32", "bf16", "int8", "int4"]
"""How weights are held in memory. auto: a GGUF file's 4-bit matrices stay 4-bit and its others become 8-bit; of other
models the MLP becomes 4-bit and the rest 8-bit."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """A model's folder and how to run it. None leaves an option to the machine or the model.

    `threads`: CPU threads. `context`: ids of prompt and answer together, at most the model's own. `kv_bytes`: memory
    for keys and values. `free`: memory for everything. `cache`: a folder for compiled kernels and measurements.
    `graphs`: whether a GPU records the usual steps and replays them.
    """

    folder: Path
    weights: WeightFormat = "auto"
    threads: int | None = None
    context: int | None = None
    kv_bytes: int | None = None
    free: int | None = None
    cache: Path | None = None
    graphs: bool = False
