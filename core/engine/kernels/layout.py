"""How weights and rounded activations lie in memory."""

from typing import NamedTuple

import numpy as np

from core.engine.kernels.jit import Array, compiled

BLOCK = 1024
"""Columns that are added up in 32 bits: BLOCK * 127 * LARGEST is less than 2**31."""
GROUP = 32
"""Columns that share a scale and an offset in 4 bits. The columns of a matrix are a multiple of it."""
GROUPS = BLOCK // GROUP
LARGEST = 16383
"""The largest activation, rounded."""
PADDING = 16
"""The scales of a row are held as a multiple of it: the most lanes of a vector."""

MATRIX = np.dtype(
    [(name, np.int64) for name in ("bits", "rows", "columns", "codes", "scales", "offsets", "bias", "place")]
)
"""A matrix, by the addresses of its arrays. `bias`: float32 [rows], or 0. `place`: where its results begin among those
of the matrices beside it.

8 bits: value = code * scale. `codes`: int8 [rows, columns]; `scales`: float32 [rows].
4 bits: value = code * scale + offset. `codes`: uint8 [rows, columns / 2], of each group the first half in the low bits;
`scales` and `offsets`: bf16 [rows, groups], with zeros up to a multiple of PADDING.
"""


class Rounded(NamedTuple):
    """Rows of activations, value = code * scale. All arrays are flat, and may be longer.

    `codes`: int16 [rows, columns]; `scales`: float32 [rows, blocks]; `sums`: float32 [rows, blocks, GROUPS], the codes
    of each group added up.
    """

    codes: Array
    scales: Array
    sums: Array


@compiled
def blocks_of(columns: int) -> int:
    """In how many blocks so many columns are multiplied."""
    return (columns + BLOCK - 1) // BLOCK


@compiled
def padded(groups: int) -> int:
    """How many groups a row of scales has room for."""
    return (groups + PADDING - 1) // PADDING * PADDING
