"""Makes the smallest models of the families that Qwentin runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

FAMILIES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}
CONTEXT = 1024
"""Of every tiny model."""


def save(folder: Path, family: str = "llama", dtype: torch.dtype = torch.float32, **changes: Any) -> Path:
    """Random weights, wide enough apart that the next token is no draw; the Qwens use one matrix at both ends.

    `changes` go into the configuration.
    """
    torch.manual_seed(7)
    config, model = FAMILIES[family]
    settings = {
        "vocab_size": 300,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32 if family == "qwen3" else 16,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.3,
        "tie_word_embeddings": family != "llama",
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    made = model(config(**(settings | changes)))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            # Fresh ones are all ones and all zeros, and would hide that they are forgotten.
            if parameter.ndim == 1:
                parameter.copy_(0.3 * torch.randn(parameter.shape) + ("norm" in name))
    made.to(dtype).save_pretrained(folder)
    return folder
