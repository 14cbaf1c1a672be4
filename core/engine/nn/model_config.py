"""What the engine takes from config.json beside the sizes that Architecture holds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROPE_THETA = 10000.0
"""transformers' value for a model that names none."""
RMS_NORM_EPS = 1e-6
"""The same of LlamaConfig, Qwen2Config and Qwen3Config."""


@dataclass(frozen=True, slots=True)
class PlainConfig:
    """The fields of transformers' configuration that the engine reads, of a model whose positions are not scaled."""

    rms_norm_eps: float
    rope_parameters: dict[str, Any]
    attention_bias: bool
    mlp_bias: bool


def read_model_config(folder: Path, config: dict[str, Any]) -> Any:
    """A PlainConfig, or transformers' configuration where positions are scaled or a field is not of its usual type.

    `config` is the content of config.json. Importing transformers takes a second, which most models do without. Raises
    what transformers raises for a configuration that is wrong.
    """
    return plain_config(config) or _full_config(folder)


def plain_config(config: dict[str, Any]) -> PlainConfig | None:
    """The fields of a plain configuration; None for one that transformers has to read."""
    rope = config.get("rope_parameters") or {}
    if config.get("rope_scaling") or not isinstance(rope, dict) or not rope.keys() <= {"rope_type", "rope_theta"}:
        return None
    theta = rope.get("rope_theta", config.get("rope_theta", ROPE_THETA))
    plain = PlainConfig(
        rms_norm_eps=config.get("rms_norm_eps", RMS_NORM_EPS),
        rope_parameters={"rope_type": rope.get("rope_type", "default"), "rope_theta": theta},
        attention_bias=config.get("attention_bias", False),
        mlp_bias=config.get("mlp_bias", False),
    )
    usual = (
        plain.rope_parameters["rope_type"] == "default"
        and type(theta) in (float, int)
        and type(plain.rms_norm_eps) is float
        and type(plain.attention_bias) is type(plain.mlp_bias) is bool
        and config["hidden_size"] % config["num_attention_heads"] == 0
    )
    return plain if usual else None


def _full_config(folder: Path) -> Any:
    from transformers import AutoConfig  # noqa: PLC0415 (a second of imports)
    from transformers.utils import logging as transformers_logging  # noqa: PLC0415

    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
