"""Which kinds of blocks are read as they lie; and numbers that are none are found before they are computed with."""

from collections.abc import Callable
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

from core.checkpoints import gguf_kinds, inspect_checkpoint
from core.checkpoints.gguf_convert import convert
from core.checkpoints.gguf_kinds import BLOCK_SIZES, HALVES, check_numbers, dequantize_rows
from core.checkpoints.weight_index import tensor_shapes
from tests.core.checkpoints.conftest import kind_named, packed, read_weights
from tests.sweeps import sweep
from tests.tables import each_row

Kind = gguf.GGMLQuantizationType
Make = Callable[..., Any]

WIDE = {"hidden_size": 256, "intermediate_size": 512, "head_dim": 64}
"""Rows that are whole in blocks of 256."""
KINDS = [kind_named(name) for name in BLOCK_SIZES]
OTHERS = [Kind.Q3_K]


@pytest.mark.slow
def test_sizes_are_those_of_gguf() -> None:
    assert {name: tuple(gguf.GGML_QUANT_SIZES[kind_named(name)]) for name in BLOCK_SIZES} == BLOCK_SIZES
    assert HALVES.keys() == BLOCK_SIZES.keys()


@each_row("kind", [*KINDS, *OTHERS])
@each_row("shape", [(37, 512), (1, 256)])
def test_numbers_of_every_kind(kind: Kind, shape: tuple[int, int]) -> None:
    raw = packed(np.random.default_rng(3).normal(0, 0.2, shape).astype(np.float32), kind)
    np.testing.assert_array_equal(dequantize_rows(kind.name, raw), dequantize(raw, kind))
    check_numbers(kind.name, raw)


@pytest.mark.slow
@each_row("kind", [*KINDS, *OTHERS])
@each_row("bad", [np.inf, -np.inf, np.nan])
def test_numbers_that_are_not_finite(kind: Kind, bad: float) -> None:
    """In any of a block's float16 numbers, in any block, also where rows are looked at some at a time."""
    raw = packed(np.random.default_rng(3).normal(0, 0.2, (9, 512)).astype(np.float32), kind)
    size = gguf.GGML_QUANT_SIZES[kind][1]
    for at in HALVES.get(kind.name, (108,)):
        for row, block in ((0, 0), (8, 1)):
            spoilt = raw.copy()
            spoilt[row, block * size + at : block * size + at + 2] = np.array([bad], np.float16).view(np.uint8)
            with pytest.MonkeyPatch.context() as patch, pytest.raises(ValueError, match="not finite"):
                patch.setattr(gguf_kinds, "CHUNK_ITEMS", 500)
                check_numbers(kind.name, spoilt)


@pytest.mark.slow
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_what_passes_is_finite(data: st.DataObject, kind: Kind) -> None:
    """Any bytes at all: they pass if and only if all that gguf makes of them is finite."""
    size = gguf.GGML_QUANT_SIZES[kind][1]
    raw: npt.NDArray[np.uint8] = np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), np.uint8)[None]
    with np.errstate(all="ignore"):
        values = dequantize(raw, kind)
    try:
        check_numbers(kind.name, raw)
    except ValueError:
        halves = np.concatenate([raw[0, at : at + 2] for at in HALVES[kind.name]]).view(np.float16)
        assert not np.isfinite(halves).all()
    else:
        assert np.isfinite(values).all()


@pytest.mark.slow
@sweep(
    ("family", "kind"),
    product(["llama", "qwen2", "qwen3"], [*KINDS, *OTHERS]),
    quick=[("llama", Kind.Q4_K), ("qwen2", Kind.Q8_0)],
)
def test_a_whole_file(make_gguf: Make, tmp_path: Path, family: str, kind: Kind) -> None:
    """Every tensor in its place and order of rows: llama's queries and keys are woven in the file."""
    tiny = make_gguf(family, kind=kind, tied=False, **WIDE)
    folder = convert(tiny.write(), tmp_path / "cache", lambda label, done, total: None)
    found = read_weights(folder)
    assert found.keys() == tiny.weights.keys()
    for name, expected in tiny.weights.items():
        np.testing.assert_array_equal(found[name], expected, err_msg=name)
    assert tensor_shapes(folder) == {name: tensor.shape for name, tensor in tiny.weights.items()}
    assert inspect_checkpoint(folder).parameters == sum(tensor.size for tensor in tiny.weights.values())
