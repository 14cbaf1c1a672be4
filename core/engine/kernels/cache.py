"""What the kernels are compiled to is kept for the next start, in a folder that only these very kernels use."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from core.engine.kernels import dense, machine, sampling, step
from core.engine.kernels.jit import cache_in

UNUSED_AFTER_S = 14 * 24 * 3600.0
"""Seconds after which what is kept of other kernels is deleted."""


def fingerprint() -> str:
    """Of the kernels' source, numba and the processor. (numba itself looks only at the file of the outermost
    function.)"""
    found = hashlib.sha256(repr((version("numba"), version("llvmlite"), machine.instruction_set())).encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        found.update(file.read_bytes())
    return found.hexdigest()[:16]


@contextmanager
def kernel_cache(folder: Path | None, compiling: Callable[[], None]) -> Iterator[None]:
    """While the kernels are first called. `compiling` is told where that will take long. Without a folder, or with one
    that can't be written to, they are compiled at every start."""
    place = folder / "kernels" / fingerprint() if folder else None
    kernels = step.run_step, sampling.sample_rows, dense.unpack_rows
    if place is None or not _prepare_folder(place):
        cache_in(None, *kernels)
        compiling()
        yield
        return
    try:
        if not any(place.rglob("*.nbc")):
            compiling()
        cache_in(place, *kernels)
        yield
    except Exception:
        shutil.rmtree(place, ignore_errors=True)  # it may be damaged
        cache_in(None, *kernels)
        raise


def _prepare_folder(place: Path) -> bool:
    """Make the folder, and delete those that nobody has used for long: an older version may still run beside this."""
    with suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
        os.utime(place)
        for other in place.parent.iterdir():
            if other.stat().st_mtime < time.time() - UNUSED_AFTER_S:
                shutil.rmtree(other, ignore_errors=True)
        return os.access(place, os.W_OK)
    return False
