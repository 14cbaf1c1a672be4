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
from core.engine.hang_detector import ProgressCounter
from core.engine.kernels import cache, machine, sampling
from core.engine.kernels.team import ThreadTeam
from core.engine.nn import kv_cache as kv
from core.engine.nn.autotune import FEW_ROWS, Tuning
from core.engine.nn.batch_plan import BatchPlan, plan_batch
from core.engine.nn.kernel_model import KernelModel, can_compute, linear_parts
from core.engine.nn.kv_cache import KVCache
from core.engine.nn.model_builder import TORCH_DTYPES, ModelBuilder
from core.engine.nn.sampler import SequenceSampler
from core.engine.nn.step_benchmark import StepBenchmark, max_threads
from core.engine.nn.transformer import Transformer
from core.engine.nn.weight_formats import ModelFormat, choose_format
from core.engine.nn.weight_reader import WeightReader
from core.engine.options import LoadOptions, Report
from core.engine.options import WeightFormat as Form
from core.engine.prefill_budget import UNMEASURED_COSTS, StepCosts
from core.engine.sequence import Sequence, SequenceSlice

logger = logging.getLogger(__name__)

OVERHEAD_BYTES = 512 * 1024**2
"""What the libraries and the intermediate results take beside weights and cache."""
DEFAULT_KV_CONTEXTS = 4
"""Whole contexts that the KV memory holds, where there is room; at least one."""


def load_model(loader: LoadOptions, report: Report) -> "TorchRunner":
    """The model of a folder, on the best device there is. A SetupError names the folder and fits on one line."""
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    if loader.threads:
        torch.set_num_threads(loader.threads)
    try:
        return build_runner(loader, report)
    except SetupError:
        raise
    except Exception as error:
        line = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise SetupError(f"the model in {loader.folder} can't be loaded: {line}") from error


@torch.inference_mode()
def build_runner(loader: LoadOptions, report: Report) -> "TorchRunner":
    config = read_json(loader.folder / "config.json")
    architecture = Architecture.read(config, str(loader.folder))
    weights.check(weights.shapes(loader.folder), architecture.tensors(), str(loader.folder))
    tensors = WeightReader(loader.folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    context = min(architecture.context, loader.context or architecture.context)
    free = (available_bytes(device) if loader.free is None else loader.free) - OVERHEAD_BYTES
    chosen, blocks = fit_memory(loader, architecture, tensors, device, (context, free))
    size = chosen.total_bytes + blocks * kv_block_bytes(architecture, chosen)
    report(f"loading {loader.folder.name} as {chosen} ({size / memory.GIB:.1f} GiB)")
    settings = AutoConfig.from_pretrained(loader.folder, local_files_only=True, trust_remote_code=False)
    model = ModelBuilder(architecture, settings, tensors, chosen, device).build(context)
    like = torch.empty(0, dtype=TORCH_DTYPES[chosen.dense_dtype], device=device)
    memory_of = KVCache(
        architecture.num_hidden_layers, architecture.num_key_value_heads, architecture.head_dim, blocks, like
    )
    runner = TorchRunner(model, memory_of, context, chosen)
    if device.type == "cpu":
        runner.compile(loader.cache, loader.threads, report)
        report("measuring this machine")
        runner.tuning = StepBenchmark(model, chosen, memory_of, runner.kernel_model).tune(loader.threads, loader.cache)
    return runner


def fit_memory(
    loader: LoadOptions, architecture: Architecture, tensors: WeightReader, device: torch.device, room: tuple[int, int]
) -> tuple[ModelFormat, int]:
    """How the model is held, and how many blocks of KV memory there are. A SetupError if even the least won't fit."""
    context, free = room
    exact = read_json(loader.folder / "config.json").get("qwentin_source") == "gguf"
    form = device_weights(device, loader.weights)
    chosen = choose_format(architecture, tensors, form, native=computes_bf16(device), exact=exact)
    each = kv_block_bytes(architecture, chosen)
    least = -(-context // kv.BLOCK_IDS) + 1
    wanted = max(least, (loader.kv_bytes or DEFAULT_KV_CONTEXTS * least * each) // each)
    rest = least * each + embedding_bytes(architecture, chosen, device)
    memory.require_bytes(str(loader.folder), chosen.total_bytes + rest + OVERHEAD_BYTES, free + OVERHEAD_BYTES)
    return chosen, min(wanted, least + (free - chosen.total_bytes - rest) // each)


def device_weights(device: torch.device, form: Form) -> Form:
    """A GPU computes with bf16 or float32; low bits are the CPU's."""
    return "bf16" if device.type == "cuda" and form != "float32" else form


def computes_bf16(device: torch.device) -> bool:
    """Whether bf16 is computed with; elsewhere it is slower than float32."""
    able = torch.cpu.get_capabilities()
    return device.type == "cuda" or (
        machine.forced_instruction_set() is None and any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    )


def available_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else memory.available_bytes()


def kv_block_bytes(architecture: Architecture, recipe: ModelFormat) -> int:
    sizes = architecture.num_hidden_layers, architecture.num_key_value_heads, architecture.head_dim
    return kv.bytes_per_block(*sizes, TORCH_DTYPES[recipe.dense_dtype])


def embedding_bytes(architecture: Architecture, recipe: ModelFormat, device: torch.device) -> int:
    """The embedding, where it can't stay in its file."""
    if device.type == "cpu":
        return 0
    return architecture.vocab_size * architecture.hidden_size * TORCH_DTYPES[recipe.dense_dtype].itemsize


class TorchRunner:
    """A loaded model and its KV memory."""

    def __init__(self, model: Transformer, memory_of: KVCache, context: int, held: ModelFormat) -> None:
        self.model, self.kv, self.context, self.model_format = model, memory_of, context, held
        self.device = str(memory_of.like.device)
        self.blocks, self.block_size = memory_of.blocks, kv.BLOCK_IDS
        self.vocabulary = len(model.embedding.rows)
        self.kernel_model: KernelModel | None = None
        """None where the kernels can't compute the model."""
        self.team: ThreadTeam | None = None
        self.tuning: Tuning | None = None
        self._signs = np.zeros(1, np.int64)
        self._samplers: dict[int, SequenceSampler] = {}

    @property
    def weights(self) -> str:
        """In what form they are held, and what computes with how many rows."""
        if self.kernel_model is None or self.tuning is None:
            return str(self.model_format)
        tuning, form = (
            self.tuning,
            f"{self.model_format} by numba ({machine.INSTRUCTION_SET_NAMES[machine.instruction_set()]})",
        )
        ways = [f"in panels from {tuning.panel_min_rows} rows on"] if tuning.panel_min_rows else []
        ways += (
            [f"as {self.model_format.dense_dtype} by PyTorch from {tuning.torch_min_rows} rows on"]
            if tuning.torch_min_rows
            else []
        )
        return "; ".join((", ".join((form, *ways)), tuning.threads_text))

    @property
    def costs(self) -> StepCosts:
        """What steps cost; see Pace."""
        return self.tuning.costs if self.tuning else UNMEASURED_COSTS

    def count_progress(self, signs: ProgressCounter) -> None:
        """Count up the number there as the computing gets on."""
        self._signs = np.ctypeslib.as_array(signs)
        if self.kernel_model:
            self.kernel_model.progress = self._signs

    def compile(self, folder: Path | None, threads: int | None, report: Report) -> None:
        """Have the kernels compiled. Where that can't be done PyTorch computes everything, which is slow."""
        if not can_compute(self.model):
            return
        self.team = ThreadTeam(threads or max_threads())
        told = ""
        for place in dict.fromkeys((folder, None)):  # what is wrong with the folder costs this start some time, no more
            try:
                with cache.kernel_cache(place, lambda: report("compiling for this processor, once: half a minute")):
                    self._first_calls()
                return
            except Exception as error:
                self.kernel_model = None
                level = logging.WARNING if place else logging.ERROR
                logger.log(level, "the kernels can't be compiled with %s", place or "no folder", exc_info=True)
                told = type(error).__name__
        report(f"the kernels can't be compiled here ({told}): PyTorch computes everything, and answers will be slow")

    def _first_calls(self) -> None:
        """Of every kernel, by one thread alone: they are compiled, or what was kept of them is loaded."""
        assert self.team
        self.team.active = 1
        self.kernel_model = KernelModel(self.model, self.kv, self.team, self._signs)
        self.kernel_model(plan_batch([SequenceSlice(Sequence(0, "", [0], max_length=2, blocks=[0]), 0, 1)]))
        self.sample(np.zeros((1, self.vocabulary), np.float32), [SequenceSampler(Sampling(), [0])])
        self.kernel_model.unpack_rows(
            linear_parts(self.model.head)[0], 0, self.kv.like.new_empty(1, self.model.head.columns)
        )
        self.kernel_model.unpack_for_torch()

    @torch.inference_mode()
    def run(self, batch: list[SequenceSlice]) -> dict[int, int]:
        """Compute the batch; by the sequence's id the token that each has drawn which has come to its end."""
        step = plan_batch(batch)
        logits = self.compute(step)
        drawing = [part.sequence for part in step.slices if part.samples_token]
        if not drawing:
            return {}
        draws = [self._sampler_of(sequence) for sequence in drawing]
        if self.kernel_model:
            tokens = self.sample(logits.numpy(), draws)
        else:
            tokens = [draw(row) for draw, row in zip(draws, logits, strict=True)]
        return {sequence.id: token for sequence, token in zip(drawing, tokens, strict=True)}

    @torch.inference_mode()
    def compute(self, step: BatchPlan) -> torch.Tensor:
        """The logits that are wanted, float32 [last, vocabulary]; good until the next call. A ValueError if they are no
        numbers."""
        rows, tuning = len(step.ids), self.tuning
        crossing = tuning.torch_min_rows if tuning else None
        threads = (tuning.few_rows_threads if rows < FEW_ROWS else tuning.many_rows_threads) if tuning else 0
        if self.team:
            self.team.active = threads or self.team.count
        if self.kernel_model and not (crossing and rows >= crossing):
            return self.kernel_model(step)
        if threads:
            torch.set_num_threads(threads)
        logits = self.model(step, self.kv, self._alive).float()
        if not torch.isfinite(logits.amax(-1)).all():
            raise ValueError("the model computed something that is no number")
        return logits

    def sample(
        self, logits: "np.ndarray[tuple[int, int], np.dtype[np.float32]]", draws: list[SequenceSampler]
    ) -> list[int]:
        """A token for each row, drawn by the kernels."""
        assert self.team
        starts = np.cumsum([0, *(len(draw.penalised_ids) for draw in draws)])
        rules = np.array(
            [draw.rule_record(start) for draw, start in zip(draws, starts, strict=False)], sampling.RULE_RECORD
        )
        seen = np.concatenate([draw.penalised_ids for draw in draws])
        tokens = np.empty(len(draws), np.int64)
        self.team.run(sampling.sample_rows, 1, logits, rules, seen, tokens)
        found = [int(token) for token in tokens]
        for draw, token in zip(draws, found, strict=True):
            draw.record(token)
        return found

    def _sampler_of(self, sequence: Sequence) -> SequenceSampler:
        if sequence.id not in self._samplers:
            self._samplers[sequence.id] = SequenceSampler(sequence.sampling, sequence.ids)
        return self._samplers[sequence.id]

    def _alive(self) -> None:
        self._signs[0] += 1

    def forget(self, id: int) -> None:
        """What was kept for drawing this sequence's tokens. Idempotent."""
        self._samplers.pop(id, None)

    def close(self) -> None:
        """End the threads."""
        if self.team:
            self.team.close()
