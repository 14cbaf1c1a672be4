"""Rounds: the same work for every peer in turn, warm, as often as it takes for a median."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.engine.peer import Peer
from benchmarks.engine.quiet import Guard
from benchmarks.engine.speech import Answer, Workload

WARM = 8
"""Tokens of the round that is not counted."""
PATIENCE = 15
"""Looks that a quiet moment may take to come."""

Asked = tuple[Peer, Workload]


@dataclass(frozen=True, slots=True)
class Rounds:
    """`prompt` and `tokens` are those of a chat."""

    guard: Guard
    runs: int
    prompt: int
    tokens: int

    def chats(self, chats: int, tokens: int | None = None) -> Workload:
        """The workload that all peers know."""
        return {"chats": chats, "prompt": self.prompt, "tokens": tokens or self.tokens}

    def measure(self, what: str, asked: Sequence[Asked]) -> list[list[Answer]]:
        """For each that is asked its answers, one a round."""
        say(what)
        self.guard.look(PATIENCE)
        for peer, workload in asked:
            peer.ask({**warm(workload), "seed": f"{what}, warm"})
        rounds = [
            self.guard.quietly(lambda number=number: one(asked, f"{what} {number}"))  # type: ignore[misc]
            for number in range(self.runs)
        ]
        return [list(answers) for answers in zip(*rounds, strict=True)]


def warm(workload: Workload) -> Workload:
    return {**workload, "tokens": min(WARM, workload["tokens"])} if "tokens" in workload else workload


def one(asked: Sequence[Asked], seed: str) -> list[Answer]:
    return [peer.ask({**workload, "seed": seed}) for peer, workload in asked]


def say(what: str) -> None:
    """What is measured now, for whoever waits."""
    print(f"measuring {what} ...", file=sys.stderr, flush=True)
