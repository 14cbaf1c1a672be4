"""The engine on a busy machine: how fast it answers, and whether it survives.

The engine has its own process, supervised as in the bot. Beside it run busy loops, processes that are started for a
question and ended after it. Usage: python -m benchmarks.engine.busy FOLDER
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.engine.loading import NICE, loader
from benchmarks.engine.speech import Answer, Peer, Workload, prompt, serve
from core.domain.errors import ChatError
from core.domain.sampling import Sampling
from core.engine.engine import Engine
from core.engine.protocol import Channel, Event, Request
from core.engine.worker_process import ProcessHost

ANSWER_TIMEOUT_S = 600.0
BUSY_LOOP = """
import os, sys, time
ends = time.monotonic() + float(sys.argv[1])
while time.monotonic() < ends and os.getppid() == int(sys.argv[2]):
    sum(range(100_000))
"""
"""Ends after some time or with its parent, too."""


class CountingHost(ProcessHost):
    """Counts the workers that it starts."""

    starts = 0

    def start(self) -> Channel[Request, Event]:
        self.starts += 1
        return super().start()


class BusyPeer:
    """Keeps one engine for all workloads."""

    def __init__(self, engine: Engine, host: CountingHost, runner: asyncio.Runner) -> None:
        self.engine, self.host, self.runner = engine, host, runner

    def __call__(self, workload: Workload) -> Answer:
        with busy_loops(workload["loops"]):
            times = self.runner.run(self.times(workload["prompt"], workload["tokens"] + 1, workload["seed"]))
        whole = len(times) == workload["tokens"] + 1
        rate = workload["tokens"] / (times[-1] - times[0]) if whole else 0.0
        return {"rate": rate, "answered": float(whole), "deaths": self.host.starts - 1}

    async def times(self, length: int, tokens: int, owner: str) -> list[float]:
        """The times at which tokens arrived, also of an answer that failed."""
        times: list[float] = []
        sampling = Sampling(temperature=0, max_tokens=tokens)
        try:
            async with (
                asyncio.timeout(ANSWER_TIMEOUT_S),
                self.engine.stream(prompt(length, owner), sampling, owner) as got,
            ):
                async for _ in got:
                    times.append(time.perf_counter())
        except (ChatError, TimeoutError) as error:
            print(f"no whole answer: {error!r}", file=sys.stderr)
        self.engine.drop(owner)
        return times


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Run `count` processes that compute in a loop."""
    command = [sys.executable, "-c", BUSY_LOOP, str(ANSWER_TIMEOUT_S), str(os.getpid())]
    running = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def main() -> None:
    """Serve workloads with the engine as the bot runs it."""
    host = CountingHost(loader(Path(sys.argv[1])), NICE)
    engine = Engine(host)
    with asyncio.Runner() as runner:

        def load() -> tuple[Peer, Answer]:
            runner.run(engine.__aenter__())
            return BusyPeer(engine, host, runner), {}

        try:
            serve(load)
        finally:
            runner.run(engine.close())


if __name__ == "__main__":
    main()
