"""A whole step: what a row becomes depends on its own sequence alone, and is what PyTorch computes."""

import ctypes
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.domain.sampling import Sampling
from core.engine.kernels import dense, sampling, step
from core.engine.kernels.products import PANEL_MIN_ROWS
from core.engine.kernels.team import ThreadTeam
from core.engine.loader import Loader
from core.engine.nn import kernel_model as joint
from core.engine.nn import model_runner as module
from core.engine.nn import step_computer
from core.engine.nn.batch_plan import plan_batch
from core.engine.nn.kernel_model import can_compute
from core.engine.nn.model_runner import TorchRunner, load_model
from core.engine.options import WeightFormat
from core.engine.sequence import Sequence, SequenceSlice
from tests.core.engine.nn.conftest import VARIANTS, Models, silent
from tests.core.engine.nn.drive import Drive, Way, answers, by, logits, strays
from tests.core.engine.nn.test_low_bits import COARSE, NEAR, reference
from tests.core.engine.nn.test_reference import expected, prompt
from tests.sweeps import some_quick, sweep
from tests.tables import each_row

ALONE = ["llama of odd sizes", "llama with heads of their own width"]
"""What the kernels don't take: rows that are no groups of 32, heads that are no sixteens."""
COMPUTED = [variant for variant in VARIANTS if variant not in ALONE]
SOME = ["llama with biases", "qwen2", "qwen3"]
LOW: list[WeightFormat] = ["int8", "auto"]
MEAN: dict[bool, float] = {False: 0.002, True: 0.03}
"""How far the logits may be from PyTorch's float32, of their own spread and on average; keys and values in bf16 or
not."""


@pytest.fixture
def loaded(models: Models, monkeypatch: pytest.MonkeyPatch) -> Callable[..., TorchRunner]:
    def make(variant: str, weights: WeightFormat = "int8", native: bool = False, way: Way = "kernels") -> TorchRunner:
        monkeypatch.setattr(module, "computes_bf16", lambda device: native)
        return by(load_model(Loader(models.folder(variant), weights, threads=1), silent), way)

    return make


Loaded = Callable[..., TorchRunner]
Alone = Callable[..., list[int]]


@each_row("weights", LOW)
@sweep("variant", VARIANTS, quick=["qwen3", *ALONE])
def test_what_the_kernels_can_compute(models: Models, variant: str, weights: WeightFormat) -> None:
    """All else is PyTorch's, and answers all the same."""
    runner = load_model(Loader(models.folder(variant), weights, threads=1), silent)
    assert (
        can_compute(runner.computer.model)
        == (runner.computer.kernel_model is not None)
        == (runner.computer.team is not None)
    )
    assert (runner.computer.kernel_model is None) == (variant in ALONE)
    assert len(answers(runner, prompt(10))[0]) == 12


@each_row("weights", ["float32", "bf16"])
def test_dense_matrices_are_pytorchs(models: Models, weights: WeightFormat) -> None:
    runner = load_model(Loader(models.folder("llama"), weights, threads=1), silent)
    assert (
        not can_compute(runner.computer.model) and runner.computer.kernel_model is None and runner.computer.team is None
    )


@each_row("native", [False, True], ids=["float32", "bf16"])
@each_row("weights", LOW)
@pytest.mark.parametrize("variant", some_quick(COMPUTED, ["qwen3"]))
def test_against_pytorch(variant: str, weights: WeightFormat, native: bool, loaded: Loaded) -> None:
    ids = prompt(120)
    theirs = logits(loaded(variant, weights, False, "torch"), ids)
    runner = loaded(variant, weights, native)
    assert runner.computer.kv.like.itemsize == (2 if native else 4)
    for chunk in (120, 37, 7):
        off = (logits(runner, ids, chunk) - theirs).abs().mean()
        assert off < MEAN[native] * COARSE * theirs.std()


@each_row("native", [False, True], ids=["float32", "bf16"])
@each_row("weights", LOW)
@pytest.mark.parametrize("variant", some_quick(SOME, ["qwen3"]))
def test_chunks_change_no_bit(variant: str, weights: WeightFormat, native: bool, loaded: Loaded) -> None:
    """As long as they are all few rows, or all many."""
    runner, ids = loaded(variant, weights, native), prompt(120)
    few = logits(runner, ids, 1)
    for chunk in (2, 3, 8, PANEL_MIN_ROWS - 1):
        assert torch.equal(logits(runner, ids, chunk), few)
    many = logits(runner, ids)
    for chunk in (20, 24, 30, 60):
        assert torch.equal(logits(runner, ids, chunk), many)
    assert not torch.equal(few, many) or weights == "int8"


def part(id: int, ids: list[int], start: int, count: int, first: int) -> SequenceSlice:
    """Of a sequence that lies in blocks of its own, backwards."""
    blocks = list(range(first + 19, first - 1, -1))
    return SequenceSlice(Sequence(id, "someone", ids, max_length=len(ids) + 1, blocks=blocks), start, count)


def last_logits(runner: TorchRunner, *parts: SequenceSlice) -> dict[int, torch.Tensor]:
    """By the sequence's id."""
    made = plan_batch(list(parts))
    found = runner.computer.compute(made).clone()
    return {
        each.sequence.id: row
        for each, row in zip([one for one in made.slices if one.samples_token], found, strict=True)
    }


@each_row("native", [False, True], ids=["float32", "bf16"])
@each_row("weights", LOW)
@pytest.mark.parametrize("variant", some_quick(SOME, ["qwen3"]))
def test_company_changes_no_bit(variant: str, weights: WeightFormat, native: bool, loaded: Loaded) -> None:
    """Some draw while others read, of any length."""
    runner, a, b, c, d = loaded(variant, weights, native), prompt(60), prompt(33), prompt(150), prompt(24)
    for ids, first in ((a, 0), (b, 20), (c, 40)):
        runner.computer.compute(plan_batch([part(0, ids, 0, len(ids) - 3, first)]))
    one, two, three = part(1, a[:58], 57, 1, 0), part(2, b, 30, 3, 20), part(3, c[:148], 147, 1, 40)
    alone = {id: row for each in (one, two, three) for id, row in last_logits(runner, each).items()}
    together = last_logits(runner, two, one, three)
    assert together.keys() == alone.keys()
    assert all(torch.equal(together[id], alone[id]) for id in alone)
    for order in ((three, two), (one, three), (two, one)):
        found = last_logits(runner, *order)
        assert all(torch.equal(found[id], alone[id]) for id in found)
    # And beside somebody who reads much: the same again among any number from MANY on.
    reading = part(4, d, 0, 24, 60)
    among = last_logits(runner, one, reading)
    assert torch.equal(last_logits(runner, one, two, three, reading)[1], among[1])
    assert torch.equal(last_logits(runner, reading, three)[4], among[4])
    assert torch.equal(last_logits(runner, reading)[4], among[4])


@sweep("threads", [1, 2, 3, 4], quick=[2])
def test_threads_change_no_bit(threads: int, loaded: Loaded) -> None:
    runner, ids = loaded("qwen3", "auto"), prompt(90)
    before = [logits(runner, ids, chunk) for chunk in (1, 15, 30)]
    assert runner.computer.kernel_model
    runner.computer.team = runner.computer.kernel_model.team = ThreadTeam(threads)
    runner.computer.kernel_model._buffers = None
    runner.computer.tuning = (
        replace(runner.computer.tuning, few_rows_threads=threads, many_rows_threads=threads)
        if runner.computer.tuning
        else None
    )
    for _ in range(3):
        found = [logits(runner, ids, chunk) for chunk in (1, 15, 30)]
        assert all(map(torch.equal, found, before))
    runner.close()


@torch.inference_mode()
def test_the_first_layers_alone(loaded: Loaded) -> None:
    """As they are measured: nothing is drawn from them."""
    runner = loaded("llama")
    assert runner.computer.kernel_model
    made = plan_batch([SequenceSlice(Sequence(0, "", prompt(9), blocks=[0, 1]), 0, 9)])
    runner.computer.kv.tensor[:, :, :2] = 0
    assert runner.computer.kernel_model(made, 1).shape == (0, runner.vocabulary)
    assert (runner.computer.kv.tensor[0, :, 0] != 0).all() and (runner.computer.kv.tensor[1, :, 0] == 0).all()


# Answers


@pytest.mark.parametrize("variant", some_quick(SOME, ["qwen3"]))
class TestAnswers:
    """Greedy ones are those of transformers with the numbers that 8 bits stand for, as far as no two tokens come close;
    and whatever happens meanwhile, the very same as alone."""

    @pytest.fixture
    def runner(self, variant: str, loaded: Loaded) -> TorchRunner:
        return loaded(variant)

    @pytest.fixture
    def alone(self, variant: str, models: Models, runner: TorchRunner) -> Callable[..., list[int]]:
        model = reference(models.reference(variant), models.folder(variant), "int8", False)

        def answer(ids: list[int], tokens: int = 12, penalty: float = 1.0) -> list[int]:
            (found,) = answers(runner, ids, tokens=tokens, sampling=Sampling(0, repetition_penalty=penalty))
            assert strays(model, ids, found, penalty) < NEAR["kernels"]
            return found

        return answer

    def test_in_company(self, runner: TorchRunner, alone: Alone) -> None:
        prompts = [prompt(length) for length in (1, 8, 300, 17, 40)]
        for prefill_ids in (512, 16, 3):
            assert answers(runner, *prompts, prefill_ids=prefill_ids) == [alone(ids) for ids in prompts]

    def test_put_back(self, runner: TorchRunner, alone: Alone) -> None:
        drive = Drive(runner, blocks=24)
        prompts = [prompt(20, seed) for seed in range(4)]
        ids = [drive.add(each, 60) for each in prompts]
        drawn = drive.run()
        assert [drawn[id] for id in ids] == [alone(each, 60) for each in prompts]
        assert max(drive.computed.values()) > 79, "somebody was put back"

    def test_reused(self, runner: TorchRunner, alone: Alone) -> None:
        """A prefix that another has computed, and blocks that another has left."""
        drive, ids = Drive(runner, blocks=40), prompt(100)
        first = drive.add(ids, 12)
        drive.run()
        second, other = drive.add([*ids, 5], 12), drive.add([*ids[:64], *prompt(10)], 12)
        drawn = drive.run()
        late = drive.add(prompt(250), 12)
        drive.run()
        assert [drive.computed[id] for id in (second, other)] == [16, 21]
        assert drawn[first] == alone(ids)
        assert drawn[second] == alone([*ids, 5])
        assert drawn[other] == alone([*ids[:64], *prompt(10)])
        assert drawn[late] == alone(prompt(250))

    def test_the_penalty(self, runner: TorchRunner, alone: Alone) -> None:
        drive = Drive(runner)
        ids = {drive.add(prompt(10), 40, Sampling(0, repetition_penalty=each)): each for each in (1.05, 1.3)}
        drawn = drive.run()
        assert [drawn[id] for id in ids] == [alone(prompt(10), 40, penalty) for penalty in ids.values()]


def test_to_the_end_of_the_context(loaded: Loaded, models: Models) -> None:
    runner = loaded("qwen2")
    model = reference(models.reference("qwen2"), models.folder("qwen2"), "int8", False)
    ids = prompt(runner.context - 5)
    assert strays(model, ids, answers(runner, ids, tokens=5)[0]) < NEAR["kernels"]


# What goes wrong


@each_row("way", ["kernels", "products", "torch"])
@each_row("bad", [float("nan"), float("inf")])
@torch.inference_mode()
def test_what_is_no_number_is_an_error(way: Way, bad: float, loaded: Loaded) -> None:
    """And the next step is a good one again."""
    runner, ids = loaded("llama", way=way), prompt(20)
    before = logits(runner, ids)
    sequence = Sequence(1, "someone", ids, Sampling(0), max_length=30, blocks=[0, 1, 2])
    runner.run([SequenceSlice(sequence, 0, 19)])
    good = runner.computer.kv.tensor[1, :, 1].clone()
    runner.computer.kv.tensor[1, :, 1] = bad
    with pytest.raises(ValueError, match="no number"):
        runner.run([SequenceSlice(sequence, 19, 1)])
    runner.computer.kv.tensor[1, :, 1] = good
    assert runner.run([SequenceSlice(sequence, 19, 1)]) == {1: (int(before[-1].argmax()),)}
    runner.forget(1)


def broken(*arguments: Any, **named: Any) -> Any:
    raise RuntimeError("no such instruction\non this machine")


FAULTS: dict[str, list[tuple[Any, str]]] = {
    "in what is prepared": [(step_computer, "KernelModel")],
    "in the kernels of a step": [(step, "run_step"), (dense, "unpack_rows")],
    "in drawing": [(sampling, "sample_rows")],
}


@each_row("fault", FAULTS)
def test_where_nothing_can_be_compiled(models: Models, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    """PyTorch computes everything, the same; the owner is told, and the log has the reason."""
    caplog.clear()
    steps: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "computes_bf16", lambda device: False)
        for holder, name in FAULTS[fault]:
            patch.setattr(holder, name, broken)
        check_without_kernels(models, load_model(Loader(models.folder("qwen2"), "int8", threads=1), steps.append))
    (told,) = [step for step in steps if "can't be compiled" in step]
    assert "RuntimeError" in told and "\n" not in told
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info and "no such instruction" in str(record.exc_info[1])


def check_without_kernels(models: Models, runner: TorchRunner) -> None:
    assert runner.computer.kernel_model is None
    assert runner.weights == "int8" and runner.computer.tuning and runner.computer.tuning.torch_min_rows is None
    model = reference(models.reference("qwen2"), models.folder("qwen2"), "int8", False)
    prompts = [prompt(10), prompt(60)]
    assert answers(runner, *prompts) == [expected(model, ids) for ids in prompts]
    (seeded, again) = (answers(runner, prompt(10), sampling=Sampling(1.5, seed=3)) for _ in range(2))
    assert seeded == again
    runner.close()


# Signs of life


@each_row(("way", "each", "more"), [("kernels", step.PHASES_PER_LAYER, 2), ("products", 1, 0), ("torch", 1, 0)])
def test_signs_of_life(way: Way, each: int, more: int, loaded: Loaded) -> None:
    """Every phase, or every layer; on a number that somebody else holds."""
    signs = (ctypes.c_int64 * 1)(40)
    runner = loaded("llama", way=way)
    runner.count_progress(signs)
    answers(runner, prompt(10), tokens=1)
    layers = len(runner.computer.model.layers)
    assert signs[0] == 40 + each * layers + more
    answers(runner, prompt(40), tokens=3)
    assert signs[0] == 40 + 4 * (each * layers + more)


def test_signs_of_life_come_during_a_step(loaded: Loaded) -> None:
    """Whoever looks on while a layer is computed sees that those before it were."""
    signs, seen = (ctypes.c_int64 * 1)(), list[int]()
    runner = loaded("llama", way="torch")
    runner.count_progress(signs)
    turn = runner.computer.model.mlp

    def watched(*arguments: Any) -> torch.Tensor:
        seen.append(signs[0])
        return turn(*arguments)

    runner.computer.model.mlp = watched  # type: ignore[method-assign,assignment]
    answers(runner, prompt(10), tokens=1)
    assert seen == [0, 1]


def test_phases() -> None:
    assert [step.phase_count(layers) for layers in (0, 1, 30)] == [2, 12, 302]


def test_memory_for_rows_is_kept(loaded: Loaded) -> None:
    """It grows with the largest step, and is not made anew for smaller ones."""
    runner = loaded("llama")
    assert runner.computer.kernel_model
    logits(runner, prompt(300), 50)
    room = runner.computer.kernel_model._buffers
    assert room and len(room.normed) >= 50 and len(room.logits) >= 50
    for chunk in (1, 20, 50):
        logits(runner, prompt(60), chunk)
        assert runner.computer.kernel_model._buffers is room
    logits(runner, prompt(300))
    assert runner.computer.kernel_model._buffers is not room


@each_row("shape", [(3,), (5, 7), (2, 3, 9), (0, 4)])
@each_row("dtype", [np.float32, np.int16, np.int64])
def test_arrays_begin_with_a_cache_line(shape: tuple[int, ...], dtype: Any) -> None:
    for _ in range(5):
        made = joint.aligned_empty(shape, dtype)
        assert made.shape == shape and made.dtype == dtype and made.flags.c_contiguous and made.flags.writeable
        assert made.ctypes.data % 64 == 0 or made.size == 0


def test_the_folder_is_not_changed(models: Models, loaded: Loaded) -> None:
    """The embedding lies in the model's file, which nobody writes to."""
    file = Path(models.folder("qwen2")) / "model.safetensors"
    before = file.read_bytes()
    logits(loaded("qwen2"), prompt(40))
    assert file.read_bytes() == before
