"""onnxruntime-genai as a peer, token by token. Runs in a Python of its own.

Usage: PYTHON -m benchmarks.engine.onnxruntime_peer FOLDER WEIGHTS CHATS LENGTH
"""

import sys
import time
from importlib.metadata import version
from typing import Any

import numpy as np
import onnxruntime_genai

from benchmarks.engine.speech import Answer, Peer, Workload, physical_cores, prompt, serve
from benchmarks.engine.workloads import shared_length, workloads

PACKAGE = "onnxruntime-genai"


class OnnxRuntime:
    """Generators of a loaded model. One of them keeps a conversation, and is rewound to what the next prompt shares."""

    def __init__(self, model: Any, length: int) -> None:
        self.model, self.length = model, length
        self.past: list[int] = []
        self.kept: Any = None

    def chats(self, workload: Workload) -> Answer:
        chats, length, tokens = workload["chats"], workload["prompt"], workload["tokens"]
        prompts = [prompt(length, f"{workload['seed']}-{chat}") for chat in range(chats)]
        generator = self.generator(length + tokens + 2, chats)
        began = time.perf_counter()
        generator.append_tokens(np.array(prompts, dtype=np.int32))
        generator.generate_next_token()
        read = time.perf_counter()
        for _ in range(tokens):
            generator.generate_next_token()
        return {"prefill_s": read - began, "decode_s": time.perf_counter() - read}

    def draw(self, ids: list[int], tokens: int) -> list[int]:
        generator = self.generator(len(ids) + tokens + 1)
        generator.append_tokens(np.array([ids], dtype=np.int32))
        drawn = []
        for _ in range(tokens):
            generator.generate_next_token()
            drawn.append(int(generator.get_next_tokens()[0]))
        return drawn

    def first_token(self, ids: list[int]) -> None:
        self.kept = self.kept or self.generator(self.length)
        shared = shared_length(self.past, ids)
        self.kept.rewind_to(shared)
        self.kept.append_tokens(np.array([ids[shared:]], dtype=np.int32))
        self.kept.generate_next_token()
        self.past = ids

    def generator(self, length: int, chats: int = 1) -> Any:
        params = onnxruntime_genai.GeneratorParams(self.model)
        params.set_search_options(max_length=length, min_length=length, batch_size=chats, do_sample=False)
        return onnxruntime_genai.Generator(self.model, params)


def load() -> tuple[Peer, Answer]:
    """Load a folder that onnxruntime-genai's builder wrote."""
    _, folder, weights, _, length = sys.argv
    model = onnxruntime_genai.Model(onnxruntime_genai.Config(folder))
    about = {"version": version(PACKAGE), "threads": physical_cores(), "weights": weights}
    return workloads(OnnxRuntime(model, int(length))), about


if __name__ == "__main__":
    serve(load)
