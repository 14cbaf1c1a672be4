"""The recipe: in which forms each matrix is held, and what memory that takes. Decided before anything is read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from core.checkpoints.architecture import Architecture
from core.checkpoints.weights import GROUP
from core.engine.loader import Weights
from core.engine.nn.quantise import fits_int4, fits_int8
from core.engine.nn.tensors import Tensors

Few = Literal["int8", "int4"]

BYTES = {"float32": 4, "bf16": 2}
"""Of a number; the scales of low bits are of these types too."""

LAYER = "model.layers.{}."
QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
OUT = ("self_attn.o_proj",)
GATE_UP = ("mlp.gate_proj", "mlp.up_proj")
DOWN = ("mlp.down_proj",)
MATRICES = (QKV, OUT, GATE_UP, DOWN)
"""Those of a layer; a tuple is multiplied at once."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Tensors of the same width, one below the other, and how they are held."""

    names: tuple[str, ...]
    rows: tuple[int, ...]
    columns: int
    few: Few | None
    many: bool
    """Whether in the dense form, beside the other or alone."""

    @property
    def size(self) -> int:
        return sum(self.rows) * self.columns


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is held. `dense` is the type of activations and of matrices that are not in low bits."""

    matrices: tuple[Matrix, ...]
    head: Matrix
    dense: Literal["float32", "bf16"]

    @property
    def all(self) -> Iterator[Matrix]:
        yield from self.matrices
        yield self.head

    @property
    def bytes(self) -> int:
        """What the matrices take."""
        return sum(self.bytes_of(matrix) for matrix in self.all)

    def bytes_of(self, matrix: Matrix) -> int:
        """A scale a row in 8 bits; in 4 bits a scale and a zero a group."""
        number = BYTES[self.dense]
        low = {
            None: 0,
            "int8": matrix.size + sum(matrix.rows) * number,
            "int4": matrix.size // 2 + matrix.size // GROUP * 2 * number,
        }
        return low[matrix.few] + (matrix.size * number if matrix.many else 0)

    def __str__(self) -> str:
        """The forms, the one of most numbers first."""
        numbers: dict[str, int] = {}
        for matrix in self.all:
            numbers[matrix.few or self.dense] = numbers.get(matrix.few or self.dense, 0) + matrix.size
        names = sorted(numbers, key=lambda name: -numbers[name])
        if self.dense not in names and any(matrix.many for matrix in self.all):
            names.append(self.dense)
        return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]


def recipe(
    architecture: Architecture, tensors: Tensors, weights: Weights, *, native: bool, exact: bool, roomy: bool
) -> Recipe:
    """`native`: the machine computes with bf16. `exact`: the numbers carry the precision of a GGUF file, which is kept.
    `roomy`: a second form of each matrix has room."""
    dense: Literal["float32", "bf16"] = (
        "float32" if weights == "float32" or not (native or weights == "bf16") else "bf16"
    )
    shapes = architecture.tensors()
    both = weights == "auto" and roomy and dense == "bf16"

    def few(names: tuple[str, ...]) -> Few | None:
        if weights in ("float32", "bf16") or not all(fits_int8(shapes[name][1]) for name in names):
            return None
        fitting = all(fits_int4(*shapes[name]) for name in names)
        four = weights != "int8" and fitting and all(wants_int4(name) for name in names)
        return "int4" if four else "int8"

    def wants_int4(name: str) -> bool:
        """A file's own 4 bits lose nothing. Of other numbers those of the MLP bear it best, and are the most."""
        if exact and weights == "auto":
            return tensors.is_int4(name)
        return tensors.is_int4(name) or ".mlp." in name

    def matrices(names: tuple[str, ...], *, many: bool) -> Iterator[Matrix]:
        kinds = {name: few((name,)) for name in names}
        together = [names] if len(set(kinds.values())) == 1 else [(name,) for name in names]
        for group in together:
            kind = few(group)
            rows = tuple(shapes[name][0] for name in group)
            yield Matrix(group, rows, shapes[group[0]][1], kind, many or kind is None)

    layers = tuple(
        matrix
        for number in range(architecture.num_hidden_layers)
        for parts in MATRICES
        for matrix in matrices(tuple(f"{LAYER.format(number)}{part}.weight" for part in parts), many=both)
    )
    head = "model.embed_tokens.weight" if architecture.tied else "lm_head.weight"
    # Never for many rows: a step wants one row of logits for each sequence.
    return Recipe(layers, next(matrices((head,), many=False)), dense)


def leaner(recipes: Mapping[bool, Recipe], free: int, rest: int) -> Recipe:
    """The roomy recipe if it fits into `free` bytes beside `rest`, else the other."""
    return recipes[recipes[True].bytes + rest <= free]
