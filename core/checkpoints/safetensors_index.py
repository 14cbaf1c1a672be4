"""The tensors of a model's folder, from the headers of its safetensors files; no tensor data is read."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from core.checkpoints.json_files import damaged_file, read_json
from core.checkpoints.stored_tensor import StoredTensor
from core.domain.errors import SetupError

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")


def weight_files(folder: Path) -> list[Path]:
    """The files with the weights. Other *.safetensors beside them (an adapter, another format) are left out.

    Raises SetupError where there are none.
    """
    if (folder / INDEX_FILE).is_file():
        return [folder / name for name in sorted(set(read_index(folder).values()))]
    if (folder / SINGLE_FILE).is_file():
        return [folder / SINGLE_FILE]
    if any(path.suffix in PICKLE_SUFFIXES for path in folder.iterdir()):
        raise SetupError(f"the weights in {folder} are pickled, which can run code: use a safetensors version")
    raise SetupError(f"there are no safetensors weights in {folder}: use a safetensors version of the model")


def read_index(folder: Path) -> dict[str, str]:
    """The name of the file of each tensor. Raises SetupError for a damaged index, and for a file outside of the
    folder."""
    path = folder / INDEX_FILE
    files = read_json(path).get("weight_map")
    if not isinstance(files, dict) or not files:
        raise damaged_file(path, "no weight_map")
    for name in files.values():
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise damaged_file(path, f"{name!r} is not the name of a safetensors file")
    return files


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of the weight files; raises SetupError where one is not where the index says."""
    headers = {path.name: read_header(path) for path in weight_files(folder)}
    tensors = {name: tensor for header in headers.values() for name, tensor in header.items()}
    if (folder / INDEX_FILE).is_file():
        for name, file in read_index(folder).items():
            if name not in headers[file]:
                raise damaged_file(folder / file, f"it lacks {name}")
            tensors[name] = headers[file][name]
    return tensors


def read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file. The library checks its header against its length.

    Raises SetupError for a missing or damaged file.
    """
    if not path.is_file():
        raise SetupError(f"{path.name} is missing from {path.parent}: download the model again")
    try:
        with safe_open(path, framework="numpy") as file:  # "pt" would import torch
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {name: StoredTensor(path, part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}
    except (SafetensorError, OSError) as error:
        raise damaged_file(path, error) from error
