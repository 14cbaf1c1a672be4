"""Weights that the peers need, written as safetensors. Usage:

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
from core.checkpoints.safetensors_index import tensor_shapes
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
SPREAD = 0.02
"""Of random numbers, as models are initialised."""


def hub(source: Path, target: Path) -> None:
    """Every tensor of the folder, 4-bit codes as the numbers they stand for."""
    tensors = WeightReader(source)
    save({name: tensors.float32(name).bfloat16() for name in tensor_shapes(source)}, target)
    config = json.loads((source / "config.json").read_text())
    config.pop("qwentin_source", None)
    (target / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))


def random(target: Path) -> None:
    """Norms are ones; an index of the vocabulary means nothing."""
    tensors = {
        name: torch.ones(shape, dtype=torch.bfloat16)
        if name.endswith("norm.weight")
        else torch.empty(shape, dtype=torch.bfloat16).normal_(0, SPREAD)
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
            hub(Path(source), Path(target))
        case ["random", target]:
            random(Path(target))
        case _:
            sys.exit(__doc__)
