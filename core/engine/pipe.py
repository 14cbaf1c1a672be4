"""The bot's end of the pipe, brought into the event loop by two threads. Knows nothing of what the messages say.

A thread reads and a thread writes, because a hung worker leaves half a message in the pipe or lets it fill up, and
neither may stop the loop.
"""

import asyncio
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread

from core.engine.protocol import Channel, Event, Request


class WorkerPipe:
    """Opened in the event loop; closed once the worker is gone."""

    def __init__(self, channel: Channel[Request, Event]) -> None:
        self.channel = channel
        self.loop = asyncio.get_running_loop()
        self.news: asyncio.Queue[Event | None] = asyncio.Queue()
        self.orders: SimpleQueue[Request | None] = SimpleQueue()
        self.threads = [Thread(target=work, name="engine-link", daemon=True) for work in (self.read, self.write)]
        for thread in self.threads:
            thread.start()

    def send(self, order: Request) -> None:
        """Hand over an order; never waits. What a dead worker is sent is lost."""
        self.orders.put(order)

    async def receive(self) -> Event | None:
        """The next news; None once the worker is gone."""
        return await self.news.get()

    def close(self) -> None:
        """Only after the worker's end: it is what ends a read or a write in progress."""
        self.orders.put(None)
        for thread in self.threads:
            thread.join()
        self.channel.close()

    def read(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                self.post(self.channel.recv())
        self.post(None)

    def post(self, news: Event | None) -> None:
        with suppress(RuntimeError):  # the loop is closed already: nobody is left to tell
            self.loop.call_soon_threadsafe(self.news.put_nowait, news)

    def write(self) -> None:
        with suppress(OSError):
            while (order := self.orders.get()) is not None:
                self.channel.send(order)
