"""The end of the process: requested or forced, it comes in bounded time. What is cut off is found at the next start."""

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

EXIT_AFTER_SIGNAL_S = 17.0
"""From SIGTERM or Ctrl-C to the end of the process, at most."""
DRAIN_TIMEOUT_S = 13.0
"""The part of it that answers in progress have to complete."""
EXIT_AFTER_ERROR_S = 2.5
"""From an error that ends the bot to the end of the process, at most."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Shutdown:
    """Whether the process should end, and the deadline for it.

    A platform or a database that does not respond would otherwise keep the process alive: at the deadline it exits
    without them. Leaving the `with` block cancels the deadline.
    """

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self._timers: list[Timer] = []

    def __enter__(self) -> "Shutdown":
        return self

    def __exit__(self, *error: object) -> None:
        for timer in self._timers:
            timer.cancel()

    def handle_signals(self) -> None:
        """From now on the first SIGTERM or Ctrl-C requests the end; the second one ends the process at once."""
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._request)

    async def run_until_first(self, *works: Coroutine[Any, Any, Any]) -> None:
        """Run all until one ends, then cancel the others. Raises the error of the one that ended."""
        failure: BaseException | None = None
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            failure = next((error for task in done if (error := task.exception())), None)
        finally:
            if not self.requested.is_set():
                self._exit_after(EXIT_AFTER_ERROR_S, failure)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    def _request(self) -> None:
        for number in SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
        self.requested.set()
        self._exit_after(EXIT_AFTER_SIGNAL_S, None)

    def _exit_after(self, seconds: float, failure: BaseException | None) -> None:
        # In a thread: the event loop itself may be what does not respond.
        timer = Timer(seconds, _exit, (failure,))
        timer.daemon = True
        timer.start()
        self._timers.append(timer)


def _exit(failure: BaseException | None) -> None:
    log.warning("something hangs; ending without it")
    if isinstance(failure, SetupError):
        print(f"qwentin: {failure}", file=sys.stderr, flush=True)  # noqa: T201
    elif failure is not None:
        log.critical("the bot can't go on\n%s", safe_traceback(failure))
    logging.shutdown()
    os._exit(EX_CONFIG if isinstance(failure, SetupError) else int(failure is not None))
