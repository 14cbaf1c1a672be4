"""GGUF's 4-bit numbers are stored exactly, in triples of tensors; all other tensors become plain ones."""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import pytest
from gguf.quants import dequantize
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from core.checkpoints import inspect_checkpoint
from core.checkpoints import safetensors_writer as writer
from core.checkpoints.gguf_convert import convert
from core.checkpoints.gguf_int4 import unpack_blocks
from core.checkpoints.safetensors_index import stored_tensors, tensor_shapes
from core.checkpoints.safetensors_writer import SafetensorsWriter
from core.domain.errors import SetupError
from tests.core.checkpoints.conftest import TinyGguf, packed, read_weights, shard
from tests.sweeps import some_quick, sweep
from tests.tables import each_row

Kind = gguf.GGMLQuantizationType
Make = Callable[..., Any]
Tensors = dict[str, npt.NDArray[Any]]

NAME = "model.layers.1.self_attn.k_proj.weight"
WIDE = {"hidden_size": 256, "intermediate_size": 512, "head_dim": 64}
"""Rows that are whole in blocks of 256."""

KEPT = {Kind.F32: "F32", Kind.F16: "F16", Kind.BF16: "BF16"}
REST = (Kind.Q8_0, Kind.Q6_K, Kind.Q5_0, Kind.Q5_1, Kind.Q5_K)
FOUR_BITS = (Kind.Q4_0, Kind.Q4_1, Kind.Q4_K)


def nothing(label: str, done: int, total: int) -> None:
    pass


def written(folder: Path, kind: Kind, shape: tuple[int, ...]) -> Tensors:
    """A folder with one random tensor; returns its numbers as gguf reads them."""
    tensor = np.random.default_rng(3).normal(0, 0.2, shape).astype(np.float32)
    raw = packed(np.atleast_2d(tensor), kind).reshape(*shape[:-1], -1)
    with (folder / "model.safetensors").open("wb") as file:
        output = SafetensorsWriter(file, {"X.weight": shape})
        output.write("X.weight", shape, kind, raw)
        output.close()
    return {"X.weight": dequantize(raw, kind)}


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tensor takes several rounds."""
    monkeypatch.setattr(writer, "CHUNK_NUMBERS", 500)


@pytest.mark.usefixtures("few_at_once")
@each_row("kind", [*KEPT, *REST, *FOUR_BITS])
@each_row("shape", [(37, 512), (1, 256), (256,)])
def test_every_kind(tmp_path_factory: pytest.TempPathFactory, kind: Kind, shape: tuple[int, ...]) -> None:
    folder = tmp_path_factory.mktemp("row")
    expected = written(folder, kind, shape)["X.weight"]
    found = read_weights(folder)["X.weight"]
    if kind in KEPT or (kind in FOUR_BITS and len(shape) == 2):
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_array_equal(found, expected.astype(np.float16).astype(np.float32))
    assert tensor_shapes(folder) == {"X.weight": shape}


@each_row("kind", FOUR_BITS)
def test_a_matrix_of_4_bits_is_a_triple(tmp_path_factory: pytest.TempPathFactory, kind: Kind) -> None:
    folder = tmp_path_factory.mktemp("row")
    written(folder, kind, (6, 512))
    assert {name: (tensor.dtype, tensor.shape) for name, tensor in stored_tensors(folder).items()} == {
        "X.weight.int4": ("U8", (6, 256)),
        "X.weight.scale": ("F32", (6, 16)),
        "X.weight.offset": ("F32", (6, 16)),
    }


@each_row(("kind", "dtype"), [*KEPT.items(), *((kind, "F16") for kind in REST)])
def test_all_else_is_one_tensor(tmp_path_factory: pytest.TempPathFactory, kind: Kind, dtype: str) -> None:
    folder = tmp_path_factory.mktemp("row")
    written(folder, kind, (6, 512))
    path = folder / "model.safetensors"
    assert [(name, tensor.path, tensor.dtype) for name, tensor in stored_tensors(folder).items()] == [
        ("X.weight", path, dtype)
    ]


def test_a_row_by_hand() -> None:
    """Q4_1: two floats, then bytes whose low halves are columns 0 to 15 and whose high halves are 16 to 31."""
    raw = np.concatenate([np.array([0.5, -3], np.float16).view(np.uint8), np.arange(0xF0, 0xE0, -1).astype(np.uint8)])
    codes, scale, offset = unpack_blocks(Kind.Q4_1, raw[None])
    assert (scale.tolist(), offset.tolist()) == ([[0.5]], [[-3.0]])
    assert codes.tobytes() == bytes([0xF0, 0xDE, 0xBC, 0x9A, 0x78, 0x56, 0x34, 0x12, 0xEF, *[0xEE] * 7])


def halves(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[bytes]:
    return numbers.map(lambda number: np.float16(number).tobytes())


FINITE = halves(st.floats(width=16, allow_nan=False, allow_infinity=False))
NOT_FINITE = halves(st.sampled_from([np.inf, -np.inf, np.nan]))


@st.composite
def rows(draw: st.DrawFn, kind: Kind, last: st.SearchStrategy[bytes] = FINITE) -> npt.NDArray[np.uint8]:
    """One row of one to three blocks of any bytes; each begins with one or two floats, `last` being the last of all."""
    size, count = gguf.GGML_QUANT_SIZES[kind][1], draw(st.integers(1, 3))
    floats = 1 if kind == Kind.Q4_0 else 2
    heads = [b"".join(draw(FINITE) for _ in range(floats)) for _ in range(count)]
    heads[-1] = heads[-1][:-2] + draw(last)
    tail = size - 2 * floats
    return np.frombuffer(b"".join(head + draw(st.binary(min_size=tail, max_size=tail)) for head in heads), np.uint8)


@pytest.mark.parametrize("kind", some_quick(FOUR_BITS, [Kind.Q4_K]))
@given(data=st.data())
def test_any_block_means_what_gguf_says(kind: Kind, data: st.DataObject) -> None:
    """Not a bit is lost: only a zero may have another sign."""
    raw = data.draw(rows(kind))[None]
    codes, scale, offset = unpack_blocks(kind, raw)
    assert [part.dtype.str for part in (codes, scale, offset)] == ["|u1", "<f4", "<f4"]
    low_first = np.stack([codes & 15, codes >> 4], axis=-1).reshape(*scale.shape, 32).astype(np.float32)
    np.testing.assert_array_equal(
        (low_first * scale[..., None] + offset[..., None]).reshape(1, -1), dequantize(raw, kind)
    )


@pytest.mark.parametrize("kind", some_quick(FOUR_BITS, [Kind.Q4_K]))
@given(data=st.data())
def test_levels_that_are_not_finite(kind: Kind, data: st.DataObject) -> None:
    raw = data.draw(rows(kind, NOT_FINITE))[None]
    with pytest.raises(ValueError, match="not finite"):
        list(writer.unpacked_chunks(kind, raw))


@pytest.mark.usefixtures("few_at_once")
@sweep(
    ("family", "kind"),
    product(["llama", "qwen2", "qwen3"], [*REST, *FOUR_BITS]),
    quick=[("llama", Kind.Q4_K), ("qwen2", Kind.Q8_0)],
)
def test_a_whole_file(make_gguf: Make, tmp_path: Path, family: str, kind: Kind) -> None:
    """Every tensor in its place and order of rows: llama's queries and keys are woven in the file."""
    tiny = make_gguf(family, kind=kind, tied=False, **WIDE)
    folder = convert(tiny.write(), tmp_path / "cache", nothing)
    found = read_weights(folder)
    assert found.keys() == tiny.weights.keys()
    for name, expected in tiny.weights.items():
        exact = kind in FOUR_BITS or expected.ndim == 1
        rounded = expected if exact else expected.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(found[name], rounded, err_msg=name)
    assert tensor_shapes(folder) == {name: tensor.shape for name, tensor in tiny.weights.items()}
    assert inspect_checkpoint(folder).parameters == sum(tensor.size for tensor in tiny.weights.values())


def test_a_triple_may_lie_in_two_files(make_gguf: Make, tmp_path: Path) -> None:
    folder = convert(make_gguf(kind=Kind.Q4_0).write(), tmp_path / "cache", nothing)
    before, names = inspect_checkpoint(folder).parameters, sorted(stored_tensors(folder))
    shard(folder)
    split = stored_tensors(folder)
    assert inspect_checkpoint(folder).parameters == before and sorted(split) == names
    first = [name for name in names if split[name].path.name == "model-00001-of-00002.safetensors"]
    assert first == names[:5] and first[-1].removesuffix("int4") + "offset" == names[5]


def lost(part: str) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.pop(f"{NAME}.{part}")


def changed(part: str, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Callable[[Tensors], object]:
    name = f"{NAME}.{part}"
    return lambda tensors: tensors.update({name: np.ascontiguousarray(change(tensors[name]))})


def halved(tensors: Tensors) -> None:
    for part in ("int4", "scale", "offset"):
        tensors[f"{NAME}.{part}"] = tensors[f"{NAME}.{part}"][:16].copy()


DAMAGED: dict[str, tuple[Callable[[Tensors], object], str]] = {
    "codes lost": (lost("int4"), f"model.safetensors is damaged (it lacks {NAME}.int4)"),
    "scales lost": (lost("scale"), f"model.safetensors is damaged (it lacks {NAME}.scale)"),
    "offsets lost": (lost("offset"), f"model.safetensors is damaged (it lacks {NAME}.offset)"),
    "fewer codes": (changed("int4", lambda codes: codes[:, :-1]), f"{NAME}.int4 doesn't fit {NAME}.scale"),
    "signed codes": (changed("int4", lambda codes: codes.astype(np.int8)), f"{NAME}.int4 doesn't fit"),
    "fewer scales": (changed("scale", lambda scale: scale[:, :1]), f"{NAME}.int4 doesn't fit"),
    "scales in a line": (changed("scale", np.ravel), f"{NAME}.int4 doesn't fit"),
    "one scale": (changed("scale", lambda scale: scale[0, 0].reshape(())), f"{NAME}.int4 doesn't fit"),
    "short scales": (changed("scale", lambda scale: scale.astype(np.float16)), f"{NAME}.scale doesn't fit"),
    "fewer offsets": (changed("offset", lambda offset: offset[:-1]), f"{NAME}.offset doesn't fit"),
    "twice": (lambda tensors: tensors.update({NAME: np.zeros((32, 64), np.float16)}), f"it has {NAME} twice"),
    "of other sizes than the model": (halved, f"{NAME} is (16, 64), not (32, 64)"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("damaged")
    yield convert(TinyGguf(place / "tiny.gguf", kind=Kind.Q4_1).write(), place, nothing)


@each_row("case", DAMAGED)
def test_a_damaged_triple(folder: Path, case: str) -> None:
    spoil, words = DAMAGED[case]
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    try:
        tensors = load_file(path)
        spoil(tensors)
        save_file(tensors, path)
        with pytest.raises(SetupError) as caught:
            inspect_checkpoint(folder)
    finally:
        path.write_bytes(whole)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    inspect_checkpoint(folder)
