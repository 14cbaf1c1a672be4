"""The worker: turns orders into tokens, all sequences together, step by step. Knows no torch, no process."""

import time
import traceback
from typing import Protocol

from core.engine import processor
from core.engine.block_manager import Blocks
from core.engine.meter import Meter
from core.engine.prefill_budget import Costs, Pace
from core.engine.protocol import (
    Admitted,
    Cancel,
    Channel,
    Close,
    Drop,
    Failed,
    Finished,
    News,
    Order,
    Prefilling,
    Reason,
    Submit,
    Tokens,
    Warm,
)
from core.engine.scheduler import Scheduler
from core.engine.sequence import Part, Sequence
from core.engine.vitals import Signs

SLOTS = 32
"""Sequences at once."""
AHEAD = -1
"""The id of what is only read ahead."""
STRIKES = 3
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
    def costs(self) -> Costs:
        """What steps cost; see Pace."""

    def watch(self, signs: Signs) -> None:
        """From now on count up the number there as the computing gets on, many times a step."""

    def run(self, batch: list[Part]) -> dict[int, int]:
        """Compute the batch. By the sequence's id the token that each part draws which `draws`."""

    def forget(self, id: int) -> None:
        """The sequence has ended. Idempotent."""


class Worker:
    """Owns the runner and every sequence; nothing else touches them."""

    def __init__(self, runner: Runner, channel: Channel[News, Order], meter: Meter | None = None) -> None:
        self.runner = runner
        self.channel = channel
        self.scheduler = Scheduler(Blocks(runner.blocks, runner.block_size), SLOTS, Pace(runner.costs))
        self.meter = meter or Meter(processor.cores())
        self.strikes = 0

    def run(self) -> None:
        """Work until told to close, or until it is of no use."""
        while self.drain() and self.strikes < STRIKES:
            self.step()

    def drain(self) -> bool:
        """Take every order that has come; with nothing to do, wait for one. False: it is time to close."""
        while self.channel.poll(0.0 if self.scheduler.busy else None):
            order = self.channel.recv()
            if isinstance(order, Close):
                return False
            self.take(order)
        return True

    def take(self, order: Submit | Cancel | Warm | Drop) -> None:
        match order:
            case Submit():
                self.submit(order)
            case Cancel(id):
                self.cancel(id)
            case Warm():
                self.warm(order)
            case Drop(owner):
                self.scheduler.drop(owner)

    def submit(self, order: Submit) -> None:
        limit = min(len(order.ids) + order.sampling.max_tokens, self.runner.context)
        if not self.known(order.ids):
            self.fail(order.id, ValueError("a prompt is one or more ids of the model's vocabulary"))
        elif limit <= len(order.ids):
            self.channel.send(Finished(order.id, "length"))
        else:
            self.scheduler.add(Sequence(order.id, order.owner, list(order.ids), order.sampling, limit))

    def known(self, ids: tuple[int, ...]) -> bool:
        """A foreign id would be an IndexError on a CPU, but the end of every sequence on a GPU."""
        return bool(ids) and min(ids) >= 0 and max(ids) < self.runner.vocabulary

    def warm(self, order: Warm) -> None:
        """Only whole blocks can be found again."""
        size = self.runner.block_size
        whole = min(len(order.ids), self.runner.context) // size * size
        if whole and self.known(order.ids):
            self.scheduler.read_ahead(Sequence(AHEAD, order.owner, list(order.ids[:whole])))

    def cancel(self, id: int) -> None:
        if self.scheduler.remove(id):
            self.end(id, "cancelled")

    def step(self) -> None:
        """Compute a batch, and tell what it brought."""
        batch = self.scheduler.next_batch()
        if not batch:
            return
        self.tell_admitted(batch)
        started = time.monotonic()
        self.meter.begin(started)
        try:
            drawn = self.runner.run(batch)
        except Exception as error:
            self.give_up(batch, error)
            return
        self.strikes = 0
        ended = time.monotonic()
        if any(part.count > 1 for part in batch):
            self.scheduler.pace.note(sum(part.count for part in batch), ended - started)
        self.scheduler.advance(batch)
        self.hand_out(batch, drawn)
        read = sum(part.count for part in batch if part.count > 1)
        if speed := self.meter.end(ended, ended - started, read, len(drawn)):
            self.channel.send(speed)

    def tell_admitted(self, batch: list[Part]) -> None:
        for part in batch:
            sequence = part.sequence
            if sequence.id != AHEAD and not sequence.told:
                sequence.told = True
                self.channel.send(Admitted(sequence.id, len(sequence.ids), part.start))

    def hand_out(self, batch: list[Part], drawn: dict[int, int]) -> None:
        tokens: list[tuple[int, int]] = []
        ended: list[tuple[int, Reason]] = []
        for part in batch:
            sequence = part.sequence
            token = drawn.get(sequence.id)
            if sequence.id == AHEAD:
                continue
            if token is None:
                self.channel.send(Prefilling(sequence.id))
            elif token in sequence.sampling.stop_ids:
                ended.append((sequence.id, "stop"))
            else:
                sequence.ids.append(token)
                tokens.append((sequence.id, token))
                if len(sequence.ids) >= sequence.limit:
                    ended.append((sequence.id, "length"))
        if tokens:
            self.channel.send(Tokens(tuple(tokens)))
        for id, reason in ended:
            self.scheduler.remove(id)
            self.end(id, reason)

    def end(self, id: int, reason: Reason) -> None:
        self.runner.forget(id)
        self.channel.send(Finished(id, reason))

    def give_up(self, batch: list[Part], error: Exception) -> None:
        """Nobody can tell whose fault it was. What these have computed is not kept: it may be half of it."""
        for part in batch:
            sequence = part.sequence
            if sequence.id == AHEAD:
                self.scheduler.end_ahead(sequence.owner)
            elif self.scheduler.remove(sequence.id):
                self.fail(sequence.id, error)
        self.strikes += 1

    def fail(self, id: int, error: Exception) -> None:
        self.runner.forget(id)
        message = " ".join(f"{type(error).__name__}: {error}".split())
        self.channel.send(Failed(id, message, "".join(traceback.format_exception(error))))
