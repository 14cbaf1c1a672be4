"""GGUF's kinds of quantized blocks: which the engine computes with as they lie, and the numbers of all others."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[Any]

PLAIN_TYPES = ("F32", "F16", "BF16")
"""Types of single numbers."""
BLOCK_SIZES = {
    "Q4_0": (32, 18),
    "Q4_1": (32, 20),
    "Q5_0": (32, 22),
    "Q5_1": (32, 24),
    "Q8_0": (32, 34),
    "IQ4_NL": (32, 18),
    "Q4_K": (256, 144),
    "Q5_K": (256, 176),
    "Q6_K": (256, 210),
}
"""Columns and bytes of a block of each kind that the engine computes with as it lies in the file."""
HALVES = {
    "Q4_0": (0,),
    "Q4_1": (0, 2),
    "Q5_0": (0,),
    "Q5_1": (0, 2),
    "Q8_0": (0,),
    "IQ4_NL": (0,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
}
"""Where the float16 numbers of a block of these kinds lie, in bytes. All else in it is integers."""
CHUNK_ITEMS = 1 << 22
"""Items of rows that are looked at together, to save memory."""


def dequantize_rows(kind: str, rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The values of rows of raw blocks, [n, bytes], as float32 [n, columns]. `kind`: GGUF's name of any kind of block.

    Raises NotImplementedError for a kind that the package gguf can't read.
    """
    from gguf import GGMLQuantizationType  # noqa: PLC0415 (0.15 s, which the engine does without for most files)
    from gguf.quants import dequantize  # noqa: PLC0415

    with np.errstate(all="ignore"):
        values: Any = dequantize(rows, GGMLQuantizationType[kind])
    return np.asarray(values, np.float32)


def check_numbers(kind: str, rows: Rows) -> None:
    """Raise ValueError where a number is not finite, and NotImplementedError for a kind that can't be read."""
    for part in row_chunks(rows):
        if kind in HALVES:
            blocks = part.reshape(-1, BLOCK_SIZES[kind][1])
            numbers: list[Rows] = [blocks[:, at : at + 2].copy().view(np.float16) for at in HALVES[kind]]
        else:
            numbers = [dequantize_rows(kind, part)]
        if not all(np.isfinite(some).all() for some in numbers):
            raise ValueError("it holds numbers that are not finite")


def row_chunks(rows: Rows) -> Iterator[Rows]:
    """Some rows at a time, about CHUNK_ITEMS of their items. Quantized blocks never span rows."""
    rows = np.atleast_2d(rows)
    step = max(1, CHUNK_ITEMS // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]
