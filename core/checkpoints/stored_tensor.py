"""A tensor in a file of weights."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies. `dtype`: as the file's format names it ("BF16", "Q4_K").

    `begin` and `end`: its place in a GGUF file, in bytes; 0 in a safetensors file, whose own header has that.
    `interleaved_heads`: where it is not 0, the rows of each of so many heads are interleaved, those of its two halves
    in turn, as llama.cpp rotates them.
    """

    path: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int = 0
    end: int = 0
    interleaved_heads: int = 0
