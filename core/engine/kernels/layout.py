"""The memory layout of weights and of quantized activations."""

from typing import NamedTuple

import numpy as np

from core.engine.kernels.jit import Array, compiled

BLOCK = 1024
"""Columns whose products are summed in 32 bits: BLOCK * 127 * MAX_ACTIVATION is less than 2**31."""
GROUP = 32
"""Columns that share a scale and an offset in 4 bits. A matrix has a multiple of GROUP columns."""
GROUPS_PER_BLOCK = BLOCK // GROUP
MAX_ACTIVATION = 16383
"""The largest code of a quantized activation."""
SCALES_MULTIPLE = 16
"""Rows of scales are padded to a multiple of this, the largest number of lanes of a vector."""

MATRIX_RECORD = np.dtype(
    [
        (name, np.int64)
        for name in (
            "bits", "rows", "columns", "codes", "scales", "offsets", "bias", "place", "row_bytes", "multiply", "unpack",
            "dense",
        )
    ]
)  # fmt: skip
"""A matrix, by the addresses of its arrays.

8 bits: value = code * scale. `codes`: int8 [rows, columns]; `scales`: float32 [rows].
4 bits: value = code * scale + offset. `codes`: uint8 [rows, columns / 2], the first half of each group in the low bits;
`scales` and `offsets`: bf16 [rows, groups], zero-padded to a multiple of SCALES_MULTIPLE.
0 bits: rows of GGUF's blocks, `row_bytes` long, at `codes`; `multiply`, `unpack` and `dense` are the addresses of their
kind's functions (block_tiles.BlockFunctions). `scales`: float32 [rows, blocks of BLOCK columns], those of unpacked
weights, 0 until the first product that unpacks them writes them.
`bias`: float32 [rows], or 0 for none. `place`: the first output's column in the product's result.
"""


class QuantizedRows(NamedTuple):
    """Rows of activations, value = code * scale. All arrays are flat and may be longer than needed.

    `codes`: int16 [rows, columns]; `scales`: float32 [rows, blocks]; `sums`: the sum of each group's codes, float32
    [rows, blocks, GROUPS_PER_BLOCK].
    """

    codes: Array
    scales: Array
    sums: Array


@compiled
def block_count(columns: int) -> int:
    """The number of blocks of `columns` columns."""
    return (columns + BLOCK - 1) // BLOCK


def padded_groups(groups: int) -> int:
    """The groups that a row of scales or offsets has room for: the next multiple of SCALES_MULTIPLE."""
    return (groups + SCALES_MULTIPLE - 1) // SCALES_MULTIPLE * SCALES_MULTIPLE


compiled_padded_groups = compiled(padded_groups)
"""The same for compiled code, which can't call a plain function."""
