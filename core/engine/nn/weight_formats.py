"""Decides, before any weights are read, in which format each matrix is held and how much memory that takes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from core.checkpoints.architecture import Architecture
from core.checkpoints.gguf_kinds import BLOCK_SIZES
from core.engine.kernels.layout import GROUP, block_count, padded_groups
from core.engine.nn.quantization import fits_kernels
from core.engine.nn.weight_reader import WeightReader
from core.engine.options import WeightFormat

LowBits = str
"""int8, int4, or the name of a GGUF file's kind of blocks, which are held as they lie in the file."""
DenseDtype = Literal["float32", "bf16"]

FOUR_BITS = ("Q4_0", "Q4_1", "Q4_K", "IQ4_NL")
"""The kinds of blocks whose codes have 4 bits."""
BYTES_PER_NUMBER: dict[DenseDtype, int] = {"float32": 4, "bf16": 2}

LAYER_PREFIX = "model.layers.{}."
QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
OUT = ("self_attn.o_proj",)
GATE_UP = ("mlp.gate_proj", "mlp.up_proj")
DOWN = ("mlp.down_proj",)
LAYER_PRODUCTS = (QKV, OUT, GATE_UP, DOWN)
"""The matrices of a layer. Those in one tuple are multiplied together."""


@dataclass(frozen=True, slots=True)
class MatrixFormat:
    """How a matrix is held: tensors of `columns` columns, one below the other.

    `low_bits` is None for a matrix in the model's dense dtype.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...]
    columns: int
    low_bits: LowBits | None

    @property
    def count(self) -> int:
        """Numbers in the matrix."""
        return sum(self.rows) * self.columns


@dataclass(frozen=True, slots=True)
class ModelFormat:
    """How a model's weights are held. `dense_dtype`: of keys and values, and of matrices that are not in low bits."""

    matrices: tuple[MatrixFormat, ...]
    head: MatrixFormat
    dense_dtype: DenseDtype

    @property
    def all_matrices(self) -> Iterator[MatrixFormat]:
        """The layers' matrices, then the head."""
        yield from self.matrices
        yield self.head

    @property
    def total_bytes(self) -> int:
        """The bytes of all matrices."""
        return sum(self.matrix_bytes(matrix) for matrix in self.all_matrices)

    def matrix_bytes(self, matrix: MatrixFormat) -> int:
        """The bytes of a matrix. 8 bits: a float32 scale per row. 4 bits: a bf16 scale and offset per group.

        Blocks: beside them a float32 scale for each BLOCK columns of a row, for when they are unpacked.
        """
        rows, count = sum(matrix.rows), matrix.count
        if matrix.low_bits == "int8":
            return count + 4 * rows
        if matrix.low_bits == "int4":
            return count // 2 + 4 * rows * padded_groups(matrix.columns // GROUP)
        if matrix.low_bits in BLOCK_SIZES:
            columns, size = BLOCK_SIZES[matrix.low_bits]
            return count // columns * size + 4 * rows * int(block_count(matrix.columns))
        return count * BYTES_PER_NUMBER[self.dense_dtype]

    def __str__(self) -> str:
        """The formats, the one of most numbers first."""
        counts: dict[str, int] = {}
        for matrix in self.all_matrices:
            name = matrix.low_bits or self.dense_dtype
            counts[name] = counts.get(name, 0) + matrix.count
        names = sorted(counts, key=lambda name: -counts[name])
        return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]


def describe_held(model_format: ModelFormat, tensors: WeightReader) -> str:
    """What becomes of each type of matrix in a GGUF file, with its bytes there and in memory; "" for other files."""
    sizes: dict[tuple[str, str], list[int]] = {}
    for matrix in model_format.all_matrices:
        for name, rows in zip(matrix.names, matrix.rows, strict=True):
            if found := tensors.gguf_type(name):
                kind, before = found
                part = MatrixFormat((name,), (rows,), matrix.columns, matrix.low_bits)
                both = sizes.setdefault((kind, matrix.low_bits or model_format.dense_dtype), [0, 0])
                both[0] += before
                both[1] += model_format.matrix_bytes(part)
    return ", ".join(
        f"{kind} as it lies in the file ({before / 1e6:.0f} MB)"
        if kind == held
        else f"{kind} as {held} ({before / 1e6:.0f} MB become {after / 1e6:.0f})"
        for (kind, held), (before, after) in sorted(sizes.items(), key=lambda item: -item[1][0])
    )


@dataclass(frozen=True, slots=True)
class FormatContext:
    """What the format of a matrix depends on.

    `shapes`: of every tensor, by name. `weights`: the configured format. `native_bf16`: whether the machine has bf16
    instructions. `from_gguf`: whether the numbers come from a GGUF file, whose precision is kept.
    """

    shapes: Mapping[str, tuple[int, ...]]
    tensors: WeightReader
    weights: WeightFormat
    native_bf16: bool
    from_gguf: bool


def choose_format(architecture: Architecture, context: FormatContext) -> ModelFormat:
    """Choose a format for every matrix of a model."""
    matrices = [
        matrix
        for number in range(architecture.num_hidden_layers)
        for parts in LAYER_PRODUCTS
        for matrix in group_by_format(tuple(f"{LAYER_PREFIX.format(number)}{part}.weight" for part in parts), context)
    ]
    name = "model.embed_tokens.weight" if architecture.tied else "lm_head.weight"
    [head] = group_by_format((name,), context)
    return ModelFormat(tuple(matrices), head, dense_dtype(context))


def dense_dtype(context: FormatContext) -> DenseDtype:
    """bf16 if it is asked for or fast, else float32."""
    if context.weights == "float32" or not (context.native_bf16 or context.weights == "bf16"):
        return "float32"
    return "bf16"


def group_by_format(names: tuple[str, ...], context: FormatContext) -> list[MatrixFormat]:
    """One matrix of all these tensors if they have the same format, else one for each, as for those that stay in a
    file."""
    kinds = {low_bits(name, context) for name in names}
    same = len(kinds) == 1 and kinds.isdisjoint(BLOCK_SIZES)
    groups = [names] if same else [(name,) for name in names]
    return [
        MatrixFormat(
            group,
            tuple(context.shapes[name][0] for name in group),
            context.shapes[group[0]][1],
            low_bits(group[0], context),
        )
        for group in groups
    ]


def low_bits(name: str, context: FormatContext) -> LowBits | None:
    """The bits of a tensor; None for the dense dtype, also where the kernels can't multiply its width."""
    if context.weights in ("float32", "bf16") or not fits_kernels(context.shapes[name][1]):
        return None
    kind = context.tensors.block_kind(name)
    if kind in BLOCK_SIZES and stays_as_it_is(kind, context):
        return kind
    return "int4" if context.weights != "int8" and suits_int4(name, context) else "int8"


def stays_as_it_is(kind: str, context: FormatContext) -> bool:
    """Whether blocks of a kind are held as they lie in the file, which loses nothing."""
    if not context.from_gguf:
        return False
    return context.weights == "auto" or (context.weights == "int4" and kind in FOUR_BITS)


def suits_int4(name: str, context: FormatContext) -> bool:
    """Whether a tensor is rounded to 4 bits: never a GGUF file's unless it is asked for. Of others those of the MLP
    lose least, and are the largest."""
    return ".mlp." in name and not (context.from_gguf and context.weights == "auto")
