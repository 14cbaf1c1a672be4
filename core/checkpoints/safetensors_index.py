"""The weights of a model's folder, known from the headers of its safetensors files; no tensor is read.

A matrix X of 4-bit numbers, [N, K], is kept as a triple of tensors, in groups of 32 columns:

- X.int4, U8 [N, K/2]: byte j of a row holds the codes (0 to 15) of column 2j, in its low half, and of column 2j + 1;
- X.scale and X.offset, F32 [N, K/32].

X[n, k] is code[n, k] * scale[n, k // 32] + offset[n, k // 32].
"""

import math
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from core.checkpoints.json_files import damaged, read_json
from core.domain.errors import SetupError

ONE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt")

GROUP = 32
PARTS = ("int4", "scale", "offset")

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor as it lies in a file; `dtype` in safetensors' letters."""

    path: Path
    dtype: str
    shape: tuple[int, ...]


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
    """Name and shape of every tensor; a triple is the one matrix that it stands for."""
    tensors = stored(folder)
    found: Shapes = {}
    matrices: dict[str, Path] = {}
    for name, tensor in tensors.items():
        matrix, _, part = name.rpartition(".")
        if part in PARTS:
            matrices[matrix] = tensor.path
        else:
            found[name] = tensor.shape
    return found | {name: matrix_shape(name, tensors, path) for name, path in matrices.items()}


def stored(folder: Path) -> dict[str, Stored]:
    """Every tensor of the files, each where the index says."""
    found = {path.name: header(path) for path in weight_files(folder)}
    tensors = {tensor: where for file in found.values() for tensor, where in file.items()}
    if (folder / INDEX).is_file():
        for tensor, name in index(folder).items():
            if tensor not in found[name]:
                raise damaged(folder / name, f"it lacks {tensor}")
            tensors[tensor] = found[name][tensor]
    return tensors


def matrix_shape(name: str, tensors: dict[str, Stored], path: Path) -> tuple[int, ...]:
    """The [N, K] of a triple, whose three parts must be there and fit each other. `path` holds one of them."""
    for part in PARTS:
        if f"{name}.{part}" not in tensors:
            raise damaged(path, f"it lacks {name}.{part}")
    if name in tensors:
        raise damaged(path, f"it has {name} twice")
    rows, groups = (*tensors[f"{name}.scale"].shape, 0, 0)[:2]
    shape = rows, groups * GROUP
    for part, expected in triple(name, shape).items():
        if (tensors[part].dtype, tensors[part].shape) != expected:
            raise damaged(path, f"{part} doesn't fit {name}.scale")
    return shape


def triple(name: str, shape: tuple[int, ...]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The tensors that stand for a matrix: codes, scales and offsets, each with its dtype and shape."""
    rows, columns = shape
    groups = ("F32", (rows, columns // GROUP))
    return {f"{name}.int4": ("U8", (rows, columns // 2)), f"{name}.scale": groups, f"{name}.offset": groups}


def header(path: Path) -> dict[str, Stored]:
    """The library checks that the header is whole and fits the file's length; "numpy" because "pt" would load torch."""
    if not path.is_file():
        raise SetupError(f"{path.name} is missing from {path.parent}: download the model again")
    try:
        with safe_open(path, framework="numpy") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {name: Stored(path, part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}
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
