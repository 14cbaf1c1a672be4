"""The workloads that a peer answers besides chats, whatever it is. Runs in any Python."""

import time
from typing import Protocol

from benchmarks.engine.speech import Answer, Peer, Workload


class Generator(Protocol):
    """A loaded peer."""

    def chats(self, workload: Workload) -> Answer:
        """The seconds that reading and drawing of several chats at once took."""

    def draw(self, ids: list[int], tokens: int) -> list[int]:
        """Greedily drawn tokens, whatever they are: an end of the answer is one of them."""

    def first_token(self, ids: list[int]) -> object:
        """Compute a prompt and draw one token. What was computed before is reused, if the peer can."""


def workloads(generator: Generator) -> Peer:
    """Answers the workloads of a generator: {"conversation": [[turn, opening ids, ids], ...]}, {"greedy": [ids, ...],
    "tokens": n}, and chats."""

    def answer(workload: Workload) -> Answer:
        if "conversation" in workload:
            return conversation(generator, workload["conversation"])
        if "greedy" in workload:
            return {"greedy": [generator.draw(ids, workload["tokens"]) for ids in workload["greedy"]]}
        return generator.chats(workload)

    return answer


def conversation(generator: Generator, turns: list[tuple[int, list[int], list[int]]]) -> Answer:
    """Seconds to the first token of each turn. What comes before its question is read ahead, and not timed."""
    seconds = {}
    for turn, opening, ids in turns:
        if opening:
            generator.first_token(opening)
        began = time.perf_counter()
        generator.first_token(ids)
        seconds[f"turn_{turn}_s"] = time.perf_counter() - began
    return seconds


def shared_length(past: list[int], ids: list[int]) -> int:
    """The number of first ids that both have; less than all of `ids`, of which one must be computed."""
    count = 0
    while count < min(len(past), len(ids) - 1) and past[count] == ids[count]:
        count += 1
    return count
