"""Loads a model and runs its batches: slices of sequences in, tokens out. Imported in the worker's process only."""

import torch

from core.checkpoints import weight_index
from core.checkpoints.architecture import Architecture
from core.checkpoints.json_files import read_json
from core.domain.errors import SetupError
from core.engine import free_memory
from core.engine.hang_detector import ProgressCounter
from core.engine.kernels import machine
from core.engine.nn.batch_plan import plan_batch
from core.engine.nn.decode_graphs import DecodeGraphs, record_on_gpu
from core.engine.nn.kv_cache import BLOCK_IDS, KVCache, bytes_per_block
from core.engine.nn.model_builder import TORCH_DTYPES, ModelBuilder
from core.engine.nn.model_config import read_model_config
from core.engine.nn.sampler import SequenceSampler
from core.engine.nn.step_benchmark import StepBenchmark
from core.engine.nn.step_computer import StepComputer
from core.engine.nn.weight_formats import FormatContext, ModelFormat, choose_format, describe_held
from core.engine.nn.weight_reader import WeightReader
from core.engine.options import LoadOptions, Report, WeightFormat
from core.engine.prefill_budget import RunnerCosts
from core.engine.sequence import Sequence, SequenceSlice

OVERHEAD_BYTES = 512 * 1024**2
"""Memory for the libraries and for intermediate results, beside weights and KV cache."""
DEFAULT_KV_CONTEXTS = 4
"""Whole contexts that the KV cache holds if there is room. It always holds one."""


class TorchRunner:
    """Runs batches on a StepComputer and samples their tokens. Implements Runner.

    `context`: ids of prompt and answer together. `blocks`: of the KV cache, for sequences.
    """

    def __init__(self, computer: StepComputer, context: int, blocks: int) -> None:
        self.computer, self.context = computer, context
        self.device = str(computer.kv.like.device)
        self.blocks, self.block_size = blocks, BLOCK_IDS
        self.vocabulary = len(computer.model.embedding.rows)
        self._samplers: dict[int, SequenceSampler] = {}

    @property
    def weights(self) -> str:
        """How the weights are held, and what computes with how many rows, in words."""
        return self.computer.describe()

    @property
    def costs(self) -> RunnerCosts:
        """The measured durations of steps; estimates where none were measured. PyTorch's results depend on the number
        of rows, so there are none for guesses where it computes."""
        tuning = self.computer.tuning
        if tuning is None:
            return RunnerCosts()
        return RunnerCosts(tuning.costs, tuning.few_rows_seconds if self.computer.kernel_model else ())

    def count_progress(self, counter: ProgressCounter) -> None:
        """From now on count `counter` up while a step computes."""
        self.computer.count_progress(counter)

    @torch.inference_mode()
    def run(self, batch: list[SequenceSlice]) -> dict[int, tuple[int, ...]]:
        """Compute a batch. Returns the tokens of each slice that samples some, by sequence id: the guesses that hold,
        and one more.

        Raises ValueError if the model computes something that is not finite.
        """
        plan = plan_batch(batch)
        logits = self.computer.compute(plan)
        sampling = [each for each in plan.slices if each.samples_token]
        if not sampling:
            return {}
        tokens = self.computer.sample(logits, [(self._sampler_of(each.sequence), each.guesses) for each in sampling])
        return {each.sequence.id: drawn for each, drawn in zip(sampling, tokens, strict=True)}

    def forget(self, id: int) -> None:
        """Release the sampler of a sequence. Idempotent."""
        self._samplers.pop(id, None)

    def close(self) -> None:
        """End the kernels' threads."""
        self.computer.close()

    def _sampler_of(self, sequence: Sequence) -> SequenceSampler:
        if sequence.id not in self._samplers:
            self._samplers[sequence.id] = SequenceSampler(sequence.sampling, sequence.ids)
        return self._samplers[sequence.id]


def load_model(options: LoadOptions, report: Report) -> TorchRunner:
    """Load a model on a GPU if there is one, else on the CPU.

    Raises SetupError with one line that names the folder if it can't be loaded or memory is short.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        return build_runner(options, report)
    except SetupError:
        raise
    except Exception as error:
        line = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise SetupError(f"the model in {options.folder} can't be loaded: {line}") from error


@torch.inference_mode()
def build_runner(options: LoadOptions, report: Report, device: torch.device | None = None) -> TorchRunner:
    """Check the folder and the free memory, then build the model, compile its kernels and measure the machine.

    `device`: a GPU if there is one, unless it is given.
    """
    config = read_json(options.folder / "config.json")
    architecture = Architecture.from_config(config, str(options.folder))
    shapes = weight_index.tensor_shapes(options.folder)
    weight_index.check_shapes(shapes, architecture.tensor_shapes(), str(options.folder))
    tensors = WeightReader(options.folder)
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    context = min(architecture.context, options.context or architecture.context)
    free = (available_bytes(device) if options.free is None else options.free) - OVERHEAD_BYTES
    model_format, blocks = fit_memory(options, architecture, tensors, device, (context, free))
    size = model_format.total_bytes + blocks * kv_block_bytes(architecture, model_format)
    report(f"loading {options.folder.name} as {model_format} ({size / free_memory.GIB:.1f} GiB)")
    if held := describe_held(model_format, tensors):
        report(f"holding {held}")
    settings = read_model_config(options.folder, config)
    model = ModelBuilder(architecture, settings, tensors, model_format, device).build(context)
    like = torch.empty(0, dtype=TORCH_DTYPES[model_format.dense_dtype], device=device)
    has_graphs = options.graphs and device.type != "cpu"  # they have a block of their own
    sizes = architecture.num_hidden_layers, architecture.num_key_value_heads, architecture.head_dim
    kv = KVCache(*sizes, blocks + has_graphs, like)
    graphs = DecodeGraphs(model, kv, context, blocks, record_on_gpu) if has_graphs else None
    computer = StepComputer(model, kv, model_format, graphs)
    if device.type == "cpu":
        computer.compile(options.cache, options.threads, report)
        report("measuring this machine")
        benchmark = StepBenchmark(model, model_format, kv, computer.kernel_model)
        computer.tuning = benchmark.tune(options.threads, options.cache)
    return TorchRunner(computer, context, blocks)


def fit_memory(
    options: LoadOptions,
    architecture: Architecture,
    tensors: WeightReader,
    device: torch.device,
    room: tuple[int, int],
) -> tuple[ModelFormat, int]:
    """The format of the weights and the number of KV blocks for a `room` of (context in ids, free bytes).

    Raises SetupError if not even one context fits beside the weights.
    """
    context, free = room
    from_gguf = read_json(options.folder / "config.json").get("qwentin_source") == "gguf"
    weights = device_weights(device, options.weights)
    formats = FormatContext(architecture.tensor_shapes(), tensors, weights, computes_bf16(device), from_gguf)
    chosen = choose_format(architecture, formats)
    block_bytes = kv_block_bytes(architecture, chosen)
    least = -(-context // BLOCK_IDS) + 1
    wanted = max(least, (options.kv_bytes or DEFAULT_KV_CONTEXTS * least * block_bytes) // block_bytes)
    rest = least * block_bytes + embedding_bytes(architecture, chosen, device)
    needed = chosen.total_bytes + rest
    free_memory.require_bytes(str(options.folder), needed + OVERHEAD_BYTES, free + OVERHEAD_BYTES)
    return chosen, min(wanted, least + (free - needed) // block_bytes)


def device_weights(device: torch.device, weights: WeightFormat) -> WeightFormat:
    """The format that the device can compute with: a GPU has float32, and bf16 where it computes that.

    float16 is no substitute: Qwen's largest activations are beyond its range.
    """
    if device.type == "cpu":
        return weights
    return "bf16" if weights != "float32" and computes_bf16(device) else "float32"


def computes_bf16(device: torch.device) -> bool:
    """Whether the device has bf16 instructions. Without them bf16 is slower than float32."""
    if device.type != "cpu":
        able: bool = torch.cuda.is_bf16_supported(including_emulation=False)
        return able
    features = torch.cpu.get_capabilities()
    return machine.forced_instruction_set() is None and any(
        features.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")
    )


def available_bytes(device: torch.device) -> int:
    """The free memory of the device."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory.available_bytes()


def kv_block_bytes(architecture: Architecture, model_format: ModelFormat) -> int:
    """The bytes of one block of the KV cache."""
    sizes = architecture.num_hidden_layers, architecture.num_key_value_heads, architecture.head_dim
    return bytes_per_block(*sizes, TORCH_DTYPES[model_format.dense_dtype])


def embedding_bytes(architecture: Architecture, model_format: ModelFormat, device: torch.device) -> int:
    """The bytes of the embedding in memory. On a CPU it stays in its file, and a tied one is the head's matrix."""
    if device.type == "cpu" or architecture.tied:
        return 0
    return architecture.vocab_size * architecture.hidden_size * TORCH_DTYPES[model_format.dense_dtype].itemsize
