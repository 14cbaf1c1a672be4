"""The runner: a batch in, the tokens it draws out. Knows no pipe and no text; imported only in the worker's process."""

import time
from collections.abc import Iterable

import torch
from transformers import AutoConfig
from transformers.utils import logging

from core.checkpoints import weights
from core.checkpoints.architecture import Architecture
from core.checkpoints.files import read_json
from core.engine import memory
from core.engine.loader import Loader, Report
from core.engine.loader import Weights as Form
from core.engine.nn import kv
from core.engine.nn.build import DTYPES, Builder
from core.engine.nn.kv import KV
from core.engine.nn.linear import Linear
from core.engine.nn.plan import Plan, plan
from core.engine.nn.recipe import Recipe, leaner, recipe
from core.engine.nn.sampler import Draw
from core.engine.nn.tensors import Tensors
from core.engine.nn.transformer import Transformer
from core.engine.nn.tune import tuned
from core.engine.sequence import Part, Sequence
from core.engine.threads import Threads
from core.errors import SetupError

SLACK = 512 * 1024**2
"""What the libraries and the intermediate results take beside weights and cache."""
CHATS = 4
"""Whole contexts that the KV memory holds, where there is room; at least one."""


def load(loader: Loader, report: Report) -> "TorchRunner":
    """The model of a folder, on the best device there is. A SetupError names the folder and fits on one line."""
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
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
def read(loader: Loader, report: Report) -> "TorchRunner":
    config = read_json(loader.folder / "config.json")
    architecture = Architecture.read(config, str(loader.folder))
    weights.check(weights.shapes(loader.folder), architecture.tensors(), str(loader.folder))
    tensors = Tensors(loader.folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    context = min(architecture.context, loader.context or architecture.context)
    free = (available(device) if loader.free is None else loader.free) - SLACK
    chosen, blocks = fitted(loader, architecture, tensors, device, (context, free))
    size = chosen.bytes + blocks * block_bytes(architecture, chosen)
    report(f"loading {loader.folder.name} as {chosen} ({size / memory.GIB:.1f} GiB)")
    settings = AutoConfig.from_pretrained(loader.folder, local_files_only=True, trust_remote_code=False)
    builder = Builder(architecture, settings, tensors, chosen, device)
    model = builder.model(context)
    like = torch.empty(0, dtype=DTYPES[chosen.dense], device=device)
    if device.type == "cpu":
        report("measuring this machine")
        tuned(products(model), builder.crossings, like, loader.threads, loader.cache)
    memory_of = KV(
        architecture.num_hidden_layers, architecture.num_key_value_heads, architecture.head_dim, blocks, like
    )
    return TorchRunner(model, memory_of, like, context, chosen)


def fitted(
    loader: Loader, architecture: Architecture, tensors: Tensors, device: torch.device, room: tuple[int, int]
) -> tuple[Recipe, int]:
    """How the model is held, and how many blocks of KV memory there are. A SetupError if even the least won't fit."""
    context, free = room
    exact = read_json(loader.folder / "config.json").get("qwentin_source") == "gguf"
    form = form_on(device, loader.weights)
    recipes = {
        roomy: recipe(architecture, tensors, form, native=native(device), exact=exact, roomy=roomy)
        for roomy in (True, False)
    }
    each = block_bytes(architecture, recipes[True])
    least = -(-context // kv.SIZE) + 1
    wanted = max(least, (loader.kv_bytes or CHATS * least * each) // each)
    rest = least * each + table_bytes(architecture, recipes[True], device)
    memory.require(str(loader.folder), recipes[False].bytes + rest + SLACK, free + SLACK)
    chosen = leaner(recipes, free, rest)
    return chosen, min(wanted, least + (free - chosen.bytes - rest) // each)


def form_on(device: torch.device, form: Form) -> Form:
    """A GPU computes with bf16 or float32; the low-bit kernels are the CPU's."""
    return "bf16" if device.type == "cuda" and form != "float32" else form


def native(device: torch.device) -> bool:
    """Whether bf16 is computed with; elsewhere it is slower than float32."""
    able = torch.cpu.get_capabilities()
    return device.type == "cuda" or any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


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


def products(model: Transformer) -> list[Linear]:
    """The matrices of some layers: as many as no cache holds."""
    return [product for layer in model.layers[:8] for product in (layer.qkv, layer.out, layer.gate_up, layer.down)]


class TorchRunner:
    """A loaded model and its KV memory."""

    def __init__(self, model: Transformer, memory_of: KV, like: torch.Tensor, context: int, held: Recipe) -> None:
        self.model, self.kv, self.like = model, memory_of, like
        self.context, self.weights, self.device = context, str(held), str(like.device)
        self.weight_bytes = held.bytes
        self.blocks, self.block_size = memory_of.blocks, kv.SIZE
        self.vocabulary = len(model.table.rows)
        self._draws: dict[int, Draw] = {}
        self._threads = Threads(torch.get_num_threads() if self.like.is_cpu else 1)

    @torch.inference_mode()
    def run(self, batch: list[Part]) -> dict[int, int]:
        """Compute the batch; by the sequence's id the token that each has drawn which has come to its end."""
        started = time.perf_counter()
        torch.set_num_threads(self._threads.count)
        step = plan(batch, self.kv, self.model.sizes.queries, self.like)
        drawn = self._drawn(step, self.model(step, self.kv))
        if all(part.count == 1 for part in batch):
            seen = sum(part.end for part in batch)
            self._threads.note((len(batch), seen.bit_length()), time.perf_counter() - started)
        return drawn

    def _drawn(self, step: Plan, logits: torch.Tensor) -> dict[int, int]:
        drawing = [part.sequence for part in step.order if part.draws]
        rows: Iterable[torch.Tensor] = logits.float() if drawing else ()
        return {sequence.id: self._draw(sequence)(row) for sequence, row in zip(drawing, rows, strict=True)}

    def _draw(self, sequence: Sequence) -> Draw:
        if sequence.id not in self._draws:
            self._draws[sequence.id] = Draw(sequence.sampling, sequence.ids, self.like.device)
        return self._draws[sequence.id]

    def forget(self, id: int) -> None:
        """What was kept for drawing this sequence's tokens. Idempotent."""
        self._draws.pop(id, None)
