"""GGUF's blocks of 4-bit numbers, taken apart without loss into the triple that weights.py describes.

The layouts are those of gguf.quants.Q4_0, Q4_1 and Q4_K. Scales and offsets have few enough bits that float32 holds
them, and every code * scale + offset, exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import Q4_K

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Layout:
    """A block is a head and then its codes: `together` bytes hold as many columns low, and the next as many high."""

    head: int
    together: int
    levels: Callable[[Bytes], tuple[Floats, Floats]]
    """The heads of m blocks, [m, head], to the scales and offsets of all their groups."""


def levels_q4_0(heads: Bytes) -> tuple[Floats, Floats]:
    scale = floats(heads)
    return scale, -8 * scale


def levels_q4_1(heads: Bytes) -> tuple[Floats, Floats]:
    both = floats(heads)
    return both[:, 0], both[:, 1]


def levels_q4_k(heads: Bytes) -> tuple[Floats, Floats]:
    """Eight groups share a block's two floats; each has six bits of its own for either."""
    both = floats(heads[:, :4])
    scales, minima = Q4_K.get_scale_min(heads[:, 4:])
    return both[:, :1] * scales.astype(np.float32), -(both[:, 1:] * minima.astype(np.float32))


def floats(heads: Bytes) -> Floats:
    return heads.view(np.float16).astype(np.float32)


LAYOUTS = {
    GGMLQuantizationType.Q4_0: Layout(2, 16, levels_q4_0),
    GGMLQuantizationType.Q4_1: Layout(4, 16, levels_q4_1),
    GGMLQuantizationType.Q4_K: Layout(16, 32, levels_q4_k),
}


def take_apart(kind: GGMLQuantizationType, rows: Bytes) -> tuple[Bytes, Floats, Floats]:
    """Whole rows of raw blocks, [n, bytes], to codes [n, K/2], scales [n, K/32] and offsets [n, K/32].

    `kind` is a key of LAYOUTS. Scales and offsets are as in the file, also where they are not finite.
    """
    layout = LAYOUTS[kind]
    blocks = rows.reshape(-1, GGML_QUANT_SIZES[kind][1])
    scale, offset = layout.levels(blocks[:, : layout.head])
    packed = neighbours(blocks[:, layout.head :].reshape(-1, layout.together))
    return packed.reshape(len(rows), -1), scale.reshape(len(rows), -1), offset.reshape(len(rows), -1)


def neighbours(codes: Bytes) -> Bytes:
    """Runs of bytes with distant columns in their halves, [m, t], to bytes with columns 2j and 2j + 1, [m, 2, t/2]."""
    even, odd = codes[:, 0::2], codes[:, 1::2]
    return np.stack([even & 0x0F | odd << 4, even >> 4 | odd & 0xF0], axis=1)
