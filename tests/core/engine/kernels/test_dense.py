"""Matrices unpacked for PyTorch's products: the numbers that their bits stand for."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from core.engine.kernels import dense
from core.engine.kernels.layout import MATRIX_RECORD
from core.engine.kernels.team import ThreadTeam
from core.engine.nn.kernel_model import as_numpy, matrix_record
from core.engine.nn.linear import LowBitLinear
from core.engine.nn.quantization import Int4Matrix, Int8Matrix, quantize_int4, quantize_int8
from tests.sweeps import sweep
from tests.tables import each_row

FORMS: dict[str, Callable[[torch.Tensor], Int4Matrix | Int8Matrix]] = {"8 bits": quantize_int8, "4 bits": quantize_int4}


@pytest.fixture(scope="module")
def teams() -> Iterator[dict[int, ThreadTeam]]:
    made = {count: ThreadTeam(count) for count in (1, 2, 3)}
    yield made
    for team in made.values():
        team.close()


@each_row("dtype", [torch.float32, torch.bfloat16])
@each_row("form", FORMS)
@sweep("threads", [1, 2, 3], quick=[2])
def test_every_shape(teams: dict[int, ThreadTeam], threads: int, form: str, dtype: torch.dtype) -> None:
    """Any rows of it; the memory around them is not touched."""
    torch.manual_seed(4)
    for columns in (32, 96, 544, 1056, 4864):
        for rows in (1, 2, 15, 16, 17, 65):
            rounded = FORMS[form](torch.randn(rows, columns) * torch.logspace(-10, 10, rows)[:, None])
            low = LowBitLinear(rounded, None)
            for first, count in ((0, rows), (rows // 2, rows - rows // 2), (rows - 1, 1)):
                whole = torch.full((count + 2, columns), 7.0, dtype=dtype)
                matrix = np.array([matrix_record(low, 0)], MATRIX_RECORD)[0]
                teams[threads].run(dense.unpack_rows, 1, matrix, first, as_numpy(whole[1:-1]))
                assert (whole[[0, -1]] == 7).all()
                expected = rounded.dequantize(slice(first, first + count))
                if form == "8 bits":
                    assert torch.equal(whole[1:-1], expected.to(dtype))
                else:  # a product and a sum are rounded once, not twice
                    near = torch.finfo(dtype).eps * expected.abs().amax(1, keepdim=True)
                    assert ((whole[1:-1].float() - expected.to(dtype).float()).abs() <= near).all()
