"""The worker: runs all sequences together, step by step. Imports no torch and knows no process."""

import time
import traceback
from typing import Protocol

from core.engine import processor
from core.engine.block_manager import BlockManager
from core.engine.guesser import Guesser
from core.engine.hang_detector import ProgressCounter
from core.engine.meter import ThroughputMeter
from core.engine.prefill_budget import PrefillBudget, RunnerCosts
from core.engine.protocol import (
    Cancel,
    Channel,
    DropOwner,
    Event,
    Failed,
    Finished,
    FinishReason,
    Generate,
    NewTokens,
    PrefillProgress,
    Request,
    SequenceAdmitted,
    ShutdownRequest,
    WarmPrefix,
)
from core.engine.scheduler import Scheduler
from core.engine.sequence import Sequence, SequenceSlice

MAX_RUNNING = 32
"""Sequences that run at once."""
WARMING_ID = -1
"""The id of a sequence that only warms a prefix."""
MAX_FAILED_STEPS = 3
"""Failed steps in a row after which the worker ends: the process is broken, and a new one may do better."""


class Runner(Protocol):
    """A loaded model.

    `context`: ids of prompt and answer together; the `blocks` of `block_size` ids each hold at least one context.
    """

    context: int
    vocabulary: int
    blocks: int
    block_size: int
    device: str

    @property
    def weights(self) -> str:
        """How the weights are held and what computes with them, in words."""

    @property
    def costs(self) -> RunnerCosts:
        """The measured durations of steps."""

    def count_progress(self, counter: ProgressCounter) -> None:
        """From now on count `counter` up while a step computes, many times per step."""

    def run(self, batch: list[SequenceSlice]) -> dict[int, tuple[int, ...]]:
        """Compute a batch. Returns the tokens of each slice that samples some, by sequence id.

        They are the guesses that hold, and one more.
        """

    def forget(self, id: int) -> None:
        """Release what is kept for a sequence that has ended. Idempotent."""


class Worker:
    """Runs the sequences that it is asked for over a channel. The only user of the runner."""

    def __init__(
        self,
        runner: Runner,
        channel: Channel[Event, Request],
        meter: ThroughputMeter | None = None,
        *,
        guess: bool = True,
    ) -> None:
        """`guess`: guess ahead where it pays. The tokens are the same without."""
        blocks = BlockManager(runner.blocks, runner.block_size)
        costs = runner.costs
        guesser = Guesser(costs.guesses) if guess else None
        self.scheduler = Scheduler(blocks, MAX_RUNNING, PrefillBudget(costs.prefill), guesser)
        self.meter = meter or ThroughputMeter(processor.available_cores())
        self._runner = runner
        self._channel = channel
        self._failed_steps = 0

    def run(self) -> None:
        """Work until a Shutdown, or until MAX_FAILED_STEPS steps in a row have failed."""
        while self.drain() and self._failed_steps < MAX_FAILED_STEPS:
            self.step()

    def drain(self) -> bool:
        """Handle every request that has come, waiting for one if there is no work. Returns False at a Shutdown."""
        while self._channel.poll(0.0 if self.scheduler.has_work else None):
            request = self._channel.recv()
            if isinstance(request, ShutdownRequest):
                return False
            self.handle(request)
        return True

    def handle(self, request: Generate | Cancel | WarmPrefix | DropOwner) -> None:
        """Pass a request to the scheduler, and send the events that follow at once."""
        match request:
            case Generate():
                self._generate(request)
            case Cancel(id):
                self._cancel(id)
            case WarmPrefix():
                self._warm(request)
            case DropOwner(owner):
                self.scheduler.drop_owner(owner)

    def step(self) -> None:
        """Compute one batch and send its events. Does nothing if there is no work."""
        batch = self.scheduler.next_batch()
        if not batch:
            return
        self._report_admitted(batch)
        started = time.monotonic()
        self.meter.begin(started)
        try:
            drawn = self._runner.run(batch)
        except Exception as error:
            self._fail_batch(batch, error)
            return
        self._failed_steps = 0
        ended = time.monotonic()
        if any(each.count > 1 for each in batch):
            self.scheduler.prefill_budget.observe(sum(each.count for each in batch), ended - started)
        self.scheduler.advance(batch, drawn)
        self._hand_out(batch, drawn)
        prefilled = sum(each.count for each in batch if each.count > 1)
        tokens = [len(each) for each in drawn.values()]
        if throughput := self.meter.end(ended, ended - started, prefilled, tokens):
            self._channel.send(throughput)

    def _generate(self, request: Generate) -> None:
        max_length = min(len(request.ids) + request.sampling.max_tokens, self._runner.context)
        choices = request.sampling.choices
        if not self._in_vocabulary(request.ids):
            self._fail(request.id, ValueError("a prompt is one or more ids of the model's vocabulary"))
        elif choices and not self._in_vocabulary(choices):
            self._fail(request.id, ValueError("choices are ids of the model's vocabulary"))
        elif max_length <= len(request.ids):
            self._channel.send(Finished(request.id, "length"))
        else:
            self.scheduler.add(Sequence(request.id, request.owner, list(request.ids), request.sampling, max_length))

    def _in_vocabulary(self, ids: tuple[int, ...]) -> bool:
        """Whether there are ids, all known to the model. Others would end every sequence on a GPU."""
        return bool(ids) and min(ids) >= 0 and max(ids) < self._runner.vocabulary

    def _warm(self, request: WarmPrefix) -> None:
        """Warm the whole blocks of a prefix: only these can be found again."""
        size = self._runner.block_size
        length = min(len(request.ids), self._runner.context) // size * size
        if length and self._in_vocabulary(request.ids):
            self.scheduler.warm(Sequence(WARMING_ID, request.owner, list(request.ids[:length])))

    def _cancel(self, id: int) -> None:
        if self.scheduler.remove(id):
            self._finish(id, "cancelled")

    def _report_admitted(self, batch: list[SequenceSlice]) -> None:
        for each in batch:
            sequence = each.sequence
            if sequence.id != WARMING_ID and not sequence.admission_reported:
                sequence.admission_reported = True
                self._channel.send(SequenceAdmitted(sequence.id, len(sequence.ids), each.start))

    def _hand_out(self, batch: list[SequenceSlice], drawn: dict[int, tuple[int, ...]]) -> None:
        tokens: list[tuple[int, int]] = []
        ended: list[tuple[int, FinishReason]] = []
        for each in batch:
            sequence = each.sequence
            if sequence.id == WARMING_ID:
                continue
            if sequence.id not in drawn:
                self._channel.send(PrefillProgress(sequence.id))
                continue
            *held, last = drawn[sequence.id]
            tokens += [(sequence.id, token) for token in held]
            if last in sequence.sampling.stop_ids:
                ended.append((sequence.id, "stop"))
                continue
            sequence.ids.append(last)
            tokens.append((sequence.id, last))
            if len(sequence.ids) >= sequence.max_length:
                ended.append((sequence.id, "length"))
        if tokens:
            self._channel.send(NewTokens(tuple(tokens)))
        for id, reason in ended:
            self.scheduler.remove(id)
            self._finish(id, reason)

    def _finish(self, id: int, reason: FinishReason) -> None:
        self._runner.forget(id)
        self._channel.send(Finished(id, reason))

    def _fail_batch(self, batch: list[SequenceSlice], error: Exception) -> None:
        """End every sequence of a failed step, as any of them may have caused it. Its blocks may be half written, so
        they are not registered."""
        for each in batch:
            sequence = each.sequence
            if sequence.id == WARMING_ID:
                self.scheduler.stop_warming(sequence.owner)
            elif self.scheduler.remove(sequence.id):
                self._fail(sequence.id, error)
        self._failed_steps += 1

    def _fail(self, id: int, error: Exception) -> None:
        self._runner.forget(id)
        message = " ".join(f"{type(error).__name__}: {error}".split())
        self._channel.send(Failed(id, message, "".join(traceback.format_exception(error))))
