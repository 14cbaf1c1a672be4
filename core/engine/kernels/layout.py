"""How weights and rounded activations lie in memory."""

from typing import NamedTuple

import numpy as np

from core.engine.kernels.jit import Array, compiled

BLOCK = 1024
"""Columns that are added up in 32 bits: BLOCK * 127 * LARGEST is less than 2**31."""
GROUP = 32
"""Columns that share a scale and an offset in 4 bits. The columns of a matrix are a multiple of it."""
GROUPS_PER_BLOCK = BLOCK // GROUP
MAX_ACTIVATION = 16383
"""The largest activation, rounded."""
SCALES_MULTIPLE = 16
"""The scales of a row are held as a multiple of it: the most lanes of a vector."""

MATRIX_RECORD = np.dtype(
    [(name, np.int64) for name in ("bits", "rows", "columns", "codes", "scales", "offsets", "bias", "place")]
)
"""A matrix, by the addresses of its arrays. `bias`: float32 [rows], or 0. `place`: where its results begin among those
of the matrices beside it.

8 bits: value = code * scale. `codes`: int8 [rows, columns]; `scales`: float32 [rows].
4 bits: value = code * scale + offset. `codes`: uint8 [rows, columns / 2], of each group the first half in the low bits;
`scales` and `offsets`: bf16 [rows, groups], with zeros up to a multiple of PADDING.
"""


class QuantizedRows(NamedTuple):
    """Rows of activations, value = code * scale. All arrays are flat, and may be longer.

    `codes`: int16 [rows, columns]; `scales`: float32 [rows, blocks]; `sums`: float32 [rows, blocks, GROUPS], the codes
    of each group added up.
    """

    codes: Array
    scales: Array
    sums: Array


@compiled
def block_count(columns: int) -> int:
    """In how many blocks so many columns are multiplied."""
    return (columns + BLOCK - 1) // BLOCK


def padded_groups(groups: int) -> int:
    """The groups that a row of scales or offsets has room for: the next multiple of SCALES_MULTIPLE."""
    return (groups + SCALES_MULTIPLE - 1) // SCALES_MULTIPLE * SCALES_MULTIPLE


compiled_padded_groups = compiled(padded_groups)
"""The same for compiled code, which can't call a plain function."""
