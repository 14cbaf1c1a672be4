"""OpenVINO GenAI's continuous batching as a peer, step by step. Runs in a Python of its own.

Usage: PYTHON -m benchmarks.engine.openvino_peer FOLDER-OR-GGUF WEIGHTS CHATS LENGTH
"""

import sys
from importlib.metadata import version
from typing import Any

import numpy as np
import openvino
import openvino_genai

from benchmarks.engine.chats import ChatTimer
from benchmarks.engine.speech import Answer, Peer, Workload, physical_cores, serve
from benchmarks.engine.workloads import workloads

PACKAGE = "openvino-genai"
BATCH_IDS, BLOCK_IDS = 512, 32
"""Ids of a step, and of a block of the cache on a CPU."""
NO_ID = -1


class OpenVino:
    """A pipeline with a prefix cache."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline, self.last = pipeline, 0

    def chats(self, workload: Workload) -> Answer:
        timer = ChatTimer(workload)
        handles = [self.add(ids, timer.most_tokens) for ids in timer.prompts]
        while not timer.done:
            timer.count([len(got) for got in self.step(handles)])
        for handle in handles:
            handle.cancel()
        self.step_all([])
        return timer.answer

    def draw(self, ids: list[int], tokens: int) -> list[int]:
        return self.step_all([self.add(ids, tokens)])[0]

    def first_token(self, ids: list[int]) -> None:
        self.draw(ids, 1)

    def add(self, ids: list[int], tokens: int) -> Any:
        """Begin a greedy answer of exactly so many tokens."""
        self.last += 1
        config = self.pipeline.get_config()
        config.max_new_tokens = config.min_new_tokens = tokens
        config.do_sample, config.ignore_eos, config.repetition_penalty = False, True, 1.0
        config.apply_chat_template, config.eos_token_id, config.stop_token_ids = False, NO_ID, set()
        return self.pipeline.add_request(self.last, openvino.Tensor(np.array([ids], dtype=np.int64)), config)

    def step(self, handles: list[Any]) -> list[list[int]]:
        """One step. Returns the new tokens of each answer."""
        self.pipeline.step()
        return [read(handle) for handle in handles]

    def step_all(self, handles: list[Any]) -> list[list[int]]:
        """Steps to the end. Returns the tokens of each answer."""
        drawn: list[list[int]] = [[] for _ in handles]
        while self.pipeline.has_non_finished_requests():
            drawn = [tokens + new for tokens, new in zip(drawn, self.step(handles), strict=True)]
        return drawn


def read(handle: Any) -> list[int]:
    tokens: list[int] = []
    while handle.can_read():
        for output in handle.read().values():
            tokens += output.generated_ids
    return tokens


def load() -> tuple[Peer, Answer]:
    """Load a folder of OpenVINO's format, or a GGUF file of the types that it reads."""
    _, path, weights, chats, length = sys.argv
    config = openvino_genai.SchedulerConfig()
    config.num_kv_blocks = int(chats) * (int(length) // BLOCK_IDS + 2)
    config.max_num_batched_tokens, config.max_num_seqs = BATCH_IDS, max(int(chats), 1)
    config.enable_prefix_caching = config.dynamic_split_fuse = True
    properties = {"INFERENCE_NUM_THREADS": physical_cores()}
    pipeline = openvino_genai.ContinuousBatchingPipeline(path, config, "CPU", properties)
    about = {"version": version(PACKAGE), "threads": physical_cores(), "weights": weights}
    return workloads(OpenVino(pipeline)), about


if __name__ == "__main__":
    serve(load)
