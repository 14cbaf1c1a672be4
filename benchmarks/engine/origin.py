"""transformers' generate in float32 as a peer, one chat at a time: how the original bot computes.

Usage: python -m benchmarks.engine.origin FOLDER
"""

import sys
import time
from typing import Any, cast

import torch
import transformers
from transformers import AutoModelForCausalLM

from benchmarks.engine.speech import Answer, Peer, Workload, prompt, serve
from benchmarks.engine.workloads import workloads


class TokenClock:
    """A streamer that records the times of the prompt and of each token."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        """See transformers' BaseStreamer."""
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """See transformers' BaseStreamer."""


class TransformersPeer:
    """Runs a model by transformers."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def chats(self, workload: Workload) -> Answer:
        assert workload["chats"] == 1, "one chat at a time"
        clock = TokenClock()
        began = time.perf_counter()
        self.generate(prompt(workload["prompt"], f"{workload['seed']}-0"), workload["tokens"] + 1, clock)
        first, last = clock.times[1], clock.times[-1]
        return {"prefill_s": first - began, "decode_s": last - first}

    def draw(self, ids: list[int], tokens: int) -> list[int]:
        return self.generate(ids, tokens)

    def first_token(self, ids: list[int]) -> None:
        self.generate(ids, 1)

    @torch.inference_mode()
    def generate(self, ids: list[int], tokens: int, streamer: TokenClock | None = None) -> list[int]:
        """Draw so many tokens greedily."""
        given = torch.tensor([ids])
        found = self.model.generate(
            given, attention_mask=torch.ones_like(given), do_sample=False, streamer=cast(Any, streamer),
            pad_token_id=0, max_new_tokens=tokens, min_new_tokens=tokens,
        )  # fmt: skip
        return [int(token) for token in found[0, len(ids) :]]


def load() -> tuple[Peer, Answer]:
    """Load the model of a folder."""
    model = AutoModelForCausalLM.from_pretrained(
        sys.argv[1], dtype=torch.float32, attn_implementation="sdpa", local_files_only=True
    )
    about = {"version": transformers.__version__, "threads": torch.get_num_threads(), "weights": "float32"}
    return workloads(TransformersPeer(model)), about | {"lacks": ["conversation", "many chats"]}


if __name__ == "__main__":
    serve(load)
