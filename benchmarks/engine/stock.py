"""The stock wheel of llama.cpp, xllamacpp, as a peer. Runs in a Python of its own.

It has no function for a single step, so this calls its server, without HTTP. Every chat has a slot. All prompts are
computed first, one after the other; then all chats continue at once. Times are the server's own. Its cache of prompts
in memory is off; a slot keeps what it computed last, which serves a conversation.

Usage: PYTHON -m benchmarks.engine.stock FILE.gguf SLOTS LENGTH, the last two: chats at once, and tokens of each
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import xllamacpp

from benchmarks.engine.speech import Answer, Peer, Workload, physical_cores, prompt, serve
from benchmarks.engine.workloads import workloads

PACKAGE = "xllamacpp"


class StockPeer:
    """Runs workloads on a server with a loaded file."""

    def __init__(self, server: Any) -> None:
        self.server = server

    def chats(self, workload: Workload) -> Answer:
        chats, tokens = workload["chats"], workload["tokens"]
        prompts = [prompt(workload["prompt"], f"{workload['seed']}-{chat}") for chat in range(chats)]
        read = [self.times(slot, ids, 1, cached=False) for slot, ids in enumerate(prompts)]
        # The first token comes from the prompt's last row, not from a decode step.
        with ThreadPoolExecutor(chats) as together:
            drawn = list(together.map(self.times, range(chats), prompts, [tokens + 1] * chats))
        return {
            "prefill_s": sum(times["prompt_ms"] for times in read) / 1000,
            "decode_s": max(times["predicted_ms"] for times in drawn) / 1000,
        }

    def draw(self, ids: list[int], tokens: int) -> list[int]:
        chosen = self.complete(0, ids, tokens, cached=False, n_probs=1)["choices"][0]["logprobs"]["content"]
        return [each["id"] for each in chosen]

    def first_token(self, ids: list[int]) -> None:
        self.complete(0, ids, 1)

    def times(self, slot: int, ids: list[int], tokens: int, cached: bool = True) -> Answer:
        """Complete greedily. Returns the server's times."""
        times: Answer = self.complete(slot, ids, tokens, cached)["timings"]
        return times

    def complete(self, slot: int, ids: list[int], tokens: int, cached: bool = True, **more: int) -> Answer:
        """Complete greedily. Returns the server's answer. `cached`: what the slot holds of these ids is reused."""
        asked = {"prompt": ids, "n_predict": tokens, "id_slot": slot, "temperature": 0, "ignore_eos": True}
        answer: Answer = self.server.handle_completions({**asked, **more, "cache_prompt": cached, "stream": False})
        if "timings" not in answer:
            raise RuntimeError(f"the server says {str(answer)[:300]}")
        if (drawn := answer["timings"]["predicted_n"]) != tokens:
            raise RuntimeError(f"{drawn} tokens instead of {tokens}")
        return answer


def load() -> tuple[Peer, Answer]:
    """Load the file in its own precision."""
    _, file, slots, length = sys.argv
    params = xllamacpp.CommonParams()
    params.model.path = file
    params.n_parallel, params.n_ctx = int(slots), int(slots) * int(length)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = physical_cores()
    params.cache_ram_mib, params.port = 0, 0
    about = {"version": version(PACKAGE), "threads": physical_cores(), "weights": "the file"}
    return workloads(StockPeer(xllamacpp.Server(params))), about


if __name__ == "__main__":
    serve(load)
