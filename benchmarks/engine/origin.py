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

    @torch.inference_mode()
    def __call__(self, workload: Workload) -> Answer:
        assert workload["chats"] == 1, "one chat at a time"
        ids = torch.tensor([prompt(workload["prompt"], f"{workload['seed']}-0")])
        clock, tokens = TokenClock(), workload["tokens"] + 1
        began = time.perf_counter()
        self.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, streamer=cast(Any, clock), pad_token_id=0,
            max_new_tokens=tokens, min_new_tokens=tokens,
        )  # fmt: skip
        first, last = clock.times[1], clock.times[-1]
        return {"prefill_s": first - began, "decode_s": last - first}


def load() -> tuple[Peer, Answer]:
    """Load the model of a folder."""
    model = AutoModelForCausalLM.from_pretrained(
        sys.argv[1], dtype=torch.float32, attn_implementation="sdpa", local_files_only=True
    )
    return TransformersPeer(model), {"version": transformers.__version__, "threads": torch.get_num_threads()}


if __name__ == "__main__":
    serve(load)
