"""Describes the machine that is measured."""

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.engine.bounds import FORCED, kind
from benchmarks.engine.speech import available_cores
from core.engine.kernels.machine import forced_instruction_set

REPORTED_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "asimd", "bf16")
"""Processor flags that decide which arithmetic is fast."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The processor, the cores that may be used, and the memory."""

    cpu: str
    cores: int
    memory_gib: float
    flags: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The kind of processor, or the one that QWENTIN_CPU forces."""
        word = forced_instruction_set()
        return FORCED[word] if word in FORCED else kind(self.flags)

    def __str__(self) -> str:
        flags = f" ({', '.join(self.flags)})" if self.flags else ""
        return f"{self.cpu}{flags}, {self.cores} cores, {self.memory_gib:.0f} GiB"


def machine() -> Machine:
    """Describe this machine."""
    info = Path("/proc/cpuinfo").read_text()
    fields = {
        key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in info.splitlines())
    }
    known = (fields.get("flags") or fields.get("features") or "").split()
    return Machine(
        cpu=fields.get("model name") or platform.processor() or platform.machine(),
        cores=available_cores(),
        memory_gib=psutil.virtual_memory().total / 2**30,
        flags=tuple(flag for flag in REPORTED_FLAGS if flag in known),
    )


def versions() -> dict[str, str]:
    """The versions of Python and of our libraries."""
    libraries = ("numba", "torch", "transformers")
    return {"python": platform.python_version(), **{name: version(name) for name in libraries}}
