"""The worker: turns orders into tokens, one sequence at a time, first come first served. Knows no torch, no process."""

import traceback
from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

from core.engine.messages import (
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
from core.engine.sampling import Sampling


class Runner(Protocol):
    """The model, ready to run."""

    context: int
    device: str
    weights: str

    def generate(self, ids: tuple[int, ...], sampling: Sampling) -> Generator[int | None, None, None]:
        """The tokens that follow `ids`, without end; None while the prompt is still being read.

        A generator function: nothing happens before the first next(), and close() frees everything.
        """


@dataclass(slots=True)
class Sequence:
    """The one that is being generated."""

    id: int
    tokens: Generator[int | None, None, None]
    stop: frozenset[int]
    left: int


class Worker:
    """Owns the runner and every sequence; nothing else touches them."""

    def __init__(self, runner: Runner, channel: Channel[News, Order]) -> None:
        self.runner = runner
        self.channel = channel
        self.waiting: dict[int, Submit] = {}
        self.active: Sequence | None = None

    def run(self) -> None:
        """Work until told to close."""
        while self.drain():
            self.step()
        self.release()

    def drain(self) -> bool:
        """Take every order that has come; with nothing to do, wait for one. False: it is time to close."""
        while self.channel.poll(0.0 if self.active or self.waiting else None):
            order = self.channel.recv()
            if isinstance(order, Close):
                return False
            if not isinstance(order, Warm | Drop):  # nothing is kept yet
                self.take(order)
        return True

    def take(self, order: Submit | Cancel) -> None:
        if isinstance(order, Submit):
            self.waiting[order.id] = order
        else:
            self.cancel(order.id)

    def cancel(self, id: int) -> None:
        if self.active and self.active.id == id:
            self.finish(self.active, "cancelled")
        elif self.waiting.pop(id, None):
            self.channel.send(Finished(id, "cancelled"))

    def step(self) -> None:
        """One token, or one part of a prompt, of the active sequence; without one, the longest waiting becomes it."""
        sequence = self.active = self.active or self.admit()
        if sequence is None:
            return
        if sequence.left <= 0:
            return self.finish(sequence, "length")
        try:
            token = next(sequence.tokens)
        except StopIteration:
            self.finish(sequence, "length")
        except Exception as error:
            self.fail(sequence, error)
        else:
            self.hand_out(sequence, token)

    def admit(self) -> Sequence | None:
        if not self.waiting:
            return None
        order = self.waiting.pop(next(iter(self.waiting)))
        left = min(order.sampling.max_tokens, self.runner.context - len(order.ids))
        tokens = self.runner.generate(order.ids, order.sampling)
        return Sequence(order.id, tokens, frozenset(order.sampling.stop_ids), left)

    def hand_out(self, sequence: Sequence, token: int | None) -> None:
        if token is None:
            self.channel.send(Prefilling(sequence.id))
        elif token in sequence.stop:
            self.finish(sequence, "stop")
        else:
            sequence.left -= 1
            self.channel.send(Tokens(((sequence.id, token),)))

    def finish(self, sequence: Sequence, reason: Reason) -> None:
        self.release()
        self.channel.send(Finished(sequence.id, reason))

    def fail(self, sequence: Sequence, error: Exception) -> None:
        self.release()
        message = " ".join(f"{type(error).__name__}: {error}".split())
        self.channel.send(Failed(sequence.id, message, "".join(traceback.format_exception(error))))

    def release(self) -> None:
        """Free what the active sequence holds."""
        if self.active:
            self.active.tokens.close()
        self.active = None
