"""The runner: one sequence at a time through the transformers library. Knows no pipe and no text.

The only file that imports torch; itself imported only in the worker's process.
"""

import os
from collections.abc import Generator
from typing import Any, cast

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import DynamicCache
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.utils import logging

from core.checkpoints.weights import count, shapes
from core.engine import memory
from core.engine.loader import Loader, Report, Weights
from core.engine.sampling import Sampling
from core.errors import SetupError

CHUNK = 512
"""How many tokens of a prompt are read before a cancel is noticed."""

SLACK = 512 * 1024**2
"""What the libraries and the intermediate results take beside weights and cache."""


def load(loader: Loader, report: Report) -> "TransformersRunner":
    """The model of a folder, on the best device there is. A SetupError names the folder and fits on one line."""
    quiet()
    if loader.threads:
        torch.set_num_threads(loader.threads)
    try:
        return read(loader, report)
    except SetupError:
        raise
    except Exception as error:
        line = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise SetupError(f"the model in {loader.folder} can't be loaded: {line}") from error


def quiet() -> None:
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def read(loader: Loader, report: Report) -> "TransformersRunner":
    config = AutoConfig.from_pretrained(loader.folder, local_files_only=True, trust_remote_code=False)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = choose(loader.weights, device)
    context = min(config.max_position_embeddings, loader.context or config.max_position_embeddings)
    needed = count(shapes(loader.folder)) * dtype.itemsize + cache_bytes(config, context, dtype) + SLACK
    memory.require(str(loader.folder), needed, free(device) if loader.free is None else loader.free)
    report(f"loading {loader.folder.name} ({needed / memory.GIB:.1f} GiB)")
    return TransformersRunner(pretrained(loader, dtype, device), context)


def choose(name: Weights, device: torch.device) -> torch.dtype:
    """bfloat16 wherever the hardware computes with it; elsewhere it is slower than float32."""
    if name != "auto":
        return torch.bfloat16 if name == "bf16" else torch.float32
    able = torch.cpu.get_capabilities()
    native = device.type == "cuda" or any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.bfloat16 if native else torch.float32


def free(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else memory.available()


def cache_bytes(config: PreTrainedConfig, context: int, dtype: torch.dtype) -> int:
    """A key and a value for each layer, head and position."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * width * context * dtype.itemsize)


def pretrained(loader: Loader, dtype: torch.dtype, device: torch.device) -> PreTrainedModel:
    """The weights in their model; a weight that no file holds would be random, so it is an error."""
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        loader.folder,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        dtype=dtype,
        output_loading_info=True,
    )
    model, info = loaded
    if info["missing_keys"]:
        raise SetupError(f"the model in {loader.folder} lacks {len(info['missing_keys'])} weights: download it again")
    placed: PreTrainedModel = model.eval().to(device)
    return placed


class TransformersRunner:
    """A loaded model. Each sequence has a cache, a generator and processors of its own; nothing is shared."""

    def __init__(self, model: PreTrainedModel, context: int) -> None:
        self.model = model
        self.context = context
        self.device = str(model.device)
        self.weights = str(model.dtype).removeprefix("torch.")

    def generate(self, ids: tuple[int, ...], sampling: Sampling) -> Generator[int | None, None, None]:
        """Prefill in chunks, a None after each but the last; then a token for each forward, without end."""
        self.check(ids)
        cache = DynamicCache(config=self.model.config)
        draw = Draw(sampling, ids, self.model.device)
        for start in range(0, len(ids) - CHUNK, CHUNK):
            self.forward(ids[start : start + CHUNK], cache)
            yield None
        unread = ids[(len(ids) - 1) // CHUNK * CHUNK :]
        while True:
            token = draw(self.forward(unread, cache))
            yield token
            unread = (token,)

    def check(self, ids: tuple[int, ...]) -> None:
        """A foreign id would be an IndexError on a CPU, but the end of every sequence on a GPU."""
        if not ids or min(ids) < 0 or max(ids) >= self.model.config.vocab_size:
            raise ValueError("a prompt is one or more ids of the model's vocabulary")

    @torch.inference_mode()
    def forward(self, ids: tuple[int, ...], cache: DynamicCache) -> torch.Tensor:
        """Read these ids into the cache; the logits of what follows them, one row."""
        inputs = torch.tensor([ids], device=self.model.device)
        logits: torch.Tensor = self.model(inputs, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
        return logits[:, -1].float()


class Draw:
    """Draws one sequence's tokens from their logits, remembering them for the repetition penalty."""

    def __init__(self, sampling: Sampling, ids: tuple[int, ...], device: torch.device) -> None:
        self.greedy = sampling.temperature <= 0
        self.process = processors(sampling)
        self.seen = torch.tensor([ids], device=device)
        self.generator = torch.Generator(device).manual_seed(seed(sampling))

    @torch.inference_mode()
    def __call__(self, logits: torch.Tensor) -> int:
        scores = self.process(cast(torch.LongTensor, self.seen), cast(torch.FloatTensor, logits))
        token = scores.argmax(-1, keepdim=True) if self.greedy else self.sample(scores)
        self.seen = torch.cat((self.seen, token), dim=1)
        return int(token)

    def sample(self, scores: torch.Tensor) -> torch.Tensor:
        return torch.multinomial(scores.softmax(-1), 1, generator=self.generator)


def processors(sampling: Sampling) -> LogitsProcessorList:
    """What changes the scores, in the library's own order."""
    chosen = LogitsProcessorList()
    if sampling.repetition_penalty != 1:
        chosen.append(RepetitionPenaltyLogitsProcessor(float(sampling.repetition_penalty)))
    if sampling.temperature <= 0:
        return chosen
    chosen.append(TemperatureLogitsWarper(float(sampling.temperature)))
    if sampling.top_k > 0:
        chosen.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        chosen.append(TopPLogitsWarper(float(sampling.top_p)))
    return chosen


def seed(sampling: Sampling) -> int:
    drawn = int.from_bytes(os.urandom(8), "little") if sampling.seed is None else sampling.seed
    return drawn & (1 << 64) - 1
