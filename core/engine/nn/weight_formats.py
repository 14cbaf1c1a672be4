"""The recipe: in which form each matrix is held, and what memory that takes. Decided before anything is read."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from core.checkpoints.architecture import Architecture
from core.checkpoints.safetensors_index import GROUP
from core.engine.nn.quantization import fits_kernels, padded_groups
from core.engine.nn.weight_reader import WeightReader
from core.engine.options import WeightFormat

LowBits = Literal["int8", "int4"]
DenseDtype = Literal["float32", "bf16"]

BYTES_PER_NUMBER: dict[DenseDtype, int] = {"float32": 4, "bf16": 2}
"""Of a number."""

LAYER_PREFIX = "model.layers.{}."
QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
OUT = ("self_attn.o_proj",)
GATE_UP = ("mlp.gate_proj", "mlp.up_proj")
DOWN = ("mlp.down_proj",)
LAYER_PRODUCTS = (QKV, OUT, GATE_UP, DOWN)
"""Those of a layer; a tuple is multiplied at once."""


@dataclass(frozen=True, slots=True)
class MatrixFormat:
    """Tensors of the same width, one below the other, and how they are held."""

    names: tuple[str, ...]
    rows: tuple[int, ...]
    columns: int
    low_bits: LowBits | None
    """None: in the recipe's dense type."""

    @property
    def count(self) -> int:
        return sum(self.rows) * self.columns


@dataclass(frozen=True, slots=True)
class ModelFormat:
    """How a model is held. `dense` is the type of keys and values, and of matrices that are not in low bits."""

    matrices: tuple[MatrixFormat, ...]
    head: MatrixFormat
    dense_dtype: DenseDtype

    @property
    def all_matrices(self) -> Iterator[MatrixFormat]:
        yield from self.matrices
        yield self.head

    @property
    def low(self) -> bool:
        """Whether all matrices are in low bits, as the kernels want it."""
        return all(matrix.low_bits for matrix in self.all_matrices)

    @property
    def total_bytes(self) -> int:
        """What the matrices take."""
        return sum(self.matrix_bytes(matrix) for matrix in self.all_matrices)

    def matrix_bytes(self, matrix: MatrixFormat) -> int:
        """In 8 bits a float32 a row beside the codes; in 4 bits two bf16 a group."""
        rows, size = sum(matrix.rows), matrix.count
        if matrix.low_bits == "int8":
            return size + 4 * rows
        if matrix.low_bits == "int4":
            return size // 2 + 4 * rows * padded_groups(matrix.columns // GROUP)
        return size * BYTES_PER_NUMBER[self.dense_dtype]

    def __str__(self) -> str:
        """The forms, the one of most numbers first."""
        numbers: dict[str, int] = {}
        for matrix in self.all_matrices:
            numbers[matrix.low_bits or self.dense_dtype] = (
                numbers.get(matrix.low_bits or self.dense_dtype, 0) + matrix.count
            )
        names = sorted(numbers, key=lambda name: -numbers[name])
        return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]


def choose_format(
    architecture: Architecture, tensors: WeightReader, weights: WeightFormat, *, native: bool, exact: bool
) -> ModelFormat:
    """`native`: the machine computes with bf16. `exact`: the numbers carry the precision of a GGUF file, which is
    kept."""
    dense: DenseDtype = "float32" if weights == "float32" or not (native or weights == "bf16") else "bf16"
    shapes = architecture.tensors()

    def low(names: tuple[str, ...]) -> LowBits | None:
        if weights in ("float32", "bf16") or not all(fits_kernels(shapes[name][1]) for name in names):
            return None
        return "int4" if weights != "int8" and all(wants_int4(name) for name in names) else "int8"

    def wants_int4(name: str) -> bool:
        """A file's own 4 bits lose nothing. Of other numbers those of the MLP bear it best, and are the most."""
        if exact and weights == "auto":
            return tensors.is_int4(name)
        return tensors.is_int4(name) or ".mlp." in name

    def matrices(names: tuple[str, ...]) -> Iterator[MatrixFormat]:
        forms = {name: low((name,)) for name in names}
        together = [names] if len(set(forms.values())) == 1 else [(name,) for name in names]
        for group in together:
            yield MatrixFormat(group, tuple(shapes[name][0] for name in group), shapes[group[0]][1], low(group))

    layers = tuple(
        matrix
        for number in range(architecture.num_hidden_layers)
        for some in LAYER_PRODUCTS
        for matrix in matrices(tuple(f"{LAYER_PREFIX.format(number)}{part}.weight" for part in some))
    )
    head = "model.embed_tokens.weight" if architecture.tied else "lm_head.weight"
    return ModelFormat(layers, next(matrices((head,))), dense)
