"""Builds the model from its tensors, one matrix at a time, so that peak memory stays near the final size."""

from typing import Any

import torch

from core.checkpoints.architecture import Architecture
from core.checkpoints.gguf_kinds import BLOCK_SIZES
from core.domain.errors import SetupError
from core.engine.nn import weight_formats
from core.engine.nn.gguf_blocks import BlockMatrix
from core.engine.nn.linear import ConcatLinear, DenseLinear, Linear, LowBitLinear, OneDnnLinear
from core.engine.nn.quantization import QuantizedMatrix, quantize_int4, quantize_int8, row_chunks
from core.engine.nn.transformer import Embedding, HeadSizes, Layer, RMSNorm, RotaryEmbedding, Transformer
from core.engine.nn.weight_formats import MatrixFormat, ModelFormat
from core.engine.nn.weight_reader import WeightReader

TORCH_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}


class ModelBuilder:
    """Builds a model on a device.

    `config`: what model_config.read_model_config returns, for what Architecture does not hold.
    """

    def __init__(
        self,
        architecture: Architecture,
        config: Any,
        tensors: WeightReader,
        model_format: ModelFormat,
        device: torch.device,
    ) -> None:
        self._architecture, self._config, self._tensors, self._device = architecture, config, tensors, device
        self._format, self._dtype = model_format, TORCH_DTYPES[model_format.dense_dtype]

    def build(self, positions: int) -> Transformer:
        """Build the whole model for contexts of up to `positions` ids.

        Raises SetupError if a tensor is missing or of an unsupported type.
        """
        # The head is the largest matrix: read last, its file's pages would add to the peak.
        head = (self._norm("model.norm.weight"), self._linear(self._format.head))
        made = {matrix.names: self._linear(matrix) for matrix in self._format.matrices}
        layers = [self._layer(number, made) for number in range(self._architecture.num_hidden_layers)]
        sizes = HeadSizes(
            self._architecture.num_attention_heads, self._architecture.num_key_value_heads, self._architecture.head_dim
        )
        return Transformer(sizes, self._embedding(head[1]), layers, head, self._rotary(positions))

    def _layer(self, number: int, made: dict[tuple[str, ...], Linear]) -> Layer:
        start = weight_formats.LAYER_PREFIX.format(number)

        def product(parts: tuple[str, ...]) -> Linear:
            names = tuple(f"{start}{part}.weight" for part in parts)
            return made[names] if names in made else ConcatLinear([made[(name,)] for name in names])

        def norm(name: str) -> RMSNorm | None:
            return self._norm(f"{start}{name}.weight") if f"{start}{name}.weight" in self._tensors else None

        return Layer(
            self._norm(f"{start}input_layernorm.weight"),
            product(weight_formats.QKV),
            norm("self_attn.q_norm"),
            norm("self_attn.k_norm"),
            product(weight_formats.OUT),
            self._norm(f"{start}post_attention_layernorm.weight"),
            product(weight_formats.GATE_UP),
            product(weight_formats.DOWN),
        )

    def _norm(self, name: str) -> RMSNorm:
        return RMSNorm(self._tensors.float32(name).to(self._device), self._config.rms_norm_eps, self._dtype)

    def _embedding(self, head: Linear) -> Embedding:
        """On a CPU the embedding stays in its file. On a GPU it is the head's matrix where they are tied."""
        name = "model.embed_tokens.weight"
        if self._device.type != "cpu":
            if self._architecture.tied and isinstance(head, DenseLinear):
                return Embedding(head.weight)
            return Embedding(self._tensors.float32(name).to(self._device, self._dtype))
        return Embedding(self._tensors.matrix(name))

    def _rotary(self, positions: int) -> RotaryEmbedding:
        return RotaryEmbedding(*self._rotary_angles(), positions, self._device)

    def _rotary_angles(self) -> tuple[torch.Tensor, float]:
        """The angle per position of each pair of numbers, float32 [head_dim / 2], and a factor for cos and sin."""
        parameters = getattr(self._config, "rope_parameters", None) or {}
        kind = parameters.get("rope_type", "default")
        if kind == "default":
            pairs = torch.arange(0, self._architecture.head_dim, 2, dtype=torch.float32) / self._architecture.head_dim
            return 1.0 / parameters.get("rope_theta", 10000.0) ** pairs, 1.0
        from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS  # noqa: PLC0415 (a second of imports)

        inverse, scaling = ROPE_INIT_FUNCTIONS[kind](self._config, torch.device("cpu"))
        return inverse, float(scaling)

    # One matrix

    def _linear(self, matrix: MatrixFormat) -> Linear:
        if matrix.low_bits in BLOCK_SIZES:
            return LowBitLinear(self.quantized(matrix), self._bias(matrix))
        try:
            if matrix.low_bits is None:
                bias = self._bias(matrix)
                return self._dense(self._stacked(matrix), None if bias is None else bias.to(self._device, self._dtype))
            return LowBitLinear(self.quantized(matrix), self._bias(matrix))
        finally:
            self._tensors.release_pages()

    def _dense(self, weight: torch.Tensor, bias: torch.Tensor | None) -> Linear:
        reorders = self._dtype == torch.bfloat16 and self._device.type == "cpu" and has_onednn()
        return OneDnnLinear(weight, bias) if reorders else DenseLinear(weight, bias)

    def _bias(self, matrix: MatrixFormat) -> torch.Tensor | None:
        """The bias of all the matrix's tensors, float32 [rows]; None if there is none."""
        names = [name.replace(".weight", ".bias") for name in matrix.names]
        if not any(name in self._tensors for name in names):
            self._refuse_missing(names)
            return None
        each = [
            self._tensors.float32(name) if name in self._tensors else torch.zeros(rows)
            for name, rows in zip(names, matrix.rows, strict=True)
        ]
        return torch.cat(each)

    def _refuse_missing(self, names: list[str]) -> None:
        """Raise SetupError if transformers' LlamaConfig declares biases that no file holds."""
        for part, key in ((".self_attn.", "attention_bias"), (".mlp.", "mlp_bias")):
            if part in names[0] and self._architecture.family == "llama" and getattr(self._config, key, False):
                raise SetupError(f"the weights lack {names[0]}, which config.json speaks of: download the model again")

    def _stacked(self, matrix: MatrixFormat) -> torch.Tensor:
        whole = torch.empty(sum(matrix.rows), matrix.columns, dtype=self._dtype, device=self._device)
        start = 0
        for name, rows in zip(matrix.names, matrix.rows, strict=True):
            for some in row_chunks(rows):
                whole[start + some.start : start + some.stop] = self._rows(name, some)
            start += rows
        return whole

    def quantized(self, matrix: MatrixFormat) -> QuantizedMatrix:
        """A matrix in its low bits: as it lies in the file, or rounded."""
        if matrix.low_bits in BLOCK_SIZES:
            [name] = matrix.names
            return self._tensors.blocks(name)
        views = [self._rows(name, slice(None)) for name in matrix.names]
        values = views[0] if len(views) == 1 else torch.cat(views)
        return quantize_int4(values) if matrix.low_bits == "int4" else quantize_int8(values)

    def _rows(self, name: str, rows: slice) -> torch.Tensor:
        """Rows of a tensor in the file's dtype; float32 if the file has blocks."""
        matrix = self._tensors.matrix(name)
        return matrix.dequantize(rows) if isinstance(matrix, BlockMatrix) else matrix[rows]


def has_onednn() -> bool:
    """Whether this build of PyTorch has oneDNN's bf16 products."""
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
