"""CTranslate2 as a peer. It has no single steps, and no cache of prefixes; it says when each token is drawn. Runs in a
Python of its own.

Usage: PYTHON -m benchmarks.engine.ctranslate2_peer FOLDER WEIGHTS
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import ctranslate2

from benchmarks.engine.speech import Answer, Peer, Workload, physical_cores, prompt, serve
from benchmarks.engine.workloads import workloads


class CTranslate2:
    """A generator, and the words of its vocabulary, by which it is asked."""

    def __init__(self, generator: Any, vocabulary: list[str]) -> None:
        self.generator, self.vocabulary = generator, vocabulary

    def chats(self, workload: Workload) -> Answer:
        chats, tokens = workload["chats"], workload["tokens"] + 1
        prompts = [prompt(workload["prompt"], f"{workload['seed']}-{chat}") for chat in range(chats)]
        began = time.perf_counter()
        steps = self.generate(prompts, tokens)
        first = max(seconds for step, _, seconds in steps[:chats])
        return {"prefill_s": first - began, "decode_s": steps[-1][2] - first}

    def draw(self, ids: list[int], tokens: int) -> list[int]:
        return [token for _, token, _ in self.generate([ids], tokens)]

    def first_token(self, ids: list[int]) -> None:
        self.generate([ids], 1)

    def generate(self, prompts: list[list[int]], tokens: int) -> list[tuple[int, int, float]]:
        """Draw so many tokens for each prompt. Returns each one's step, itself, and the time at which it was drawn."""
        steps: list[tuple[int, int, float]] = []

        def drawn(result: Any) -> bool:
            steps.append((result.step, result.token_id, time.perf_counter()))
            return False

        self.generator.generate_batch(
            [[self.vocabulary[id] for id in ids] for ids in prompts], max_batch_size=len(prompts), beam_size=1,
            sampling_topk=1, max_length=tokens, min_length=tokens, include_prompt_in_result=False, callback=drawn,
        )  # fmt: skip
        return steps


def load() -> tuple[Peer, Answer]:
    """Load a folder that CTranslate2's converter wrote."""
    folder = Path(sys.argv[1])
    generator = ctranslate2.Generator(
        str(folder), device="cpu", compute_type="int8", inter_threads=1, intra_threads=physical_cores()
    )
    vocabulary = json.loads((folder / "vocabulary.json").read_text())
    about = {"version": ctranslate2.__version__, "threads": physical_cores(), "weights": sys.argv[2]}
    return workloads(CTranslate2(generator, vocabulary)), about | {"lacks": ["conversation"]}


if __name__ == "__main__":
    serve(load)
