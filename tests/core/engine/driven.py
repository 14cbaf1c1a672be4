"""Drives a worker step by step, with the same prefill budget on any machine, and checks its invariants."""

from dataclasses import dataclass, field

from core.domain.sampling import Sampling
from core.engine.prefill_budget import PrefillBudget, RunnerCosts
from core.engine.protocol import (
    Cancel,
    DropOwner,
    Failed,
    Finished,
    FinishReason,
    Generate,
    NewTokens,
    Request,
    SequenceAdmitted,
    WarmPrefix,
)
from core.engine.sequence import Sequence
from core.engine.worker import Worker
from tests.core.engine.fakes import Counter, Pipeless
from tests.core.engine.invariants import check_memory, check_scheduler


class Steady(PrefillBudget):
    """Reads as many ids in every step, however long it takes."""

    def __init__(self, ids: int) -> None:
        super().__init__()
        self.ids = ids

    def prefill_ids(self, decoding: int) -> int:
        return self.ids

    def observe(self, rows: int, seconds: float) -> None:
        """Learns nothing."""


@dataclass
class Answer:
    """What was asked for, and what has come of it."""

    request: Generate
    due: int
    """The step by which it has ended, at the latest."""
    tokens: list[int] = field(default_factory=list)
    admitted: list[SequenceAdmitted] = field(default_factory=list)
    reason: FinishReason | None = None

    def whole(self, context: int) -> tuple[list[int], FinishReason]:
        """All tokens, and how it ends unless it is cancelled."""
        ids, sampling = self.request.ids, self.request.sampling
        count = max(0, min(sampling.max_tokens, context - len(ids)))
        tokens = [ids[-1] + add for add in range(1, count + 1)]
        for stop in sampling.stop_ids:
            if stop in tokens:
                return tokens[: tokens.index(stop)], "stop"
        return tokens, "length"


class Driven:
    """A worker over a pool of blocks. Nothing may fail.

    `rows`: those that a step may have with guesses, at no cost; 0 if nothing is guessed.
    """

    def __init__(self, blocks: int, size: int = 4, context: int = 0, budget: int = 16, rows: int = 0) -> None:
        self.channel = Pipeless()
        self.runner = Counter(context or blocks * size, blocks=blocks, block_size=size)
        self.runner.costs = RunnerCosts(guesses=(1.0,) * rows)
        self.worker = Worker(self.runner, self.channel)
        self.scheduler = self.worker.scheduler
        self.scheduler.prefill_budget = Steady(budget)
        self.each = self.runner.context // min(budget, self.runner.context) + self.runner.context + 2
        """Steps that the oldest may take at most: to read everything, and to draw everything."""
        self.answers: dict[int, Answer] = {}
        self.steps = 0
        self.put_back = 0
        self.dropped: set[str] = set()
        """Owners of whom nothing has come since they were dropped."""

    # Requests

    def submit(self, *ids: int, owner: str = "someone", max_tokens: int = 5, stop: tuple[int, ...] = ()) -> Answer:
        request = Generate(len(self.answers) + 1, ids, Sampling(max_tokens=max_tokens, stop_ids=stop), owner)
        due = self.steps + (1 + len(self.open)) * self.each
        answer = self.answers[request.id] = Answer(request, due)
        self.dropped.discard(owner)
        self.send(request)
        return answer

    def cancel(self, answer: Answer) -> None:
        self.send(Cancel(answer.request.id))

    def warm(self, *ids: int, owner: str = "someone") -> None:
        self.dropped.discard(owner)
        self.send(WarmPrefix(ids, owner))

    def drop(self, owner: str) -> None:
        self.dropped.add(owner)
        self.send(DropOwner(owner))

    def send(self, request: Request) -> None:
        self.channel.requests.append(request)
        assert self.worker.drain()
        self.hear()

    # Steps

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            before = list(self.scheduler.running)
            self.worker.step()
            self.steps += 1
            self.hear()
            self.put_back += sum(sequence in self.scheduler.waiting for sequence in before)
            if before and self.answers[before[0].id].reason is None:
                assert self.scheduler.running[0] is before[0], "the oldest is put back for nobody"
            assert all(answer.due >= self.steps for answer in self.open), "somebody starves"

    def finish(self) -> None:
        """Until there is nothing more to do."""
        for _ in range(10_000):
            if not self.scheduler.has_work:
                return
            self.step()
        raise AssertionError("there is no end")

    def hear(self) -> None:
        for event in self.channel.events():
            match event:
                case NewTokens(drawn):
                    for id, token in drawn:
                        assert self.answers[id].reason is None
                        self.answers[id].tokens.append(token)
                case SequenceAdmitted(id):
                    assert not self.answers[id].tokens
                    self.answers[id].admitted.append(event)
                case Finished(id, reason):
                    self.end(self.answers[id], reason)
                case Failed(_, _, traceback):
                    raise AssertionError(traceback)

    def end(self, answer: Answer, reason: FinishReason) -> None:
        assert answer.reason is None, "an end is told once"
        answer.reason = reason
        tokens, otherwise = answer.whole(self.runner.context)
        if reason == "cancelled":
            assert answer.tokens == tokens[: len(answer.tokens)]
        else:
            assert (answer.tokens, reason) == (tokens, otherwise)
        assert len(answer.admitted) <= 1

    # What there is

    @property
    def open(self) -> list[Answer]:
        return [answer for answer in self.answers.values() if answer.reason is None]

    def sequence(self, answer: Answer) -> Sequence:
        """Of one that runs."""
        [sequence] = [each for each in self.scheduler.running if each.id == answer.request.id]
        return sequence

    def check(self) -> None:
        check_scheduler(self.scheduler)
        check_memory(self.scheduler.blocks, self.runner)
        assert self.runner.open.keys() <= {answer.request.id for answer in self.open}
        assert not self.dropped & self.scheduler.blocks._owned.keys(), "something is kept of who was dropped"

    def leave(self, *owners: str) -> None:
        """Cancel everybody and drop every owner; then nothing is left."""
        for answer in self.open:
            self.cancel(answer)
        for owner in owners:
            self.drop(owner)
        self.check()
        assert not self.scheduler.has_work
        assert not self.runner.open
        assert self.scheduler.blocks.available == self.scheduler.blocks.count
        assert self.scheduler.blocks.cached == 0
