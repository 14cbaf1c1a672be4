"""Tensors of a GGUF file into a safetensors file, some millions of numbers at a time: a big model needs little memory.

The format (huggingface/safetensors, README): 8 bytes with the header's length, a JSON header, spaces at will, the data.
"""

import json
import math
from collections.abc import Iterator
from os import SEEK_CUR
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType
from gguf.quants import dequantize

from core.checkpoints import gguf_int4
from core.checkpoints.safetensors_index import triple

Rows = npt.NDArray[Any]

KEPT = {GGMLQuantizationType.F32: "F32", GGMLQuantizationType.F16: "F16", GGMLQuantizationType.BF16: "BF16"}
"""Types that both formats have: copied as they are."""
BYTES = {"U8": 1, "F32": 4}
"""Of a number in a triple."""
NUMBERS_AT_ONCE = 1 << 22
FLOAT16_MAX = 65504.0
LONGEST_OFFSET = 10**15


class Writer:
    """The header names each tensor's type, known only once its numbers are: its room is kept, and filled at the end."""

    def __init__(self, file: BinaryIO, shapes: dict[str, tuple[int, ...]]) -> None:
        self.file = file
        self.header: dict[str, dict[str, Any]] = {}
        widest = {
            stored: entry("BF16", shape, LONGEST_OFFSET, LONGEST_OFFSET)
            for name, shape in shapes.items()
            for stored in (triple(name, shape) if len(shape) == 2 else (name,))
        }
        self.room = -(-len(encode(widest)) // 8) * 8
        self.start = 8 + self.room
        file.write(bytes(self.start))

    def write(self, name: str, shape: tuple[int, ...], kind: GGMLQuantizationType, rows: Rows) -> None:
        """`rows` as GGUF has them: numbers, or raw blocks. A matrix of 4-bit blocks is kept as it is, in a triple.

        Raises ValueError for numbers that can't be, and NotImplementedError for an unknown quantisation.
        """
        if kind in gguf_int4.LAYOUTS and len(shape) == 2:
            self.write_triple(name, shape, kind, rows)
            return
        begin = self.file.tell()
        kept = KEPT.get(kind)
        if kept:
            self.file.writelines(part.tobytes() for part in slices(rows))
        else:
            kept = self.write_quantised(kind, rows)
        self.note(name, kept, shape, begin)

    def write_triple(self, name: str, shape: tuple[int, ...], kind: GGMLQuantizationType, rows: Rows) -> None:
        """The three grow together, each in its place: so the blocks are read only once."""
        places = []
        for stored, (dtype, own) in triple(name, shape).items():
            places.append(self.file.tell())
            self.file.seek(math.prod(own) * BYTES[dtype], SEEK_CUR)
            self.note(stored, dtype, own, places[-1])
        end = self.file.tell()
        for parts in taken_apart(kind, rows):
            for number, part in enumerate(parts):
                self.file.seek(places[number])
                self.file.write(part.tobytes())
                places[number] = self.file.tell()
        self.file.seek(end)

    def note(self, name: str, dtype: str, shape: tuple[int, ...], begin: int) -> None:
        """What lies from `begin` to here."""
        self.header[name] = entry(dtype, shape, begin - self.start, self.file.tell() - self.start)

    def write_quantised(self, kind: GGMLQuantizationType, rows: Rows) -> str:
        """As float16, or the whole tensor as float32 where one number is too large for that."""
        begin = self.file.tell()
        for part in unpacked(kind, rows):
            if np.abs(part).max() > FLOAT16_MAX:
                break
            self.file.write(part.astype(np.float16).tobytes())
        else:
            return "F16"
        self.file.seek(begin)
        self.file.writelines(part.astype(np.float32).tobytes() for part in unpacked(kind, rows))
        return "F32"

    def close(self) -> None:
        end = self.file.tell()
        self.file.seek(0)
        self.file.write(self.room.to_bytes(8, "little") + encode(self.header).ljust(self.room))
        self.file.truncate(end)


def unpacked(kind: GGMLQuantizationType, rows: Rows) -> Iterator[Rows]:
    with np.errstate(all="ignore"):
        for part in slices(rows):
            numbers = dequantize(part, kind)
            require_finite(numbers)
            yield numbers


def taken_apart(kind: GGMLQuantizationType, rows: Rows) -> Iterator[tuple[Rows, ...]]:
    """Codes, scales and offsets of some rows at a time."""
    with np.errstate(all="ignore"):
        for part in slices(rows):
            codes, scale, offset = gguf_int4.take_apart(kind, part)
            require_finite(scale)
            require_finite(offset)
            yield codes, scale, offset


def require_finite(numbers: Rows) -> None:
    if not np.isfinite(numbers).all():
        raise ValueError("it holds numbers that are not finite")


def slices(rows: Rows) -> Iterator[Rows]:
    """Some rows at a time; a row of quantised blocks is whole in itself."""
    rows = np.atleast_2d(rows)
    step = max(1, NUMBERS_AT_ONCE // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def entry(dtype: str, shape: tuple[int, ...], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def encode(header: dict[str, Any]) -> bytes:
    return json.dumps({"__metadata__": {"format": "pt"}} | header, separators=(",", ":")).encode()
