"""The bot's end of the worker's pipe, brought into the event loop by two threads.

One thread reads and one writes: a hung worker may leave half a message in the pipe or let the pipe fill up, and
neither may block the event loop.
"""

import asyncio
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread

from core.engine.protocol import Channel, Event, Request


class WorkerPipe:
    """Sends requests to a worker and receives its events. Made in the event loop, closed after the worker's end."""

    def __init__(self, channel: Channel[Request, Event]) -> None:
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._requests: SimpleQueue[Request | None] = SimpleQueue()
        self._threads = [Thread(target=work, name="engine-pipe", daemon=True) for work in (self._read, self._write)]
        for thread in self._threads:
            thread.start()

    def send(self, request: Request) -> None:
        """Queue a request without waiting. Lost if the worker has ended."""
        self._requests.put(request)

    async def receive(self) -> Event | None:
        """Wait for the next event; None once the worker has ended."""
        return await self._events.get()

    def close(self) -> None:
        """Join both threads. Only after the worker's end, which interrupts a read or a write in progress."""
        self._requests.put(None)
        for thread in self._threads:
            thread.join()
        self._channel.close()

    def _read(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                self._post(self._channel.recv())
        self._post(None)

    def _post(self, event: Event | None) -> None:
        with suppress(RuntimeError):  # the event loop is closed, so no task waits for events any more
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def _write(self) -> None:
        with suppress(OSError):
            while (request := self._requests.get()) is not None:
                self._channel.send(request)
