"""The sizes of a model, from its config.json, and the tensors that it therefore has."""

from dataclasses import dataclass
from typing import Any, Self

from core.domain.errors import SetupError

FAMILIES = ("qwen2", "qwen3", "llama")
ACTIVATIONS = ("silu", "swish")
"""Two names of one."""
STRETCHINGS = ("default", "linear", "llama3", "yarn")
"""Those that don't depend on how long a text is."""
QWEN3_HEAD = 128
"""Qwen3Config's head_dim where config.json names none; the other families divide the hidden size."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """Names are config.json's, but for `family` (model_type), `context` (max_position_embeddings) and `tied`."""

    family: str
    context: int
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    tied: bool

    @classmethod
    def read(cls, config: dict[str, Any], name: str) -> Self:
        """`name` is the model's, for what is said when its configuration can't be used."""
        family = supported(config, name)
        hidden, heads = whole(config, "hidden_size", name), whole(config, "num_attention_heads", name)
        head = QWEN3_HEAD if family == "qwen3" else hidden // heads
        return cls(
            family=family,
            context=whole(config, "max_position_embeddings", name),
            vocab_size=whole(config, "vocab_size", name),
            hidden_size=hidden,
            intermediate_size=whole(config, "intermediate_size", name),
            num_hidden_layers=whole(config, "num_hidden_layers", name),
            num_attention_heads=heads,
            num_key_value_heads=whole(config, "num_key_value_heads", name, heads),
            head_dim=whole(config, "head_dim", name, head),
            tied=config.get("tie_word_embeddings") is True,
        )

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """The name and shape of each tensor that must be there. Some models have more (llama's optional biases)."""
        table = (self.vocab_size, self.hidden_size)
        whole_model: dict[str, tuple[int, ...]] = {
            "model.embed_tokens.weight": table,
            "model.norm.weight": (self.hidden_size,),
        }
        if not self.tied:
            whole_model["lm_head.weight"] = table
        layer = self.layer()
        return whole_model | {
            f"model.layers.{number}.{name}": shape
            for number in range(self.num_hidden_layers)
            for name, shape in layer.items()
        }

    def layer(self) -> dict[str, tuple[int, ...]]:
        """Names as in transformers' models/{llama,qwen2,qwen3}/modeling_*.py."""
        hidden, between = self.hidden_size, self.intermediate_size
        queries, keys = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        tensors: dict[str, tuple[int, ...]] = {
            "input_layernorm.weight": (hidden,),
            "self_attn.q_proj.weight": (queries, hidden),
            "self_attn.k_proj.weight": (keys, hidden),
            "self_attn.v_proj.weight": (keys, hidden),
            "self_attn.o_proj.weight": (hidden, queries),
            "post_attention_layernorm.weight": (hidden,),
            "mlp.gate_proj.weight": (between, hidden),
            "mlp.up_proj.weight": (between, hidden),
            "mlp.down_proj.weight": (hidden, between),
        }
        if self.family == "qwen2":
            tensors |= {
                f"self_attn.{part}_proj.bias": (size,) for part, size in zip("qkv", (queries, keys, keys), strict=True)
            }
        if self.family == "qwen3":
            tensors |= {f"self_attn.{part}_norm.weight": (self.head_dim,) for part in "qk"}
        return tensors


def supported(config: dict[str, Any], name: str) -> str:
    """The family, or why this model can't be run. Remote code (`auto_map`) is never looked at."""
    family = config.get("model_type")
    if family not in FAMILIES:
        raise SetupError(f"{name} is a '{family}' model; Qwentin runs qwen2, qwen3 and llama: choose another model")
    if config.get("use_sliding_window") is True or "sliding_attention" in str(config.get("layer_types")):
        raise SetupError(f"{name} uses a sliding window of attention, which Qwentin can't run: choose another model")
    if (between := config.get("hidden_act") or "silu") not in ACTIVATIONS:
        raise SetupError(f"{name} has '{between}' between its layers, which Qwentin can't run: choose another model")
    for way in stretching(config):
        if way not in STRETCHINGS:
            raise SetupError(
                f"{name} stretches its positions in the way '{way}', which Qwentin can't run: choose another model"
            )
    if config.get("quantization_config"):
        raise SetupError(f"{name} is quantised; Qwentin does that itself: choose the version in plain safetensors")
    return str(family)


def stretching(config: dict[str, Any]) -> list[str]:
    """How positions are stretched, under the name of today and that of old."""
    parts = [config.get(key) for key in ("rope_parameters", "rope_scaling")]
    return [str(part.get("rope_type") or part.get("type") or "default") for part in parts if isinstance(part, dict)]


def whole(config: dict[str, Any], key: str, name: str, default: int | None = None) -> int:
    value = config.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SetupError(f"the configuration of {name} has no usable {key} ({value!r}): download the model again")
    return value
