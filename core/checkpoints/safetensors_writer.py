"""Writing the tensors of a GGUF file to a safetensors file, a few million numbers at a time to save memory.

The format (huggingface/safetensors, README): 8 bytes with the header's length, a JSON header padded with spaces, the
data.
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
from core.checkpoints.safetensors_index import triple_parts

Rows = npt.NDArray[Any]

COPIED_TYPES = {GGMLQuantizationType.F32: "F32", GGMLQuantizationType.F16: "F16", GGMLQuantizationType.BF16: "BF16"}
"""Types that both formats have, with safetensors' names: their numbers are copied."""
ITEM_BYTES = {"U8": 1, "F32": 4}
"""The size of one number of a triple."""
CHUNK_NUMBERS = 1 << 22
FLOAT16_MAX = 65504.0
MAX_OFFSET_BYTES = 10**15
"""No file is larger; offsets up to it reserve room in the header."""


class SafetensorsWriter:
    """Writes a safetensors file tensor by tensor. `shapes` are those of all tensors to come.

    A tensor's type is known only once its numbers are, so room for the header is reserved first and filled by `close`.
    """

    def __init__(self, file: BinaryIO, shapes: dict[str, tuple[int, ...]]) -> None:
        self._file = file
        self._header: dict[str, dict[str, Any]] = {}
        widest = {
            stored: header_entry("BF16", shape, MAX_OFFSET_BYTES, MAX_OFFSET_BYTES)
            for name, shape in shapes.items()
            for stored in (triple_parts(name, shape) if len(shape) == 2 else (name,))
        }
        self._header_bytes = -(-len(encode_header(widest)) // 8) * 8
        self._data_start = 8 + self._header_bytes
        file.write(bytes(self._data_start))

    def write(self, name: str, shape: tuple[int, ...], kind: GGMLQuantizationType, rows: Rows) -> None:
        """Write a tensor. `rows` are GGUF's: numbers, or raw blocks. 4-bit blocks of a matrix become a triple, without
        loss.

        Raises ValueError for numbers that are not finite, and NotImplementedError for an unknown quantisation.
        """
        if kind in gguf_int4.LAYOUTS and len(shape) == 2:
            self._write_triple(name, shape, kind, rows)
            return
        begin = self._file.tell()
        dtype = COPIED_TYPES.get(kind)
        if dtype:
            self._file.writelines(part.tobytes() for part in row_chunks(rows))
        else:
            dtype = self._write_dequantised(kind, rows)
        self._note(name, dtype, shape, begin)

    def _write_triple(self, name: str, shape: tuple[int, ...], kind: GGMLQuantizationType, rows: Rows) -> None:
        """Write the three tensors at the same time, each at its own offset, so that the blocks are read only once."""
        offsets = []
        for stored, (dtype, own) in triple_parts(name, shape).items():
            offsets.append(self._file.tell())
            self._file.seek(math.prod(own) * ITEM_BYTES[dtype], SEEK_CUR)
            self._note(stored, dtype, own, offsets[-1])
        end = self._file.tell()
        for parts in unpacked_chunks(kind, rows):
            for number, part in enumerate(parts):
                self._file.seek(offsets[number])
                self._file.write(part.tobytes())
                offsets[number] = self._file.tell()
        self._file.seek(end)

    def _note(self, name: str, dtype: str, shape: tuple[int, ...], begin: int) -> None:
        """Enter the tensor between `begin` and the current position into the header."""
        self._header[name] = header_entry(dtype, shape, begin - self._data_start, self._file.tell() - self._data_start)

    def _write_dequantised(self, kind: GGMLQuantizationType, rows: Rows) -> str:
        """Write the numbers as float16, or all as float32 where one is too large for that; returns the dtype."""
        begin = self._file.tell()
        for part in dequantised_chunks(kind, rows):
            if np.abs(part).max() > FLOAT16_MAX:
                break
            self._file.write(part.astype(np.float16).tobytes())
        else:
            return "F16"
        self._file.seek(begin)
        self._file.writelines(part.astype(np.float32).tobytes() for part in dequantised_chunks(kind, rows))
        return "F32"

    def close(self) -> None:
        """Write the header. The file object stays open."""
        end = self._file.tell()
        self._file.seek(0)
        self._file.write(
            self._header_bytes.to_bytes(8, "little") + encode_header(self._header).ljust(self._header_bytes)
        )
        self._file.truncate(end)


def dequantised_chunks(kind: GGMLQuantizationType, rows: Rows) -> Iterator[Rows]:
    """The numbers of some rows at a time; raises ValueError where one is not finite."""
    with np.errstate(all="ignore"):
        for part in row_chunks(rows):
            numbers = dequantize(part, kind)
            require_finite(numbers)
            yield numbers


def unpacked_chunks(kind: GGMLQuantizationType, rows: Rows) -> Iterator[tuple[Rows, ...]]:
    """Codes, scales and offsets of some rows at a time; raises ValueError where a scale or offset is not finite."""
    with np.errstate(all="ignore"):
        for part in row_chunks(rows):
            codes, scale, offset = gguf_int4.unpack_blocks(kind, part)
            require_finite(scale)
            require_finite(offset)
            yield codes, scale, offset


def require_finite(numbers: Rows) -> None:
    if not np.isfinite(numbers).all():
        raise ValueError("it holds numbers that are not finite")


def row_chunks(rows: Rows) -> Iterator[Rows]:
    """Some rows at a time, about CHUNK_NUMBERS of their items. Quantised blocks never span rows."""
    rows = np.atleast_2d(rows)
    step = max(1, CHUNK_NUMBERS // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def header_entry(dtype: str, shape: tuple[int, ...], begin: int, end: int) -> dict[str, Any]:
    """A tensor's entry in the header; offsets are in bytes from the start of the data."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def encode_header(header: dict[str, Any]) -> bytes:
    """The header as JSON, with the metadata that transformers expects."""
    return json.dumps({"__metadata__": {"format": "pt"}} | header, separators=(",", ":")).encode()
