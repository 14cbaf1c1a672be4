"""Where the tensors of a converted GGUF file lie: the file is mapped as it is, so that converting writes no weights.

The folder of a converted file has an index instead of weights: the file's place and size, and for each tensor, by
transformers' name, its type, shape and place in the file. Imports no gguf.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.checkpoints.json_files import damaged_file, read_json
from core.checkpoints.stored_tensor import StoredTensor
from core.domain.errors import SetupError

INDEX_FILE = "gguf_index.json"


def is_indexed(folder: Path) -> bool:
    """Whether the weights of a folder are those of a GGUF file elsewhere."""
    return (folder / INDEX_FILE).is_file()


def write_index(folder: Path, file: Path, tensors: Mapping[str, StoredTensor]) -> None:
    """Write the index of a file, atomically."""
    entries = {
        name: {
            "type": tensor.dtype,
            "shape": list(tensor.shape),
            "offsets": [tensor.begin, tensor.end],
            "interleaved_heads": tensor.interleaved_heads,
        }
        for name, tensor in tensors.items()
    }
    replace_json(folder / INDEX_FILE, file_state(file) | {"tensors": entries})


def file_state(file: Path) -> dict[str, Any]:
    """The file's path and what changes when its content does."""
    stat = file.stat()
    return {"file": str(file.resolve()), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def point_to(folder: Path, file: Path) -> None:
    """Have the index name this file, which has the same content as the one that was converted."""
    content = read_json(folder / INDEX_FILE)
    state = file_state(file)
    if {key: content.get(key) for key in state} != state:
        replace_json(folder / INDEX_FILE, content | state)


def replace_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file atomically."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(content), encoding="utf-8")
        unfinished.replace(path)
    finally:
        with suppress(OSError):
            unfinished.unlink()


def indexed_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of the GGUF file of a converted folder.

    Raises SetupError where the index is damaged, or the file is missing or changed.
    """
    path = folder / INDEX_FILE
    content = read_json(path)
    try:
        file, entries = Path(content["file"]), content["tensors"]
        tensors = {
            name: StoredTensor(
                file,
                str(entry["type"]),
                tuple(int(size) for size in entry["shape"]),
                int(entry["offsets"][0]),
                int(entry["offsets"][1]),
                int(entry["interleaved_heads"]),
            )
            for name, entry in entries.items()
        }
        state = {key: content[key] for key in ("file", "size", "mtime_ns")}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise damaged_file(path, error) from error
    check_unchanged(file, state)
    return tensors


def check_unchanged(file: Path, state: dict[str, Any]) -> None:
    """Raise SetupError unless the file is still as it was when the bot last looked at its content."""
    try:
        same = file_state(file) == state
    except OSError as error:
        raise SetupError(f"{file} can't be read ({error.strerror or error}): put it back, or choose it anew") from error
    if not same:
        raise SetupError(f"{file} has changed while it was in use: start the bot again")
