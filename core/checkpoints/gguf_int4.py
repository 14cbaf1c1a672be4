"""GGUF's blocks of 4-bit numbers, unpacked without loss into the triple that safetensors_index.py describes.

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
    """How the bytes of a block are laid out: a header, then runs of codes. A run of `run_bytes` bytes holds as many
    columns in its low halves, and the next as many in its high halves."""

    header_bytes: int
    run_bytes: int
    read_levels: Callable[[Bytes], tuple[Floats, Floats]]
    """From the headers of m blocks, [m, header_bytes], to the scales and offsets of all their groups."""


def read_levels_q4_0(headers: Bytes) -> tuple[Floats, Floats]:
    scale = to_float32(headers)
    return scale, -8 * scale


def read_levels_q4_1(headers: Bytes) -> tuple[Floats, Floats]:
    both = to_float32(headers)
    return both[:, 0], both[:, 1]


def read_levels_q4_k(headers: Bytes) -> tuple[Floats, Floats]:
    """A block has two floats for eight groups, and for each group six bits that multiply either."""
    both = to_float32(headers[:, :4])
    scales, minima = Q4_K.get_scale_min(headers[:, 4:])
    return both[:, :1] * scales.astype(np.float32), -(both[:, 1:] * minima.astype(np.float32))


def to_float32(headers: Bytes) -> Floats:
    return headers.view(np.float16).astype(np.float32)


LAYOUTS = {
    GGMLQuantizationType.Q4_0: Layout(2, 16, read_levels_q4_0),
    GGMLQuantizationType.Q4_1: Layout(4, 16, read_levels_q4_1),
    GGMLQuantizationType.Q4_K: Layout(16, 32, read_levels_q4_k),
}


def unpack_blocks(kind: GGMLQuantizationType, rows: Bytes) -> tuple[Bytes, Floats, Floats]:
    """From rows of raw blocks, [n, bytes], to codes [n, K/2], scales [n, K/32] and offsets [n, K/32].

    `kind` is a key of LAYOUTS. Scales and offsets are those of the file, also where they are not finite.
    """
    layout = LAYOUTS[kind]
    blocks = rows.reshape(-1, GGML_QUANT_SIZES[kind][1])
    scale, offset = layout.read_levels(blocks[:, : layout.header_bytes])
    packed = pack_neighbours(blocks[:, layout.header_bytes :].reshape(-1, layout.run_bytes))
    return packed.reshape(len(rows), -1), scale.reshape(len(rows), -1), offset.reshape(len(rows), -1)


def pack_neighbours(codes: Bytes) -> Bytes:
    """From runs of bytes with distant columns in their halves, [m, t], to bytes with columns 2j and 2j + 1, [m, 2,
    t/2]."""
    even, odd = codes[:, 0::2], codes[:, 1::2]
    return np.stack([even & 0x0F | odd << 4, even >> 4 | odd & 0xF0], axis=1)
