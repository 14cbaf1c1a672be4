"""Caches the compiled kernels for the next start, in a folder per version of their sources."""

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
"""Age at which the caches of other versions are deleted."""


def fingerprint() -> str:
    """Identifies the kernels' sources, numba and the processor. numba's own cache checks only the outermost function's
    file."""
    found = hashlib.sha256(repr((version("numba"), version("llvmlite"), machine.instruction_set())).encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        found.update(file.read_bytes())
    return found.hexdigest()[:16]


@contextmanager
def kernel_cache(folder: Path | None, compiling: Callable[[], None]) -> Iterator[None]:
    """Use a cache while the kernels are called for the first time.

    `compiling` is called if nothing is cached, so that it will take long. Without a writable folder the kernels are
    compiled at every start. After an exception the cache is deleted, as it may be damaged.
    """
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
        shutil.rmtree(place, ignore_errors=True)
        cache_in(None, *kernels)
        raise


def _prepare_folder(place: Path) -> bool:
    """Make the folder, and delete others that were unused for UNUSED_AFTER_S. Returns whether it is writable."""
    with suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
        os.utime(place)
        for other in place.parent.iterdir():
            if other.stat().st_mtime < time.time() - UNUSED_AFTER_S:
                shutil.rmtree(other, ignore_errors=True)
        return os.access(place, os.W_OK)
    return False
