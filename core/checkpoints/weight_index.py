"""The tensors of a model's folder, which has safetensors files or the index of a GGUF file. No tensor data is read."""

import math
from pathlib import Path

from core.checkpoints import gguf_index, safetensors_index
from core.checkpoints.stored_tensor import StoredTensor
from core.domain.errors import SetupError

Shapes = dict[str, tuple[int, ...]]


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of a folder, by transformers' name. Raises SetupError where there are none or a file is damaged."""
    if gguf_index.is_indexed(folder):
        return gguf_index.indexed_tensors(folder)
    return safetensors_index.stored_tensors(folder)


def tensor_shapes(folder: Path) -> Shapes:
    """Name and shape of every tensor."""
    return {name: tensor.shape for name, tensor in stored_tensors(folder).items()}


def check_shapes(found: Shapes, needed: Shapes, name: str) -> None:
    """Raise SetupError unless every tensor that config.json needs is there, in its shape. `name` is the model's."""
    for tensor, shape in needed.items():
        if tensor not in found:
            raise SetupError(f"the weights of {name} lack {tensor}: delete them and download the model again")
        if found[tensor] != shape:
            raise SetupError(
                f"in the weights of {name}, {tensor} is {found[tensor]}, not {shape} as config.json says: "
                "download the model again"
            )


def parameter_count(found: Shapes) -> int:
    """How many numbers these tensors have together."""
    return sum(math.prod(shape) for shape in found.values())
