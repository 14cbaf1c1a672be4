"""What is best on this machine is measured once, at the first start with a model, and kept in a file: how many threads,
and from how many rows on the dense form of a matrix is the faster one."""

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch

from core.checkpoints.files import read_json
from core.engine.nn.linear import Both, Linear
from core.errors import SetupError

ROWS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32)
"""Numbers of rows at which the two forms are compared."""
SECONDS = 0.03
"""How long each candidate runs, at least, and TURNS times at least."""
TURNS = 5
NOISY = 0.2
"""Seconds of others in a second, of one core, that make figures useless."""
NUMBERS = 1 << 24
"""Of a square matrix as wide as these: together they should be more than a cache holds, but at most 16 of them."""
MOST = 4096
"""Threads or rows: more of them are a mistake."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """`crossings`: by the form for few rows, the least number of rows at which the dense one is faster."""

    threads: int
    crossings: dict[str, int] = field(default_factory=dict)


def tuned(
    products: Sequence[Linear], both: dict[str, list[Both]], like: torch.Tensor, threads: int | None, cache: Path | None
) -> Tuning:
    """`products`: some matrices as a step of one row multiplies with them, one after the other. Also sets the threads
    and the crossings that it returns."""
    file = cache / f"tuning-{fingerprint(products, both, threads)}.json" if cache else None
    tuning = known(file, {name for name, matrices in both.items() if matrices}) if file else None
    if tuning is None:
        most, clock = torch.get_num_threads(), Clock()
        tuning = measured(products, both, like, threads, clock)
        clock.stop()
        if clock.noisy:  # one thread may only have seemed the best, and one is never more (core/engine/threads.py)
            tuning = replace(tuning, threads=threads or most)
        elif file:
            keep(tuning, file)
    torch.set_num_threads(tuning.threads)
    for name, matrices in both.items():
        for matrix in matrices:
            matrix.crossing = tuning.crossings.get(name, 1)
    return tuning


def fingerprint(products: Sequence[Linear], both: dict[str, list[Both]], threads: int | None) -> str:
    """Another processor, other cores of it, another PyTorch or another model is measured anew."""
    shapes = (
        [(type(product).__name__, product.columns) for product in products],
        {name: len(each) for name, each in both.items()},
    )
    machine = torch.cpu.get_capabilities().get("cpu_name", platform.processor())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    what = repr((machine, cores, torch.__version__, shapes, threads))
    return hashlib.sha256(what.encode()).hexdigest()[:16]


def known(file: Path, forms: set[str]) -> Tuning | None:
    """What is kept, if it is whole: the threads, and a crossing of each of these forms."""
    with suppress(SetupError):
        content = read_json(file)
        threads: Any = content.get("threads")
        crossings: Any = content.get("crossings")
        fits = isinstance(crossings, dict) and crossings.keys() == forms
        if fits and all(number(value) for value in (threads, *crossings.values())):
            return Tuning(threads, crossings)
    return None


def number(value: object) -> bool:
    """Whether it can be one of threads or of rows."""
    return type(value) is int and 1 <= value <= MOST


def keep(tuning: Tuning, file: Path) -> None:
    """A folder that can't be written to only means that it is measured again."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps(asdict(tuning)))
        beside.replace(file)


class Clock:
    """Measures by the best of some runs; what else the machine is doing makes single ones slow."""

    def __init__(self) -> None:
        self.noisy = False
        """Whether others used the processor meanwhile; known once it is stopped."""
        self._begin = time.monotonic(), others()

    def stop(self) -> None:
        """Nothing more is measured."""
        begin, before = self._begin
        self.noisy = others() - before > NOISY * (time.monotonic() - begin)

    def seconds(self, run: Callable[[], object]) -> float:
        """The shortest of several runs."""
        run()
        times: list[float] = []
        begin = time.perf_counter()
        while len(times) < TURNS or time.perf_counter() - begin < SECONDS:
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        return min(times)


def others() -> float:
    """Seconds of processor time that others than this process have used since the machine was started."""
    whole, own = psutil.cpu_times(), psutil.Process().cpu_times()
    return float(whole.user + whole.system - own.user - own.system)


def measured(
    products: Sequence[Linear], both: dict[str, list[Both]], like: torch.Tensor, threads: int | None, clock: Clock
) -> Tuning:
    """How many threads, and with these the crossings."""
    step = partial(multiply, products, [torch.randn(1, product.columns).to(like) for product in products])
    best = threads or fastest(step, torch.get_num_threads(), clock)
    torch.set_num_threads(best)
    return Tuning(best, {name: crossing(matrices, like, clock) for name, matrices in both.items() if matrices})


def multiply(products: Sequence[Linear], x: Sequence[torch.Tensor]) -> None:
    for product, each in zip(products, x, strict=True):
        product(each)


def fastest(step: Callable[[], None], most: int, clock: Clock) -> int:
    """The number of threads: all that PyTorch would take, half of them, and so on, down to one."""
    counts = sorted({max(1, most >> shift) for shift in range(most.bit_length())}, reverse=True)
    times = {}
    for count in counts:
        torch.set_num_threads(count)
        times[count] = clock.seconds(step)
    return min(times, key=lambda count: times[count])


def crossing(matrices: Sequence[Both], like: torch.Tensor, clock: Clock) -> int:
    """The least number of rows from which on `many` is the faster; one more than all that were tried if it never is."""
    slower = 0
    some = list(matrices[: min(16, max(4, NUMBERS // matrices[0].columns ** 2))])
    for rows in ROWS:
        x = [torch.randn(rows, matrix.columns).to(like) for matrix in some]
        few = clock.seconds(partial(multiply, [matrix.few for matrix in some], x))
        many = clock.seconds(partial(multiply, [matrix.many for matrix in some], x))
        if few <= many:
            slower = rows
        elif rows > 2 * max(slower, 2):
            break
    return slower + 1
