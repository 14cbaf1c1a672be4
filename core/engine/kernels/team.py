"""A team of threads that computes a step phase by phase, each phase in chunks that free threads take.

A thread that is late, because other programs use its core, finds its chunks done by the others and joins at the current
phase. No thread waits for more than one chunk. So beside other programs a step takes little longer than with fewer
threads.
"""

import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np
from llvmlite import ir

from core.engine.kernels.jit import Array, compiled, intrinsic, types
from core.engine.kernels.vectors import I32, I64, Builder, Value

_COUNTER_STRIDE = 16
"""int64 numbers in two cache lines: each counter that threads write to has a line of its own."""
_SPINS_BEFORE_YIELD, _YIELD_FUNCTION = 200, "SwitchToThread" if os.name == "nt" else "sched_yield"
"""Polls of a counter before a waiting thread yields the processor, and the C function that yields it."""

Kernel = Callable[..., None]


def _write_increment(b: Builder, address: Value) -> Value:
    pointer = b.inttoptr(address, I64.as_pointer())
    return b.atomic_rmw("add", pointer, I64(1), "acq_rel")


def _write_load(b: Builder, address: Value) -> Value:
    return b.load_atomic(b.inttoptr(address, I64.as_pointer()), "acquire", 8)


def _write_yield(b: Builder) -> None:
    declared = b.module.globals.get(_YIELD_FUNCTION)
    b.call(declared or ir.Function(b.module, ir.FunctionType(I32, []), _YIELD_FUNCTION), [])


_increment = intrinsic(_write_increment, 1, types.int64)
_load = intrinsic(_write_load, 1, types.int64)
_yield_processor = intrinsic(_write_yield, 0)


@compiled
def take_chunk(counters: Array, phase: int) -> int:
    """Take the next chunk of a phase. There is none if the result is not less than the phase's number of chunks."""
    return int(_increment(counters[phase].ctypes.data))


@compiled
def finish_chunk(counters: Array, phase: int) -> None:
    """Count a chunk as computed."""
    _increment(counters[phase, _COUNTER_STRIDE // 2 :].ctypes.data)


@compiled
def wait_for_phase(counters: Array, phase: int, chunks: int) -> None:
    """Wait until all chunks of a phase are computed."""
    address = counters[phase, _COUNTER_STRIDE // 2 :].ctypes.data
    polls = 0
    while _load(address) < chunks:
        polls += 1
        if polls > _SPINS_BEFORE_YIELD:
            _yield_processor()


class ThreadTeam:
    """Runs kernels in up to `count` threads, the caller among them. `active`: the number that takes part."""

    def __init__(self, count: int) -> None:
        self.count = self.active = count
        self._errors: list[Exception] = []
        self._calls: list[SimpleQueue[tuple[Kernel, tuple[Any, ...]] | None]] = [
            SimpleQueue() for _ in range(count - 1)
        ]
        for number, calls in enumerate(self._calls, 1):
            arguments = (number, calls, self._errors)
            Thread(target=_run_calls, args=arguments, name=f"engine-{number}", daemon=True).start()

    def run(self, kernel: Kernel, phases: int, *arguments: Any) -> None:
        """Call kernel(thread, counters, *arguments) in each thread, and return when all phases are computed.

        Other threads may return later, but have nothing left to compute. Raises the exception of any thread.
        """
        counters = np.zeros((phases, _COUNTER_STRIDE), np.int64)
        for calls in self._calls[: self.active - 1]:
            calls.put((kernel, (counters, *arguments)))
        kernel(0, counters, *arguments)
        if self._errors:
            raise self._errors.pop()

    def close(self) -> None:
        """End the threads."""
        for calls in self._calls:
            calls.put(None)
        self._calls = []
        self.active = self.count = 1


def _run_calls(
    number: int, calls: "SimpleQueue[tuple[Kernel, tuple[Any, ...]] | None]", errors: list[Exception]
) -> None:
    while call := calls.get():
        kernel, arguments = call
        try:
            kernel(number, *arguments)
        except Exception as error:  # raised by the next run(); the thread goes on
            errors.append(error)
