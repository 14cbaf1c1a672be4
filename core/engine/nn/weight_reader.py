"""Reads the tensors of a model's folder one at a time, so that its files take no memory beside the model.

The safetensors format: 8 bytes with the header's length, a JSON header, the data.
"""

import json
import mmap
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from core.checkpoints.safetensors_index import GROUP, PARTS, StoredTensor, stored_tensors
from core.domain.errors import SetupError

WEIGHT_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
FILE_DTYPES = WEIGHT_DTYPES | {"U8": torch.uint8}
"""U8 holds the codes of a 4-bit matrix."""


class SafetensorsFile:
    """A memory-mapped safetensors file."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        length = int.from_bytes(self._map[:8], "little")
        self._header = json.loads(self._map[8 : 8 + length])
        self._start = 8 + length

    def view(self, name: str) -> torch.Tensor:
        """A view of a tensor. The pages it reads count as memory until release_pages()."""
        entry = self._header[name]
        begin, end = entry["data_offsets"]
        dtype = FILE_DTYPES[entry["dtype"]]
        count = (end - begin) // dtype.itemsize
        with warnings.catch_warnings():  # the map is read-only, and nothing writes to it
            warnings.simplefilter("ignore")
            flat = torch.frombuffer(self._map, dtype=dtype, count=count, offset=self._start + begin)
        return flat.view(entry["shape"])

    def release_pages(self) -> None:
        """Give the memory of read pages back to the system."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True, slots=True)
class Int4Tensor:
    """A matrix of a GGUF file's 4-bit blocks: value = code * scale + offset, in groups of 32 columns.

    `codes`: uint8 [rows, columns / 2], two per byte, the even column in the low half. `scale`, `offset`: float32
    [rows, columns / 32].
    """

    codes: torch.Tensor
    scale: torch.Tensor
    offset: torch.Tensor

    def unpack_codes(self) -> torch.Tensor:
        """One code per number: uint8 [rows, columns]."""
        return torch.stack((self.codes & 15, self.codes >> 4), -1).flatten(1)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: torch.Tensor | slice) -> "Int4Tensor":
        """Some rows of the matrix."""
        return Int4Tensor(self.codes[rows], self.scale[rows], self.offset[rows])

    def dequantize(self) -> torch.Tensor:
        """The values, float32 [rows, columns]."""
        groups = self.unpack_codes().view(len(self.codes), -1, GROUP).float()
        return (groups * self.scale[..., None] + self.offset[..., None]).flatten(1)


class WeightReader:
    """Every tensor of a folder, by its name in transformers."""

    def __init__(self, folder: Path) -> None:
        self._stored: dict[str, StoredTensor] = stored_tensors(folder)
        self._files = {path: SafetensorsFile(path) for path in {entry.path for entry in self._stored.values()}}

    def __contains__(self, name: str) -> bool:
        return name in self._stored or self.is_int4(name)

    def is_int4(self, name: str) -> bool:
        """Whether a matrix is stored as 4-bit codes."""
        return f"{name}.{PARTS[0]}" in self._stored

    def view(self, name: str) -> torch.Tensor:
        """A view of a tensor in its file. Raises SetupError if its dtype is not supported."""
        path, dtype = self._stored[name].path, self._stored[name].dtype
        if dtype not in WEIGHT_DTYPES:
            raise SetupError(f"{name} in {path} is of type {dtype}: use a version of the model in bf16")
        return self._files[path].view(name)

    def int4(self, name: str) -> Int4Tensor:
        """A view of a matrix of 4-bit codes."""
        names = [f"{name}.{part}" for part in PARTS]
        codes, scale, offset = (self._files[self._stored[part].path].view(part) for part in names)
        return Int4Tensor(codes, scale, offset)

    def float32(self, name: str) -> torch.Tensor:
        """A tensor of any format, converted to float32."""
        return self.int4(name).dequantize() if self.is_int4(name) else self.view(name).float()

    def release_pages(self) -> None:
        """Give the memory of read pages back to the system."""
        for file in self._files.values():
            file.release_pages()
