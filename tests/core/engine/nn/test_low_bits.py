"""Whole models in 8 and 4 bits against transformers with the very numbers that these bits stand for."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from core.checkpoints.architecture import Architecture
from core.checkpoints.convert import convert
from core.engine.loader import Loader, Weights
from core.engine.nn import runner as module
from core.engine.nn.build import Builder
from core.engine.nn.recipe import recipe
from core.engine.nn.runner import TorchRunner, load
from core.engine.nn.tensors import Tensors
from tests.core.checkpoints.conftest import Kind, TinyGguf, model_of, read_weights
from tests.core.engine.nn.conftest import Models, silent
from tests.core.engine.nn.drive import answers, logits
from tests.core.engine.nn.test_reference import expected, prompt

FORMS: list[Weights] = ["int8", "int4", "auto"]
VARIANTS = [
    "llama",
    "llama with biases",
    "llama of odd sizes",
    "llama with heads of their own width",
    "qwen2",
    "qwen3 with biases",
]
NEAR = 1e-3
"""Of logits of which the largest are about 20, in float32."""
NEAR_BF16 = 0.06
"""Of the logits' own spread, on average."""


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted from a file that has matrices of 4 bits, with scales of either sign, and a table of the same kind."""
    place = tmp_path_factory.mktemp("gguf")
    file = TinyGguf(place / "tiny.gguf", "qwen3", kind=Kind.Q4_0).write()
    return convert(file, place, lambda label, done, total: None)


def loaded(folder: Path, weights: Weights, native: bool, monkeypatch: pytest.MonkeyPatch) -> TorchRunner:
    monkeypatch.setattr(module, "native", lambda device: native)
    return load(Loader(folder, weights, threads=1), silent)


def reference(model: Any, folder: Path, weights: Weights, native: bool) -> Any:
    """The same model, each matrix replaced by what its low bits stand for."""
    settings = json.loads((folder / "config.json").read_text())
    architecture, tensors = Architecture.read(settings, "tiny"), Tensors(folder)
    exact = settings.get("qwentin_source") == "gguf"
    how = recipe(architecture, tensors, weights, native=native, exact=exact, roomy=True)
    builder = Builder(architecture, AutoConfig.from_pretrained(folder), tensors, how, torch.device("cpu"))
    table = model.model.embed_tokens.weight.detach().clone()
    state = model.state_dict()
    for matrix in how.all:
        if matrix.few:
            values = builder.rounded(matrix).values(torch.float32)
            names = [name.replace("model.embed_tokens", "lm_head") for name in matrix.names]
            for name, part in zip(names, values.split(list(matrix.rows)), strict=True):  # type: ignore[no-untyped-call]
                state[name] = part
    state["model.embed_tokens.weight"] = table
    build: Any = AutoModelForCausalLM.from_config
    untied = build(AutoConfig.from_pretrained(folder, tie_word_embeddings=False), dtype=torch.float32)
    untied.load_state_dict(state)
    return untied.eval()


def check(runner: TorchRunner, model: Any) -> None:
    ids = [id % runner.vocabulary for id in prompt(100)]
    with torch.inference_mode():
        theirs = model(torch.tensor([ids])).logits[0]
    ours = logits(runner, ids, 33)
    if runner.like.dtype == torch.float32:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=NEAR)
    else:
        assert (ours - theirs).abs().mean() < NEAR_BF16 * theirs.std()


@pytest.mark.parametrize("native", [False, True], ids=["float32", "bf16"])
@pytest.mark.parametrize("weights", FORMS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_logits(models: Models, variant: str, weights: Weights, native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = models.folder(variant)
    model = reference(models.reference(variant), folder, weights, native)
    check(loaded(folder, weights, native, monkeypatch), model)


@pytest.mark.parametrize("native", [False, True], ids=["float32", "bf16"])
@pytest.mark.parametrize("weights", FORMS)
def test_logits_from_a_gguf_file(gguf: Path, weights: Weights, native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(json.loads((gguf / "config.json").read_text()), read_weights(gguf))
    check(loaded(gguf, weights, native, monkeypatch), reference(model, gguf, weights, native))


def test_what_a_gguf_file_holds_is_what_is_computed(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is rounded again but by float32; only its 4-bit numbers stay what they are."""
    runner = loaded(gguf, "auto", False, monkeypatch)
    model = model_of(json.loads((gguf / "config.json").read_text()), read_weights(gguf))
    ids = [id % runner.vocabulary for id in prompt(40)]
    with torch.inference_mode():
        theirs = model(torch.tensor([ids])).logits[0]
    found = logits(runner, ids)
    # The head's 270 rows are no whole sixteens, so it alone is held in 8 bits.
    assert runner.weights == "int4 and int8"
    assert (found - theirs).abs().mean() < 0.02 * theirs.std()


@pytest.mark.parametrize("weights", FORMS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_greedy_answers(models: Models, variant: str, weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32, where no two tokens come close: alone, in company and in chunks."""
    folder = models.folder(variant)
    runner = loaded(folder, weights, False, monkeypatch)
    model = reference(models.reference(variant), folder, weights, False)
    prompts = [prompt(10), prompt(60), prompt(33)]
    theirs = [expected(model, ids) for ids in prompts]
    assert answers(runner, *prompts) == theirs
    assert answers(runner, *prompts, pace=5) == theirs
    assert answers(runner, prompts[1]) == [theirs[1]]


def test_many_rows_and_few_are_the_same_model(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two forms of each matrix: a prompt read at once and one read id by id."""
    runner = loaded(models.folder("qwen2"), "auto", True, monkeypatch)
    ids = prompt(60)
    few, many = logits(runner, ids, 1), logits(runner, ids)
    assert (few - many).abs().mean() < NEAR_BF16 * many.std()
