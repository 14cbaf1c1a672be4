"""The end of the process: asked for or forced, it comes in bounded time. What is cut off is found at the next start."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from threading import Timer
from typing import Any

from core.domain.errors import EX_CONFIG, SetupError
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

TOLD = 17.0
"""Seconds from SIGTERM or Ctrl-C to the end."""
DRAINING = 13.0
"""Seconds of these for what is in progress."""
UNWINDING = 2.5
"""Seconds from an error that nothing can go on after to the end."""


SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Shutdown:
    """Whether the process was told to end, and how long that may take: a platform or a database that hangs would hold
    it. Shutdown the block takes the deadlines back."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self._timers: list[Timer] = []

    def __enter__(self) -> "Shutdown":
        return self

    def listen(self) -> None:
        """From now on SIGTERM and Ctrl-C are wishes."""
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._end)

    def __exit__(self, *error: object) -> None:
        for timer in self._timers:
            timer.cancel()

    async def first_of(self, *works: Coroutine[Any, Any, Any]) -> None:
        """Until the first of them ends; the others are cancelled, and its error is raised."""
        failed: BaseException | None = None
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            failed = next((error for task in done if (error := task.exception())), None)
        finally:
            if not self.told.is_set():
                self._within(UNWINDING, failed)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    def _end(self) -> None:
        """The first time it is a wish; the second time the signals do what they do everywhere."""
        for number in SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
        self.told.set()
        self._within(TOLD, None)

    def _within(self, seconds: float, failed: BaseException | None) -> None:
        """From a thread: the loop itself may be what hangs."""
        timer = Timer(seconds, _leave, (failed,))
        timer.daemon = True
        timer.start()
        self._timers.append(timer)


def _leave(failed: BaseException | None) -> None:
    log.warning("something hangs; ending without it")
    if isinstance(failed, SetupError):
        print(f"qwentin: {failed}", file=sys.stderr, flush=True)  # noqa: T201
    elif failed is not None:
        log.critical("the bot can't go on\n%s", safe_traceback(failed))
    logging.shutdown()
    os._exit(EX_CONFIG if isinstance(failed, SetupError) else int(failed is not None))
