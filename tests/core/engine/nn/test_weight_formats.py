"""In which form each matrix is held, for every setting, and that the bytes foretold are those held."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from transformers import AutoConfig

from core.checkpoints.architecture import Architecture
from core.checkpoints.gguf_convert import convert
from core.engine.nn.linear import Linear
from core.engine.nn.model_builder import TORCH_DTYPES, ModelBuilder
from core.engine.nn.transformer import Transformer
from core.engine.nn.weight_formats import (
    BYTES_PER_NUMBER,
    FormatContext,
    MatrixFormat,
    ModelFormat,
    choose_format,
    describe_held,
)
from core.engine.nn.weight_reader import WeightReader
from core.engine.options import WeightFormat
from tests.core.checkpoints.conftest import Kind, TinyGguf
from tests.core.engine.tiny import save
from tests.tables import each_row

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "max_position_embeddings": 64,
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
PARTS = ("q", "k", "v", "o", "gate", "up", "down", "head")


class Held(WeightReader):
    """Of a file that nobody reads: the names of the matrices that it has in blocks of 4 bits contain one of these.
    Others are in blocks that no kernel reads, or plain where there are none of 4 bits."""

    def __init__(self, *parts: str) -> None:
        self.parts = parts

    def block_kind(self, name: str) -> str | None:
        four = any(f"{part}_proj" in name or (part == "head" and "lm_head" in name) for part in self.parts)
        return "Q4_0" if four else "Q3_K" if self.parts else None


def made(weights: WeightFormat, codes: tuple[str, ...] = (), **machine: bool) -> ModelFormat:
    settings = {"native_bf16": True, "from_gguf": bool(codes)} | machine
    architecture = Architecture.from_config(CONFIG, "tiny")
    context = FormatContext(architecture.tensor_shapes(), Held(*codes), weights, **settings)
    return choose_format(architecture, context)


def forms(found: ModelFormat) -> str:
    """The form of each of PARTS, then the dense type."""
    kinds = {}
    for matrix in found.all_matrices:
        for name in matrix.names:
            part = "head" if "lm_head" in name else name.split(".")[-2].removesuffix("_proj")
            kinds[part] = {"int8": "b", "int4": "n", "Q4_0": "g", None: "-"}[matrix.low_bits]
    return "".join(kinds[part] for part in PARTS) + " " + found.dense_dtype


SAFETENSORS = {
    "float32": "--------",
    "bf16": "--------",
    "int8": "bbbbbbbb",
    "int4": "bbbbnnnb",
    "auto": "bbbbnnnb",
}
Q4_K_M = ("q", "k", "o", "gate", "up")
"""A file that has some matrices in more bits."""
GGUF = {
    "float32": "--------",
    "bf16": "--------",
    "int8": "bbbbbbbb",
    "int4": "ggbgggnb",
    "auto": "ggbgggbb",
}


@each_row("native", [True, False])
@each_row("weights", get_args(WeightFormat))
@each_row(("codes", "table"), [((), SAFETENSORS), (Q4_K_M, GGUF)], ids=["safetensors", "gguf"])
def test_every_setting(codes: tuple[str, ...], table: dict[str, str], weights: WeightFormat, native: bool) -> None:
    """What else there is, keys and values among it, is bf16 where the machine computes with it."""
    dense = "bf16" if weights == "bf16" or (native and weights != "float32") else "float32"
    found = made(weights, codes, native_bf16=native)
    assert forms(found) == f"{table[weights]} {dense}"


def test_a_gguf_head_of_4_bits() -> None:
    assert forms(made("auto", PARTS)) == "gggggggg bf16"


def names(found: ModelFormat) -> list[tuple[str, ...]]:
    return [
        tuple(name.split(".")[-2] for name in matrix.names) for matrix in found.matrices[: len(found.matrices) // 2]
    ]


def test_what_is_multiplied_at_once() -> None:
    """Matrices of one input, unless they are held in different forms or stay where they are in their file."""
    q, k, v, gate, up = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")
    assert names(made("auto")) == [(q, k, v), ("o_proj",), (gate, up), ("down_proj",)]
    apart = [(q,), (k,), (v,), ("o_proj",), (gate,), (up,), ("down_proj",)]
    assert names(made("auto", Q4_K_M)) == names(made("auto", PARTS)) == apart
    assert names(made("bf16", Q4_K_M)) == names(made("int8", Q4_K_M)) == names(made("auto"))


def shaped(**changes: int) -> str:
    architecture = Architecture.from_config(CONFIG | changes, "tiny")
    return forms(choose_format(architecture, FormatContext(architecture.tensor_shapes(), Held(), "int4", True, False)))


def test_shapes_that_the_kernels_do_not_take() -> None:
    """They want columns in groups of 32; rows are as many as there are."""
    assert shaped() == "bbbbnnnb bf16"
    assert shaped(vocab_size=301) == "bbbbnnnb bf16"
    assert shaped(intermediate_size=136) == "bbbbnn-b bf16"
    assert shaped(hidden_size=72, head_dim=16) == "---b--n- bf16"


@each_row(
    ("found", "words"),
    [
        (made("float32"), "float32"),
        (made("bf16"), "bf16"),
        (made("int8"), "int8"),
        (made("int4"), "int4 and int8"),
        (made("auto"), "int4 and int8"),
        (made("auto", PARTS), "Q4_0"),
    ],
)
def test_in_words(found: ModelFormat, words: str) -> None:
    """What most numbers are held in comes first."""
    assert str(found) == words


def test_in_words_nothing_comes_twice() -> None:
    low, dense = MatrixFormat(("a",), (64,), 32, "int8"), MatrixFormat(("b",), (16,), 40, None)
    assert str(ModelFormat((low, low), dense, "bf16")) == "int8 and bf16"
    assert str(ModelFormat((dense, low, dense), dense, "bf16")) == "int8 and bf16"
    assert str(ModelFormat((low, dense), MatrixFormat(("c",), (8,), 32, "int4"), "float32")) == "int8, float32 and int4"


# What is really held


def tensors_of(thing: object) -> Iterator[torch.Tensor]:
    """Every tensor that an object of ours holds, in whatever place, but biases."""
    if isinstance(thing, torch.Tensor):
        yield thing
    elif isinstance(thing, (list, tuple)):
        for part in thing:
            yield from tensors_of(part)
    elif type(thing).__module__.startswith("core."):
        fields = vars(thing) if hasattr(thing, "__dict__") else {name: getattr(thing, name) for name in thing.__slots__}  # type: ignore[attr-defined]
        for name, value in fields.items():
            if name != "bias":
                yield from tensors_of(value)


def held(model: Transformer) -> int:
    products: list[Linear] = [model.head]
    for layer in model.layers:
        products += [layer.qkv, layer.out, layer.gate_up, layer.down]
    found = {id(tensor): tensor for tensor in tensors_of(products)}
    return sum(tensor.numel() * tensor.dtype.itemsize for tensor in found.values())


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("recipes")
    wide: dict[str, Any] = {"hidden_size": 256, "intermediate_size": 512, "head_dim": 64}
    gguf = TinyGguf(place / "tiny.gguf", kind=Kind.Q4_K, **wide).write()
    return {
        "llama": save(place / "llama", "llama"),
        "qwen2": save(place / "qwen2", "qwen2", vocab_size=301),
        "gguf": convert(gguf, place, lambda label, done, total: None),
    }


class Typed(WeightReader):
    """Of a file that nobody reads: Q4_0 where a name has "mlp", else Q3_K, of so many bytes a tensor."""

    def __init__(self, size: int | None) -> None:
        self.size = size

    def block_kind(self, name: str) -> str | None:
        return "Q4_0" if "mlp" in name else "Q3_K"

    def gguf_type(self, name: str) -> tuple[str, int] | None:
        kind = self.block_kind(name)
        return (kind, self.size) if kind and self.size else None


def test_what_becomes_of_each_type() -> None:
    """The types that no kernel reads say what they become; a file of another format has nothing to say."""
    architecture = Architecture.from_config(CONFIG | {"hidden_size": 2048, "intermediate_size": 4096}, "tiny")
    words = {}
    for size in (5_000_000, None):
        context = FormatContext(architecture.tensor_shapes(), Typed(size), "auto", True, True)
        words[size] = describe_held(choose_format(architecture, context), context.tensors)
    assert words == {
        5_000_000: "Q3_K as int8 (45 MB become 26), Q4_0 as it lies in the file (30 MB)",
        None: "",
    }


def counted(found: ModelFormat) -> int:
    """8 bits and a float32 a row; 4 bits and two bf16 a group, of which there are whole sixteens; 144 bytes for 256
    numbers of Q4_K, and a float32 for 1024 of a row; or a dense number."""
    total = 0
    for matrix in found.all_matrices:
        rows, size = sum(matrix.rows), sum(matrix.rows) * matrix.columns
        groups = -(-matrix.columns // 32 // 16) * 16
        total += {
            "int8": size + 4 * rows,
            "int4": size // 2 + 4 * rows * groups,
            "Q4_K": size // 256 * 144 + 4 * rows * -(-matrix.columns // 1024),
            None: size * BYTES_PER_NUMBER[found.dense_dtype],
        }[matrix.low_bits]
    return total


@each_row("native", [True, False])
@each_row("weights", get_args(WeightFormat))
@each_row("source", ["llama", "qwen2", "gguf"])
def test_bytes(folders: dict[str, Path], source: str, weights: WeightFormat, native: bool) -> None:
    folder = folders[source]
    architecture = Architecture.from_config(json.loads((folder / "config.json").read_text()), "tiny")
    tensors = WeightReader(folder)
    context = FormatContext(architecture.tensor_shapes(), tensors, weights, native, source == "gguf")
    found = choose_format(architecture, context)
    config = AutoConfig.from_pretrained(folder)
    model = ModelBuilder(architecture, config, tensors, found, torch.device("cpu")).build(32)
    assert found.total_bytes == held(model) == counted(found)
    assert found.dense_dtype in TORCH_DTYPES
