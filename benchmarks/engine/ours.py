"""Our engine as a peer: the worker in this process, without the pipe.

Usage: python -m benchmarks.engine.ours FOLDER WEIGHTS [CACHE]
"""

import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from benchmarks.engine.folders import MODELS
from benchmarks.engine.loading import loader
from benchmarks.engine.questions import Questioner
from benchmarks.engine.speech import Answer, Peer, Workload, prompt, serve
from benchmarks.engine.turns import Conversation, Window, exact, in_steps
from benchmarks.engine.workloads import workloads
from core.domain.sampling import Sampling
from core.engine.nn.model_runner import TorchRunner
from core.engine.options import WeightFormat
from core.engine.protocol import (
    Cancel,
    DropOwner,
    Event,
    Failed,
    Generate,
    NewTokens,
    Request,
    SequenceAdmitted,
    WarmPrefix,
)
from core.engine.worker import Worker

MAX_EARLY_TOKENS = 64
"""Tokens that a chat may decode while the prompt of another is computed."""
DEFAULT_TEMPERATURE = 0.7
"""Qwen's own."""
GREEDY = Sampling(temperature=0)


class CountingChannel:
    """A channel in the same process that keeps and counts the tokens of each sequence, drawn and read."""

    def __init__(self) -> None:
        self.drawn: Counter[int] = Counter()
        self.tokens: defaultdict[int, list[int]] = defaultdict(list)
        self.read: Counter[int] = Counter()
        """Ids of the prompt that were not cached."""

    def send(self, event: Event) -> None:
        """See Channel."""
        if isinstance(event, NewTokens):
            for id, token in event.tokens:
                self.drawn[id] += 1
                self.tokens[id].append(token)
        elif isinstance(event, SequenceAdmitted):
            self.read[event.id] = event.prompt_ids - event.reused_ids
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
    """Runs workloads on a worker. `folder`: of a model with a tokenizer, for prompts that are text; None without one.

    Only answers to questions are guessed ahead: random ids make a model say the same again and again.
    """

    def __init__(self, runner: TorchRunner, folder: Path | None) -> None:
        self.runner = runner
        self.conversation = Conversation(folder) if folder else None
        self.questioner = Questioner(folder) if folder else None
        self.heard = CountingChannel()
        self.worker, self.guessing = Worker(runner, self.heard, guess=False), Worker(runner, self.heard)
        self.last = 0

    def __call__(self, workload: Workload) -> Answer:
        if "turns" in workload:
            return self.turns(workload["turns"], workload["seed"])
        if "late_turns" in workload:
            first, last = workload["late_turns"]
            return self.late_turns(first, last, workload["seed"])
        if "questions" in workload:
            return self.questions(workload["questions"], workload["tokens"], workload["guess"])
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

    def questions(self, kind: str, tokens: int, guess: bool) -> Answer:
        """Answer some questions one after the other, at temperature 0: the tokens after the first ones, and the seconds
        that they took."""
        assert self.questioner is not None
        worker = self.guessing if guess else self.worker
        sampling, count, seconds = replace(self.questioner.sampling, temperature=0, max_tokens=tokens), 0, 0.0
        for ids in self.questioner.prompts(kind):
            self.last += 1
            worker.handle(Generate(self.last, tuple(ids), sampling, "person"))
            while not self.heard.drawn[self.last]:
                worker.step()
            began = time.perf_counter()
            while worker.scheduler.has_work:
                worker.step()
            seconds += time.perf_counter() - began
            count += self.heard.drawn[self.last] - 1
            worker.handle(DropOwner("person"))
        return {"tokens": count, "decode_s": seconds}

    def chats(self, workload: Workload) -> Answer:
        """Run chats at once, greedily or with the model's own defaults. Decoding is timed from when all of them
        decode."""
        chats, tokens = workload["chats"], workload["tokens"]
        words = make_prompts(chats, workload["prompt"], workload["seed"])
        sampling = GREEDY
        if workload.get("defaults"):
            assert self.questioner is not None
            sampling = replace(self.questioner.sampling, temperature=DEFAULT_TEMPERATURE, seed=1, stop_ids=())
        began = time.perf_counter()
        most = tokens + MAX_EARLY_TOKENS * chats
        ids = [self.submit(each, f"chat{n}", most, sampling) for n, each in enumerate(words)]
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
            self.hold(opening, "person")
            seconds = self.first_token(ids, "person")
            if turn in turns:
                answer[f"reused_{turn}_s"], kept[turn] = seconds, ids
        self.worker.handle(DropOwner("person"))
        for turn, ids in kept.items():
            answer[f"fresh_{turn}_s"], answer[f"prompt_{turn}"] = self.first_token(ids, "fresh"), float(len(ids))
            self.worker.handle(DropOwner("fresh"))
        return answer

    def late_turns(self, first: int, last: int, seed: str) -> Answer:
        """Mean seconds to the first token and mean ids read anew at these turns, where each question comes at once
        after the answer, so that nothing is read ahead: with the bot's window and with an exact one."""
        steps, exactly = (self.mean_of_turns(first, last, seed, each) for each in (in_steps, exact))
        return {f"steps_{key}": value for key, value in steps.items()} | {
            f"exact_{key}": value for key, value in exactly.items()
        }

    def mean_of_turns(self, first: int, last: int, seed: str, held: Window) -> Answer:
        assert self.conversation is not None
        seconds, read = [], []
        for asked in self.conversation.turns(last, seed, held):
            seconds.append(self.first_token(asked.prompt, "person"))
            read.append(float(self.heard.read[self.last]))
            self.hold(asked.answered, "person")
        self.worker.handle(DropOwner("person"))
        return {"s": statistics.mean(seconds[first - 1 :]), "read": statistics.mean(read[first - 1 :])}

    def hold(self, ids: list[int], owner: str) -> None:
        """Have the engine hold these ids for the next prompt, untimed."""
        self.worker.handle(WarmPrefix(tuple(ids), owner))
        self.step_until(lambda: not self.worker.scheduler.has_work)

    def submit(self, ids: list[int], owner: str, tokens: int, sampling: Sampling = GREEDY) -> int:
        self.last += 1
        self.worker.handle(Generate(self.last, tuple(ids), replace(sampling, max_tokens=tokens), owner))
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
    return OurPeer(runner, folder if (folder / "tokenizer.json").exists() else None), {"weights": runner.weights}


if __name__ == "__main__":
    serve(load)
