"""Tiny models, as a folder of the hub's kind and as a GGUF file, with the same random weights."""

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import pytest
from gguf.quants import dequantize, quantize
from safetensors.numpy import load_file, save_file
from tokenizers.pre_tokenizers import ByteLevel

from core.checkpoints.architecture import Architecture
from core.checkpoints.gguf_convert import gguf_name
from core.checkpoints.gguf_tokenizer import CONTROL, USER_DEFINED

Tensors = dict[str, npt.NDArray[Any]]
Kind = gguf.GGMLQuantizationType

TEMPLATE = "{% for message in messages %}<|im_start|>{{ message.content }}<|im_end|>{% endfor %}"
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>"]
MERGES = ["Ġ t", "h e", "Ġt he", "1 2", "12 3", "i n", "Ã ©", "Ġ '", "' s", "Ċ Ċ"]
"""Bytes in the alphabet of byte-level BPE: Ġ is the space, Ċ the end of a line, Ã© the two bytes of é."""


def vocabulary() -> list[str]:
    return [*sorted(ByteLevel.alphabet()), *(merge.replace(" ", "") for merge in MERGES), *SPECIALS]


def config(family: str, **changes: Any) -> dict[str, Any]:
    return {
        "model_type": family,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32 if family == "qwen3" else 16,
        "max_position_embeddings": 128,
        "vocab_size": len(vocabulary()),
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 5000.0},
        "tie_word_embeddings": True,
        "eos_token_id": vocabulary().index("<|im_end|>"),
    } | changes


def random_weights(settings: dict[str, Any]) -> Tensors:
    draw = np.random.default_rng(7)
    shapes = Architecture.from_config(settings, "tiny").tensor_shapes()
    return {name: draw.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}


HALVES = {Kind.Q4_K: (0, 2), Kind.Q5_K: (0, 2), Kind.Q6_K: (208,), Kind.IQ4_NL: (0,), Kind.Q3_K: (108,)}
"""Where the float16 numbers of a block lie, for kinds that gguf can read but not make."""


def packed(tensor: npt.NDArray[Any], kind: Kind) -> npt.NDArray[Any]:
    """The raw rows of a matrix; where gguf can't make them, rows of the same shape out of random bytes."""
    if kind not in HALVES:
        rows: npt.NDArray[Any] = quantize(tensor, kind)
        return rows
    block, size = gguf.GGML_QUANT_SIZES[kind]
    draw = np.random.default_rng(tensor.size)
    raw = draw.integers(0, 256, (tensor.size // block, size), np.uint8)
    for at in HALVES[kind]:
        raw[:, at : at + 2] = draw.normal(0, 1e-3, (len(raw), 1)).astype(np.float16).view(np.uint8)
    return raw.reshape(len(tensor), -1)


def kind_named(name: str) -> Kind:
    """The kind of that name."""
    kind: Kind = getattr(Kind, name)
    return kind


def read_weights(folder: Path) -> Tensors:
    """The weights of a converted folder as float32, as the package gguf has them where the folder's index points to."""
    index = json.loads((folder / "gguf_index.json").read_text())
    content = np.memmap(index["file"], np.uint8, "r")
    return {name: read_tensor(content, entry) for name, entry in index["tensors"].items()}


def read_tensor(content: npt.NDArray[np.uint8], entry: dict[str, Any]) -> npt.NDArray[Any]:
    begin, end = entry["offsets"]
    kind, shape = kind_named(entry["type"]), entry["shape"]
    item = 4 if kind == Kind.F32 else 1
    raw = np.array(content[begin:end]).view(np.float32 if item == 4 else np.uint8).reshape(*shape[:-1], -1)
    rows = dequantize(raw, kind).astype(np.float32)
    if heads := entry["interleaved_heads"]:
        rows = np.ascontiguousarray(rows.reshape(heads, -1, 2, shape[-1]).swapaxes(1, 2).reshape(shape))
    return rows


def model_of(settings: dict[str, Any], weights: Tensors) -> Any:
    """transformers' own model, float32, with these weights. `settings` as in config.json."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    build: Callable[..., Any] = AutoModelForCausalLM.from_config
    family = settings["model_type"]
    own = {key: value for key, value in settings.items() if key not in ("model_type", "dtype")}
    model = build(AutoConfig.for_model(family, **own))
    tensors = {name: torch.from_numpy(tensor) for name, tensor in weights.items()}
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}
    model.tie_weights()
    return model.eval()


def shard(folder: Path) -> None:
    """The same weights in two files with an index, as big models come."""
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {"model-00001-of-00002.safetensors": names[:5], "model-00002-of-00002.safetensors": names[5:]}
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, folder / file)
    places = {name: file for file, part in parts.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (folder / "model.safetensors").unlink()


def tokenizer_json() -> dict[str, Any]:
    ids = {token: number for number, token in enumerate(vocabulary())}
    return {
        "version": "1.0",
        "added_tokens": [{"id": ids[token], "content": token, "special": True} for token in SPECIALS],
        "model": {"type": "BPE", "vocab": ids, "merges": MERGES},
    }


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """A folder as the hub has it, a new one at each call; `changes` go into config.json."""
    numbers = count()

    def make(family: str = "qwen2", name: str = "tiny", **changes: Any) -> Path:
        folder = tmp_path / f"folder {next(numbers)}" / name
        folder.mkdir(parents=True)
        settings = config(family, **changes)
        save_file(random_weights(config(family)), folder / "model.safetensors")
        documents = {
            "config.json": settings,
            "tokenizer.json": tokenizer_json(),
            "tokenizer_config.json": {"chat_template": TEMPLATE, "eos_token": "<|im_end|>"},
        }
        for file, content in documents.items():
            (folder / file).write_text(json.dumps(content), encoding="utf-8")
        return folder

    return make


class TinyGguf:
    """Writes what llama.cpp's converter writes. `omit` and `extra` take keys or tensors out or put them in."""

    def __init__(
        self, path: Path, family: str = "llama", kind: Kind = Kind.F32, tied: bool = True, **changes: Any
    ) -> None:
        self.path = path
        self.family = family
        self.config = config(family, tie_word_embeddings=tied, **changes)
        self.weights = random_weights(self.config)
        self.kind = kind
        self.architecture = family
        self.omit: set[str] = set()
        self.values: dict[str, Any] = self.metadata()
        self.extra: Tensors = {}

    def metadata(self) -> dict[str, Any]:
        types = [
            CONTROL if token in SPECIALS[:3] else USER_DEFINED if token in SPECIALS else 1 for token in vocabulary()
        ]
        own = {
            "context_length": 128,
            "embedding_length": self.config["hidden_size"],
            "feed_forward_length": self.config["intermediate_size"],
            "block_count": 2,
            "attention.head_count": 4,
            "attention.head_count_kv": 2,
            "attention.layer_norm_rms_epsilon": 1e-5,
            "rope.freq_base": 5000.0,
        }
        if self.family == "qwen3":
            own["attention.key_length"] = self.config["head_dim"]
        return {f"{self.family}.{key}": value for key, value in own.items()} | {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": "smollm",
            "tokenizer.ggml.tokens": vocabulary(),
            "tokenizer.ggml.token_type": types,
            "tokenizer.ggml.merges": MERGES,
            "tokenizer.ggml.eos_token_id": vocabulary().index("<|im_end|>"),
            "tokenizer.chat_template": TEMPLATE,
        }

    def write(self) -> Path:
        writer = gguf.GGUFWriter(self.path, self.architecture)
        for key, value in self.values.items():
            if key not in self.omit:
                add_value(writer, key, value)
        for name, tensor in self.weights.items():
            if gguf_name(name) not in self.omit:
                self.add_tensor(writer, name, tensor)
        for name, tensor in self.extra.items():
            writer.add_tensor(name, tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return self.path

    def add_tensor(self, writer: gguf.GGUFWriter, name: str, tensor: npt.NDArray[Any]) -> None:
        """Norms and biases stay float32, as in real files. The weights become what a reader can get back at best."""
        if tensor.ndim == 1 or self.kind == Kind.F32:
            writer.add_tensor(gguf_name(name), self.woven(name, tensor))
            return
        raw = packed(tensor, self.kind)
        self.weights[name] = dequantize(raw, self.kind)
        writer.add_tensor(gguf_name(name), self.woven(name, raw), raw_dtype=self.kind)

    def woven(self, name: str, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The order of rows that llama.cpp's converter gives llama's queries and keys (LlamaModel.permute)."""
        heads = 4 if "q_proj" in name else 2
        if self.family != "llama" or not ("q_proj" in name or "k_proj" in name):
            return tensor
        rows = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, tensor.shape[1])
        return np.ascontiguousarray(rows.swapaxes(1, 2).reshape(tensor.shape))


def add_value(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    kinds: dict[type, Callable[[str, Any], None]] = {
        int: writer.add_uint32,
        float: writer.add_float32,
        str: writer.add_string,
        list: writer.add_array,
    }
    kinds[type(value)](key, value)


@pytest.fixture
def make_gguf(tmp_path: Path) -> Callable[..., TinyGguf]:
    """A file that is yet to be written, in a new folder at each call."""
    numbers = count()

    def make(family: str = "llama", **options: Any) -> TinyGguf:
        folder = tmp_path / f"gguf {next(numbers)}"
        folder.mkdir()
        return TinyGguf(folder / f"tiny-{family}.gguf", family, **options)

    return make
