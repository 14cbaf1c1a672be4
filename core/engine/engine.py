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
from core.engine.hang_detector import LOOKS_PER_TIMEOUT, HangDetector
from core.engine.options import Report
from core.engine.pipe import WorkerPipe
from core.engine.protocol import (
    Admitted,
    Cancel,
    Channel,
    DropOwner,
    Event,
    Failed,
    Finished,
    FinishReason,
    Generate,
    LoadFailed,
    LoadProgress,
    NewTokens,
    Ready,
    Request,
    Shutdown,
    Throughput,
    WarmPrefix,
)
from core.engine.worker_process import WorkerHost

logger = logging.getLogger(__name__)

MAX_FAILED_STARTS = 3
"""So many workers in a row may be lost before they are ready."""

SHUTDOWN_GRACE_S = 2.0
"""Seconds in which a worker that is told to close must end by itself."""

MAX_STREAMS = 256
"""Sequences that wait or run, at most. (The bot asks for sixteen at once; more than this would be a bug of its own.)"""

PROGRESS_TIMEOUT_S = 60.0
"""Seconds in which a worker must get on, be it by a single layer, while it keeps somebody waiting (see Watch). One that
is merely slow gets on."""

SLOW_TOKEN_S = 2.0
"""Seconds a token that the owner should know of."""


class TokenStream:
    """One answer's tokens, as they come. `reason` is None until the last one has been taken."""

    def __init__(self) -> None:
        self.reason: FinishReason | None = None
        self._arrived: asyncio.Queue[int | FinishReason | ChatError] = asyncio.Queue()

    def put(self, item: int | FinishReason | ChatError) -> None:
        """A token, or the end: its reason or an error. Never waits for the reader."""
        self._arrived.put_nowait(item)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        if self.reason:
            raise StopAsyncIteration
        item = await self._arrived.get()
        if isinstance(item, int):
            return item
        if isinstance(item, ChatError):
            self.put(item)  # for whoever asks again
            raise item
        self.reason = item
        raise StopAsyncIteration


def log_step(step: str) -> None:
    logger.info("engine: %s", step)


class Engine:
    """`async with Engine(host) as engine:` waits until the model is loaded; launch() before it starts the loading."""

    def __init__(self, host: WorkerHost, report: Report = log_step, patience: float = PROGRESS_TIMEOUT_S) -> None:
        self._host = host
        self._report = report
        self._progress_timeout_s = patience
        self.info: Ready | None = None
        """What the model runs on; None while it is not loaded."""
        self.failure: str | None = None
        """Why there will be no more answers: one line for the owner."""
        self.throughput: Throughput | None = None
        """How fast it was lately; None before it has worked for some seconds."""
        self._slow_reported = self._starved = False
        self.prompt_ids = self.reused_ids = 0
        """Tokens of all prompts, and how many of them needed no reading."""
        self._streams: dict[int, TokenStream] = {}
        self._stream_ids = itertools.count(1)
        self._channel: Channel[Request, Event] | None = None
        self._pipe: WorkerPipe | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()

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
        if self._channel is None:
            self._channel = self._host.start()

    async def ready(self) -> Ready:
        """Wait until the model is loaded, and again after a loss. A SetupError if it can't be."""
        if self.failure is None:
            self._supervise()
        while self.info is None:
            if self.failure:
                raise SetupError(self.failure)
            await self._settled.wait()
        return self.info

    async def failed(self) -> None:
        """Wait until there will be no more answers; raises SetupError, which says why."""
        _, keeper = self._supervise()
        await asyncio.shield(keeper)
        raise SetupError(self.failure or "the engine has stopped")

    @asynccontextmanager
    async def stream(self, ids: Sequence[int], sampling: Sampling, owner: str) -> AsyncIterator[TokenStream]:
        """One answer. Leaving the block, however that happens, ends the sequence and frees it.

        An EngineDied if the worker is lost in mid-answer or there will be none; a ChatError if this answer alone fails,
        or if there are too many.
        """
        link = await self._ready_pipe()
        if len(self._streams) >= MAX_STREAMS:
            raise ChatError("error.again")
        id, stream = next(self._stream_ids), TokenStream()
        self._streams[id] = stream
        link.send(Generate(id, tuple(ids), sampling, owner))
        try:
            yield stream
        finally:
            if self._streams.pop(id, None):
                link.send(Cancel(id))

    def warm(self, ids: Sequence[int], owner: str) -> None:
        """Have these ids read while there is nothing else to do, in place of the owner's last ones. Never waits; lost
        where no worker is ready."""
        if self.info and self._pipe:
            self._pipe.send(WarmPrefix(tuple(ids), owner))

    def drop(self, owner: str) -> None:
        """Forget what is kept for this owner alone. Never waits."""
        if self.info and self._pipe:
            self._pipe.send(DropOwner(owner))

    async def close(self) -> None:
        """Ask the worker to end, kill it if it does not, and leave nothing behind."""
        self.failure = self.failure or "the engine is closed"
        if self._channel is None:
            return
        link, keeper = self._supervise()
        try:
            if self.info:
                link.send(Shutdown())
                await asyncio.wait({keeper}, timeout=SHUTDOWN_GRACE_S)
        finally:
            self._host.kill()
        await keeper

    def _supervise(self) -> tuple[WorkerPipe, asyncio.Task[None]]:
        """Have the worker served from now on; its link, and the task that does it."""
        self.launch()
        if self._pipe is None and self._channel is not None:
            self._pipe = WorkerPipe(self._channel)
        assert self._pipe is not None
        self._supervisor = self._supervisor or asyncio.create_task(self._keep_alive(self._pipe))
        return self._pipe, self._supervisor

    async def _ready_pipe(self) -> WorkerPipe:
        """The link to a worker that is ready, waiting for it while it is started again."""
        try:
            await self.ready()
        except SetupError as error:
            raise EngineDied from error
        return self._supervise()[0]

    async def _keep_alive(self, link: WorkerPipe) -> None:
        """Serve one worker after another, until one refuses to load or several in a row were never ready."""
        unready = 0
        try:
            while True:
                unready = 0 if await self._serve(link) else unready + 1
                if unready == MAX_FAILED_STARTS:
                    self.failure = (
                        f"the engine was lost {MAX_FAILED_STARTS} times while it loaded: is there enough memory?"
                    )
                if self.failure:
                    return
                link = self._pipe = WorkerPipe(self._host.start())
        except Exception:
            logger.exception("the engine can't go on")
        finally:
            self.failure = self.failure or "the engine has stopped"
            self._settled.set()

    async def _serve(self, link: WorkerPipe) -> bool:
        """One worker's life, to its end; whether it was ever ready."""
        try:
            while (news := await self._next_event(link)) is not None:
                self._handle(news)
        finally:
            ready = self.info is not None
            self._fail_streams()
            code = self._host.join()
            link.close()
        if self.failure is None:
            logger.warning("the engine is lost (exit code %s)", code)
        return ready

    async def _next_event(self, link: WorkerPipe) -> Event | None:
        """The next news; None once the worker is gone. One that keeps somebody waiting and does not get on is
        killed."""
        watch = HangDetector(self._progress_timeout_s)
        while True:
            waited = set(self._streams)
            try:
                async with asyncio.timeout(self._progress_timeout_s / LOOKS_PER_TIMEOUT):
                    return await link.receive()
            except TimeoutError:
                if not waited & set(self._streams):  # nobody, or somebody who has just come
                    watch.reset()
                elif watch.is_hung(self._host.activity()):
                    logger.warning("the engine keeps an answer waiting and does not get on: killing it")
                    self._host.kill()

    def _handle(self, news: Event) -> None:
        """Pass on what the worker says. News of a sequence that nobody listens to any more is dropped."""
        match news:
            case NewTokens(drawn):
                self._hand_out(drawn)
            case Finished(id, reason):
                self._end(id, reason)
            case Failed(id, message, traceback):
                logger.error("an answer failed: %s\n%s", message, traceback)
                self._end(id, ChatError("error.again"))
            case Admitted(_, prompt, reused):
                self.prompt_ids += prompt
                self.reused_ids += reused
            case Throughput():
                self._note_throughput(news)
            case LoadProgress() | Ready() | LoadFailed():
                self._handle_start(news)

    def _handle_start(self, news: LoadProgress | Ready | LoadFailed) -> None:
        match news:
            case LoadProgress(step):
                self._report(step)
            case Ready():
                logger.info("engine: ready in %.1f s on %s: %s", news.load_seconds, news.device, news.weights)
                self.info = news
                self._settled.set()
            case LoadFailed(message):
                self.failure = message

    def _note_throughput(self, speed: Throughput) -> None:
        """The log tells when other programs begin to take the processor and when they cease to, and once that a machine
        is too slow to be used with pleasure. No question is given up for it."""
        self.throughput = speed
        if speed.starved != self._starved:
            self._starved = speed.starved
            logger.info("engine: %s", speed.bottleneck)
        if speed.decode_rate and 1 / speed.decode_rate > SLOW_TOKEN_S and not self._slow_reported:
            self._slow_reported = True
            logger.warning(
                "this machine is very slow: about %.0f s a token; %s", 1 / speed.decode_rate, speed.bottleneck
            )

    def _hand_out(self, drawn: tuple[tuple[int, int], ...]) -> None:
        for id, token in drawn:
            if stream := self._streams.get(id):
                stream.put(token)

    def _end(self, id: int, how: FinishReason | ChatError) -> None:
        if stream := self._streams.pop(id, None):
            stream.put(how)

    def _fail_streams(self) -> None:
        """The worker is gone, and with it every answer in progress."""
        self.info = None
        self._settled.clear()
        for id in list(self._streams):
            self._end(id, EngineDied())
