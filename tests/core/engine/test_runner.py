"""The runner, in this process, against the transformers library on a tiny random model."""

import json
import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from core.engine import runner as module
from core.engine.loader import Loader
from core.engine.runner import CHUNK, TransformersRunner, cache_bytes, choose, load
from core.engine.sampling import Sampling
from core.errors import SetupError
from tests.core.engine.tiny import FAMILIES, save

PROMPT = (3, 141, 59, 26, 53, 58, 97, 93, 23, 84)
GREEDY = Sampling(temperature=0)


def ignore(step: str) -> None:
    pass


@pytest.fixture(scope="module")
def runner(tiny: Path) -> TransformersRunner:
    return load(Loader(tiny, weights="float32"), ignore)


@pytest.fixture(scope="module")
def reference(tiny: Path) -> Any:
    return LlamaForCausalLM.from_pretrained(tiny, dtype=torch.float32)


def draw(runner: TransformersRunner, sampling: Sampling, ids: tuple[int, ...] = PROMPT, count: int = 40) -> list[int]:
    tokens = runner.generate(ids, sampling)
    drawn = list(islice((token for token in tokens if token is not None), count))
    tokens.close()
    return drawn


def expected(model: Any, ids: tuple[int, ...] = PROMPT, count: int = 40, penalty: float = 1) -> list[int]:
    inputs = torch.tensor([ids])
    output = model.generate(
        inputs,
        attention_mask=torch.ones_like(inputs),
        do_sample=False,
        max_new_tokens=count,
        repetition_penalty=penalty,
    )
    return [int(token) for token in output[0, len(ids) :]]


def test_greedy_equals_generate(runner: TransformersRunner, reference: Any) -> None:
    drawn = draw(runner, GREEDY)
    assert drawn == expected(reference)
    assert len(set(drawn)) > 5


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family(family: str, tmp_path: Path) -> None:
    save(tmp_path, family)
    reference: Any = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert draw(load(Loader(tmp_path, weights="float32"), ignore), GREEDY, count=10) == expected(reference, count=10)


def test_greedy_repeats(runner: TransformersRunner) -> None:
    assert draw(runner, GREEDY) == draw(runner, GREEDY)


@pytest.mark.parametrize("penalty", [1.05, 1.5])
def test_the_repetition_penalty_is_theirs(runner: TransformersRunner, reference: Any, penalty: float) -> None:
    sampling = Sampling(temperature=0, repetition_penalty=penalty)
    assert draw(runner, sampling) == expected(reference, penalty=penalty)
    assert penalty < 1.5 or draw(runner, sampling) != draw(runner, GREEDY)


@pytest.mark.parametrize("length", [CHUNK - 1, CHUNK, CHUNK + 1, 900])
def test_a_prompt_in_parts_equals_one_whole(runner: TransformersRunner, reference: Any, length: int) -> None:
    ids = tuple((7 * place * place + place) % 300 for place in range(length))
    assert draw(runner, GREEDY, ids, 10) == expected(reference, ids, 10)
    nones = [token is None for token in islice(runner.generate(ids, GREEDY), 3)]
    assert nones == [length > CHUNK, False, False]


def test_seeds(runner: TransformersRunner) -> None:
    def with_seed(seed: int | None) -> list[int]:
        return draw(runner, Sampling(temperature=1.5, seed=seed))

    assert with_seed(1) == with_seed(1)
    assert with_seed(1) != with_seed(2)
    assert with_seed(None) != with_seed(None)
    assert with_seed(-(1 << 70)) == with_seed(-(1 << 70))


def test_sequences_do_not_disturb_one_another(runner: TransformersRunner) -> None:
    sampling = Sampling(temperature=1.5, seed=5)
    alone = draw(runner, sampling, count=10)
    both = zip(runner.generate(PROMPT, sampling), runner.generate(PROMPT[::-1], sampling), strict=False)
    assert [token for token, _ in islice(both, 10)] == alone


def test_top_k_and_top_p_narrow_the_choice(runner: TransformersRunner) -> None:
    greedy = draw(runner, GREEDY)
    assert draw(runner, Sampling(temperature=1.5, top_k=1)) == greedy
    assert draw(runner, Sampling(temperature=1.5, top_p=0.0)) == greedy
    assert draw(runner, Sampling(temperature=1.5, top_k=9999, seed=1)) != greedy


@pytest.mark.parametrize("ids", [(), (300,), (-1, 5)])
def test_foreign_ids(runner: TransformersRunner, ids: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="vocabulary"):
        next(runner.generate(ids, GREEDY))


def test_what_it_says_of_itself(runner: TransformersRunner, tiny: Path) -> None:
    assert (runner.device, runner.weights, runner.context) == ("cpu", "float32", 1024)
    narrow = load(Loader(tiny, weights="bf16", context=100, threads=torch.get_num_threads()), ignore)
    assert (narrow.weights, narrow.context) == ("bfloat16", 100)
    assert load(Loader(tiny, context=5000), ignore).context == 1024


@pytest.mark.parametrize(
    ("able", "chosen"),
    [({}, torch.float32), ({"avx512_bf16": True}, torch.bfloat16), ({"bf16": True}, torch.bfloat16)],
)
def test_the_type_follows_the_machine(
    able: dict[str, bool], chosen: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert choose("auto", torch.device("cpu")) == chosen
    assert choose("float32", torch.device("cpu")) == torch.float32
    assert choose("bf16", torch.device("cpu")) == torch.bfloat16
    assert choose("auto", torch.device("cuda")) == torch.bfloat16


def test_the_size_of_a_cache(reference: Any) -> None:
    assert cache_bytes(reference.config, 10, torch.bfloat16) == 2 * 2 * 2 * 16 * 10 * 2


def test_steps_and_silence(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    steps: list[str] = []
    draw(load(Loader(tiny), steps.append), GREEDY, count=1)
    assert steps == [f"loading {tiny.name} (0.5 GiB)"]
    assert capfd.readouterr() == ("", "")


def test_too_little_memory(tiny: Path) -> None:
    refusal = rf"^{tiny} needs 0\.5 GiB of memory, 0\.2 GiB are free: close other programs or choose a smaller model$"
    with pytest.raises(SetupError, match=refusal):
        load(Loader(tiny, free=1 << 28), ignore)


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def refused(folder: Path) -> str:
    with pytest.raises(SetupError) as failure:
        load(Loader(folder), ignore)
    line = str(failure.value)
    assert "\n" not in line
    assert str(folder) in line
    return line


def test_damaged_weights(copy: Path) -> None:
    data = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(data[:-100])
    assert "model.safetensors is damaged" in refused(copy)


def test_no_weights(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    assert "no safetensors weights" in refused(copy)


def test_no_folder(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere")


def test_weights_that_no_file_holds(copy: Path) -> None:
    held = load_file(copy / "model.safetensors")
    del held["model.layers.1.mlp.up_proj.weight"]
    save_file(held, copy / "model.safetensors", metadata={"format": "pt"})
    assert "lacks 1 weights" in refused(copy)


def test_weights_of_another_shape(copy: Path) -> None:
    held = load_file(copy / "model.safetensors")
    held["model.norm.weight"] = torch.ones(32)
    save_file(held, copy / "model.safetensors", metadata={"format": "pt"})
    refused(copy)


@pytest.mark.parametrize("text", ["{", "{}", json.dumps({"model_type": "unheard_of"})])
def test_an_unsupported_configuration(copy: Path, text: str) -> None:
    (copy / "config.json").write_text(text)
    refused(copy)


def test_only_the_cpu_is_asked_for_its_memory() -> None:
    assert module.free(torch.device("cpu")) > 0
