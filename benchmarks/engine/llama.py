"""llama.cpp or ik_llama.cpp as a peer, all chats in one batch. Their libraries have the same functions in C; this runs
in a Python of its own, which has one of them, and nothing of ours.

Usage: PYTHON -m benchmarks.engine.llama PACKAGE FILE.gguf, with llama-cpp-python or ik-llama-cpp-python as the package
"""

import ctypes
import sys
import time
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmarks.engine.speech import Answer, Peer, Workload, physical_cores, prompt, serve

LLAMA, IK = "llama-cpp-python", "ik-llama-cpp-python"
MODULES = {LLAMA: "llama_cpp", IK: "ik_llama_cpp._ctypes_api"}
BATCH_IDS = 512
CONTEXT_MULTIPLE = 256
"""ik_llama.cpp needs contexts that are a multiple of this."""
WARNING, ERROR = 3, 4
"""Levels of llama.cpp's log."""
Item = tuple[int, int, int, bool]
"""A token, its position, its sequence, and whether its logits are needed."""


class Llama:
    """Runs workloads on a loaded file. `api`: the functions of a package."""

    def __init__(self, api: Any, package: str, model: Any) -> None:
        self.api, self.package, self.model = api, package, model
        self.vocabulary = api.llama_vocab_n_tokens(api.llama_model_get_vocab(model))
        self.threads = physical_cores()

    def __call__(self, workload: Workload) -> Answer:
        chats, length, tokens = workload["chats"], workload["prompt"], workload["tokens"]
        context = self.context(chats, length + tokens + 1)
        batch = self.api.llama_batch_init(BATCH_IDS, 0, 1)
        try:
            return self.talk(Talk(self.api, context, batch, self.vocabulary), chats, length, tokens, workload["seed"])
        finally:
            self.api.llama_batch_free(batch)
            self.api.llama_free(context)

    def context(self, chats: int, length: int) -> Any:
        params = self.api.llama_context_default_params()
        params.n_ctx, params.n_seq_max = -(-chats * length // CONTEXT_MULTIPLE) * CONTEXT_MULTIPLE, chats
        params.n_batch = params.n_ubatch = BATCH_IDS
        params.n_threads = params.n_threads_batch = self.threads
        if self.package == IK:
            params.flash_attn = chats == 1  # with it, it crashes where several are computed together
        context = self.api.llama_init_from_model(self.model, params)
        if not context:
            raise MemoryError(f"no context for {chats} chats")
        return context

    def talk(self, talk: "Talk", chats: int, length: int, tokens: int, seed: str) -> Answer:
        prompts = [prompt(length, f"{seed}-{chat}") for chat in range(chats)]
        began = time.perf_counter()
        last = [talk.read(ids, chat) for chat, ids in enumerate(prompts)]
        read = time.perf_counter()
        for position in range(length, length + tokens):
            last = talk.decode([(token, position, chat, True) for chat, token in enumerate(last)])
        return {"prefill_s": read - began, "decode_s": time.perf_counter() - read, "last": last}


class Talk:
    """A context, and the batch that is filled for each of its steps."""

    def __init__(self, api: Any, context: Any, batch: Any, vocabulary: int) -> None:
        self.api, self.context, self.batch, self.vocabulary = api, context, batch, vocabulary

    def read(self, ids: list[int], chat: int) -> int:
        """Compute a whole prompt. Returns the likeliest token after it."""
        found: list[int] = []
        for start in range(0, len(ids), BATCH_IDS):
            some = ids[start : start + BATCH_IDS]
            end = len(ids) - 1
            found = self.decode([(token, start + n, chat, start + n == end) for n, token in enumerate(some)])
        return found[0]

    def decode(self, items: list[Item]) -> list[int]:
        """Compute one step. Returns the likeliest next tokens of the items that need logits."""
        batch = self.batch
        batch.n_tokens = len(items)
        for row, (token, position, chat, wanted) in enumerate(items):
            batch.token[row], batch.pos[row], batch.logits[row] = token, position, wanted
            batch.n_seq_id[row], batch.seq_id[row][0] = 1, chat
        if code := self.api.llama_decode(self.context, batch):
            raise RuntimeError(f"llama_decode gave {code}")
        return [self.likeliest(row) for row, item in enumerate(items) if item[3]]

    def likeliest(self, row: int) -> int:
        logits = ctypes.cast(self.api.llama_get_logits_ith(self.context, row), ctypes.POINTER(ctypes.c_float))
        return int(np.argmax(np.ctypeslib.as_array(logits, (self.vocabulary,))))


def log(level: int, text: bytes, data: Any) -> None:
    """See llama_log_set."""
    if level in (WARNING, ERROR):
        sys.stderr.write(text.decode(errors="replace"))


def load() -> tuple[Peer, Answer]:
    """Load the file in its own precision."""
    _, package, file = sys.argv
    api: Any = import_module(MODULES[package])
    if package == LLAMA:
        api.told = api.llama_log_callback(log)  # must live as long as llama.cpp does
        api.llama_log_set(api.told, None)
    api.llama_backend_init()
    model = api.llama_model_load_from_file(file.encode(), api.llama_model_default_params())
    if not model:
        raise RuntimeError(f"{package} can't load {file}")
    llama = Llama(api, package, model)
    return llama, {"version": version(package), "threads": llama.threads}


if __name__ == "__main__":
    serve(load)
