"""Tensors as they lie in mapped files, against the safetensors library."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.checkpoints.gguf_convert import convert
from core.domain.errors import SetupError
from core.engine.nn.weight_reader import WeightReader
from tests.core.checkpoints.conftest import Kind, TinyGguf, read_weights, shard
from tests.tables import each_row

FLOATS = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


def some(dtype: torch.dtype) -> dict[str, torch.Tensor]:
    torch.manual_seed(4)
    return {
        "matrix.weight": torch.randn(5, 7).to(dtype),
        "norm.weight": torch.randn(3).to(dtype),
        "cube": torch.randn(2, 3, 4).to(dtype),
        "one": torch.randn(()).to(dtype),
    }


@each_row("dtype", FLOATS, ids=str)
def test_as_safetensors_reads_them(tmp_path_factory: pytest.TempPathFactory, dtype: torch.dtype) -> None:
    folder = tmp_path_factory.mktemp("row")
    path = folder / "model.safetensors"
    save_file(some(dtype), path)
    tensors = WeightReader(folder)
    for name, expected in load_file(path).items():
        assert name in tensors and tensors.block_kind(name) is None
        view = tensors.view(name)
        assert view.dtype == dtype
        assert torch.equal(view, expected)
        assert torch.equal(tensors.float32(name), expected.float())
        assert tensors.float32(name).dtype == torch.float32
    assert "another" not in tensors


def test_types_side_by_side(tmp_path: Path) -> None:
    """Wherever in the file a tensor begins."""
    mixed = {f"{dtype} {name}": tensor for dtype in FLOATS for name, tensor in some(dtype).items()}
    save_file(mixed, tmp_path / "model.safetensors", metadata={"format": "pt"})
    tensors = WeightReader(tmp_path)
    for name, expected in mixed.items():
        assert torch.equal(tensors.view(name), expected)


def test_where_nothing_is_aligned(tmp_path: Path) -> None:
    """The format doesn't ask for it."""
    numbers = torch.randn(6)
    for spaces in range(9):
        entry = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
        header = json.dumps({"x": entry}).encode() + b" " * spaces
        content = len(header).to_bytes(8, "little") + header + numbers.numpy().tobytes()
        (tmp_path / "model.safetensors").write_bytes(content)
        assert torch.equal(WeightReader(tmp_path).view("x"), numbers.view(2, 3))


def test_several_files(tmp_path: Path) -> None:
    expected = {f"tensor {number}": torch.randn(4) for number in range(12)}
    save_file(expected, tmp_path / "model.safetensors")
    shard(tmp_path)
    tensors = WeightReader(tmp_path)
    for name, tensor in expected.items():
        assert torch.equal(tensors.view(name), tensor)


def test_what_was_let_go_is_there_again(tmp_path: Path) -> None:
    expected = some(torch.float32)
    save_file(expected, tmp_path / "model.safetensors")
    tensors = WeightReader(tmp_path)
    kept = tensors.view("matrix.weight")
    for _ in range(2):
        tensors.release_pages()
        assert torch.equal(kept, expected["matrix.weight"])
        assert torch.equal(tensors.view("cube"), expected["cube"])


@each_row("kind", [Kind.F16, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q8_0, Kind.Q4_K, Kind.Q6_K, Kind.Q3_K])
@each_row("family", ["llama", "qwen2"])
def test_tensors_of_a_gguf_file(tmp_path_factory: pytest.TempPathFactory, family: str, kind: Kind) -> None:
    """In the file's own kind, and in transformers' order of rows, exactly as the package gguf has them."""
    wide: dict[str, Any] = {"hidden_size": 256, "intermediate_size": 512, "head_dim": 64}
    place = tmp_path_factory.mktemp("row")
    file = TinyGguf(place / "tiny.gguf", family, kind=kind, **wide).write()
    folder = convert(file, place / "cache", lambda label, done, total: None)
    tensors, expected = WeightReader(folder), read_weights(folder)
    for name, numbers in expected.items():
        assert name in tensors
        assert torch.equal(tensors.float32(name), torch.from_numpy(numbers))
    blocks = [name for name in expected if tensors.block_kind(name)]
    assert len(blocks) == (0 if kind == Kind.F16 else 15)
    for name in blocks:
        matrix = tensors.blocks(name)
        assert (matrix.kind, matrix.shape) == (kind.name, expected[name].shape)
        assert torch.equal(matrix[torch.tensor([3, 0, 3])].dequantize(), torch.from_numpy(expected[name][[3, 0, 3]]))


def test_blocks_are_not_copied(tmp_path: Path) -> None:
    """A matrix of blocks is a view of the mapped file, unless its rows must be put in order."""
    file = TinyGguf(tmp_path / "tiny.gguf", "llama", kind=Kind.Q8_0).write()
    tensors = WeightReader(convert(file, tmp_path / "cache", lambda label, done, total: None))
    names = [f"model.layers.0.{part}_proj.weight" for part in ("mlp.up", "self_attn.v", "self_attn.q", "self_attn.k")]
    places = [[tensors.blocks(name).blocks.data_ptr() for name in names] for _ in range(2)]
    assert places[0][:2] == places[1][:2]
    assert all(abs(place - places[0][0]) > file.stat().st_size for place in places[0][2:])


@each_row("dtype", [torch.int8, torch.uint8, torch.int64, torch.bool, torch.float8_e4m3fn], ids=str)
def test_what_are_no_weights(tmp_path_factory: pytest.TempPathFactory, dtype: torch.dtype) -> None:
    """Quantised in a way that only their maker knows; what nobody asks for may be of any type."""
    folder = tmp_path_factory.mktemp("row")
    save_file({"x.weight": torch.ones(4, 4).to(dtype), "y": torch.ones(4)}, folder / "model.safetensors")
    tensors = WeightReader(folder)
    assert torch.equal(tensors.float32("y"), torch.ones(4))
    for read in (tensors.view, tensors.float32):
        with pytest.raises(
            SetupError, match=r"^x\.weight in .*model\.safetensors is of type \w+: use a version"
        ) as caught:
            read("x.weight")
        assert "\n" not in str(caught.value)
