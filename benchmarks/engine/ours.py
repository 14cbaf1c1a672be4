"""Our engine as a peer: the worker in this process, without the pipe.

Usage: python -m benchmarks.engine.ours FOLDER WEIGHTS [CACHE]
"""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import cast

from benchmarks.engine.folders import MODELS
from benchmarks.engine.loading import loader
from benchmarks.engine.speech import Answer, Peer, Workload, prompt, serve
from benchmarks.engine.turns import Conversation
from benchmarks.engine.workloads import workloads
from core.domain.sampling import Sampling
from core.engine.nn.model_runner import TorchRunner
from core.engine.options import WeightFormat
from core.engine.protocol import Cancel, DropOwner, Event, Failed, Generate, NewTokens, Request, WarmPrefix
from core.engine.worker import Worker

MAX_EARLY_TOKENS = 64
"""Tokens that a chat may decode while the prompt of another is computed."""


class CountingChannel:
    """A channel in the same process that keeps and counts the tokens of each sequence."""

    def __init__(self) -> None:
        self.drawn: Counter[int] = Counter()
        self.tokens: defaultdict[int, list[int]] = defaultdict(list)

    def send(self, event: Event) -> None:
        """See Channel."""
        if isinstance(event, NewTokens):
            for id, token in event.tokens:
                self.drawn[id] += 1
                self.tokens[id].append(token)
        elif isinstance(event, Failed):
            raise RuntimeError(event.message)

    def poll(self, timeout: float | None) -> bool:
        """See Channel. Requests are handed to the worker directly."""
        return False

    def recv(self) -> Request:
        """See Channel."""
        raise EOFError

    def close(self) -> None:
        """See Channel."""


class OurPeer:
    """Runs workloads on a worker. `conversation`: makes prompts of turns; None if the model has no tokenizer."""

    def __init__(self, runner: TorchRunner, conversation: Conversation | None) -> None:
        self.runner, self.conversation = runner, conversation
        self.heard = CountingChannel()
        self.worker = Worker(runner, self.heard)
        self.last = 0

    def __call__(self, workload: Workload) -> Answer:
        if "turns" in workload:
            return self.turns(workload["turns"], workload["seed"])
        return workloads(self)(workload)

    def draw(self, ids: list[int], tokens: int) -> list[int]:
        """Draw greedily, with the end of the answer at most."""
        id = self.submit(ids, "drawing", tokens)
        while self.worker.scheduler.has_work:
            self.worker.step()
        self.worker.handle(DropOwner("drawing"))
        return self.heard.tokens[id]

    def first_token(self, ids: list[int], owner: str = "conversation") -> float:
        """Compute a prompt and draw one token. Returns the seconds."""
        began = time.perf_counter()
        id = self.submit(ids, owner, 1)
        self.step_until(lambda: self.heard.drawn[id] > 0)
        return time.perf_counter() - began

    def chats(self, workload: Workload) -> Answer:
        """Run chats at once. Decoding is timed from when all of them decode."""
        chats, tokens = workload["chats"], workload["tokens"]
        words = make_prompts(chats, workload["prompt"], workload["seed"])
        began = time.perf_counter()
        ids = [self.submit(each, f"chat{n}", tokens + MAX_EARLY_TOKENS * chats) for n, each in enumerate(words)]
        self.step_until(lambda: all(self.heard.drawn[id] for id in ids))
        read = time.perf_counter()
        goal = {id: self.heard.drawn[id] + tokens for id in ids}
        self.step_until(lambda: all(self.heard.drawn[id] >= goal[id] for id in ids))
        done = time.perf_counter()
        for n, id in enumerate(ids):
            self.worker.handle(Cancel(id))
            self.worker.handle(DropOwner(f"chat{n}"))
        return {"prefill_s": read - began, "decode_s": done - read}

    def turns(self, turns: list[int], seed: str) -> Answer:
        """Seconds to the first token at these turns of a conversation, with a warmed prefix and without a cache."""
        assert self.conversation is not None
        answer, kept = {}, {}
        for turn, opening, ids in self.conversation.prompts(max(turns), seed):
            self.worker.handle(WarmPrefix(tuple(opening), "person"))
            self.step_until(lambda: not self.worker.scheduler.has_work)
            seconds = self.first_token(ids, "person")
            if turn in turns:
                answer[f"reused_{turn}_s"], kept[turn] = seconds, ids
        self.worker.handle(DropOwner("person"))
        for turn, ids in kept.items():
            answer[f"fresh_{turn}_s"], answer[f"prompt_{turn}"] = self.first_token(ids, "fresh"), float(len(ids))
            self.worker.handle(DropOwner("fresh"))
        return answer

    def submit(self, ids: list[int], owner: str, tokens: int) -> int:
        self.last += 1
        self.worker.handle(Generate(self.last, tuple(ids), Sampling(temperature=0, max_tokens=tokens), owner))
        return self.last

    def step_until(self, done: Callable[[], bool]) -> None:
        while not done():
            if not self.worker.scheduler.has_work:
                raise RuntimeError("chats end early: the model's context is too short for this")
            self.worker.step()


def make_prompts(chats: int, length: int, seed: str) -> list[list[int]]:
    return [prompt(length, f"{seed}-{chat}") for chat in range(chats)]


def load() -> tuple[Peer, Answer]:
    """Load the runner as the bot's engine does."""
    folder, cache = Path(sys.argv[1]), Path(sys.argv[3]) if len(sys.argv) > 3 else MODELS
    load_it = loader(folder, cast(WeightFormat, sys.argv[2]), cache)
    runner = cast(TorchRunner, load_it(lambda step: print(step, file=sys.stderr)))
    conversation = Conversation(folder) if (folder / "tokenizer.json").exists() else None
    return OurPeer(runner, conversation), {"weights": runner.weights}


if __name__ == "__main__":
    serve(load)
