"""Whole models in 8 and 4 bits, computed by the kernels and by PyTorch, against transformers with the very numbers that
these bits stand for."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from core.checkpoints.architecture import Architecture
from core.checkpoints.gguf_convert import convert
from core.engine.kernels.vectors import LANES
from core.engine.loader import Loader
from core.engine.nn import model_runner as module
from core.engine.nn.model_builder import ModelBuilder
from core.engine.nn.model_runner import TorchRunner, load_model
from core.engine.nn.weight_formats import FormatContext, choose_format
from core.engine.nn.weight_reader import WeightReader
from core.engine.options import WeightFormat
from tests.core.checkpoints.conftest import Kind, TinyGguf, model_of, read_weights
from tests.core.engine.nn.conftest import Models, silent
from tests.core.engine.nn.drive import Way, answers, by, logits, strays
from tests.core.engine.nn.test_reference import expected, prompt
from tests.sweeps import sweep
from tests.tables import each_row

FORMS: list[WeightFormat] = ["int8", "int4", "auto"]
ALL: list[Way] = ["kernels", "products", "torch"]
VARIANTS: dict[str, list[Way]] = {
    "llama": ALL,
    "llama with biases": ALL,
    "llama with as many key heads": ["kernels"],
    "llama with one key head": ["kernels"],
    "llama, llama3": ["kernels"],
    "llama of odd sizes": ["torch"],
    "llama with heads of their own width": ["torch"],
    "qwen2": ALL,
    "qwen3 with biases": ALL,
}
"""The ways in which each is computed: the kernels take heads in sixteens only."""
CASES = [(variant, way) for variant, ways in VARIANTS.items() for way in ways]
COARSE = 16 / LANES
"""How much coarser the kernels' unpacked weights are than with the widest vectors."""
NEAR: dict[Way, float] = {"torch": 1e-3, "products": 1e-3, "kernels": 0.05 * COARSE}
"""Of logits of which the largest are about 20, in float32. The kernels round activations to 15 bits, and where rows are
many 4-bit weights as well."""
MEAN: dict[Way, float] = {"torch": 1e-5, "products": 1e-5, "kernels": 0.002 * COARSE}
"""Of the logits' own spread, on average."""
NEAR_BF16 = 0.06
"""Of the logits' own spread, on average."""


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted from a file that has matrices of 4 bits, with scales of either sign, and a table of the same kind."""
    place = tmp_path_factory.mktemp("gguf")
    file = TinyGguf(place / "tiny.gguf", "qwen3", kind=Kind.Q4_0).write()
    return convert(file, place, lambda label, done, total: None)


class Load:
    """Loads a model for a machine that computes with bf16 or does not, to be computed in one way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = monkeypatch

    def __call__(self, folder: Path, weights: WeightFormat, native: bool, way: Way) -> TorchRunner:
        self.patch.setattr(module, "computes_bf16", lambda device: native)
        runner = load_model(Loader(folder, weights, threads=1), silent)
        return by(runner, way) if runner.computer.kernel_model or way == "kernels" else runner


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Load:
    return Load(monkeypatch)


def reference(model: Any, folder: Path, weights: WeightFormat, native: bool) -> Any:
    """The same model, each matrix replaced by what its low bits stand for."""
    settings = json.loads((folder / "config.json").read_text())
    architecture, tensors = Architecture.from_config(settings, "tiny"), WeightReader(folder)
    exact = settings.get("qwentin_source") == "gguf"
    how = choose_format(architecture, FormatContext(architecture.tensor_shapes(), tensors, weights, native, exact))
    builder = ModelBuilder(architecture, AutoConfig.from_pretrained(folder), tensors, how, torch.device("cpu"))
    table = model.model.embed_tokens.weight.detach().clone()
    state = model.state_dict()
    for matrix in how.all_matrices:
        if matrix.low_bits:
            values = builder.quantized(matrix).dequantize()
            names = [name.replace("model.embed_tokens", "lm_head") for name in matrix.names]
            for name, part in zip(names, values.split(list(matrix.rows)), strict=True):  # type: ignore[no-untyped-call]
                state[name] = part
    state["model.embed_tokens.weight"] = table
    build: Any = AutoModelForCausalLM.from_config
    untied = build(AutoConfig.from_pretrained(folder, tie_word_embeddings=False), dtype=torch.float32)
    untied.load_state_dict(state)
    return untied.eval()


def check(runner: TorchRunner, model: Any, way: Way) -> None:
    ids = [id % runner.vocabulary for id in prompt(100)]
    with torch.inference_mode():
        theirs = model(torch.tensor([ids])).logits[0]
    ours = logits(runner, ids, 33)
    if runner.computer.kv.like.dtype == torch.float32:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=NEAR[way])
        assert (ours - theirs).abs().mean() < MEAN[way] * theirs.std()
    else:
        assert (ours - theirs).abs().mean() < NEAR_BF16 * theirs.std()


@sweep(
    ("variant", "way", "weights", "native"),
    [(*case, weights, native) for case, weights, native in product(CASES, FORMS, (False, True))],
    quick=[
        ("qwen3 with biases", "kernels", "auto", True),
        ("llama", "kernels", "int4", False),
        ("llama", "products", "int8", False),
        ("qwen2", "torch", "int4", False),
    ],
)
def test_logits(models: Models, variant: str, way: Way, weights: WeightFormat, native: bool, loaded: Load) -> None:
    folder = models.folder(variant)
    runner = loaded(folder, weights, native, way)
    check(runner, reference(models.reference(variant), folder, weights, native), way)


@sweep(
    ("weights", "way", "native"),
    product(FORMS, ALL, (False, True)),
    quick=[("auto", "kernels", True), ("int4", "torch", False)],
)
def test_logits_from_a_gguf_file(gguf: Path, weights: WeightFormat, way: Way, native: bool, loaded: Load) -> None:
    model = model_of(json.loads((gguf / "config.json").read_text()), read_weights(gguf))
    check(loaded(gguf, weights, native, way), reference(model, gguf, weights, native), way)


@each_row("way", ALL)
def test_what_a_gguf_file_holds_is_what_is_computed(gguf: Path, way: Way, loaded: Load) -> None:
    """Nothing of it is rounded again: only activations are, by the kernels."""
    runner = loaded(gguf, "auto", False, way)
    model = model_of(json.loads((gguf / "config.json").read_text()), read_weights(gguf))
    ids = [id % runner.vocabulary for id in prompt(40)]
    with torch.inference_mode():
        theirs = model(torch.tensor([ids])).logits[0]
    found = logits(runner, ids)
    assert str(runner.computer.model_format) == "Q4_0"
    assert (found - theirs).abs().mean() < MEAN[way] * theirs.std()


@sweep(
    ("variant", "way", "weights"),
    [(*case, weights) for case, weights in product(CASES, FORMS)],
    quick=[
        ("qwen2", "kernels", "auto"),
        ("qwen3 with biases", "products", "int4"),
        ("llama", "torch", "int8"),
    ],
)
def test_greedy_answers(models: Models, variant: str, way: Way, weights: WeightFormat, loaded: Load) -> None:
    """In float32: alone, in company and in chunks. The kernels' are off by no more than their logits are."""
    folder = models.folder(variant)
    runner = loaded(folder, weights, False, way)
    model = reference(models.reference(variant), folder, weights, False)
    prompts = [prompt(10), prompt(60), prompt(33)]
    for found in (
        answers(runner, *prompts),
        answers(runner, *prompts, prefill_ids=5),
        [answers(runner, ids)[0] for ids in prompts],
    ):
        if way == "kernels":
            assert max(strays(model, ids, tokens) for ids, tokens in zip(prompts, found, strict=True)) < NEAR[way]
        else:
            assert found == [expected(model, ids) for ids in prompts]


@each_row("way", ALL)
def test_many_rows_and_few_are_the_same_model(models: Models, way: Way, loaded: Load) -> None:
    """A prompt read at once and one read id by id."""
    runner = loaded(models.folder("qwen2"), "auto", True, way)
    ids = prompt(60)
    few, many = logits(runner, ids, 1), logits(runner, ids)
    assert (few - many).abs().mean() < NEAR_BF16 * many.std()


def test_the_crossing_parts_the_kernels_from_pytorch(models: Models, loaded: Load) -> None:
    """From so many rows on PyTorch computes, with what the kernels have kept, and the other way round."""
    folder = models.folder("llama")
    ids = prompt(60)
    found: dict[Way, torch.Tensor] = {}
    for way in ALL:
        found[way] = logits(loaded(folder, "int8", False, way), ids, 5)
    assert not torch.equal(found["kernels"], found["products"])
    torch.testing.assert_close(found["products"], found["torch"], rtol=0, atol=NEAR["products"])
    runner = loaded(folder, "int8", False, "kernels")
    assert runner.computer.tuning
    cases: list[tuple[int, Way]] = [(1, "products"), (5, "products"), (6, "kernels")]
    for crossing, way in cases:
        runner.computer.tuning = replace(runner.computer.tuning, torch_min_rows=crossing)
        assert torch.equal(logits(runner, ids, 5), found[way])
    model = reference(models.reference("llama"), folder, "int8", False)
    runner.computer.tuning = replace(runner.computer.tuning, torch_min_rows=4)
    assert strays(model, ids, answers(runner, ids, tokens=20)[0]) < NEAR["kernels"]
