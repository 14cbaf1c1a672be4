"""The engine as the bot uses it: token ids in, token ids out, in asyncio. Imports no torch.

It keeps one worker process alive, starts another if that one is lost, and ends the streams of the lost one.
"""

import asyncio
import itertools
import logging
from collections import deque
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
    SequenceAdmitted,
    ShutdownRequest,
    Throughput,
    WarmPrefix,
)
from core.engine.worker_process import WorkerHost

logger = logging.getLogger(__name__)

MAX_FAILED_STARTS = 3
"""Workers in a row that may be lost before they are ready."""

SHUTDOWN_GRACE_S = 2.0
"""Time for a worker to end after a Shutdown before it is killed."""

MAX_STREAMS = 256
"""Sequences that wait or run. The bot asks for sixteen at once, so more than this would be a bug."""

PROGRESS_TIMEOUT_S = 60.0
"""Time in which a worker must make progress, if only by a single layer, while a stream waits (see HangDetector)."""

SLOW_TOKEN_S = 2.0
"""Time per token from which the log warns of a slow machine."""


class TokenStream:
    """The tokens of one answer as they come, for one reader. `reason` is None until the last token has been taken."""

    def __init__(self) -> None:
        self.reason: FinishReason | None = None
        self._tokens = deque[int]()
        self._end: FinishReason | ChatError | None = None
        self._arrived = asyncio.Event()

    def put(self, item: int | FinishReason | ChatError) -> None:
        """Add a token, or the end of the stream: its reason or an error. Never waits for the reader."""
        if isinstance(item, int):
            self._tokens.append(item)
        else:
            self._end = item
        self._arrived.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        while not self._tokens:
            if isinstance(self._end, ChatError):
                raise self._end
            if self._end:
                self.reason = self._end
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._tokens.popleft()

    def take_waiting(self) -> list[int]:
        """The further tokens that are there already."""
        tokens = list(self._tokens)
        self._tokens.clear()
        return tokens


class Engine:
    """Generates token streams by a worker in another process.

    `async with Engine(host) as engine:` waits until the model is loaded. A launch() before it starts the loading.
    `name`: what the log and the owner read of it.
    """

    def __init__(
        self,
        host: WorkerHost,
        report: Report | None = None,
        progress_timeout_s: float = PROGRESS_TIMEOUT_S,
        name: str = "engine",
    ) -> None:
        self.info: Ready | None = None
        """Device, weights and context of the loaded model; None while none is loaded."""
        self.failure: str | None = None
        """Why the engine has ended for good, in one line for the owner of the bot."""
        self.throughput: Throughput | None = None
        """The latest measurement; None before some seconds of work."""
        self.prompt_ids = self.reused_ids = 0
        """Ids of all prompts so far, and how many of them were cached."""
        self._host = host
        self._name, self._report = name, report or self._log_step
        self._progress_timeout_s = progress_timeout_s
        self._slow_reported = self._starved = False
        self._events = 0
        self._streams: dict[int, TokenStream] = {}
        self._stream_ids = itertools.count(1)
        self._channel: Channel[Request, Event] | None = None
        self._pipe: WorkerPipe | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        """Set while the worker is ready, and once the engine has failed."""

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
        """Start the worker without waiting for it. Needs no event loop. close() ends what it started."""
        if self._channel is None:
            self._channel = self._host.start()

    async def ready(self) -> Ready:
        """Wait until the model is loaded, also while a lost worker is replaced. Raises SetupError if it can't be."""
        if self.failure is None:
            self._supervise()
        while self.info is None:
            if self.failure:
                raise SetupError(self.failure)
            await self._settled.wait()
        return self.info

    async def failed(self) -> None:
        """Wait until the engine has ended for good, then raise SetupError with the reason."""
        _, supervisor = self._supervise()
        await asyncio.shield(supervisor)
        raise SetupError(self.failure or f"the {self._name} has stopped")

    @asynccontextmanager
    async def stream(self, ids: Sequence[int], sampling: Sampling, owner: str) -> AsyncIterator[TokenStream]:
        """Generate one answer. Leaving the block ends the sequence and frees its memory.

        Raises EngineDied if the worker is lost, and ChatError if this sequence fails or there are too many.
        """
        pipe = await self._ready_pipe()
        if len(self._streams) >= MAX_STREAMS:
            raise ChatError("error.again")
        id, stream = next(self._stream_ids), TokenStream()
        self._streams[id] = stream
        pipe.send(Generate(id, tuple(ids), sampling, owner))
        try:
            yield stream
        finally:
            if self._streams.pop(id, None):
                pipe.send(Cancel(id))

    def warm(self, ids: Sequence[int], owner: str) -> None:
        """Have a prefix computed while the worker is idle, instead of the owner's previous one.

        Never waits. Without effect while no worker is ready.
        """
        if self.info and self._pipe:
            self._pipe.send(WarmPrefix(tuple(ids), owner))

    def drop(self, owner: str) -> None:
        """Forget the cached prompts of this owner, except what other owners share. Never waits."""
        if self.info and self._pipe:
            self._pipe.send(DropOwner(owner))

    async def close(self) -> None:
        """Ask the worker to end, kill it if it does not, and end every stream."""
        self.failure = self.failure or f"the {self._name} is closed"
        if self._channel is None:
            return
        pipe, supervisor = self._supervise()
        try:
            if self.info:
                pipe.send(ShutdownRequest())
                await asyncio.wait({supervisor}, timeout=SHUTDOWN_GRACE_S)
        finally:
            self._host.kill()
        await supervisor

    def _supervise(self) -> tuple[WorkerPipe, asyncio.Task[None]]:
        """Start the worker and the task that supervises it, unless they run; returns the pipe and the task."""
        self.launch()
        if self._pipe is None and self._channel is not None:
            self._pipe = WorkerPipe(self._channel)
        assert self._pipe is not None
        self._supervisor = self._supervisor or asyncio.create_task(self._keep_alive(self._pipe))
        return self._pipe, self._supervisor

    async def _ready_pipe(self) -> WorkerPipe:
        """Wait for a ready worker; returns its pipe."""
        try:
            await self.ready()
        except SetupError as error:
            raise EngineDied from error
        return self._supervise()[0]

    async def _keep_alive(self, pipe: WorkerPipe) -> None:
        """Replace every lost worker, until one refuses to load or MAX_FAILED_STARTS in a row were never ready."""
        failed_starts = 0
        try:
            while True:
                failed_starts = 0 if await self._serve(pipe) else failed_starts + 1
                if failed_starts == MAX_FAILED_STARTS:
                    self.failure = (
                        f"the {self._name} was lost {MAX_FAILED_STARTS} times while it loaded: is there enough memory?"
                    )
                if self.failure:
                    return
                pipe = self._pipe = WorkerPipe(self._host.start())
        except Exception:
            logger.exception("the %s can't go on", self._name)
        finally:
            self.failure = self.failure or f"the {self._name} has stopped"
            self._settled.set()

    async def _serve(self, pipe: WorkerPipe) -> bool:
        """Handle one worker's events until it ends. Returns whether it was ever ready."""
        watch = asyncio.create_task(self._kill_if_hung())
        try:
            while (event := await pipe.receive()) is not None:
                self._events += 1
                self._handle(event)
        finally:
            watch.cancel()
            ready = self.info is not None
            self._fail_streams()
            code = self._host.join()
            pipe.close()
        if self.failure is None:
            logger.warning("the %s is lost (exit code %s)", self._name, code)
        return ready

    async def _kill_if_hung(self) -> None:
        """Kill the worker once it hangs while a stream waits."""
        detector = HangDetector(self._progress_timeout_s)
        while True:
            waiting, events = set(self._streams), self._events
            await asyncio.sleep(self._progress_timeout_s / LOOKS_PER_TIMEOUT)
            if events != self._events or not waiting & set(self._streams):  # none has waited for the whole interval
                detector.reset()
            elif detector.is_hung(self._host.activity()):
                logger.warning("the %s keeps an answer waiting and does not get on: killing it", self._name)
                self._host.kill()

    def _handle(self, event: Event) -> None:
        """Pass an event on to its stream. Events of streams that were left are dropped."""
        match event:
            case NewTokens(tokens):
                self._hand_out(tokens)
            case Finished(id, reason):
                self._end(id, reason)
            case Failed(id, message, traceback):
                logger.error("an answer failed: %s\n%s", message, traceback)
                self._end(id, ChatError("error.again"))
            case SequenceAdmitted(_, prompt_ids, reused_ids):
                self.prompt_ids += prompt_ids
                self.reused_ids += reused_ids
            case Throughput():
                self._note_throughput(event)
            case LoadProgress() | Ready() | LoadFailed():
                self._handle_start(event)

    def _handle_start(self, event: LoadProgress | Ready | LoadFailed) -> None:
        match event:
            case LoadProgress(step):
                self._report(step)
            case Ready():
                ready = event.load_seconds, event.device, event.weights
                logger.info("%s: ready in %.1f s on %s: %s", self._name, *ready)
                self.info = event
                self._settled.set()
            case LoadFailed(message):
                self.failure = message

    def _log_step(self, step: str) -> None:
        logger.info("%s: %s", self._name, step)

    def _note_throughput(self, throughput: Throughput) -> None:
        """Log when other programs begin or cease to take the processor, and once that the machine is too slow.

        No question is given up because of it.
        """
        self.throughput = throughput
        if throughput.starved != self._starved:
            self._starved = throughput.starved
            logger.info("%s: %s", self._name, throughput.bottleneck)
        rate = throughput.decode_rate
        if rate and 1 / rate > SLOW_TOKEN_S and not self._slow_reported:
            self._slow_reported = True
            logger.warning("this machine is very slow: about %.0f s a token; %s", 1 / rate, throughput.bottleneck)

    def _hand_out(self, tokens: tuple[tuple[int, int], ...]) -> None:
        for id, token in tokens:
            if stream := self._streams.get(id):
                stream.put(token)

    def _end(self, id: int, end: FinishReason | ChatError) -> None:
        if stream := self._streams.pop(id, None):
            stream.put(end)

    def _fail_streams(self) -> None:
        """The worker is lost: end every stream with EngineDied."""
        self.info = None
        self._settled.clear()
        for id in list(self._streams):
            self._end(id, EngineDied())
