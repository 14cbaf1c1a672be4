"""Converting a GGUF file to a folder of the model hub's kind, once; the folder is there whole or not at all."""

import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from gguf import ReaderTensor

from core.checkpoints import gguf_tokenizer
from core.checkpoints import safetensors_index as weights
from core.checkpoints.architecture import Architecture
from core.checkpoints.checkpoint import Progress
from core.checkpoints.gguf_cache import converted_folder, is_intact
from core.checkpoints.gguf_reader import USE_SAFETENSORS, GgufFile
from core.checkpoints.json_files import one_line
from core.checkpoints.safetensors_writer import Rows, SafetensorsWriter
from core.domain.errors import SetupError

STALE_WORK_S = 24 * 3600

# transformers' names (models/llama/modeling_llama.py), and llama.cpp's for the same (gguf.constants.TENSOR_NAMES).
MODEL_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
LAYER_NAMES = {
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
    """The folder of a GGUF file below `cache`, converted now unless it is there already and whole.

    Raises SetupError where the file can't be read or run, or the folder not written.
    """
    folder = converted_folder(path, cache)
    if is_intact(folder):
        return folder
    label, size = f"Converting {path.name}", path.stat().st_size
    progress(label, 0, size)
    file = open_file(path)
    try:
        with atomic_folder(folder) as work:
            write_documents(file, work)
            write_weights(file, work, lambda left: progress(label, size - left, size))
    except OSError as error:
        raise SetupError(disk_error(folder, error)) from error
    return folder


def open_file(path: Path) -> GgufFile:
    """The open file; raises SetupError where that fails."""
    try:
        return GgufFile(path)
    except OSError as error:
        raise SetupError(f"{path} can't be read ({error.strerror or error}): check its permissions") from error


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that is renamed to `folder` at the end of the block. Of several converters the first one's is
    kept: they all write the same."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    delete_stale_work(folder)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield work
        for path in (*work.iterdir(), work):
            fsync(path)
        try:
            work.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
        fsync(folder.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def delete_stale_work(folder: Path) -> None:
    """Delete what converters that were killed have left."""
    for path in folder.parent.glob(f".{folder.name}.*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_WORK_S:
                shutil.rmtree(path, ignore_errors=True)


def fsync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_documents(file: GgufFile, work: Path) -> None:
    """Write config.json, tokenizer_config.json and tokenizer.json."""
    for name, content in (
        ("config.json", file.config()),
        ("tokenizer_config.json", gguf_tokenizer.tokenizer_config(file)),
    ):
        (work / name).write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    gguf_tokenizer.build_tokenizer(file).save(str(work / "tokenizer.json"))


def write_weights(file: GgufFile, work: Path, report_left: Callable[[int], None]) -> None:
    """Write the tensors; `report_left` gets the bytes that are left to read."""
    architecture = Architecture.from_config(file.config(), file.path.name)
    shapes = architecture.tensor_shapes()
    tensors = match_tensors(file, shapes)
    remaining = sum(tensor.n_bytes for tensor in tensors.values())
    with (work / weights.SINGLE_FILE).open("wb") as output:
        writer = SafetensorsWriter(output, shapes)
        # With float32 tensors first every tensor is aligned to its numbers, as readers prefer: blocks have 32 or more.
        for name, tensor in sorted(tensors.items(), key=lambda item: item[1].tensor_type):
            write_tensor(file, writer, name, tensor, tensor_rows(name, tensor, architecture))
            remaining -= tensor.n_bytes
            report_left(remaining)
        writer.close()


def write_tensor(file: GgufFile, writer: SafetensorsWriter, name: str, tensor: ReaderTensor, rows: Rows) -> None:
    """Write one tensor; raises SetupError where its quantisation or its numbers are not usable."""
    try:
        writer.write(name, tensor_shape(tensor), tensor.tensor_type, rows)
    except NotImplementedError as error:
        kind = tensor.tensor_type.name
        raise file.unsupported(
            f"is quantised in the way {kind}, which Qwentin can't read: {USE_SAFETENSORS}"
        ) from error
    except ValueError as error:
        raise file.damaged(f"{tensor.name}: {one_line(error)}") from error


def match_tensors(file: GgufFile, shapes: weights.Shapes) -> dict[str, ReaderTensor]:
    """The file's tensors by transformers' names. `shapes` are those that the model needs.

    Raises SetupError where one is missing or of another shape, and where there are more: that is a model we don't know.
    """
    names = {name: gguf_name(name) for name in shapes}
    unknown = sorted(file.tensors.keys() - set(names.values()))
    if unknown:
        raise file.unsupported(f"has a tensor that Qwentin doesn't know ({unknown[0]}): {USE_SAFETENSORS}")
    for name, gguf in names.items():
        if gguf not in file.tensors:
            raise file.damaged(f"it lacks {gguf}")
        if tensor_shape(file.tensors[gguf]) != shapes[name]:
            raise file.damaged(f"{gguf} is {tensor_shape(file.tensors[gguf])}, not {shapes[name]}")
    return {name: file.tensors[gguf] for name, gguf in names.items()}


def gguf_name(name: str) -> str:
    """GGUF's name for transformers' name of a tensor."""
    module, _, kind = name.rpartition(".")
    if module in MODEL_NAMES:
        return f"{MODEL_NAMES[module]}.{kind}"
    _, _, number, part = module.split(".", 3)
    return f"blk.{number}.{LAYER_NAMES[part]}.{kind}"


def tensor_shape(tensor: ReaderTensor) -> tuple[int, ...]:
    """A tensor's shape in transformers' order; GGUF lists dimensions from the innermost."""
    return tuple(int(size) for size in reversed(tensor.shape))


def tensor_rows(name: str, tensor: ReaderTensor, architecture: Architecture) -> Rows:
    """A tensor's rows in transformers' order.

    llama.cpp's converter interleaves the two halves of each of llama's query and key heads (convert_hf_to_gguf.py,
    LlamaModel.permute); this undoes it, as transformers does (modeling_gguf_pytorch_utils.py). Quantised blocks never
    span rows, so the numbers need not be unpacked.
    """
    heads = {"q_proj.weight": architecture.num_attention_heads, "k_proj.weight": architecture.num_key_value_heads}
    count = heads.get(".".join(name.split(".")[-2:]))
    if architecture.family != "llama" or count is None:
        return tensor.data
    half = architecture.head_dim // 2
    return tensor.data[np.arange(count * half * 2).reshape(count, half, 2).swapaxes(1, 2).reshape(-1)]


def disk_error(folder: Path, error: OSError) -> str:
    """The text for an error of writing the converted model."""
    if error.errno == errno.ENOSPC:
        return f"the disk is full: make room for the converted model in {folder.parent}"
    reason = one_line(error.strerror or error)
    return f"the converted model can't be stored in {folder.parent} ({reason}): check that folder"
