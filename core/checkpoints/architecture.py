"""The architecture of a model: its sizes from config.json, and the names and shapes of its tensors."""

from dataclasses import dataclass
from typing import Any, Self

from core.domain.errors import SetupError

FAMILIES = ("qwen2", "qwen3", "llama")
ACTIVATIONS = ("silu", "swish")
"""Two names of one function."""
ROPE_TYPES = ("default", "linear", "llama3", "yarn")
"""Those whose frequencies don't depend on the length of the text."""
QWEN3_HEAD_DIM = 128
"""Qwen3Config's default; the other families divide the hidden size by the heads."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """The sizes of a model. The names are those of config.json, except `family` (model_type), `context`
    (max_position_embeddings, in tokens) and `tied` (tie_word_embeddings)."""

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
    def from_config(cls, config: dict[str, Any], name: str) -> Self:
        """The architecture that a config.json describes; `name` is the model's, for error texts.

        Raises SetupError for a model that can't be run.
        """
        family = supported_family(config, name)
        hidden, heads = positive_int(config, "hidden_size", name), positive_int(config, "num_attention_heads", name)
        head = QWEN3_HEAD_DIM if family == "qwen3" else hidden // heads
        return cls(
            family=family,
            context=positive_int(config, "max_position_embeddings", name),
            vocab_size=positive_int(config, "vocab_size", name),
            hidden_size=hidden,
            intermediate_size=positive_int(config, "intermediate_size", name),
            num_hidden_layers=positive_int(config, "num_hidden_layers", name),
            num_attention_heads=heads,
            num_key_value_heads=positive_int(config, "num_key_value_heads", name, heads),
            head_dim=positive_int(config, "head_dim", name, head),
            tied=config.get("tie_word_embeddings") is True,
        )

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each tensor that the model must have. Some models have more (llama's optional biases)."""
        table = (self.vocab_size, self.hidden_size)
        shapes: dict[str, tuple[int, ...]] = {
            "model.embed_tokens.weight": table,
            "model.norm.weight": (self.hidden_size,),
        }
        if not self.tied:
            shapes["lm_head.weight"] = table
        layer = self.layer_shapes()
        return shapes | {
            f"model.layers.{number}.{name}": shape
            for number in range(self.num_hidden_layers)
            for name, shape in layer.items()
        }

    def layer_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each tensor of one layer, named as in transformers'
        models/{llama,qwen2,qwen3}/modeling_*.py."""
        hidden, intermediate = self.hidden_size, self.intermediate_size
        queries, keys = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        tensors: dict[str, tuple[int, ...]] = {
            "input_layernorm.weight": (hidden,),
            "self_attn.q_proj.weight": (queries, hidden),
            "self_attn.k_proj.weight": (keys, hidden),
            "self_attn.v_proj.weight": (keys, hidden),
            "self_attn.o_proj.weight": (hidden, queries),
            "post_attention_layernorm.weight": (hidden,),
            "mlp.gate_proj.weight": (intermediate, hidden),
            "mlp.up_proj.weight": (intermediate, hidden),
            "mlp.down_proj.weight": (hidden, intermediate),
        }
        if self.family == "qwen2":
            tensors |= {
                f"self_attn.{part}_proj.bias": (size,) for part, size in zip("qkv", (queries, keys, keys), strict=True)
            }
        if self.family == "qwen3":
            tensors |= {f"self_attn.{part}_norm.weight": (self.head_dim,) for part in "qk"}
        return tensors


def supported_family(config: dict[str, Any], name: str) -> str:
    """The family of a model that can be run; raises SetupError for another. Remote code (`auto_map`) is ignored."""
    family = config.get("model_type")
    if family not in FAMILIES:
        raise SetupError(f"{name} is a '{family}' model; Qwentin runs qwen2, qwen3 and llama: choose another model")
    if config.get("use_sliding_window") is True or "sliding_attention" in str(config.get("layer_types")):
        raise SetupError(f"{name} uses a sliding window of attention, which Qwentin can't run: choose another model")
    if (activation := config.get("hidden_act") or "silu") not in ACTIVATIONS:
        raise SetupError(f"{name} has '{activation}' between its layers, which Qwentin can't run: choose another model")
    for rope_type in rope_types(config):
        if rope_type not in ROPE_TYPES:
            raise SetupError(
                f"{name} stretches its positions in the way '{rope_type}', which Qwentin can't run: "
                "choose another model"
            )
    if config.get("quantization_config"):
        raise SetupError(f"{name} is quantised; Qwentin does that itself: choose the version in plain safetensors")
    return str(family)


def rope_types(config: dict[str, Any]) -> list[str]:
    """The kinds of RoPE scaling, from both the new key of config.json and the old one."""
    parts = [config.get(key) for key in ("rope_parameters", "rope_scaling")]
    return [str(part.get("rope_type") or part.get("type") or "default") for part in parts if isinstance(part, dict)]


def positive_int(config: dict[str, Any], key: str, name: str, default: int | None = None) -> int:
    """A positive integer of config.json; raises SetupError where it is missing without a default, or something else."""
    value = config.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SetupError(f"the configuration of {name} has no usable {key} ({value!r}): download the model again")
    return value
