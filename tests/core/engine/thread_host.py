"""A worker host for tests: the worker runs in a thread of the test's own process."""

import ctypes
import os
import socket
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Event as ThreadEvent
from threading import Thread

from core.engine.hang_detector import ProgressCounter, WorkerActivity
from core.engine.options import LoadRunner, Report
from core.engine.protocol import Channel, Event, Request
from core.engine.worker_process import PROCESS_NAME, run_worker
from tests.core.engine.fakes import Counter
from tests.patience import LIMIT_S


class ThreadHost:
    """The same worker in a thread, over a real pipe. Its kill cuts the pipe, as a killed process would.

    `may_hang`: the thread is not waited for when it is lost; the test has it end.
    """

    def __init__(self, load: LoadRunner, may_hang: bool = False) -> None:
        self.load = load
        self.may_hang = may_hang
        self.thread: Thread | None = None
        self.progress: ProgressCounter = (ctypes.c_int64 * 1)()

    @property
    def alive(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def start(self) -> Channel[Request, Event]:
        ours, theirs = Pipe()
        self.line = socket.socket(fileno=os.dup(theirs.fileno()))
        self.thread = Thread(target=self.run, args=(theirs, self.line), name=PROCESS_NAME, daemon=True)
        self.thread.start()
        return ours

    def run(self, theirs: Connection, line: socket.socket) -> None:
        with theirs, line:
            run_worker(theirs, self.load, self.progress)

    def activity(self) -> WorkerActivity:
        """A thread's processor time is not known apart."""
        return WorkerActivity(self.progress[0])

    def kill(self) -> None:
        if self.thread:
            with suppress(OSError):
                self.line.shutdown(socket.SHUT_RDWR)

    def join(self) -> int | None:
        """A thread that hangs can't be ended: it is left behind, with its end of the pipe."""
        if self.thread:
            self.thread.join(0 if self.may_hang else LIMIT_S)
        self.thread = None
        return None


class Stillborn(ThreadHost):
    """Its workers are lost while they load, so many times."""

    def __init__(self, deaths: int) -> None:
        super().__init__(self.load_or_die)
        self.deaths = deaths
        self.starts = 0

    def load_or_die(self, report: Report) -> Counter:
        self.starts += 1
        if self.starts <= self.deaths:
            self.kill()
        return Counter()


class Watched(ThreadHost):
    """Gets on at every look until its worker hangs, however busy the machine is."""

    def __init__(self, load: LoadRunner, hangs: ThreadEvent) -> None:
        super().__init__(load, may_hang=True)
        self.hangs, self.looks = hangs, 0

    def activity(self) -> WorkerActivity:
        self.looks += 0 if self.hangs.is_set() else 1
        return WorkerActivity(self.looks)
