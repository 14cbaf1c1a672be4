"""A process that has imported everything and forks a bot whenever it is asked: a start costs no imports.

One JSON object a line. In: {"folder", "log", "environment"}. Out: {"pid"} in the order of what came in, and
{"ended", "code"}. It has no threads and no loop of its own, and ends with its parent; its bots end with it.
"""

import ctypes
import gc
import json
import os
import selectors
import signal
import sys
from pathlib import Path
from typing import Any

from tests.faults import bot

_DIE_WITH_PARENT = 1


def main() -> None:
    """Serve until the parent is gone; in each child, be a bot."""
    parent = os.getppid()
    end_with_parent(parent)
    bot.prepare()
    gc.freeze()
    order = Zygote().serve()
    if order is not None:
        become(order)
        bot.run()


def end_with_parent(parent: int) -> None:
    """Linux sends SIGKILL when the parent ends, however it ends."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def become(order: dict[str, Any]) -> None:
    """In the child: its own environment, folder and log."""
    end_with_parent(order["parent"])
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number, target in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(target, number)
    os.environ.clear()
    os.environ.update(order["environment"])
    Path(order["folder"]).mkdir(exist_ok=True)
    os.chdir(order["folder"])


class Zygote:
    """The loop."""

    def __init__(self) -> None:
        self._children: set[int] = set()
        self._said = b""

    def serve(self) -> dict[str, Any] | None:
        """None when the parent is gone; in a child, what it is to be."""
        woken, waking = os.pipe()
        os.set_blocking(waking, False)
        signal.set_wakeup_fd(waking)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if woken in ready:
                    os.read(woken, 4096)
                    self._reap()
                if 0 in ready:
                    if not (read := os.read(0, 65536)):
                        break
                    if (order := self._ordered(read)) is not None:
                        signal.set_wakeup_fd(-1)
                        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                        return order
        for child in self._children:
            os.kill(child, signal.SIGKILL)
        return None

    def _ordered(self, read: bytes) -> dict[str, Any] | None:
        *lines, self._said = (self._said + read).split(b"\n")
        for line in lines:
            own = os.getpid()
            if (child := os.fork()) == 0:
                return {**json.loads(line), "parent": own}
            self._children.add(child)
            self._tell({"pid": child})
        return None

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._children.discard(pid)
            self._tell({"ended": pid, "code": os.waitstatus_to_exitcode(status)})

    def _tell(self, what: dict[str, int]) -> None:
        os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
