"""What a GPU computes, as far as that can be seen without one: on PyTorch's meta device, which has shapes and no
numbers and refuses whatever would have to wait for it; and recorded steps replayed on the CPU."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from core.domain.sampling import Sampling
from core.engine.kernels import machine
from core.engine.loader import Loader
from core.engine.nn import model_runner as module
from core.engine.nn.batch_plan import plan_batch
from core.engine.nn.decode_graphs import GRAPH_ROWS, DecodeGraphs, Replay
from core.engine.nn.linear import DenseLinear
from core.engine.nn.sampler import SequenceSampler
from core.engine.nn.step_computer import StepComputer, rules_of_rows
from core.engine.nn.torch_sampling import sample_rows
from core.engine.options import WeightFormat
from core.engine.sequence import Sequence, SequenceSlice
from tests.core.engine.nn.conftest import Models, silent
from tests.core.engine.nn.drive import GREEDY, Drive
from tests.core.engine.tiny import CONTEXT
from tests.tables import each_row

META = torch.device("meta")
FREE = 1 << 33
PROMPT = [3, 141, 59, 26, 53, 58, 97, 93, 23, 84]


def waits_nowhere(models: Models) -> None:
    """A step of several chats and a prompt, and its tokens by every kind of rule: nothing reads from the device."""
    runner = module.build_runner(Loader(models.folder("qwen3"), free=FREE), silent, META)
    chats = [
        Sequence(number, "", [1] * 9 * number, max_length=99, blocks=[number, 40 - number, 50, 60])
        for number in range(1, 4)
    ]
    prompt = Sequence(9, "", [7] * 20, blocks=[9, 20, 11])
    batch = [SequenceSlice(each, len(each.ids) - 1, 1) for each in chats] + [SequenceSlice(prompt, 4, 12)]
    with torch.inference_mode():
        logits = runner.computer.compute(plan_batch(batch))
        assert (logits.device, logits.shape[1]) == (META, runner.vocabulary)
        rules = [
            Sampling(0),
            Sampling(1, repetition_penalty=1.1),
            Sampling(1, top_k=20, top_p=0.8),
            Sampling(1, top_p=0.5),
        ]
        draws = [(SequenceSampler(rule, PROMPT), ()) for rule in rules]
        tokens = sample_rows(torch.empty(4, runner.vocabulary, device=META), *rules_of_rows(list(draws)))
    assert (tokens.device, tokens.shape) == (META, (4,))


def holds_a_tied_table_once(models: Models) -> None:
    runner = module.build_runner(Loader(models.folder("qwen2"), free=FREE), silent, META)
    head = runner.computer.model.head
    assert isinstance(head, DenseLinear) and runner.computer.model.embedding.rows is head.weight
    untied = module.build_runner(Loader(models.folder("llama"), free=FREE), silent, META).computer.model
    assert isinstance(untied.head, DenseLinear) and untied.embedding.rows is not untied.head.weight


def computes_as_it_can(models: Models) -> None:
    forms: list[WeightFormat] = ["float32", "bf16", "int8", "int4", "auto"]
    for able in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, able=able: able)
            patch.setenv(machine.CPU_VARIABLE, "generic")
            held = [module.device_weights(torch.device("cuda"), form) for form in forms]
            assert held == ["float32", *["bf16" if able else "float32"] * 4]
    assert [module.device_weights(torch.device("cpu"), form) for form in forms] == forms


@each_row("check", [waits_nowhere, holds_a_tied_table_once, computes_as_it_can])
def test_a_gpu(models: Models, check: Callable[[Models], None]) -> None:
    check(models)


class Recordings:
    """Replays by computing again; counts both."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def __call__(self, step: Callable[[], torch.Tensor]) -> Replay:
        self.recorded += 1

        def replay() -> torch.Tensor:
            self.replayed += 1
            return step()

        step()
        return replay


@pytest.mark.slow
@each_row("chats", [1, 3, GRAPH_ROWS[-1], GRAPH_ROWS[-1] + 1])
def test_replayed_steps(models: Models, chats: int) -> None:
    """The tokens are those of steps that are not recorded, also where chats come and go."""
    folder = models.folder("qwen3")

    def tokens(record: Recordings | None) -> list[list[int]]:
        runner = module.load_model(Loader(folder, "float32", threads=1), silent)
        if record:
            model, kv, blocks = runner.computer.model, runner.computer.kv, runner.computer.kv.blocks - 1
            graphs = DecodeGraphs(model, kv, CONTEXT, blocks, record)
            computer = StepComputer(model, kv, runner.computer.model_format, graphs)
            runner = module.TorchRunner(computer, CONTEXT, blocks)
        drive = Drive(runner)
        sampling = replace(GREEDY, repetition_penalty=1.3)
        ids = [drive.add([*PROMPT[number % 5 :], 30 + number], 20 + number, sampling) for number in range(chats)]
        found = drive.run()
        return [found[id] for id in ids]

    recordings = Recordings()
    assert tokens(recordings) == tokens(None)
    assert recordings.replayed > 2 * recordings.recorded > 0
