"""A peer as the benchmark sees it: a process of its own that is asked and answers, one JSON line each."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer
from typing import IO

from benchmarks.engine.speech import Answer, Workload

ROOT = Path(__file__).parents[2]
LOADING = 300.0
ASKING = 900.0
"""Seconds after which a peer that says nothing is ended."""
TO_END = 5.0


class PeerFailed(Exception):
    """One line for whoever measures."""


class Peer:
    """`about` is what it told of itself when it was loaded, `seconds` after its start."""

    def __init__(self, name: str, process: "subprocess.Popen[str]", log: Path) -> None:
        self.name, self.log = name, log
        self._process = process
        began = time.monotonic()
        self.about = self._hear(LOADING)
        self.seconds = time.monotonic() - began

    def ask(self, workload: Workload, seconds: float = ASKING) -> Answer:
        """The peer's answer. PeerFailed if it ends or takes longer than that."""
        with suppress(BrokenPipeError):  # it is heard below that it has ended
            stream(self._process.stdin).write(json.dumps(workload) + "\n")
            stream(self._process.stdin).flush()
        return self._hear(seconds)

    def _hear(self, seconds: float) -> Answer:
        began = time.monotonic()
        timer = Timer(seconds, self._process.kill)
        timer.start()
        try:
            line = stream(self._process.stdout).readline()
        finally:
            timer.cancel()
        if not line.endswith("\n"):
            late = f"said nothing for {seconds:.0f} s" if time.monotonic() - began >= seconds else "has ended"
            raise PeerFailed(f"{self.name} {late}: {last_line(self.log)} (all of it: {self.log})")
        answer: Answer = json.loads(line)
        return answer


@contextmanager
def peer(name: str, module: str, arguments: Sequence[str], log: Path, python: str = sys.executable) -> Iterator[Peer]:
    """A loaded peer: benchmarks.engine.`module`. It ends with the block: by itself, or else it is killed."""
    command = [python, "-m", f"benchmarks.engine.{module}", *arguments]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        yield Peer(name, process, log)
    finally:
        end(process)


def end(process: "subprocess.Popen[str]") -> None:
    """It has nothing to read any more, which tells it to end."""
    with suppress(BrokenPipeError):
        stream(process.stdin).close()
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(TO_END)
    finally:  # also where this waiting is interrupted
        process.kill()
        process.wait()
    stream(process.stdout).close()


def stream(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "no word"
