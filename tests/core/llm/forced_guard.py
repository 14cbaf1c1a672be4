"""A tiny random Qwen3 that is a guard model by force: its logits say "Unsafe" where a word stands in the question, else
"Safe". It has no sense of anything else."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from core.domain.prompt import Message
from core.llm.guard_families import QWEN3_GUARD
from core.llm.guard_model import AnswerIds, common_length
from core.llm.tokenizer import Tokenizer
from tests.core.engine.tiny import save
from tests.core.llm.guards import BUILTIN, GUARD, TEMPLATE, TOKENIZER

WORD = " volcano"
"""What is unsafe to it, with the space before it."""
CATEGORY = "Violent"
_ALWAYS, _VALUE, _FOUND = 0, 1, 2
"""Places in a hidden state: 1 in every token's; 1 in the word's alone; more than 0 behind the word, by attention."""


def save_forced_guard(folder: Path) -> Path:
    """The model in a folder that GUARD_MODEL may name, with the built-in model's tokenizer."""
    changes: dict[str, Any] = {"vocab_size": 49152, "tie_word_embeddings": False, "max_position_embeddings": 8192}
    save(folder, "qwen3", num_hidden_layers=1, **changes)
    weights = load_file(folder / "model.safetensors")
    save_file(force(weights), folder / "model.safetensors", {"format": "pt"})
    shutil.copy(BUILTIN.folder / "tokenizer.json", folder)
    settings = {"chat_template": TEMPLATE, "eos_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def force(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Random weights with the logits forced: attention is even over all tokens, so each sees whether the word is there.

    The MLP stays random, but nothing of it is added.
    """
    forced = {name: weight.clone() for name, weight in weights.items()}
    for name, weight in forced.items():
        if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight", "down_proj.weight")):
            weight.zero_()
        elif name.endswith("norm.weight"):
            weight.fill_(1)
    forced["model.embed_tokens.weight"].zero_()
    forced["model.embed_tokens.weight"][:, _ALWAYS] = 1
    forced["model.embed_tokens.weight"][TOKENIZER.encode_text(WORD)[-1], _VALUE] = 1
    forced["model.layers.0.self_attn.v_proj.weight"][0, _VALUE] = 1
    forced["model.layers.0.self_attn.o_proj.weight"][_FOUND, 0] = 1000
    head = forced["lm_head.weight"]
    head.zero_()
    answers = AnswerIds(QWEN3_GUARD, Tokenizer(BUILTIN.folder, TEMPLATE, (Message("user", "probe"),)), GUARD.name)
    place = common_length(answers.labels)
    head[answers.labels["Safe"][place], _ALWAYS] = 1
    head[answers.labels["Unsafe"][place], _FOUND] = 10
    categories = answers.categories["Unsafe"]
    head[categories[CATEGORY][common_length(categories)], _FOUND] = 20  # another may begin as "Unsafe" does
    return forced
