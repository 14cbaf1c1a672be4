"""The worker's process: how it is started, watched and ended."""

import ctypes
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import current_process, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from threading import Thread
from typing import Protocol

import psutil

from core.domain.errors import SetupError
from core.engine.hang_detector import ProgressCounter, WorkerActivity
from core.engine.options import LoadRunner
from core.engine.protocol import Channel, Event, LoadFailed, LoadProgress, Ready, Request
from core.engine.worker import Runner, Worker

PROCESS_NAME = "qwentin-engine"


class WorkerHost(Protocol):
    """Runs one worker after another: start, (kill,) join, start again."""

    @property
    def alive(self) -> bool:
        """Whether a worker is running."""

    def start(self) -> Channel[Request, Event]:
        """Start a worker without waiting for it.

        Returns the bot's end of its pipe, on which recv() raises EOFError once the worker has ended.
        """

    def kill(self) -> None:
        """End the worker at once. Without effect if there is none."""

    def join(self) -> int | None:
        """Wait a second for the worker's end, kill it if need be, and free its resources. Returns its exit code."""

    def activity(self) -> WorkerActivity:
        """Measure the worker's progress and processor time."""


def run_worker(channel: Channel[Event, Request], load: LoadRunner, progress: ProgressCounter) -> None:
    """Load the model, then work until a Shutdown or until the other end of the channel is closed."""
    with suppress(EOFError, ConnectionError):
        if runner := load_runner(channel, load):
            runner.count_progress(progress)
            Worker(runner, channel).run()


def load_runner(channel: Channel[Event, Request], load: LoadRunner) -> Runner | None:
    started = time.monotonic()
    try:
        runner = load(lambda step: channel.send(LoadProgress(step)))
    except Exception as error:
        channel.send(LoadFailed(error_line(error)))
        return None
    channel.send(Ready(runner.device, runner.weights, runner.context, time.monotonic() - started))
    return runner


def error_line(error: Exception) -> str:
    if isinstance(error, SetupError):
        return str(error)
    return "the model can't be loaded: " + " ".join(f"{type(error).__name__}: {error}".split())[:300]


class ProcessHost:
    """Runs the worker in a process of its own, so that its crash costs the bot nothing but a restart.

    `nice`: the process's niceness, 0 to 19. `name`: what lists of processes show, of which Linux takes 15 characters.
    """

    def __init__(self, load: LoadRunner, nice: int = 0, name: str = PROCESS_NAME) -> None:
        self.load, self.nice, self.name = load, nice, name
        self.process: SpawnProcess | None = None
        self._progress: ProgressCounter = RawArray(ctypes.c_int64, 1)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.is_alive()

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def start(self) -> Channel[Request, Event]:
        spawn = get_context("spawn")
        ours, theirs = spawn.Pipe()
        with theirs, hidden_from_child():
            arguments = (theirs, self.load, self._progress, self.nice)
            self.process = spawn.Process(target=run_process, args=arguments, name=self.name, daemon=True)
            self.process.start()
        return ours

    def activity(self) -> WorkerActivity:
        if self.pid is None:
            return WorkerActivity(self._progress[0])
        try:
            process = psutil.Process(self.pid)
            times = process.cpu_times()
            return WorkerActivity(
                self._progress[0], times.user + times.system, process.status() == psutil.STATUS_DISK_SLEEP
            )
        except (psutil.Error, TypeError, ValueError):  # the process has just ended
            return WorkerActivity(self._progress[0])

    def kill(self) -> None:
        if self.process:
            self.process.kill()

    def join(self) -> int | None:
        if self.process is None:
            return None
        self.process.join(1.0)
        self.process.kill()
        self.process.join()
        code = self.process.exitcode
        self.process.close()
        self.process = None
        return code


@contextmanager
def hidden_from_child() -> Iterator[None]:
    """While a child is spawned: block SIGINT for it, and hide the main script from it.

    A Ctrl-C reaches every process of the terminal, and the child can't ignore it before its first line has run; it
    inherits the signal mask. Spawn would also run a console script again in the child, with all the bot's imports.
    """
    resource_tracker.ensure_running()  # starting it later would unblock SIGINT
    main = vars(sys.modules["__main__"])
    hidden = {name: value for name, value in main.items() if name in ("__file__", "__spec__")}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    main.pop("__file__", None)
    main["__spec__"] = None
    try:
        yield
    finally:
        main.update(hidden)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def run_process(channel: Connection, load: LoadRunner, progress: ProgressCounter, nice: int) -> None:
    """The worker process's main function. It ends by os._exit: nothing needs cleaning up, and torch's exit is slow."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group, but the bot decides when its engine ends
        signal.signal(number, signal.SIG_IGN)
    Thread(target=exit_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")
    with suppress(OSError):
        os.nice(nice)
    with suppress(OSError):
        Path("/proc/self/comm").write_text(current_process().name)
    # PyTorch's own threads must not wait in a loop: beside other programs and beside the kernels' threads that costs
    # three times what it gains. OpenMP reads this when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    run_worker(channel, load, progress)
    os._exit(0)


def exit_with_parent() -> None:
    parent = parent_process()
    if parent:
        parent.join()
        os._exit(1)
