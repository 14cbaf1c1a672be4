"""Where a worker lives: a process of its own or, for tests, a thread. Knows nothing of what crosses its pipe."""

import ctypes
import os
import signal
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from threading import Thread
from typing import Protocol

import psutil

from core.domain.errors import SetupError
from core.engine.options import Load
from core.engine.protocol import Channel, Loading, News, Order, Ready, SetupFailed
from core.engine.vitals import Signs, Vitals
from core.engine.worker import Runner, Worker

NAME = "qwentin-engine"


class Host(Protocol):
    """A place for one worker after another: start, (kill,) join, start again."""

    @property
    def alive(self) -> bool:
        """Whether there is a worker."""

    def start(self) -> Channel[Order, News]:
        """Start a worker without waiting for it; the bot's end of its pipe, which reads as ended once it is gone."""

    def kill(self) -> None:
        """End it at once. Nothing if there is none."""

    def join(self) -> int | None:
        """Free what an ended worker leaves behind, killing it if it hangs at its end; its exit code."""

    def vitals(self) -> Vitals:
        """What can be seen of it from outside."""


def work(channel: Channel[News, Order], load: Load, signs: Signs) -> None:
    """A worker's life: load, then work until told to close or the other end is gone."""
    with suppress(EOFError, ConnectionError):
        if runner := loaded(channel, load):
            runner.watch(signs)
            Worker(runner, channel).run()


def loaded(channel: Channel[News, Order], load: Load) -> Runner | None:
    started = time.monotonic()
    try:
        runner = load(lambda step: channel.send(Loading(step)))
    except Exception as error:
        channel.send(SetupFailed(one_line(error)))
        return None
    channel.send(Ready(runner.device, runner.weights, runner.context, time.monotonic() - started))
    return runner


def one_line(error: Exception) -> str:
    if isinstance(error, SetupError):
        return str(error)
    return "the model can't be loaded: " + " ".join(f"{type(error).__name__}: {error}".split())[:300]


class ProcessHost:
    """A process of its own: what it does wrong costs the bot nothing but a restart.

    `nice`: how far it stands back for everything else on the machine, 0 to 19.
    """

    def __init__(self, load: Load, nice: int = 0) -> None:
        self.load, self.nice = load, nice
        self.process: SpawnProcess | None = None
        self.signs: Signs = RawArray(ctypes.c_int64, 1)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.is_alive()

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def start(self) -> Channel[Order, News]:
        spawn = get_context("spawn")
        ours, theirs = spawn.Pipe()
        with theirs, unseen():
            arguments = (theirs, self.load, self.signs, self.nice)
            self.process = spawn.Process(target=child, args=arguments, name=NAME, daemon=True)
            self.process.start()
        return ours

    def vitals(self) -> Vitals:
        if self.pid is None:
            return Vitals(self.signs[0])
        try:
            seen = psutil.Process(self.pid)
            times = seen.cpu_times()
            return Vitals(self.signs[0], times.user + times.system, seen.status() == psutil.STATUS_DISK_SLEEP)
        except (psutil.Error, TypeError, ValueError):  # it has just ended
            return Vitals(self.signs[0])

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
def unseen() -> Iterator[None]:
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


def child(channel: Connection, load: Load, signs: Signs, nice: int) -> None:
    """What the process runs. Its end is abrupt on purpose: nothing of it needs tidying, and torch takes its time."""
    for told in (signal.SIGINT, signal.SIGTERM):  # they go to a whole group: the bot decides when its engine ends
        signal.signal(told, signal.SIG_IGN)
    Thread(target=follow_parent, daemon=True).start()
    warnings.simplefilter("ignore")
    with suppress(OSError):
        os.nice(nice)
    with suppress(OSError):
        Path("/proc/self/comm").write_text(NAME)
    # Where PyTorch computes with threads of its own, they must not wait in a loop: beside other work, and beside the
    # kernels' threads, that costs three times what it gains. Read by OpenMP when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    work(channel, load, signs)
    os._exit(0)


def follow_parent() -> None:
    parent = parent_process()
    if parent:
        parent.join()
        os._exit(1)


class ThreadHost:
    """The same worker in a thread, over a real pipe. Its kill cuts the pipe, as a killed process would."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.thread: Thread | None = None
        self.signs: Signs = (ctypes.c_int64 * 1)()

    @property
    def alive(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def start(self) -> Channel[Order, News]:
        ours, theirs = Pipe()
        self.line = socket.socket(fileno=os.dup(theirs.fileno()))
        self.thread = Thread(target=self.run, args=(theirs, self.line), name=NAME, daemon=True)
        self.thread.start()
        return ours

    def run(self, theirs: Connection, line: socket.socket) -> None:
        with theirs, line:
            work(theirs, self.load, self.signs)

    def vitals(self) -> Vitals:
        """A thread's processor time is not known apart."""
        return Vitals(self.signs[0])

    def kill(self) -> None:
        if self.thread:
            with suppress(OSError):
                self.line.shutdown(socket.SHUT_RDWR)

    def join(self) -> int | None:
        """A thread that hangs can't be ended: it is left behind, with its end of the pipe."""
        if self.thread:
            self.thread.join(1.0)
        self.thread = None
        return None
