"""Converting a GGUF file to a folder, once: what describes the model is as on the model hub, the weights stay in their
file. The folder is there whole or not at all.
"""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gguf import ReaderTensor

from core.checkpoints import gguf_tokenizer
from core.checkpoints.architecture import Architecture
from core.checkpoints.checkpoint import Progress
from core.checkpoints.gguf_cache import converted_checkpoint, converted_folder, delete_old_version, unreadable
from core.checkpoints.gguf_index import write_index
from core.checkpoints.gguf_kinds import PLAIN_TYPES, check_numbers
from core.checkpoints.gguf_reader import USE_SAFETENSORS, GgufFile
from core.checkpoints.json_files import one_line
from core.checkpoints.stored_tensor import StoredTensor
from core.checkpoints.weight_index import Shapes
from core.domain.errors import SetupError

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
    if converted_checkpoint(path, folder, path.name):
        return folder
    label, size = f"Converting {path.name}", path.stat().st_size
    progress(label, 0, size)
    file = open_file(path)
    try:
        with atomic_folder(folder) as work:
            write_documents(file, work)
            index_weights(file, work, lambda left: progress(label, size - left, size))
    except OSError as error:
        raise SetupError(disk_error(folder, error)) from error
    delete_old_version(path, cache)
    return folder


def open_file(path: Path) -> GgufFile:
    """The open file; raises SetupError where that fails."""
    try:
        return GgufFile(path)
    except OSError as error:
        raise unreadable(path, error) from error


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that is renamed to `folder` at the end of the block. Of several converters the first one's is
    kept: they all write the same."""
    folder.parent.mkdir(parents=True, exist_ok=True)
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
    # The library's own save() raises a plain Exception where the disk is full.
    tokenizer = gguf_tokenizer.build_tokenizer(file).to_str(pretty=True)
    (work / "tokenizer.json").write_text(tokenizer, encoding="utf-8")


def index_weights(file: GgufFile, work: Path, report_left: Callable[[int], None]) -> None:
    """Check the tensors and write their index; `report_left` gets the bytes that are left to read."""
    architecture = Architecture.from_config(file.config(), file.path.name)
    tensors = match_tensors(file, architecture.tensor_shapes())
    remaining = sum(tensor.n_bytes for tensor in tensors.values())
    found = {}
    for name, tensor in tensors.items():
        check_tensor(file, tensor)
        begin = int(tensor.data_offset)
        heads = interleaved_heads(name, architecture)
        kind, shape = tensor.tensor_type.name, tensor_shape(tensor)
        found[name] = StoredTensor(file.path, kind, shape, begin, begin + int(tensor.n_bytes), heads)
        remaining -= int(tensor.n_bytes)
        report_left(remaining)
    write_index(work, file.path, found)


def check_tensor(file: GgufFile, tensor: ReaderTensor) -> None:
    """Raise SetupError where a tensor's quantisation or its numbers are not usable."""
    kind = tensor.tensor_type.name
    if kind in PLAIN_TYPES:
        return
    try:
        check_numbers(kind, tensor.data)
    except NotImplementedError as error:
        raise file.unsupported(
            f"is quantised in the way {kind}, which Qwentin can't read: {USE_SAFETENSORS}"
        ) from error
    except ValueError as error:
        raise file.damaged(f"{tensor.name}: {one_line(error)}") from error


def match_tensors(file: GgufFile, shapes: Shapes) -> dict[str, ReaderTensor]:
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


def interleaved_heads(name: str, architecture: Architecture) -> int:
    """The heads of a tensor whose rows are not in transformers' order; 0 for all others.

    llama.cpp's converter interleaves the two halves of each of llama's query and key heads (convert_hf_to_gguf.py,
    LlamaModel.permute). Whoever reads them undoes it, as transformers does (modeling_gguf_pytorch_utils.py).
    """
    if architecture.family != "llama":
        return 0
    heads = {"q_proj.weight": architecture.num_attention_heads, "k_proj.weight": architecture.num_key_value_heads}
    return heads.get(".".join(name.split(".")[-2:]), 0)


def disk_error(folder: Path, error: OSError) -> str:
    """The text for an error of writing the converted model."""
    if error.errno == errno.ENOSPC:
        return f"the disk is full: make room for the converted model in {folder.parent}"
    reason = one_line(error.strerror or error)
    return f"the converted model can't be stored in {folder.parent} ({reason}): check that folder"
