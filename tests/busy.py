"""Runs a command several times beside busy loops: what fails then waits on the clock. `make test-busy`.

The loops end with the runs: also on Ctrl-C, on SIGTERM, and where this process is killed.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

LOGS = Path(__file__).parents[1] / "build" / "busy"
LOOP = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(1_000_000):
        pass
"""
"""Works until its parent is gone."""
TIME_SCALE = "5"
"""TEST_TIME_SCALE where the environment has none: four loops on two cores leave a third of the machine."""
SHOWN_LINES = 60
"""Of a run that fails; all of it is in its log."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command: its exit code and how long it took. The output is in `log`."""

    number: int
    code: int
    seconds: float
    log: Path

    @property
    def lines(self) -> Sequence[str]:
        return self.log.read_text("utf-8", "replace").splitlines()

    @property
    def result(self) -> str:
        last = next((line for line in reversed(self.lines) if line.startswith("=") or "passed" in line), "no result")
        return f"run {self.number}: exit code {self.code}, {self.seconds:.0f} s, {last.strip('= ')}"


@contextmanager
def busy_loops(count: int) -> Iterator[Sequence[int]]:
    """So many processes that do nothing but work, while the block lasts; their ids."""
    loops = list[subprocess.Popen[bytes]]()
    try:
        for _ in range(count):
            loops.append(subprocess.Popen([sys.executable, "-S", "-c", LOOP, str(os.getpid())]))
        yield [loop.pid for loop in loops]
    finally:
        for loop in loops:
            loop.kill()
        for loop in loops:
            loop.wait()


def run(command: Sequence[str], number: int) -> Run:
    """Run the command once. Interrupted, it ends the command before it raises."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log, began = LOGS / f"run-{number}.log", time.monotonic()
    environment = {"TEST_TIME_SCALE": TIME_SCALE, **os.environ}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    return Run(number, code, time.monotonic() - began, log)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them all; 1 where one has failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.busy", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--loops", type=int, default=4)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    failed, began = 0, time.monotonic()
    with busy_loops(options.loops):
        for number in range(1, options.runs + 1):
            done = run(options.command, number)
            _say(done.result)
            if done.code:
                failed += 1
                _say("\n".join(done.lines[-SHOWN_LINES:]))
    seconds = time.monotonic() - began
    _say(f"{failed} of {options.runs} runs failed beside {options.loops} busy loops, {seconds:.0f} s")
    return 1 if failed else 0


def _terminated(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    sys.exit(main())
