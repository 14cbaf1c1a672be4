"""The vector instructions of this machine, and numba for them.

QWENTIN_CPU=avx2, avx512 or generic has the engine decide and compile as on a machine that has no more than that, for
tests and measurements. Other libraries still use all instructions.
"""

import os
from importlib import import_module
from typing import Any, Literal

InstructionSet = Literal["vnni", "avx512", "avx2", "generic"]
"""The best instructions for products of 16-bit integers: AVX-512 with VNNI, AVX-512, AVX2, or LLVM's plain vectors."""

INSTRUCTION_SET_NAMES: dict[InstructionSet, str] = {
    "vnni": "AVX-512 with VNNI",
    "avx512": "AVX-512",
    "avx2": "AVX2",
    "generic": "plain vectors",
}

CPU_VARIABLE = "QWENTIN_CPU"
_SIMULATED_CPUS: dict[str, tuple[InstructionSet, str]] = {
    "avx512": ("avx512", "x86-64-v4"),
    "avx2": ("avx2", "x86-64-v3"),
    "generic": ("generic", "generic"),
}
"""By the variable's value, the instruction set and LLVM's name of such a processor."""


def forced_instruction_set() -> InstructionSet | None:
    """The instruction set that CPU_VARIABLE asks for; None without it. Raises ValueError for an unknown value."""
    word = os.environ.get(CPU_VARIABLE, "").strip().lower()
    if word and word not in _SIMULATED_CPUS:
        raise ValueError(f"{CPU_VARIABLE}={word} is none of {', '.join(_SIMULATED_CPUS)}")
    return _SIMULATED_CPUS[word][0] if word else None


def import_numba() -> Any:
    """Import numba, set up to compile for the forced instruction set if there is one."""
    if word := forced_instruction_set():
        os.environ["NUMBA_CPU_NAME"], os.environ["NUMBA_CPU_FEATURES"] = _SIMULATED_CPUS[word][1], ""
    import_module("numba.extending")
    return import_module("numba")


def instruction_set() -> InstructionSet:
    """The instruction set that kernels are compiled for: the forced one, or the machine's."""
    if word := forced_instruction_set():
        return word
    try:
        has = dict(import_module("llvmlite.binding").get_host_cpu_features())
    except RuntimeError:  # LLVM can't detect features on every platform
        return "generic"
    if has.get("avx512bw"):
        return "vnni" if has.get("avx512vnni") else "avx512"
    return "avx2" if has.get("avx2") else "generic"
