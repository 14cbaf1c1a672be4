"""The weights of a model's folder, known from the headers of its safetensors files; no tensor is read."""

import math
from pathlib import Path

from safetensors import SafetensorError, safe_open

from core.checkpoints.files import damaged, read_json
from core.errors import SetupError

ONE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt")

Shapes = dict[str, tuple[int, ...]]


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights; any other *.safetensors beside them (an adapter, another format) is not."""
    if (folder / INDEX).is_file():
        return [folder / name for name in sorted(set(index(folder).values()))]
    if (folder / ONE).is_file():
        return [folder / ONE]
    if any(path.suffix in PICKLES for path in folder.iterdir()):
        raise SetupError(f"the weights in {folder} are pickled, which can run code: use a safetensors version")
    raise SetupError(f"there are no safetensors weights in {folder}: use a safetensors version of the model")


def index(folder: Path) -> dict[str, str]:
    """Which file holds which tensor. A file outside of the folder is never named."""
    path = folder / INDEX
    places = read_json(path).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise damaged(path, "no weight_map")
    for name in places.values():
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise damaged(path, f"{name!r} is not the name of a safetensors file")
    return places


def shapes(folder: Path) -> Shapes:
    """Name and shape of every tensor, each where the index says."""
    files = weight_files(folder)
    found = {path.name: header(path) for path in files}
    if (folder / INDEX).is_file():
        for tensor, name in index(folder).items():
            if tensor not in found[name]:
                raise damaged(folder / name, f"it lacks {tensor}")
    return {tensor: shape for tensors in found.values() for tensor, shape in tensors.items()}


def header(path: Path) -> Shapes:
    """The library checks that the header is whole and fits the file's length; "numpy" because "pt" would load torch."""
    if not path.is_file():
        raise SetupError(f"{path.name} is missing from {path.parent}: download the model again")
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise damaged(path, error) from error


def check(found: Shapes, needed: Shapes, name: str) -> None:
    """Every tensor that the model's config.json speaks of is there, in its shape."""
    for tensor, shape in needed.items():
        if tensor not in found:
            raise SetupError(f"the weights of {name} lack {tensor}: delete them and download the model again")
        if found[tensor] != shape:
            raise SetupError(
                f"in the weights of {name}, {tensor} is {found[tensor]}, not {shape} as config.json says: "
                "download the model again"
            )


def count(found: Shapes) -> int:
    return sum(math.prod(shape) for shape in found.values())
