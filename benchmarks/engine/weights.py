"""Writes weights for peers as safetensors. Usage:

python -m benchmarks.engine.weights hub FOLDER TARGET        a model's numbers in bf16, as the model hub has them
python -m benchmarks.engine.weights random TARGET            random ones in bf16, in the shape of Qwen2.5-1.5B
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from core.checkpoints.architecture import Architecture
from core.checkpoints.weight_index import tensor_shapes
from core.engine.nn.weight_reader import WeightReader

SHAPE: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "max_position_embeddings": 32768,
    "num_attention_heads": 12,
    "num_hidden_layers": 28,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
INIT_STD = 0.02
"""Standard deviation of random weights, as models are initialised."""


def write_for_transformers(source: Path, target: Path) -> None:
    """Write every tensor of a folder in bf16, 4-bit codes as their values."""
    tensors = WeightReader(source)
    save({name: tensors.float32(name).bfloat16() for name in tensor_shapes(source)}, target)
    config = json.loads((source / "config.json").read_text())
    config.pop("qwentin_source", None)
    (target / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))


def write_random(target: Path) -> None:
    """Write random weights in the shape SHAPE. Norms are ones."""
    tensors = {
        name: torch.ones(shape, dtype=torch.bfloat16)
        if name.endswith("norm.weight")
        else torch.empty(shape, dtype=torch.bfloat16).normal_(0, INIT_STD)
        for name, shape in Architecture.from_config(SHAPE, "the shape").tensor_shapes().items()
    }
    save(tensors, target)
    (target / "config.json").write_text(json.dumps(SHAPE | {"dtype": "bfloat16"}))


def save(tensors: dict[str, torch.Tensor], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    save_file(tensors, target / "model.safetensors", {"format": "pt"})


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["hub", source, target]:
            write_for_transformers(Path(source), Path(target))
        case ["random", target]:
            write_random(Path(target))
        case _:
            sys.exit(__doc__)
