"""Rounds: the same workload for every peer in turn, after a warm-up, as often as a median needs."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from benchmarks.engine.peer import Peer
from benchmarks.engine.quiet import Guard
from benchmarks.engine.speech import Answer, Workload

WARMUP_TOKENS = 8
"""Tokens of the warm-up round, which is not counted."""
MAX_LOOKS = 15
"""Checks to wait for a quiet machine."""

PeerWorkload = tuple[Peer, Workload]


@dataclass(frozen=True, slots=True)
class Rounds:
    """`prompt` and `tokens`: ids of a chat's prompt and tokens of its answer."""

    guard: Guard
    runs: int
    prompt: int
    tokens: int

    def chats(self, chats: int, tokens: int | None = None) -> Workload:
        """The workload that every peer supports."""
        return {"chats": chats, "prompt": self.prompt, "tokens": tokens or self.tokens}

    def measure(self, what: str, asked: Sequence[PeerWorkload]) -> list[list[Answer]]:
        """The answers of each peer, one per round."""
        print_progress(what)
        self.guard.look(MAX_LOOKS)
        for peer, workload in asked:
            peer.ask({**warmup(workload), "seed": f"{what}, warm"})
        rounds = [
            [self.ask(peer, workload, f"{what} {number}") for peer, workload in asked] for number in range(self.runs)
        ]
        return [list(answers) for answers in zip(*rounds, strict=True)]

    def ask(self, peer: Peer, workload: Workload, seed: str) -> Answer:
        """A peer's answer while the machine is quiet. When it is asked again, its prompts are new to its cache."""
        tries = count()
        return self.guard.quietly(lambda: peer.ask({**workload, "seed": f"{seed}, try {next(tries)}"}))


def warmup(workload: Workload) -> Workload:
    return {**workload, "tokens": min(WARMUP_TOKENS, workload["tokens"])} if "tokens" in workload else workload


def print_progress(what: str) -> None:
    """Tell the user what is being measured."""
    print(f"measuring {what} ...", file=sys.stderr, flush=True)
