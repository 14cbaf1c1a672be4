"""Loading a model: what is told, what is refused and why, and what memory is taken."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from math import inf
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.domain.errors import SetupError
from core.engine.kernels import machine
from core.engine.loader import Loader
from core.engine.nn import autotune as tune
from core.engine.nn import model_runner as module
from core.engine.nn.kv_cache import BLOCK_IDS
from core.engine.nn.model_builder import TORCH_DTYPES
from core.engine.nn.model_runner import OVERHEAD_BYTES, TorchRunner, load_model
from core.engine.nn.step_benchmark import NEVER_ROWS, StepBenchmark
from core.engine.options import WeightFormat
from tests.core.checkpoints.conftest import shard
from tests.core.engine.nn.conftest import Models, silent
from tests.core.engine.nn.drive import answers, logits
from tests.core.engine.tiny import CONTEXT, save
from tests.patience import LIMIT_S
from tests.real import KERNELS
from tests.sweeps import sweep
from tests.tables import each_row

PROMPT = [3, 141, 59, 26, 53, 58, 97, 93, 23, 84]
BLOCK = 2 * 2 * 2 * 16 * BLOCK_IDS * 4
"""Bytes of a block of the tiny llama in float32: keys and values of 2 layers, 2 heads, 16 numbers."""
LEAST = CONTEXT // BLOCK_IDS + 1
"""Blocks for one whole context."""


@pytest.fixture(scope="module")
def llama(models: Models) -> Path:
    return models.folder("llama")


@pytest.fixture
def new_copy(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Copies it, as often as it is called."""
    return lambda: Path(shutil.copytree(llama, tmp_path_factory.mktemp("folder") / "copy"))


@pytest.fixture
def copy(new_copy: Callable[[], Path]) -> Path:
    return new_copy()


def plain(folder: Path, **changes: Any) -> TorchRunner:
    return load_model(Loader(folder, "float32", threads=1, **changes), silent)


def test_steps_and_silence(llama: Path, capfd: pytest.CaptureFixture[str]) -> None:
    steps: list[str] = []
    answers(Loader(llama, "float32", threads=1)(steps.append), PROMPT)  # type: ignore[arg-type]
    assert steps == ["starting the engine", "loading llama as float32 (0.0 GiB)", "measuring this machine"]
    assert capfd.readouterr() == ("", "")


def test_what_it_says_of_itself(llama: Path) -> None:
    runner = plain(llama)
    assert (runner.device, runner.weights, runner.context, runner.vocabulary) == ("cpu", "float32", CONTEXT, 300)
    assert runner.block_size == BLOCK_IDS
    assert torch.get_num_threads() == 1


@each_row(("limit", "context"), [(100, 100), (5000, CONTEXT), (None, CONTEXT), (1, 1)])
def test_the_context(llama: Path, limit: int | None, context: int) -> None:
    runner = plain(llama, context=limit)
    assert runner.context == context
    assert runner.blocks == 4 * (-(-context // BLOCK_IDS) + 1)


# Forms


FORMS: dict[WeightFormat, str] = {
    "float32": "float32",
    "bf16": "bf16",
    "int8": "int8",
    "int4": "int4 and int8",
    "auto": "int4 and int8",
}


@sweep(("weights", "native"), product(FORMS, [True, False]), quick=[("auto", True), ("int8", False), ("bf16", False)])
def test_the_form_follows_the_machine(
    llama: Path, weights: WeightFormat, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native, "avx512_f": True})
    monkeypatch.delenv(machine.CPU_VARIABLE, raising=False)
    runner = load_model(Loader(llama, weights, threads=1), silent)
    held = "float32" if weights == "float32" or not (native or weights == "bf16") else "bf16"
    assert str(runner.computer.model_format) == FORMS[weights]
    assert runner.computer.kv.like.dtype == TORCH_DTYPES[held]
    assert (runner.computer.kernel_model is not None) == ("int" in FORMS[weights])
    kernels = f"by numba ({machine.INSTRUCTION_SET_NAMES[machine.instruction_set()]})"
    assert runner.computer.tuning
    for panels, crossing, words in (
        (None, None, ""),
        (8, None, ", in panels from 8 rows on"),
        (16, 33, f", in panels from 16 rows on, as {held} by PyTorch from 33 rows on"),
    ):
        runner.computer.tuning = replace(runner.computer.tuning, panel_min_rows=panels, torch_min_rows=crossing)
        said = f"{FORMS[weights]} {kernels}{words}; 1 thread" if runner.computer.kernel_model else FORMS[weights]
        assert runner.weights == said
    rows = range(1, 9 if runner.computer.kernel_model else 1)
    measured = runner.computer.tuning.decode_costs
    assert [count for count, _ in measured] == [count for count in tune.DECODE_ROWS if count in rows]
    runner.computer.tuning = replace(runner.computer.tuning, panel_min_rows=16, torch_min_rows=33)
    assert len(runner.costs.guesses) == len(rows), "PyTorch's rows depend on how many there are"
    (tokens,) = answers(runner, PROMPT)
    assert len(tokens) == 12


@each_row("able", [{}, {"avx512_bf16": True}, {"amx_bf16": True}, {"bf16": True}], ids=str)
def test_machines(able: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is taken for another computes with no bf16, whatever it could."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    for word, native in (("", bool(able)), ("avx2", False), ("avx512", False), ("generic", False)):
        monkeypatch.setenv(machine.CPU_VARIABLE, word)
        assert module.computes_bf16(torch.device("cpu")) == native


@each_row("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_whatever_type_the_file_has(tmp_path_factory: pytest.TempPathFactory, dtype: torch.dtype) -> None:
    """Also of the embedding, which is read where it lies."""
    folder = save(tmp_path_factory.mktemp("row"), "qwen3", dtype)
    before = plain(folder)
    held = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    assert torch.equal(logits(before, PROMPT), logits(plain(folder), PROMPT))


def test_several_files(copy: Path, models: Models) -> None:
    shard(copy)
    assert torch.equal(logits(plain(copy), PROMPT), logits(models.runner("llama"), PROMPT))


def test_what_was_measured_is_kept(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file by what was measured: another number of threads or another form is measured anew."""
    monkeypatch.setattr(tune, "MAX_STEADY_CORES", inf)
    monkeypatch.setattr(tune, "MAX_STEADY_SPREAD", inf)

    def measured(weights: WeightFormat, threads: int) -> int:
        runner = load_model(Loader(llama, weights, threads=threads, cache=tmp_path / "cache"), silent)
        files = list((tmp_path / "cache").glob("tuning-*.json"))
        assert runner.computer.tuning in map(tune.load_tuning, files)
        runner.close()
        return len(files)

    assert [measured("float32", 1) for _ in range(2)] == [1, 1]
    kept = (tmp_path / "cache" / "kept").with_suffix(".json")
    (file,) = (tmp_path / "cache").glob("tuning-*.json")
    kept.write_text(json.dumps(json.loads(file.read_text()) | {"few_rows_threads": 3, "many_rows_threads": 2}))
    kept.replace(file)
    tuning = load_model(Loader(llama, "float32", threads=1, cache=tmp_path / "cache"), silent).computer.tuning
    assert tuning and (tuning.few_rows_threads, tuning.many_rows_threads) == (3, 2), "what the file says is done"
    assert measured("float32", 2) == 2
    assert measured("bf16", 1) == 3


@torch.inference_mode()
def test_panels_begin_where_they_were_measured_to(models: Models, tmp_path: Path) -> None:
    """Whatever the kernels did while they were measured."""
    runner = load_model(Loader(models.folder("llama"), "int8", threads=1), silent)
    assert runner.computer.kernel_model and runner.computer.tuning
    measured = StepBenchmark(
        runner.computer.model, runner.computer.model_format, runner.computer.kv, runner.computer.kernel_model
    )
    file = tmp_path / f"tuning-{measured.fingerprint(1)}.json"
    for panels, many in ((5, 5), (None, NEVER_ROWS)):
        tune.save_tuning(replace(runner.computer.tuning, panel_min_rows=panels, other_cores=0.0, spread=1.0), file)
        runner.computer.kernel_model.panel_min_rows = 77
        assert measured.tune(1, tmp_path).panel_min_rows == panels
        assert runner.computer.kernel_model.panel_min_rows == many
    found = measured.tune(1, None)
    assert runner.computer.kernel_model.panel_min_rows == (found.panel_min_rows or NEVER_ROWS)


MEASURED = """
import sys
from dataclasses import replace
from pathlib import Path, PosixPath, WindowsPath
from core.engine.loader import Loader
from core.engine.nn import autotune as tune
from core.engine.nn.kernel_model import KernelModel

compute, furthest = KernelModel.__call__, [0]

def watched(self, plan, layers=None):
    furthest[0] = max(furthest[0], int(plan.positions.max()) + 1)
    return compute(self, plan, layers)

KernelModel.__call__, tune.MIN_MEASURE_S, tune.MIN_RUNS = watched, 0, 1
for context in (1000, 256, 255, 100, 7, 1):
    furthest[0] = 0
    replace(%r, context=context)(lambda step: None)
    assert furthest[0] <= context, f"{furthest[0]} of {context}"
"""


@pytest.mark.slow
def test_a_short_context_is_not_left_while_measuring(llama: Path) -> None:
    """Far fewer ids than steps are measured with. In a process of its own: the kernels would write beyond the end."""
    loader = Loader(llama, "int8", threads=1, cache=KERNELS)
    subprocess.run(
        [sys.executable, "-c", MEASURED % loader], check=True, cwd=Path(__file__).parents[4], timeout=2 * LIMIT_S
    )


# Memory


@each_row(
    ("kv_bytes", "blocks"),
    [(None, 4 * LEAST), (200 * BLOCK, 200), (200 * BLOCK - 1, 199), (1, LEAST), (1000 * BLOCK, 1000)],
)
def test_the_size_of_the_kv_memory(llama: Path, kv_bytes: int | None, blocks: int) -> None:
    """One whole context at least."""
    assert plain(llama, kv_bytes=kv_bytes).blocks == blocks


@each_row("kv_bytes", [None, 1000 * BLOCK])
def test_the_kv_memory_takes_no_more_than_is_free(llama: Path, kv_bytes: int | None) -> None:
    weights = plain(llama).computer.model_format.total_bytes
    assert plain(llama, kv_bytes=kv_bytes, free=OVERHEAD_BYTES + weights + 160 * BLOCK).blocks == 160
    assert plain(llama, kv_bytes=kv_bytes, free=OVERHEAD_BYTES + weights + LEAST * BLOCK).blocks == LEAST
    with pytest.raises(SetupError):
        plain(llama, kv_bytes=kv_bytes, free=OVERHEAD_BYTES + weights + LEAST * BLOCK - 1)


def test_a_whole_context_fits(llama: Path) -> None:
    runner = plain(llama, kv_bytes=1)
    prompt = [7 * number % 300 for number in range(CONTEXT - 9)]
    (tokens,) = answers(runner, prompt, tokens=9)
    assert len(tokens) == 9


@each_row("weights", FORMS)
def test_low_bits_leave_more_to_the_kv_memory(llama: Path, weights: WeightFormat) -> None:
    """The weights are held once, in whatever form."""
    runner = load_model(Loader(llama, weights, threads=1, kv_bytes=1 << 40, free=OVERHEAD_BYTES + 4_000_000), silent)
    each = BLOCK * runner.computer.kv.like.itemsize // 4
    assert runner.blocks == (4_000_000 - runner.computer.model_format.total_bytes) // each


def test_too_little_memory(llama: Path) -> None:
    """Known before anything is read."""
    steps: list[str] = []
    refusal = rf"^{llama} needs 0\.5 GiB of memory, 0\.2 GiB are free: close other programs or choose a smaller model$"
    with pytest.raises(SetupError, match=refusal):
        load_model(Loader(llama, free=1 << 28), steps.append)
    assert not steps


# What is wrong with a folder


def config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        held = load_file(folder / "model.safetensors")
        change(held)
        save_file(held, folder / "model.safetensors", metadata={"format": "pt"})

    return changed


def of_type(name: str, dtype: torch.dtype) -> Callable[[Path], None]:
    return tensors(lambda held: held.update({name: held[name].to(dtype)}))


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


UP = "model.layers.1.mlp.up_proj.weight"
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "config.json is damaged"),
    "weights cut": (cut, "model.safetensors is damaged"),
    "weights lost": (lambda folder: (folder / "model.safetensors").unlink(), "no safetensors weights"),
    "weights pickled": (pickled, "pickled, which can run code"),
    "a tensor lost": (tensors(lambda held: held.pop(UP)), f"lack {UP}"),
    "a tensor of another shape": (
        tensors(lambda held: held.update({"model.norm.weight": torch.ones(32)})),
        "model.norm.weight is (32,), not (64,)",
    ),
    "numbers of 8 bits": (of_type(UP, torch.int8), f"{UP} in "),
    "bytes": (of_type("model.embed_tokens.weight", torch.uint8), "is of type U8"),
    "norms of 8 bits": (of_type("model.norm.weight", torch.float8_e5m2), "is of type F8_E5M2"),
    "config cut": (lambda folder: (folder / "config.json").write_text("{"), "config.json is damaged"),
    "config empty": (lambda folder: (folder / "config.json").write_text("{}"), "'None' model"),
    "another family": (config(model_type="unheard_of"), "'unheard_of' model"),
    "a sliding window": (config(use_sliding_window=True), "sliding window"),
    "another activation": (config(hidden_act="gelu"), "'gelu'"),
    "positions by length": (config(rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4}), "'dynamic'"),
    "positions as of old": (config(rope_scaling={"type": "longrope", "factor": 2.0}), "'longrope'"),
    "quantised": (config(quantization_config={"quant_method": "awq"}), "is quantised"),
    "more layers": (config(num_hidden_layers=3), "lack model.layers.2."),
    "what only transformers knows": (config(rms_norm_eps="little"), "can't be loaded: "),
    "positions that lack a number": (config(rope_parameters={"rope_type": "yarn"}), "can't be loaded: "),
}


@each_row("case", BAD)
def test_what_is_wrong_is_said_in_one_line(new_copy: Callable[[], Path], case: str) -> None:
    copy = new_copy()
    spoil, words = BAD[case]
    spoil(copy)
    with pytest.raises(SetupError) as failure:
        load_model(Loader(copy, threads=1), silent)
    line = str(failure.value)
    assert words in line and str(copy) in line
    assert "\n" not in line and len(line) < 500


def test_more_tensors_than_are_needed(copy: Path) -> None:
    """Whatever type they are of."""
    before = logits(plain(copy), PROMPT)
    tensors(lambda held: held.update({"rotary.inv_freq": torch.ones(3, dtype=torch.int64)}))(copy)
    assert torch.equal(logits(plain(copy), PROMPT), before)


def test_only_what_is_free_is_asked_for() -> None:
    assert module.available_bytes(torch.device("cpu")) > 0
