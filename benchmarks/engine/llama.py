"""llama.cpp as a peer, all chats in one batch. Runs in a Python of its own, which has llama_cpp and nothing of ours.

Usage: PYTHON -m benchmarks.engine.llama FILE.gguf
"""

import sys
import time
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np

from benchmarks.engine.speech import Answer, Peer, Request, cores, prompt, serve

BATCH = 512
WARNING, ERROR = 3, 4
"""Of llama.cpp's log; it says very much besides."""
Item = tuple[int, int, int, bool]
"""A token, its position, its sequence, and whether its logits are wanted."""


def physical_cores() -> int:
    """As llama.cpp's own programs choose their number of threads: two hyperthreads of a core are one."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = [
        line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith(("physical id", "core id"))
    ]
    return min(cores(), len(set(zip(fields[::2], fields[1::2], strict=False))) or cores())


class Llama:
    """A loaded file."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        self.threads = physical_cores()

    def __call__(self, request: Request) -> Answer:
        chats, length, tokens = request["chats"], request["prompt"], request["tokens"]
        context = self.context(chats, length + tokens + 1)
        batch = llama_cpp.llama_batch_init(BATCH, 0, 1)
        try:
            return self.talk(Talk(context, batch, self.vocabulary), chats, length, tokens, request["seed"])
        finally:
            llama_cpp.llama_batch_free(batch)
            llama_cpp.llama_free(context)

    def context(self, chats: int, length: int) -> Any:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_seq_max = chats * length, chats
        params.n_batch = params.n_ubatch = BATCH
        params.n_threads = params.n_threads_batch = self.threads
        context = llama_cpp.llama_init_from_model(self.model, params)
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
        return {"prefill_s": read - began, "decode_s": time.perf_counter() - read}


class Talk:
    """A context and the batch that is filled for it, step by step."""

    def __init__(self, context: Any, batch: Any, vocabulary: int) -> None:
        self.context, self.batch, self.vocabulary = context, batch, vocabulary

    def read(self, ids: list[int], chat: int) -> int:
        """A whole prompt; the likeliest token after it."""
        found: list[int] = []
        for start in range(0, len(ids), BATCH):
            some = ids[start : start + BATCH]
            end = len(ids) - 1
            found = self.decode([(token, start + n, chat, start + n == end) for n, token in enumerate(some)])
        return found[0]

    def decode(self, items: list[Item]) -> list[int]:
        """One step; the likeliest next tokens of those whose logits are wanted."""
        batch = self.batch
        batch.n_tokens = len(items)
        for row, (token, position, chat, wanted) in enumerate(items):
            batch.token[row], batch.pos[row], batch.logits[row] = token, position, wanted
            batch.n_seq_id[row], batch.seq_id[row][0] = 1, chat
        if code := llama_cpp.llama_decode(self.context, batch):
            raise RuntimeError(f"llama_decode gave {code}")
        return [self.likeliest(row) for row, item in enumerate(items) if item[3]]

    def likeliest(self, row: int) -> int:
        logits = llama_cpp.llama_get_logits_ith(self.context, row)
        return int(np.argmax(np.ctypeslib.as_array(logits, (self.vocabulary,))))


def log(level: int, text: bytes, data: Any) -> None:
    """See llama_log_set."""
    if level in (WARNING, ERROR):
        sys.stderr.write(text.decode(errors="replace"))


LOG = llama_cpp.llama_log_callback(log)
"""Must live as long as llama.cpp does."""


def load() -> tuple[Peer, Answer]:
    """The file, in whatever precision it has."""
    llama_cpp.llama_log_set(LOG, None)
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(sys.argv[1].encode(), llama_cpp.llama_model_default_params())
    if not model:
        raise RuntimeError(f"llama.cpp can't load {sys.argv[1]}")
    llama = Llama(model)
    return llama, {"version": llama_cpp.__version__, "threads": llama.threads}


if __name__ == "__main__":
    serve(load)
