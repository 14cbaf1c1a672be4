"""Reads the tensors of a model's folder one at a time, so that its files take no memory beside the model.

The safetensors format: 8 bytes with the header's length, a JSON header, the data. Of a GGUF file the folder's index
tells where each tensor lies (core/checkpoints/gguf_index.py).
"""

import json
import mmap
import warnings
from pathlib import Path

import torch

from core.checkpoints.gguf_kinds import PLAIN_TYPES
from core.checkpoints.stored_tensor import StoredTensor
from core.checkpoints.weight_index import stored_tensors
from core.domain.errors import SetupError
from core.engine.nn.gguf_blocks import BlockMatrix

WEIGHT_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}


class MappedFile:
    """A memory-mapped file of weights, safetensors or GGUF."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._header, self._start = {}, 0
        if path.suffix == ".safetensors":
            length = int.from_bytes(self._map[:8], "little")
            self._header = json.loads(self._map[8 : 8 + length])
            self._start = 8 + length

    def view(self, name: str, tensor: StoredTensor) -> torch.Tensor:
        """A view of a tensor, uint8 [rows, bytes] of one in blocks. Its pages count as memory once they are read."""
        begin, end = self._header[name]["data_offsets"] if name in self._header else (tensor.begin, tensor.end)
        dtype = WEIGHT_DTYPES.get(tensor.dtype, torch.uint8)
        with warnings.catch_warnings():  # the map is read-only, and nothing writes to it
            warnings.simplefilter("ignore")
            count = (end - begin) // dtype.itemsize
            flat = torch.frombuffer(self._map, dtype=dtype, count=count, offset=self._start + begin)
        return flat.view(tensor.shape if tensor.dtype in WEIGHT_DTYPES else (tensor.shape[0], -1))

    def release_pages(self) -> None:
        """Give the memory of read pages back to the system."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


class WeightReader:
    """Every tensor of a folder, by its name in transformers."""

    def __init__(self, folder: Path) -> None:
        self._stored: dict[str, StoredTensor] = stored_tensors(folder)
        self._files = {path: MappedFile(path) for path in {entry.path for entry in self._stored.values()}}

    def __contains__(self, name: str) -> bool:
        return name in self._stored

    def block_kind(self, name: str) -> str | None:
        """The kind of a GGUF file's blocks that hold a tensor, such as "Q4_K"; None for plain numbers."""
        tensor = self._stored[name]
        is_gguf = tensor.end > 0
        return tensor.dtype if is_gguf and tensor.dtype not in PLAIN_TYPES else None

    def gguf_type(self, name: str) -> tuple[str, int] | None:
        """GGUF's name of a tensor's type, and its bytes in the file; None in a file of another format."""
        tensor = self._stored[name]
        return (tensor.dtype, tensor.end - tensor.begin) if tensor.end else None

    def view(self, name: str) -> torch.Tensor:
        """A view of a tensor of plain numbers; a copy where its rows must be put in order.

        Raises SetupError if its dtype is not supported.
        """
        tensor = self._stored[name]
        if tensor.dtype not in WEIGHT_DTYPES:
            raise SetupError(f"{name} in {tensor.path} is of type {tensor.dtype}: use a version of the model in bf16")
        return self._in_order(name)

    def blocks(self, name: str) -> BlockMatrix:
        """A view of a matrix in blocks; a copy where its rows must be put in order."""
        tensor = self._stored[name]
        return BlockMatrix(tensor.dtype, self._in_order(name), tensor.shape[-1])

    def matrix(self, name: str) -> torch.Tensor | BlockMatrix:
        """What view() or blocks() returns."""
        return self.blocks(name) if self.block_kind(name) else self.view(name)

    def float32(self, name: str) -> torch.Tensor:
        """A tensor of any format, converted to float32."""
        if self.block_kind(name):
            return self.blocks(name).dequantize().view(self._stored[name].shape)
        return self.view(name).float()

    def release_pages(self) -> None:
        """Give the memory of read pages back to the system."""
        for file in self._files.values():
            file.release_pages()

    def _in_order(self, name: str) -> torch.Tensor:
        tensor = self._stored[name]
        rows = self._files[tensor.path].view(name, tensor)
        if not tensor.interleaved_heads:
            return rows
        return rows.view(tensor.interleaved_heads, -1, 2, rows.shape[-1]).transpose(1, 2).reshape(rows.shape)
