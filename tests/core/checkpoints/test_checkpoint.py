"""Inspecting a folder: each bad one gives a SetupError of one clear line."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from core.checkpoints import inspect_checkpoint
from core.domain.errors import SetupError
from tests.core.checkpoints.conftest import shard
from tests.tables import each_row

Make = Callable[..., Path]
Spoil = Callable[[Path], object]


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def cut(path: Path, end: int) -> None:
    path.write_bytes(path.read_bytes()[:end])


@each_row("family", ["qwen2", "qwen3", "llama"])
def test_a_good_folder(make_folder: Make, family: str) -> None:
    folder = make_folder(family)
    checkpoint = inspect_checkpoint(folder)
    weights = load_file(folder / "model.safetensors")
    assert (checkpoint.name, checkpoint.family, checkpoint.context) == ("tiny", family, 128)
    assert checkpoint.parameters == sum(tensor.size for tensor in weights.values())
    assert "im_start" in checkpoint.chat_template
    assert checkpoint.folder == folder


def test_shards_are_one_model(make_folder: Make) -> None:
    one, two = make_folder(name="one"), make_folder(name="two")
    shard(two)
    assert inspect_checkpoint(one).parameters == inspect_checkpoint(two).parameters


def test_other_safetensors_do_not_count(make_folder: Make) -> None:
    folder = make_folder()
    before = inspect_checkpoint(folder).parameters
    shutil.copy(folder / "model.safetensors", folder / "adapter_model.safetensors")
    assert inspect_checkpoint(folder).parameters == before


def test_stop_ids_are_all_that_any_file_names(make_folder: Make) -> None:
    folder = make_folder(eos_token_id=[3, 4])
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [5, 10**6]}))
    tokens = {
        token["content"]: token["id"] for token in json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    }
    assert inspect_checkpoint(folder).stop_ids == (3, 4, 5, tokens["<|endoftext|>"], tokens["<|im_end|>"])
    assert inspect_checkpoint(folder).sampling.stop_ids == inspect_checkpoint(folder).stop_ids


@each_row(
    ("family", "generation", "expected"),
    [
        ("qwen2", None, (0.8, 20, 1.05)),
        ("qwen3", None, (0.8, 20, 1.0)),
        ("llama", None, (0.9, 0, 1.1)),
        ("llama", {"eos_token_id": 2, "temperature": 0.1, "do_sample": False}, (0.9, 0, 1.1)),
        ("qwen2", {"top_p": 0.7, "top_k": 5, "repetition_penalty": 1.2}, (0.7, 5, 1.2)),
        ("qwen2", {"repetition_penalty": 1.3, "top_p": None}, (1.0, 0, 1.3)),
    ],
)
def test_sampling_is_the_models_own(
    make_folder: Make, family: str, generation: dict[str, Any] | None, expected: tuple[float, int, float]
) -> None:
    folder = make_folder(family)
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    sampling = inspect_checkpoint(folder).sampling
    assert (sampling.top_p, sampling.top_k, sampling.repetition_penalty) == expected
    assert sampling.temperature == 0.7


def test_where_a_chat_template_comes_from(make_folder: Make) -> None:
    folder = make_folder()
    named = [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]
    change(folder / "tokenizer_config.json", chat_template=named)
    assert inspect_checkpoint(folder).chat_template == "D"
    (folder / "chat_template.jinja").write_text("J")
    assert inspect_checkpoint(folder).chat_template == "J"


@each_row(
    "changes",
    [
        {"hidden_act": "silu"},
        {"hidden_act": None},
        {"rope_scaling": None},
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
        {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}, "rope_scaling": {"rope_type": "llama3"}},
        {"rope_parameters": {"rope_theta": 1e6}},
        {"rope_parameters": {"rope_type": None}},
    ],
)
def test_configurations_that_are_common(make_folder: Make, changes: dict[str, Any]) -> None:
    assert inspect_checkpoint(make_folder(**changes)).family == "qwen2"


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def shard_lost(folder: Path) -> None:
    shard(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


def shard_cut(folder: Path) -> None:
    shard(folder)
    cut(folder / "model-00002-of-00002.safetensors", -100)


def shard_swapped(folder: Path) -> None:
    shard(folder)
    shutil.copy(folder / "model-00001-of-00002.safetensors", folder / "model-00002-of-00002.safetensors")


def outside(folder: Path) -> None:
    shard(folder)
    change(folder / "model.safetensors.index.json", weight_map={"model.norm.weight": "../../secret.safetensors"})


def index_cut(folder: Path) -> None:
    shard(folder)
    cut(folder / "model.safetensors.index.json", 9)


def tensor_lost(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors")


def config(**changes: Any) -> Spoil:
    return lambda folder: change(folder / "config.json", **changes)


def written(name: str, content: bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(content)


def without(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


BAD: dict[str, tuple[Spoil, str]] = {
    "another family": (config(model_type="mistral"), "'mistral' model; Qwentin runs qwen2, qwen3 and llama"),
    "no family": (config(model_type=None), "'None' model"),
    "sliding window": (config(use_sliding_window=True), "sliding window"),
    "sliding layers": (config(layer_types=["full_attention", "sliding_attention"]), "sliding window"),
    "another activation": (config(hidden_act="gelu"), "'gelu' between its layers"),
    "no activation": (config(hidden_act=7), "'7' between its layers"),
    "positions by length": (config(rope_parameters={"rope_type": "dynamic"}), "positions in the way 'dynamic'"),
    "positions by length, as of old": (config(rope_scaling={"type": "longrope"}), "positions in the way 'longrope'"),
    "quantised": (config(quantization_config={"quant_method": "gptq"}), "quantised"),
    "no context": (config(max_position_embeddings=None), "max_position_embeddings"),
    "odd size": (config(hidden_size="64"), "hidden_size"),
    "no heads": (config(num_attention_heads=0), "num_attention_heads"),
    "more layers than weights": (config(num_hidden_layers=3), "lack model.layers.2."),
    "other sizes than the weights": (config(vocab_size=300), "embed_tokens.weight is"),
    "untied without a head": (config(tie_word_embeddings=False), "lack lm_head.weight"),
    "config lost": (without("config.json"), "config.json is missing"),
    "config cut": (lambda folder: cut(folder / "config.json", 20), "config.json is damaged"),
    "config no object": (written("config.json", b"[1]"), "config.json is damaged (not a JSON object)"),
    "config too deep": (written("config.json", b"[" * 100_000), "config.json is damaged"),
    "tokenizer lost": (without("tokenizer.json"), "tokenizer.json is missing"),
    "tokenizer cut": (lambda folder: cut(folder / "tokenizer.json", 300), "tokenizer.json is damaged"),
    "tokenizer empty": (written("tokenizer.json", b"{}"), "tokenizer.json is damaged"),
    "no chat template": (written("tokenizer_config.json", b"{}"), "no chat template"),
    "bad chat template": (written("chat_template.jinja", b"\xff\xfe"), "chat_template.jinja is damaged"),
    "bad sampling": (written("generation_config.json", b'{"top_p": "much"}'), "generation_config.json is damaged"),
    "impossible sampling": (written("generation_config.json", b'{"top_p": NaN}'), "generation_config.json is damaged"),
    "weights lost": (without("model.safetensors"), "no safetensors weights"),
    "weights cut": (lambda folder: cut(folder / "model.safetensors", -1), "model.safetensors is damaged"),
    "weights cut in the header": (lambda folder: cut(folder / "model.safetensors", 50), "model.safetensors is damaged"),
    "weights empty": (lambda folder: cut(folder / "model.safetensors", 0), "model.safetensors is damaged"),
    "weights a git pointer": (written("model.safetensors", b"version https://git-lfs.github.com"), "is damaged"),
    "pickled": (pickled, "pickled, which can run code: use a safetensors version"),
    "shard lost": (shard_lost, "model-00002-of-00002.safetensors is missing"),
    "shard cut": (shard_cut, "model-00002-of-00002.safetensors is damaged"),
    "shard swapped": (shard_swapped, "model-00002-of-00002.safetensors is damaged (it lacks"),
    "a file outside": (outside, "is not the name of a safetensors file"),
    "index cut": (index_cut, "index.json is damaged"),
    "tensor lost": (tensor_lost, "lack model.layers.1.mlp.up_proj.weight"),
}


@each_row("case", BAD)
def test_a_bad_folder_gives_one_clear_line(make_folder: Make, case: str) -> None:
    folder = make_folder()
    spoil, words = BAD[case]
    spoil(folder)
    with pytest.raises(SetupError) as caught:
        inspect_checkpoint(folder)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_code_beside_the_weights_is_never_run(make_folder: Make, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    folder = make_folder(auto_map={"AutoModelForCausalLM": "evil.Model"})
    (folder / "evil.py").write_text(f"open({str(canary)!r}, 'w')")
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch canary'\ntR.")
    inspect_checkpoint(folder)
    assert not canary.exists()


def loaded(model: Path, among: str) -> str:
    """Which of some modules a process has loaded once it has opened a model."""
    code = (
        "import sys, pathlib; from core.checkpoints import open_checkpoint;"
        f"open_checkpoint({str(model)!r}, cache=pathlib.Path({str(model.parent)!r}), progress=lambda *_: None);"
        f"print(*sorted({{*{among!r}.split()}} & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_only_what_is_needed_is_loaded(make_folder: Make, make_gguf: Callable[..., Any]) -> None:
    heavy = "torch transformers gguf huggingface_hub tokenizers"
    assert loaded(make_folder(), heavy) == ""
    assert loaded(make_gguf().write(), heavy) == "gguf tokenizers"
