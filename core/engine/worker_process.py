"""Where a worker lives: a process of its own or, for tests, a thread. Knows nothing of what crosses its pipe."""

import ctypes
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process, resource_tracker
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
    """A place for one worker after another: start, (kill,) join, start again."""

    @property
    def alive(self) -> bool:
        """Whether there is a worker."""

    def start(self) -> Channel[Request, Event]:
        """Start a worker without waiting for it; the bot's end of its pipe, which reads as ended once it is gone."""

    def kill(self) -> None:
        """End it at once. Nothing if there is none."""

    def join(self) -> int | None:
        """Free what an ended worker leaves behind, killing it if it hangs at its end; its exit code."""

    def activity(self) -> WorkerActivity:
        """What can be seen of it from outside."""


def run_worker(channel: Channel[Event, Request], load: LoadRunner, signs: ProgressCounter) -> None:
    """A worker's life: load, then work until told to close or the other end is gone."""
    with suppress(EOFError, ConnectionError):
        if runner := load_runner(channel, load):
            runner.count_progress(signs)
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
    """A process of its own: what it does wrong costs the bot nothing but a restart.

    `nice`: how far it stands back for everything else on the machine, 0 to 19.
    """

    def __init__(self, load: LoadRunner, nice: int = 0) -> None:
        self.load, self.nice = load, nice
        self.process: SpawnProcess | None = None
        self.signs: ProgressCounter = RawArray(ctypes.c_int64, 1)

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
            arguments = (theirs, self.load, self.signs, self.nice)
            self.process = spawn.Process(target=run_process, args=arguments, name=PROCESS_NAME, daemon=True)
            self.process.start()
        return ours

    def activity(self) -> WorkerActivity:
        if self.pid is None:
            return WorkerActivity(self.signs[0])
        try:
            seen = psutil.Process(self.pid)
            times = seen.cpu_times()
            return WorkerActivity(self.signs[0], times.user + times.system, seen.status() == psutil.STATUS_DISK_SLEEP)
        except (psutil.Error, TypeError, ValueError):  # it has just ended
            return WorkerActivity(self.signs[0])

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
    """While a child is spawned: no SIGINT for it, and nothing of the main script.

    A Ctrl-C goes to the whole terminal, and the child could not ignore it before it has run its first line; it
    inherits the mask. And spawn would run a console script again in the child, with all that the bot imports.
    """
    resource_tracker.ensure_running()  # its start would lift the mask
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


def run_process(channel: Connection, load: LoadRunner, signs: ProgressCounter, nice: int) -> None:
    """What the process runs. Its end is abrupt on purpose: nothing of it needs tidying, and torch takes its time."""
    for told in (signal.SIGINT, signal.SIGTERM):  # they go to a whole group: the bot decides when its engine ends
        signal.signal(told, signal.SIG_IGN)
    Thread(target=exit_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")
    with suppress(OSError):
        os.nice(nice)
    with suppress(OSError):
        Path("/proc/self/comm").write_text(PROCESS_NAME)
    # Where PyTorch computes with threads of its own, they must not wait in a loop: beside other work, and beside the
    # kernels' threads, that costs three times what it gains. Read by OpenMP when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    run_worker(channel, load, signs)
    os._exit(0)


def exit_with_parent() -> None:
    parent = parent_process()
    if parent:
        parent.join()
        os._exit(1)
