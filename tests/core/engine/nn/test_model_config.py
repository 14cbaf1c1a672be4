"""A plain configuration has the values that transformers reads from the same config.json."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from core.engine.nn.model_config import PlainConfig, plain_config, read_model_config
from tests.tables import each_row

SIZES: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 100, "max_position_embeddings": 512,
}  # fmt: skip
PLAIN: list[dict[str, Any]] = [
    {"rms_norm_eps": 1e-5, "rope_theta": 1e6, "rope_scaling": None},
    {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}},
    {"rope_parameters": {"rope_theta": 10000}},
    {"attention_bias": True, "mlp_bias": True},
    {},
]
UNUSUAL: list[dict[str, Any]] = [
    {"rope_scaling": {"type": "linear", "factor": 2.0}},
    {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e6}},
    {"rms_norm_eps": "little"},
    {"rope_theta": "large"},
    {"attention_bias": None},
    {"hidden_size": 66},
]


@each_row("family", ["llama", "qwen2", "qwen3"])
@each_row("values", PLAIN, ids=str)
def test_plain_values_are_those_of_transformers(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any], family: str
) -> None:
    folder: Path = tmp_path_factory.mktemp("model")
    config = {"model_type": family, **SIZES, **values}
    (folder / "config.json").write_text(json.dumps(config))
    ours, theirs = read_model_config(folder, config), AutoConfig.from_pretrained(folder)
    assert isinstance(ours, PlainConfig)
    assert (ours.rms_norm_eps, ours.rope_parameters) == (theirs.rms_norm_eps, theirs.rope_parameters)
    if family == "llama":
        assert (ours.attention_bias, ours.mlp_bias) == (theirs.attention_bias, theirs.mlp_bias)


@each_row("values", UNUSUAL, ids=str)
def test_anything_else_is_left_to_transformers(values: dict[str, Any]) -> None:
    assert plain_config({"model_type": "llama", **SIZES, **values}) is None
