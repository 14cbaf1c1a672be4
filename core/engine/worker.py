"""The worker: turns orders into tokens, all sequences together, step by step. Knows no torch, no process."""

import time
import traceback
from typing import Protocol

from core.engine import processor
from core.engine.block_manager import BlockManager
from core.engine.hang_detector import ProgressCounter
from core.engine.meter import ThroughputMeter
from core.engine.prefill_budget import PrefillBudget, StepCosts
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
    NewTokens,
    PrefillProgress,
    Request,
    Shutdown,
    WarmPrefix,
)
from core.engine.scheduler import Scheduler
from core.engine.sequence import Sequence, SequenceSlice

MAX_RUNNING = 32
"""Sequences at once."""
WARMING_ID = -1
"""The id of what is only read ahead."""
MAX_FAILED_STEPS = 3
"""So many failed steps in a row mean that the process is broken, not a sequence: another may do better."""


class Runner(Protocol):
    """The model, ready to run."""

    context: int
    """Ids of a sequence, prompt and answer together; there are blocks enough for one at least."""
    vocabulary: int
    blocks: int
    block_size: int
    device: str

    @property
    def weights(self) -> str:
        """In what form they are held, and what computes with them."""

    @property
    def costs(self) -> StepCosts:
        """What steps cost; see Pace."""

    def count_progress(self, signs: ProgressCounter) -> None:
        """From now on count up the number there as the computing gets on, many times a step."""

    def run(self, batch: list[SequenceSlice]) -> dict[int, int]:
        """Compute the batch. By the sequence's id the token that each part draws which `draws`."""

    def forget(self, id: int) -> None:
        """The sequence has ended. Idempotent."""


class Worker:
    """Owns the runner and every sequence; nothing else touches them."""

    def __init__(self, runner: Runner, channel: Channel[Event, Request], meter: ThroughputMeter | None = None) -> None:
        self._runner = runner
        self._channel = channel
        self.scheduler = Scheduler(
            BlockManager(runner.blocks, runner.block_size), MAX_RUNNING, PrefillBudget(runner.costs)
        )
        self.meter = meter or ThroughputMeter(processor.available_cores())
        self._failed_steps = 0

    def run(self) -> None:
        """Work until told to close, or until it is of no use."""
        while self.drain() and self._failed_steps < MAX_FAILED_STEPS:
            self.step()

    def drain(self) -> bool:
        """Take every order that has come; with nothing to do, wait for one. False: it is time to close."""
        while self._channel.poll(0.0 if self.scheduler.has_work else None):
            order = self._channel.recv()
            if isinstance(order, Shutdown):
                return False
            self.handle(order)
        return True

    def handle(self, order: Generate | Cancel | WarmPrefix | DropOwner) -> None:
        match order:
            case Generate():
                self._generate(order)
            case Cancel(id):
                self._cancel(id)
            case WarmPrefix():
                self._warm(order)
            case DropOwner(owner):
                self.scheduler.drop_owner(owner)

    def _generate(self, order: Generate) -> None:
        limit = min(len(order.ids) + order.sampling.max_tokens, self._runner.context)
        if not self._in_vocabulary(order.ids):
            self._fail(order.id, ValueError("a prompt is one or more ids of the model's vocabulary"))
        elif limit <= len(order.ids):
            self._channel.send(Finished(order.id, "length"))
        else:
            self.scheduler.add(Sequence(order.id, order.owner, list(order.ids), order.sampling, limit))

    def _in_vocabulary(self, ids: tuple[int, ...]) -> bool:
        """A foreign id would be an IndexError on a CPU, but the end of every sequence on a GPU."""
        return bool(ids) and min(ids) >= 0 and max(ids) < self._runner.vocabulary

    def _warm(self, order: WarmPrefix) -> None:
        """Only whole blocks can be found again."""
        size = self._runner.block_size
        whole = min(len(order.ids), self._runner.context) // size * size
        if whole and self._in_vocabulary(order.ids):
            self.scheduler.warm(Sequence(WARMING_ID, order.owner, list(order.ids[:whole])))

    def _cancel(self, id: int) -> None:
        if self.scheduler.remove(id):
            self._finish(id, "cancelled")

    def step(self) -> None:
        """Compute a batch, and tell what it brought."""
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
        if any(part.count > 1 for part in batch):
            self.scheduler.prefill_budget.observe(sum(part.count for part in batch), ended - started)
        self.scheduler.advance(batch)
        self._hand_out(batch, drawn)
        read = sum(part.count for part in batch if part.count > 1)
        if speed := self.meter.end(ended, ended - started, read, len(drawn)):
            self._channel.send(speed)

    def _report_admitted(self, batch: list[SequenceSlice]) -> None:
        for part in batch:
            sequence = part.sequence
            if sequence.id != WARMING_ID and not sequence.admission_reported:
                sequence.admission_reported = True
                self._channel.send(Admitted(sequence.id, len(sequence.ids), part.start))

    def _hand_out(self, batch: list[SequenceSlice], drawn: dict[int, int]) -> None:
        tokens: list[tuple[int, int]] = []
        ended: list[tuple[int, FinishReason]] = []
        for part in batch:
            sequence = part.sequence
            token = drawn.get(sequence.id)
            if sequence.id == WARMING_ID:
                continue
            if token is None:
                self._channel.send(PrefillProgress(sequence.id))
            elif token in sequence.sampling.stop_ids:
                ended.append((sequence.id, "stop"))
            else:
                sequence.ids.append(token)
                tokens.append((sequence.id, token))
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
        """Nobody can tell whose fault it was. What these have computed is not kept: it may be half of it."""
        for part in batch:
            sequence = part.sequence
            if sequence.id == WARMING_ID:
                self.scheduler.stop_warming(sequence.owner)
            elif self.scheduler.remove(sequence.id):
                self._fail(sequence.id, error)
        self._failed_steps += 1

    def _fail(self, id: int, error: Exception) -> None:
        self._runner.forget(id)
        message = " ".join(f"{type(error).__name__}: {error}".split())
        self._channel.send(Failed(id, message, "".join(traceback.format_exception(error))))
