"""A GGUF file into a folder as the model hub would have it, made once and kept; it is there whole or not at all."""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from gguf import ReaderTensor

from core.checkpoints import gguf_tokenizer as vocabulary
from core.checkpoints import safetensors_index as weights
from core.checkpoints.architecture import Architecture
from core.checkpoints.checkpoint import Progress, inspect
from core.checkpoints.gguf_reader import USE_SAFETENSORS, GgufFile
from core.checkpoints.json_files import line
from core.checkpoints.safetensors_writer import Rows, Writer
from core.domain.errors import SetupError

VERSION = 2
"""Raise it when what is written changes, so that no folder of an older Qwentin is used."""
STALE_SECONDS = 24 * 3600

# transformers' names (models/llama/modeling_llama.py), and llama.cpp's for the same (gguf.constants.TENSOR_NAMES).
WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def convert(path: Path, cache: Path, progress: Progress) -> Path:
    """The folder of this file, made now unless it is there already and whole."""
    folder = place(path, cache)
    if intact(folder):
        return folder
    label, size = f"Converting {path.name}", path.stat().st_size
    progress(label, 0, size)
    file = readable(path)
    try:
        with at_once(folder) as work:
            write_text(file, work)
            write_weights(file, work, lambda left: progress(label, size - left, size))
    except OSError as error:
        raise SetupError(unwritable(folder, error)) from error
    return folder


def readable(path: Path) -> GgufFile:
    try:
        return GgufFile(path)
    except OSError as error:
        raise SetupError(f"{path} can't be read ({error.strerror or error}): check its permissions") from error


def place(path: Path, cache: Path) -> Path:
    """Another file, or the same file changed, gets another folder."""
    stat = path.stat()
    what = f"{path.resolve()}\n{stat.st_size}\n{stat.st_mtime_ns}\n{VERSION}"
    stem = re.sub(r"[^\w.-]", "_", path.stem)[:80]
    return cache / "converted" / f"{stem}-{hashlib.sha256(what.encode()).hexdigest()[:16]}"


def intact(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    try:
        inspect(folder)
    except SetupError:
        shutil.rmtree(folder, ignore_errors=True)
        return False
    return True


@contextmanager
def at_once(folder: Path) -> Iterator[Path]:
    """A place to work in that becomes `folder` at the end. Of several converters the first wins; all are the same."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield work
        for path in (*work.iterdir(), work):
            sync(path)
        try:
            work.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
        sync(folder.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def sweep(folder: Path) -> None:
    """What a converter that was killed has left."""
    for path in folder.parent.glob(f".{folder.name}.*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(file: GgufFile, work: Path) -> None:
    for name, content in (("config.json", file.config()), ("tokenizer_config.json", vocabulary.settings(file))):
        (work / name).write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    vocabulary.build(file).save(str(work / "tokenizer.json"))


def write_weights(file: GgufFile, work: Path, left: Any) -> None:
    architecture = Architecture.read(file.config(), file.path.name)
    shapes = architecture.tensors()
    tensors = matched(file, shapes)
    remaining = sum(tensor.n_bytes for tensor in tensors.values())
    with (work / weights.ONE).open("wb") as output:
        writer = Writer(output, shapes)
        # float32 tensors first keep every tensor aligned to its numbers, as readers like it: a block is 32 or more.
        for name, tensor in sorted(tensors.items(), key=lambda item: item[1].tensor_type):
            store(file, writer, name, tensor, rows(name, tensor, architecture))
            remaining -= tensor.n_bytes
            left(remaining)
        writer.close()


def store(file: GgufFile, writer: Writer, name: str, tensor: ReaderTensor, data: Rows) -> None:
    try:
        writer.write(name, shape_of(tensor), tensor.tensor_type, data)
    except NotImplementedError as error:
        kind = tensor.tensor_type.name
        raise file.refused(f"is quantised in the way {kind}, which Qwentin can't read: {USE_SAFETENSORS}") from error
    except ValueError as error:
        raise file.damaged(f"{tensor.name}: {line(error)}") from error


def matched(file: GgufFile, shapes: weights.Shapes) -> dict[str, ReaderTensor]:
    """Every tensor that the model needs, by transformers' name; a tensor too many would mean a model we don't know."""
    names = {name: gguf_name(name) for name in shapes}
    unknown = sorted(file.tensors.keys() - set(names.values()))
    if unknown:
        raise file.refused(f"has a tensor that Qwentin doesn't know ({unknown[0]}): {USE_SAFETENSORS}")
    for name, theirs in names.items():
        if theirs not in file.tensors:
            raise file.damaged(f"it lacks {theirs}")
        if shape_of(file.tensors[theirs]) != shapes[name]:
            raise file.damaged(f"{theirs} is {shape_of(file.tensors[theirs])}, not {shapes[name]}")
    return {name: file.tensors[theirs] for name, theirs in names.items()}


def gguf_name(name: str) -> str:
    module, _, kind = name.rpartition(".")
    if module in WHOLE:
        return f"{WHOLE[module]}.{kind}"
    _, _, number, part = module.split(".", 3)
    return f"blk.{number}.{LAYER[part]}.{kind}"


def shape_of(tensor: ReaderTensor) -> tuple[int, ...]:
    """GGUF counts dimensions from the innermost."""
    return tuple(int(size) for size in reversed(tensor.shape))


def rows(name: str, tensor: ReaderTensor, architecture: Architecture) -> Rows:
    """Each row in its place. llama.cpp's converter weaves the two halves of each of llama's query and key heads.

    (Its convert_hf_to_gguf.py, LlamaModel.permute; undone also in transformers, modeling_gguf_pytorch_utils.py.)
    Rows are whole in any quantisation, so this needs no numbers.
    """
    heads = {"q_proj.weight": architecture.num_attention_heads, "k_proj.weight": architecture.num_key_value_heads}
    count = heads.get(".".join(name.split(".")[-2:]))
    if architecture.family != "llama" or count is None:
        return tensor.data
    half = architecture.head_dim // 2
    return tensor.data[np.arange(count * half * 2).reshape(count, half, 2).swapaxes(1, 2).reshape(-1)]


def unwritable(folder: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"the disk is full: make room for the converted model in {folder.parent}"
    return (
        f"the converted model can't be stored in {folder.parent} ({line(error.strerror or error)}): check that folder"
    )
