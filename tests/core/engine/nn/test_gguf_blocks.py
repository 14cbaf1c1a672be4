"""GGUF's blocks in PyTorch: exactly the numbers that the package gguf makes of any bytes."""

import gguf
import numpy as np
import pytest
import torch
from gguf.quants import dequantize
from hypothesis import given
from hypothesis import strategies as st

from core.checkpoints.gguf_kinds import BLOCK_SIZES
from core.engine.kernels.blocks import BLOCK_KINDS
from core.engine.nn.gguf_blocks import READERS, BlockMatrix
from core.engine.nn.linear import LowBitLinear
from tests.core.checkpoints.conftest import kind_named, packed
from tests.tables import each_row

KINDS = list(BLOCK_SIZES)


def test_every_kind_is_known_everywhere() -> None:
    """To the files' index, to PyTorch and to the kernels, in the same sizes."""
    assert {name: (kind.columns, kind.bytes) for name, kind in BLOCK_KINDS.items()} == BLOCK_SIZES
    assert {name: size for name, (size, _) in READERS.items()} == {
        name: size for name, (_, size) in BLOCK_SIZES.items()
    }


def matrix(kind: str, rows: int = 6, columns: int = 512) -> BlockMatrix:
    raw = packed(np.random.default_rng(rows).normal(0, 0.2, (rows, columns)).astype(np.float32), kind_named(kind))
    return BlockMatrix(kind, torch.from_numpy(raw), columns)


@pytest.mark.slow
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_any_bytes(data: st.DataObject, kind: str) -> None:
    """A block that is not finite is not finite in the same places."""
    count = data.draw(st.integers(1, 3))
    size = count * gguf.GGML_QUANT_SIZES[kind_named(kind)][1]
    raw = np.frombuffer(bytearray(data.draw(st.binary(min_size=size, max_size=size))), np.uint8)[None]
    found = BlockMatrix(kind, torch.from_numpy(raw), count * BLOCK_SIZES[kind][0]).dequantize().numpy()
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found, dequantize(raw, kind_named(kind)))


@pytest.mark.slow
@each_row("kind", [*KINDS, "Q3_K"])
def test_some_rows(kind: str) -> None:
    whole = matrix(kind)
    values = whole.dequantize()
    assert whole.shape == values.shape == (6, 512) and len(whole) == 6
    assert torch.equal(whole.dequantize(slice(1, 4)), values[1:4])
    assert torch.equal(whole[torch.tensor([5, 0, 5])].dequantize(), values[[5, 0, 5]])


@each_row("kind", KINDS)
@each_row("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_products_are_made_of_these_values(kind: str, dtype: torch.dtype) -> None:
    """A product with ones in the diagonal gives the matrix back."""
    whole = matrix(kind)
    found = LowBitLinear(whole, None)(torch.eye(512, dtype=dtype)).T
    assert torch.equal(found, whole.dequantize().to(dtype))


@pytest.mark.slow
def test_a_kind_that_nobody_knows() -> None:
    with pytest.raises(KeyError):
        BlockMatrix("Q9_9", torch.zeros(1, 32, dtype=torch.uint8), 32).dequantize()
