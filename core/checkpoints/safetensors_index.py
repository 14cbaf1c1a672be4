"""The tensors of a model's folder, from the headers of its safetensors files; no tensor data is read.

A matrix X of 4-bit numbers, [N, K], is stored as a triple of tensors, in groups of 32 columns:

- X.int4, U8 [N, K/2]: byte j of a row holds the codes (0 to 15) of column 2j, in its low half, and of column 2j + 1;
- X.scale and X.offset, F32 [N, K/32].

X[n, k] is code[n, k] * scale[n, k // 32] + offset[n, k // 32].
"""

import math
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from core.checkpoints.json_files import damaged_file, read_json
from core.domain.errors import SetupError

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")

GROUP = 32
"""Columns that share a scale and an offset."""
PARTS = ("int4", "scale", "offset")
"""Suffixes of the three tensors of a triple."""

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a file; `dtype` as safetensors writes it ("BF16")."""

    path: Path
    dtype: str
    shape: tuple[int, ...]


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


def tensor_shapes(folder: Path) -> Shapes:
    """Name and shape of every tensor; a triple counts as the matrix that it stores."""
    tensors = stored_tensors(folder)
    found: Shapes = {}
    matrices: dict[str, Path] = {}
    for name, tensor in tensors.items():
        matrix, _, part = name.rpartition(".")
        if part in PARTS:
            matrices[matrix] = tensor.path
        else:
            found[name] = tensor.shape
    return found | {name: matrix_shape(name, tensors, path) for name, path in matrices.items()}


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of the weight files, the parts of triples singly; raises SetupError where one is not where the index
    says."""
    headers = {path.name: read_header(path) for path in weight_files(folder)}
    tensors = {name: tensor for header in headers.values() for name, tensor in header.items()}
    if (folder / INDEX_FILE).is_file():
        for name, file in read_index(folder).items():
            if name not in headers[file]:
                raise damaged_file(folder / file, f"it lacks {name}")
            tensors[name] = headers[file][name]
    return tensors


def matrix_shape(name: str, tensors: dict[str, StoredTensor], path: Path) -> tuple[int, ...]:
    """The shape [N, K] of the matrix that a triple stores. `path` is the file of one of its parts.

    Raises SetupError where a part is missing or does not fit the others.
    """
    for part in PARTS:
        if f"{name}.{part}" not in tensors:
            raise damaged_file(path, f"it lacks {name}.{part}")
    if name in tensors:
        raise damaged_file(path, f"it has {name} twice")
    rows, groups = (*tensors[f"{name}.scale"].shape, 0, 0)[:2]
    shape = rows, groups * GROUP
    for part, expected in triple_parts(name, shape).items():
        if (tensors[part].dtype, tensors[part].shape) != expected:
            raise damaged_file(path, f"{part} doesn't fit {name}.scale")
    return shape


def triple_parts(name: str, shape: tuple[int, ...]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The three tensors that store a matrix of this shape: name to dtype and shape, in the order of PARTS."""
    rows, columns = shape
    groups = ("F32", (rows, columns // GROUP))
    return {f"{name}.int4": ("U8", (rows, columns // 2)), f"{name}.scale": groups, f"{name}.offset": groups}


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
