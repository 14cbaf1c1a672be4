"""The engine, as the bot sees it: token ids in, token ids out, in asyncio. Knows no text, no torch and no process.

It keeps one worker alive, starts another when that one is lost, and tells whoever was waiting for a token.
"""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from core.domain.errors import ChatError, EngineDied, SetupError
from core.domain.sampling import Sampling
from core.engine.options import Report
from core.engine.pipe import Link
from core.engine.protocol import (
    Admitted,
    Cancel,
    Channel,
    Close,
    Drop,
    Failed,
    Finished,
    Loading,
    News,
    Order,
    Ready,
    Reason,
    SetupFailed,
    Speed,
    Submit,
    Tokens,
    Warm,
)
from core.engine.vitals import LOOKS, Watch
from core.engine.worker_process import Host

logger = logging.getLogger(__name__)

TRIES = 3
"""So many workers in a row may be lost before they are ready."""

GRACE = 2.0
"""Seconds in which a worker that is told to close must end by itself."""

QUEUE = 256
"""Sequences that wait or run, at most. (The bot asks for sixteen at once; more than this would be a bug of its own.)"""

PATIENCE = 60.0
"""Seconds in which a worker must get on, be it by a single layer, while it keeps somebody waiting (see Watch). One that
is merely slow gets on."""

SLOW = 2.0
"""Seconds a token that the owner should know of."""


class TokenStream:
    """One answer's tokens, as they come. `reason` is None until the last one has been taken."""

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self.arrived: asyncio.Queue[int | Reason | ChatError] = asyncio.Queue()

    def put(self, item: int | Reason | ChatError) -> None:
        """A token, or the end: its reason or an error. Never waits for the reader."""
        self.arrived.put_nowait(item)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        if self.reason:
            raise StopAsyncIteration
        item = await self.arrived.get()
        if isinstance(item, int):
            return item
        if isinstance(item, ChatError):
            self.put(item)  # for whoever asks again
            raise item
        self.reason = item
        raise StopAsyncIteration


def to_log(step: str) -> None:
    logger.info("engine: %s", step)


class Engine:
    """`async with Engine(host) as engine:` waits until the model is loaded; launch() before it starts the loading."""

    def __init__(self, host: Host, report: Report = to_log, patience: float = PATIENCE) -> None:
        self.host = host
        self.report = report
        self.patience = patience
        self.info: Ready | None = None
        """What the model runs on; None while it is not loaded."""
        self.trouble: str | None = None
        """Why there will be no more answers: one line for the owner."""
        self.speed: Speed | None = None
        """How fast it was lately; None before it has worked for some seconds."""
        self.told_slow = self.starved = False
        self.prompted = self.reused = 0
        """Tokens of all prompts, and how many of them needed no reading."""
        self.streams: dict[int, TokenStream] = {}
        self.ids = itertools.count(1)
        self.channel: Channel[Order, News] | None = None
        self.link: Link | None = None
        self.keeper: asyncio.Task[None] | None = None
        self.settled = asyncio.Event()

    async def __aenter__(self) -> Self:
        try:
            await self.ready()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def launch(self) -> None:
        """Start the worker without waiting for it. Needs no event loop; close() ends what it started."""
        if self.channel is None:
            self.channel = self.host.start()

    async def ready(self) -> Ready:
        """Wait until the model is loaded, and again after a loss. A SetupError if it can't be."""
        if self.trouble is None:
            self.begin()
        while self.info is None:
            if self.trouble:
                raise SetupError(self.trouble)
            await self.settled.wait()
        return self.info

    async def failed(self) -> None:
        """Wait until there will be no more answers; raises SetupError, which says why."""
        _, keeper = self.begin()
        await asyncio.shield(keeper)
        raise SetupError(self.trouble or "the engine has stopped")

    @asynccontextmanager
    async def stream(self, ids: Sequence[int], sampling: Sampling, owner: str) -> AsyncIterator[TokenStream]:
        """One answer. Leaving the block, however that happens, ends the sequence and frees it.

        An EngineDied if the worker is lost in mid-answer or there will be none; a ChatError if this answer alone fails,
        or if there are too many.
        """
        link = await self.serving()
        if len(self.streams) >= QUEUE:
            raise ChatError("error.again")
        id, stream = next(self.ids), TokenStream()
        self.streams[id] = stream
        link.send(Submit(id, tuple(ids), sampling, owner))
        try:
            yield stream
        finally:
            if self.streams.pop(id, None):
                link.send(Cancel(id))

    def warm(self, ids: Sequence[int], owner: str) -> None:
        """Have these ids read while there is nothing else to do, in place of the owner's last ones. Never waits; lost
        where no worker is ready."""
        if self.info and self.link:
            self.link.send(Warm(tuple(ids), owner))

    def drop(self, owner: str) -> None:
        """Forget what is kept for this owner alone. Never waits."""
        if self.info and self.link:
            self.link.send(Drop(owner))

    async def close(self) -> None:
        """Ask the worker to end, kill it if it does not, and leave nothing behind."""
        self.trouble = self.trouble or "the engine is closed"
        if self.channel is None:
            return
        link, keeper = self.begin()
        try:
            if self.info:
                link.send(Close())
                await asyncio.wait({keeper}, timeout=GRACE)
        finally:
            self.host.kill()
        await keeper

    def begin(self) -> tuple[Link, asyncio.Task[None]]:
        """Have the worker served from now on; its link, and the task that does it."""
        self.launch()
        if self.link is None and self.channel is not None:
            self.link = Link(self.channel)
        assert self.link is not None
        self.keeper = self.keeper or asyncio.create_task(self.keep(self.link))
        return self.link, self.keeper

    async def serving(self) -> Link:
        """The link to a worker that is ready, waiting for it while it is started again."""
        try:
            await self.ready()
        except SetupError as error:
            raise EngineDied from error
        return self.begin()[0]

    async def keep(self, link: Link) -> None:
        """Serve one worker after another, until one refuses to load or several in a row were never ready."""
        unready = 0
        try:
            while True:
                unready = 0 if await self.serve(link) else unready + 1
                if unready == TRIES:
                    self.trouble = f"the engine was lost {TRIES} times while it loaded: is there enough memory?"
                if self.trouble:
                    return
                link = self.link = Link(self.host.start())
        except Exception:
            logger.exception("the engine can't go on")
        finally:
            self.trouble = self.trouble or "the engine has stopped"
            self.settled.set()

    async def serve(self, link: Link) -> bool:
        """One worker's life, to its end; whether it was ever ready."""
        try:
            while (news := await self.next(link)) is not None:
                self.take(news)
        finally:
            ready = self.info is not None
            self.lose()
            code = self.host.join()
            link.close()
        if self.trouble is None:
            logger.warning("the engine is lost (exit code %s)", code)
        return ready

    async def next(self, link: Link) -> News | None:
        """The next news; None once the worker is gone. One that keeps somebody waiting and does not get on is
        killed."""
        watch = Watch(self.patience)
        while True:
            waited = set(self.streams)
            try:
                async with asyncio.timeout(self.patience / LOOKS):
                    return await link.receive()
            except TimeoutError:
                if not waited & set(self.streams):  # nobody, or somebody who has just come
                    watch.reset()
                elif watch.hangs(self.host.vitals()):
                    logger.warning("the engine keeps an answer waiting and does not get on: killing it")
                    self.host.kill()

    def take(self, news: News) -> None:
        """Pass on what the worker says. News of a sequence that nobody listens to any more is dropped."""
        match news:
            case Tokens(drawn):
                self.hand_out(drawn)
            case Finished(id, reason):
                self.end(id, reason)
            case Failed(id, message, traceback):
                logger.error("an answer failed: %s\n%s", message, traceback)
                self.end(id, ChatError("error.again"))
            case Admitted(_, prompt, reused):
                self.prompted += prompt
                self.reused += reused
            case Speed():
                self.note_speed(news)
            case Loading() | Ready() | SetupFailed():
                self.take_start(news)

    def take_start(self, news: Loading | Ready | SetupFailed) -> None:
        match news:
            case Loading(step):
                self.report(step)
            case Ready():
                logger.info("engine: ready in %.1f s on %s: %s", news.load_seconds, news.device, news.weights)
                self.info = news
                self.settled.set()
            case SetupFailed(message):
                self.trouble = message

    def note_speed(self, speed: Speed) -> None:
        """The log tells when other programs begin to take the processor and when they cease to, and once that a machine
        is too slow to be used with pleasure. No question is given up for it."""
        self.speed = speed
        if speed.starved != self.starved:
            self.starved = speed.starved
            logger.info("engine: %s", speed.bottleneck)
        if speed.drawn and 1 / speed.drawn > SLOW and not self.told_slow:
            self.told_slow = True
            logger.warning("this machine is very slow: about %.0f s a token; %s", 1 / speed.drawn, speed.bottleneck)

    def hand_out(self, drawn: tuple[tuple[int, int], ...]) -> None:
        for id, token in drawn:
            if stream := self.streams.get(id):
                stream.put(token)

    def end(self, id: int, how: Reason | ChatError) -> None:
        if stream := self.streams.pop(id, None):
            stream.put(how)

    def lose(self) -> None:
        """The worker is gone, and with it every answer in progress."""
        self.info = None
        self.settled.clear()
        for id in list(self.streams):
            self.end(id, EngineDied())
