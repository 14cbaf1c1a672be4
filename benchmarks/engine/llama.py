"""llama.cpp or ik_llama.cpp as a peer, all chats in one batch. Their libraries have the same functions in C; this runs
in a Python of its own, which has one of them, and nothing of ours.

Usage: PYTHON -m benchmarks.engine.llama PACKAGE FILE.gguf LENGTH, with llama-cpp-python or ik-llama-cpp-python as the
package; LENGTH: ids that a conversation may have
"""

import ctypes
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmarks.engine.speech import Answer, Peer, Workload, physical_cores, prompt, serve
from benchmarks.engine.workloads import shared_length, workloads

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
    """Runs workloads on a loaded file. `api`: the functions of a package; `length`: ids that a conversation may have.

    The context of a conversation is kept, and cut back to what the next prompt shares with the last.
    """

    def __init__(self, api: Any, package: str, model: Any, length: int) -> None:
        self.api, self.package, self.model, self.length = api, package, model, length
        self.past: list[int] = []
        self.kept: Talk | None = None
        self.vocabulary = api.llama_vocab_n_tokens(api.llama_model_get_vocab(model))
        self.threads = physical_cores()

    def chats(self, workload: Workload) -> Answer:
        chats, length, tokens = workload["chats"], workload["prompt"], workload["tokens"]
        with self.open_talk(chats, length + tokens + 1) as talk:
            return self.talk(talk, chats, length, tokens, workload["seed"])

    def draw(self, ids: list[int], tokens: int) -> list[int]:
        with self.open_talk(1, len(ids) + tokens) as talk:
            drawn = [talk.read(ids, 0)]
            while len(drawn) < tokens:
                drawn += talk.decode([(drawn[-1], len(ids) + len(drawn) - 1, 0, True)])
            return drawn

    def first_token(self, ids: list[int]) -> None:
        self.kept = self.kept or self.start_talk(1, self.length)
        shared = shared_length(self.past, ids)
        self.kept.cut(shared)
        self.kept.read(ids[shared:], 0, shared)
        self.past = ids

    @contextmanager
    def open_talk(self, chats: int, length: int) -> "Iterator[Talk]":
        """A context for so many chats, for the duration of a block."""
        talk = self.start_talk(chats, length)
        try:
            yield talk
        finally:
            self.api.llama_batch_free(talk.batch)
            self.api.llama_free(talk.context)

    def start_talk(self, chats: int, length: int) -> "Talk":
        batch = self.api.llama_batch_init(BATCH_IDS, 0, 1)
        return Talk(self.api, self.context(chats, length), batch, self.vocabulary)

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

    def cut(self, length: int) -> None:
        """Forget what comes after so many ids of the first chat."""
        if hasattr(self.api, "llama_get_memory"):
            self.api.llama_memory_seq_rm(self.api.llama_get_memory(self.context), 0, length, -1)
        else:  # ik_llama.cpp has the older function, which its package does not declare
            remove = self.api._lib.llama_kv_cache_seq_rm
            remove.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32]
            remove(self.context, 0, length, -1)

    def read(self, ids: list[int], chat: int, first: int = 0) -> int:
        """Compute a prompt, from position `first` on. Returns the likeliest token after it."""
        found: list[int] = []
        for start in range(0, len(ids), BATCH_IDS):
            some = ids[start : start + BATCH_IDS]
            end = len(ids) - 1
            found = self.decode([(token, first + start + n, chat, start + n == end) for n, token in enumerate(some)])
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
    _, package, file, length = sys.argv
    api: Any = import_module(MODULES[package])
    if package == LLAMA:
        api.told = api.llama_log_callback(log)  # must live as long as llama.cpp does
        api.llama_log_set(api.told, None)
    api.llama_backend_init()
    model = api.llama_model_load_from_file(file.encode(), api.llama_model_default_params())
    if not model:
        raise RuntimeError(f"{package} can't load {file}")
    llama = Llama(api, package, model, int(length))
    return workloads(llama), {"version": version(package), "threads": llama.threads, "weights": "the file"}


if __name__ == "__main__":
    serve(load)
