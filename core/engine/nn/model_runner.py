"""The runner: a batch in, the tokens it draws out. Knows no pipe and no text; imported only in the worker's process."""

import logging
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig
from transformers.utils import logging as transformers_logging

from core.checkpoints import safetensors_index as weights
from core.checkpoints.architecture import Architecture
from core.checkpoints.json_files import read_json
from core.domain.errors import SetupError
from core.domain.sampling import Sampling
from core.engine import free_memory as memory
from core.engine.kernels import cache, machine, sampling
from core.engine.kernels.team import Team
from core.engine.nn import kv_cache as kv
from core.engine.nn.autotune import FEW, Tuning
from core.engine.nn.batch_plan import Plan, plan
from core.engine.nn.compiled import Compiled, can_compute, parts_of
from core.engine.nn.kv_cache import KV
from core.engine.nn.model_builder import DTYPES, Builder
from core.engine.nn.sampler import Draw
from core.engine.nn.speeds import Measured, most_threads
from core.engine.nn.transformer import Transformer
from core.engine.nn.weight_formats import Recipe, recipe
from core.engine.nn.weight_reader import Tensors
from core.engine.options import LoadOptions, Report
from core.engine.options import Weights as Form
from core.engine.prefill_budget import GUESS, Costs
from core.engine.sequence import Part, Sequence
from core.engine.vitals import Signs

logger = logging.getLogger(__name__)

SLACK = 512 * 1024**2
"""What the libraries and the intermediate results take beside weights and cache."""
CHATS = 4
"""Whole contexts that the KV memory holds, where there is room; at least one."""


def load(loader: LoadOptions, report: Report) -> "TorchRunner":
    """The model of a folder, on the best device there is. A SetupError names the folder and fits on one line."""
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    if loader.threads:
        torch.set_num_threads(loader.threads)
    try:
        return read(loader, report)
    except SetupError:
        raise
    except Exception as error:
        line = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise SetupError(f"the model in {loader.folder} can't be loaded: {line}") from error


@torch.inference_mode()
def read(loader: LoadOptions, report: Report) -> "TorchRunner":
    config = read_json(loader.folder / "config.json")
    architecture = Architecture.from_config(config, str(loader.folder))
    weights.check_shapes(weights.tensor_shapes(loader.folder), architecture.tensor_shapes(), str(loader.folder))
    tensors = Tensors(loader.folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    context = min(architecture.context, loader.context or architecture.context)
    free = (available(device) if loader.free is None else loader.free) - SLACK
    chosen, blocks = fitted(loader, architecture, tensors, device, (context, free))
    size = chosen.bytes + blocks * block_bytes(architecture, chosen)
    report(f"loading {loader.folder.name} as {chosen} ({size / memory.GIB:.1f} GiB)")
    settings = AutoConfig.from_pretrained(loader.folder, local_files_only=True, trust_remote_code=False)
    model = Builder(architecture, settings, tensors, chosen, device).model(context)
    like = torch.empty(0, dtype=DTYPES[chosen.dense], device=device)
    memory_of = KV(
        architecture.num_hidden_layers, architecture.num_key_value_heads, architecture.head_dim, blocks, like
    )
    runner = TorchRunner(model, memory_of, context, chosen)
    if device.type == "cpu":
        runner.compile(loader.cache, loader.threads, report)
        report("measuring this machine")
        runner.tuning = Measured(model, chosen, memory_of, runner.compiled).tune(loader.threads, loader.cache)
    return runner


def fitted(
    loader: LoadOptions, architecture: Architecture, tensors: Tensors, device: torch.device, room: tuple[int, int]
) -> tuple[Recipe, int]:
    """How the model is held, and how many blocks of KV memory there are. A SetupError if even the least won't fit."""
    context, free = room
    exact = read_json(loader.folder / "config.json").get("qwentin_source") == "gguf"
    form = form_on(device, loader.weights)
    chosen = recipe(architecture, tensors, form, native=native(device), exact=exact)
    each = block_bytes(architecture, chosen)
    least = -(-context // kv.SIZE) + 1
    wanted = max(least, (loader.kv_bytes or CHATS * least * each) // each)
    rest = least * each + table_bytes(architecture, chosen, device)
    memory.require(str(loader.folder), chosen.bytes + rest + SLACK, free + SLACK)
    return chosen, min(wanted, least + (free - chosen.bytes - rest) // each)


def form_on(device: torch.device, form: Form) -> Form:
    """A GPU computes with bf16 or float32; low bits are the CPU's."""
    return "bf16" if device.type == "cuda" and form != "float32" else form


def native(device: torch.device) -> bool:
    """Whether bf16 is computed with; elsewhere it is slower than float32."""
    able = torch.cpu.get_capabilities()
    return device.type == "cuda" or (
        machine.forced() is None and any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    )


def available(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else memory.available()


def block_bytes(architecture: Architecture, recipe: Recipe) -> int:
    sizes = architecture.num_hidden_layers, architecture.num_key_value_heads, architecture.head_dim
    return kv.bytes_a_block(*sizes, DTYPES[recipe.dense])


def table_bytes(architecture: Architecture, recipe: Recipe, device: torch.device) -> int:
    """The embedding, where it can't stay in its file."""
    if device.type == "cpu":
        return 0
    return architecture.vocab_size * architecture.hidden_size * DTYPES[recipe.dense].itemsize


class TorchRunner:
    """A loaded model and its KV memory."""

    def __init__(self, model: Transformer, memory_of: KV, context: int, held: Recipe) -> None:
        self.model, self.kv, self.context, self.held = model, memory_of, context, held
        self.device = str(memory_of.like.device)
        self.blocks, self.block_size = memory_of.blocks, kv.SIZE
        self.vocabulary = len(model.table.rows)
        self.compiled: Compiled | None = None
        """None where the kernels can't compute the model."""
        self.team: Team | None = None
        self.tuning: Tuning | None = None
        self._signs = np.zeros(1, np.int64)
        self._draws: dict[int, Draw] = {}

    @property
    def weights(self) -> str:
        """In what form they are held, and what computes with how many rows."""
        if self.compiled is None or self.tuning is None:
            return str(self.held)
        tuning, form = self.tuning, f"{self.held} by numba ({machine.NAMES[machine.instructions()]})"
        ways = [f"in panels from {tuning.panels} rows on"] if tuning.panels else []
        ways += [f"as {self.held.dense} by PyTorch from {tuning.crossing} rows on"] if tuning.crossing else []
        return "; ".join((", ".join((form, *ways)), tuning.threads))

    @property
    def costs(self) -> Costs:
        """What steps cost; see Pace."""
        return self.tuning.costs if self.tuning else GUESS

    def watch(self, signs: Signs) -> None:
        """Count up the number there as the computing gets on."""
        self._signs = np.ctypeslib.as_array(signs)
        if self.compiled:
            self.compiled.signs = self._signs

    def compile(self, folder: Path | None, threads: int | None, report: Report) -> None:
        """Have the kernels compiled. Where that can't be done PyTorch computes everything, which is slow."""
        if not can_compute(self.model):
            return
        self.team = Team(threads or most_threads())
        told = ""
        for place in dict.fromkeys((folder, None)):  # what is wrong with the folder costs this start some time, no more
            try:
                with cache.kept(place, lambda: report("compiling for this processor, once: half a minute")):
                    self._first_calls()
                return
            except Exception as error:
                self.compiled = None
                level = logging.WARNING if place else logging.ERROR
                logger.log(level, "the kernels can't be compiled with %s", place or "no folder", exc_info=True)
                told = type(error).__name__
        report(f"the kernels can't be compiled here ({told}): PyTorch computes everything, and answers will be slow")

    def _first_calls(self) -> None:
        """Of every kernel, by one thread alone: they are compiled, or what was kept of them is loaded."""
        assert self.team
        self.team.active = 1
        self.compiled = Compiled(self.model, self.kv, self.team, self._signs)
        self.compiled(plan([Part(Sequence(0, "", [0], limit=2, blocks=[0]), 0, 1)]))
        self.draw(np.zeros((1, self.vocabulary), np.float32), [Draw(Sampling(), [0])])
        self.compiled.unpack(parts_of(self.model.head)[0], 0, self.kv.like.new_empty(1, self.model.head.columns))
        self.compiled.lend()

    @torch.inference_mode()
    def run(self, batch: list[Part]) -> dict[int, int]:
        """Compute the batch; by the sequence's id the token that each has drawn which has come to its end."""
        step = plan(batch)
        logits = self.compute(step)
        drawing = [part.sequence for part in step.order if part.draws]
        if not drawing:
            return {}
        draws = [self._draw_of(sequence) for sequence in drawing]
        if self.compiled:
            tokens = self.draw(logits.numpy(), draws)
        else:
            tokens = [draw(row) for draw, row in zip(draws, logits, strict=True)]
        return {sequence.id: token for sequence, token in zip(drawing, tokens, strict=True)}

    @torch.inference_mode()
    def compute(self, step: Plan) -> torch.Tensor:
        """The logits that are wanted, float32 [last, vocabulary]; good until the next call. A ValueError if they are no
        numbers."""
        rows, tuning = len(step.ids), self.tuning
        crossing = tuning.crossing if tuning else None
        threads = (tuning.few if rows < FEW else tuning.many) if tuning else 0
        if self.team:
            self.team.active = threads or self.team.count
        if self.compiled and not (crossing and rows >= crossing):
            return self.compiled(step)
        if threads:
            torch.set_num_threads(threads)
        logits = self.model(step, self.kv, self._alive).float()
        if not torch.isfinite(logits.amax(-1)).all():
            raise ValueError("the model computed something that is no number")
        return logits

    def draw(self, logits: "np.ndarray[tuple[int, int], np.dtype[np.float32]]", draws: list[Draw]) -> list[int]:
        """A token for each row, drawn by the kernels."""
        assert self.team
        starts = np.cumsum([0, *(len(draw.seen) for draw in draws)])
        rules = np.array([draw.rules(start) for draw, start in zip(draws, starts, strict=False)], sampling.RULES)
        seen = np.concatenate([draw.seen for draw in draws])
        tokens = np.empty(len(draws), np.int64)
        self.team.run(sampling.draw, 1, logits, rules, seen, tokens)
        found = [int(token) for token in tokens]
        for draw, token in zip(draws, found, strict=True):
            draw.note(token)
        return found

    def _draw_of(self, sequence: Sequence) -> Draw:
        if sequence.id not in self._draws:
            self._draws[sequence.id] = Draw(sequence.sampling, sequence.ids)
        return self._draws[sequence.id]

    def _alive(self) -> None:
        self._signs[0] += 1

    def forget(self, id: int) -> None:
        """What was kept for drawing this sequence's tokens. Idempotent."""
        self._draws.pop(id, None)

    def close(self) -> None:
        """End the threads."""
        if self.team:
            self.team.close()
