"""Building the model from its tensors, one matrix at a time, so that the peak stays near the final size."""

from typing import Any

import torch
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from core.checkpoints.architecture import Architecture
from core.domain.errors import SetupError
from core.engine.nn import weight_formats as recipes
from core.engine.nn.linear import Beside, Dense, Linear, Low, Reordered
from core.engine.nn.quantization import Rounded, int4, int8, parts, repacked
from core.engine.nn.transformer import Layer, Norm, Rotation, Sizes, Table, Transformer
from core.engine.nn.weight_formats import Matrix, Recipe
from core.engine.nn.weight_reader import Int4 as Codes
from core.engine.nn.weight_reader import Tensors

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}


class Builder:
    """`config` is transformers', for what Architecture doesn't know."""

    def __init__(
        self, architecture: Architecture, config: Any, tensors: Tensors, recipe: Recipe, device: torch.device
    ) -> None:
        self.architecture, self.config, self.tensors, self.device = architecture, config, tensors, device
        self.recipe, self.dtype = recipe, DTYPES[recipe.dense]

    def model(self, positions: int) -> Transformer:
        """The whole model, for so many positions."""
        # The head first: beside the rest, what lies in its file would be the peak.
        head = (self.norm("model.norm.weight"), self.linear(self.recipe.head))
        made = {matrix.names: self.linear(matrix) for matrix in self.recipe.matrices}
        layers = [self.layer(number, made) for number in range(self.architecture.num_hidden_layers)]
        sizes = Sizes(
            self.architecture.num_attention_heads, self.architecture.num_key_value_heads, self.architecture.head_dim
        )
        return Transformer(sizes, self.table(), layers, head, self.rotation(positions))

    def layer(self, number: int, made: dict[tuple[str, ...], Linear]) -> Layer:
        start = recipes.LAYER.format(number)

        def product(parts: tuple[str, ...]) -> Linear:
            names = tuple(f"{start}{part}.weight" for part in parts)
            return made[names] if names in made else Beside([made[(name,)] for name in names])

        def norm(name: str) -> Norm | None:
            return self.norm(f"{start}{name}.weight") if f"{start}{name}.weight" in self.tensors else None

        return Layer(
            self.norm(f"{start}input_layernorm.weight"),
            product(recipes.QKV),
            norm("self_attn.q_norm"),
            norm("self_attn.k_norm"),
            product(recipes.OUT),
            self.norm(f"{start}post_attention_layernorm.weight"),
            product(recipes.GATE_UP),
            product(recipes.DOWN),
        )

    def norm(self, name: str) -> Norm:
        return Norm(self.tensors.values(name).to(self.device), self.config.rms_norm_eps, self.dtype)

    def table(self) -> Table:
        """It stays in the file, unless a GPU is to read it."""
        name = "model.embed_tokens.weight"
        if self.device.type == "cuda":
            return Table(self.tensors.values(name).to(self.device, self.dtype))
        return Table(self.tensors.int4(name) if self.tensors.is_int4(name) else self.tensors.view(name))

    def rotation(self, positions: int) -> Rotation:
        return Rotation(*self.angles(), positions)

    def angles(self) -> tuple[torch.Tensor, float]:
        """The angle of each pair of numbers a position, and what cos and sin are multiplied with."""
        parameters = getattr(self.config, "rope_parameters", None) or {}
        kind = parameters.get("rope_type", "default")
        if kind == "default":
            pairs = torch.arange(0, self.architecture.head_dim, 2, dtype=torch.float32) / self.architecture.head_dim
            return 1.0 / parameters.get("rope_theta", 10000.0) ** pairs, 1.0
        inverse, scaling = ROPE_INIT_FUNCTIONS[kind](self.config, torch.device("cpu"))
        return inverse, float(scaling)

    # One matrix

    def linear(self, matrix: Matrix) -> Linear:
        try:
            if matrix.low is None:
                bias = self.bias(matrix)
                return self.dense(self.stacked(matrix), None if bias is None else bias.to(self.device, self.dtype))
            return Low(self.rounded(matrix), self.bias(matrix))
        finally:
            self.tensors.let_go()

    def dense(self, weight: torch.Tensor, bias: torch.Tensor | None) -> Linear:
        reorders = self.dtype == torch.bfloat16 and self.device.type == "cpu" and has_onednn()
        return Reordered(weight, bias) if reorders else Dense(weight, bias)

    def bias(self, matrix: Matrix) -> torch.Tensor | None:
        """float32, of all the matrix's parts."""
        names = [name.replace(".weight", ".bias") for name in matrix.names]
        if not any(name in self.tensors for name in names):
            self.refuse_missing(names)
            return None
        each = [
            self.tensors.values(name) if name in self.tensors else torch.zeros(rows)
            for name, rows in zip(names, matrix.rows, strict=True)
        ]
        return torch.cat(each)

    def refuse_missing(self, names: list[str]) -> None:
        """Biases that the configuration speaks of (transformers' LlamaConfig), and no file holds."""
        for part, key in ((".self_attn.", "attention_bias"), (".mlp.", "mlp_bias")):
            if part in names[0] and self.architecture.family == "llama" and getattr(self.config, key, False):
                raise SetupError(f"the weights lack {names[0]}, which config.json speaks of: download the model again")

    def stacked(self, matrix: Matrix) -> torch.Tensor:
        whole = torch.empty(sum(matrix.rows), matrix.columns, dtype=self.dtype, device=self.device)
        start = 0
        for name, rows in zip(matrix.names, matrix.rows, strict=True):
            for some in parts(rows):
                whole[start + some.start : start + some.stop] = self.raw(name, some)
            start += rows
        return whole

    def rounded(self, matrix: Matrix) -> Rounded:
        if matrix.low == "int4" and all(self.tensors.is_int4(name) for name in matrix.names):
            codes = [self.tensors.int4(name) for name in matrix.names]
            fields = ([each.codes for each in codes], [each.scale for each in codes], [each.offset for each in codes])
            return repacked(Codes(*map(torch.cat, fields)))
        views = [self.raw(name, slice(None)) for name in matrix.names]
        values = views[0] if len(views) == 1 else torch.cat(views)
        return int4(values) if matrix.low == "int4" else int8(values)

    def raw(self, name: str, rows: slice) -> torch.Tensor:
        """In whatever type the file has it; what is 4 bits there, in float32."""
        return self.tensors.int4(name)[rows].values() if self.tensors.is_int4(name) else self.tensors.view(name)[rows]


def has_onednn() -> bool:
    """Whether this build of PyTorch has bf16 products with a layout of their own."""
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
