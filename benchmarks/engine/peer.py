"""A peer as the benchmark sees it: a process that reads workloads and writes answers, one JSON line each."""

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
LOAD_TIMEOUT_S = 300.0
ANSWER_TIMEOUT_S = 900.0
END_TIMEOUT_S = 5.0


class PeerFailed(Exception):
    """A peer can't be installed or failed: one line for the user."""


class Peer:
    """A loaded peer. `about`: its first answer, which describes it, `seconds` after its start."""

    def __init__(self, name: str, process: "subprocess.Popen[str]", log: Path) -> None:
        self.name, self.log = name, log
        self._process = process
        began = time.monotonic()
        self.about = self._read_answer(LOAD_TIMEOUT_S)
        self.seconds = time.monotonic() - began

    def ask(self, workload: Workload, seconds: float = ANSWER_TIMEOUT_S) -> Answer:
        """The peer's answer. Raises PeerFailed if it ends or takes longer than `seconds`."""
        with suppress(BrokenPipeError):  # _read_answer() reports that it has ended
            stream(self._process.stdin).write(json.dumps(workload) + "\n")
            stream(self._process.stdin).flush()
        return self._read_answer(seconds)

    def _read_answer(self, seconds: float) -> Answer:
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
    """Load a peer, benchmarks.engine.`module`, and end it after the block."""
    command = [python, "-m", f"benchmarks.engine.{module}", *arguments]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        yield Peer(name, process, log)
    finally:
        end_process(process)


def end_process(process: "subprocess.Popen[str]") -> None:
    """Close the peer's input, which tells it to end; kill it if it does not."""
    with suppress(BrokenPipeError):
        stream(process.stdin).close()
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_TIMEOUT_S)
    finally:  # also if the wait is interrupted
        process.kill()
        process.wait()
    stream(process.stdout).close()


def stream(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "no word"
