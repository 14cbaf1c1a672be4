"""Measures how far each weight format diverges from the model's own float32, on a fixed text.

The text, English, Vietnamese and some Python, is computed as one sequence. At each position the distribution of the
next token is compared with that of the same file in float32. KL is mean KL(float32 || format) in nats; agreement is the
share of positions with the same most likely token. Where the kernels compute, the text is computed a few rows at a
time, many rows at a time, and by PyTorch.

Also measures the speed of a single chat with each format, and the effect of neighbours: a sequence's distributions
alone against the same with sixteen others in the batch, which are computed as many rows.

Usage: python -m benchmarks.fidelity [FOLDER | FILE.gguf | builtin] [formats, by default all]
"""

import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch

from benchmarks.engine.folders import MODELS
from core.checkpoints import Checkpoint, open_checkpoint
from core.engine.kernels.products import PANEL_MIN_ROWS
from core.engine.loader import Loader
from core.engine.nn.batch_plan import plan_batch
from core.engine.nn.model_runner import TorchRunner
from core.engine.options import WeightFormat
from core.engine.sequence import Sequence, SequenceSlice
from core.llm.tokenizer import Tokenizer

TEXT = Path(__file__).with_suffix(".txt")
FORMS: tuple[WeightFormat, ...] = ("bf16", "int8", "int4", "auto")
FEW_ROWS, CHUNK_ROWS = PANEL_MIN_ROWS // 2, 256
"""Rows at a time, for few and for many rows."""
READINGS: tuple[tuple[str, int, int | None], ...] = (
    ("few rows", FEW_ROWS, None),
    ("many rows", CHUNK_ROWS, None),
    ("by PyTorch", CHUNK_ROWS, 1),
)
"""Names, rows at a time, and the number of rows from which PyTorch computes."""
DECODE_STEPS, NEIGHBOURS = 48, PANEL_MIN_ROWS


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: one format, computed in one way. `speed`: prompt ids and tokens per second."""

    form: str
    bytes: float
    kl: float
    agreement: float
    speed: tuple[float, float]

    def __str__(self) -> str:
        read, drawn = self.speed
        cells = f"{self.bytes:.2f} | {self.kl:.4f} | {self.agreement:.3f} | {read:.0f} | {drawn:.1f}"
        return f"| {self.form} | {cells} |"


def load_runner(folder: Path, form: WeightFormat, context: int) -> TorchRunner:
    """Load a model as the bot does."""
    return cast(TorchRunner, Loader(folder, form, context=context, cache=MODELS)(lambda step: None))


def logits(runner: TorchRunner, ids: list[int], chunk: int) -> Iterator[tuple[slice, torch.Tensor]]:
    """The logits of `chunk` ids at a time, float32 [rows, vocabulary], and their positions. Valid until the next."""
    sequence = Sequence(1, "fidelity", ids)
    sequence.blocks = list(range(-(-len(ids) // runner.block_size)))
    for start in range(0, len(ids), chunk):
        part = SequenceSlice(sequence, start, min(chunk, len(ids) - start))
        yield (
            slice(start, part.end),
            runner.computer.compute(replace(plan_batch([part]), logit_rows=np.arange(part.count))),
        )


def step(runner: TorchRunner, parts: list[SequenceSlice]) -> torch.Tensor:
    """Compute one step. Returns the logits of each slice's last row, in the order of `parts`."""
    made = plan_batch(parts)
    ends = np.cumsum([part.count for part in made.slices]) - 1
    found = runner.computer.compute(replace(made, logit_rows=ends))
    return found[[made.slices.index(part) for part in parts]]


def divergence(true: torch.Tensor, other: torch.Tensor) -> tuple[float, int]:
    """The sum of KL over rows of log-probabilities, and the number of rows with the same most likely id."""
    return float((true.exp() * (true - other)).sum()), int((other.argmax(-1) == true.argmax(-1)).sum())


def compare(runner: TorchRunner, ids: list[int], truth: torch.Tensor, chunk: int) -> tuple[float, float]:
    """Mean KL and agreement of the runner with the truth's log-probabilities."""
    each = [divergence(truth[some], rows.log_softmax(-1)) for some, rows in logits(runner, ids, chunk)]
    return sum(kl for kl, _ in each) / len(ids), sum(same for _, same in each) / len(ids)


def speed(runner: TorchRunner, ids: list[int]) -> tuple[float, float]:
    """Prompt ids per second, over 512 ids, and tokens per second, from the median of DECODE_STEPS steps."""
    sequence = make_sequence(runner, 0, ids[: 512 + DECODE_STEPS])
    started = time.perf_counter()
    for start in (0, CHUNK_ROWS):
        step(runner, [SequenceSlice(sequence, start, CHUNK_ROWS)])
    read = 2 * CHUNK_ROWS / (time.perf_counter() - started)
    times = []
    for start in range(512, 512 + DECODE_STEPS):
        started = time.perf_counter()
        step(runner, [SequenceSlice(sequence, start, 1)])
        times.append(time.perf_counter() - started)
    return read, 1 / statistics.median(times)


def neighbours(runner: TorchRunner, ids: list[int]) -> str:
    """Compare a sequence alone with the same among NEIGHBOURS, whose texts begin elsewhere in `ids`."""
    ours, others = (
        make_sequence(runner, 0, ids),
        [make_sequence(runner, place, ids[place * 8 :]) for place in range(1, NEIGHBOURS + 1)],
    )
    alone, among = (
        torch.stack(
            [step(runner, [SequenceSlice(each, start, 1) for each in batch])[0] for start in range(DECODE_STEPS)]
        )
        for batch in ([ours], [ours, *others])
    )
    kl, same = divergence(alone.log_softmax(-1), among.log_softmax(-1))
    return f"KL {kl / DECODE_STEPS:.6f}, {DECODE_STEPS - same} of {DECODE_STEPS} greedy tokens differ"


def make_sequence(runner: TorchRunner, number: int, ids: list[int]) -> Sequence:
    """A sequence with blocks of its own."""
    count = -(-len(ids) // runner.block_size) if number == 0 else -(-DECODE_STEPS // runner.block_size)
    first = 0 if number == 0 else runner.blocks - number * count
    sequence = Sequence(number, "fidelity", ids)
    sequence.blocks = list(range(first, first + count))
    return sequence


def compare_readings(runner: TorchRunner, ids: list[int], truth: torch.Tensor) -> Iterator[tuple[str, float, float]]:
    """Name, KL and agreement of each reading that the runner supports."""
    tuning = runner.computer.tuning
    if tuning is None or runner.computer.kernel_model is None:
        yield "", *compare(runner, ids, truth, CHUNK_ROWS)
        return
    for name, chunk, crossing in READINGS:
        runner.computer.tuning = replace(tuning, torch_min_rows=crossing)
        if runner.computer.kernel_model:
            runner.computer.kernel_model.panel_min_rows = PANEL_MIN_ROWS
        yield name, *compare(runner, ids, truth, chunk)
    runner.computer.tuning = tuning


def measure(checkpoint: Checkpoint, forms: tuple[WeightFormat, ...]) -> Iterator[Row]:
    """Measure a row for each format and reading."""
    ids = Tokenizer(checkpoint.folder, checkpoint.chat_template).encode_text(TEXT.read_text("utf-8"))
    print(f"{len(ids)} ids")
    context, threads = len(ids) + (NEIGHBOURS + 1) * DECODE_STEPS, torch.get_num_threads()
    runner = load_runner(checkpoint.folder, "float32", context)
    truth = torch.empty(len(ids), runner.vocabulary)
    for some, rows in logits(runner, ids, CHUNK_ROWS):
        truth[some] = rows.log_softmax(-1)
    with tempfile.TemporaryDirectory() as place:
        full = without_gguf_mark(checkpoint.folder, Path(place))
        held: list[tuple[str, Path, WeightFormat]] = [(form, checkpoint.folder, form) for form in forms]
        held += [("auto, full precision", full, "auto")] if "auto" in forms else []
        for name, folder, form in held:
            runner.close()
            del runner
            gc.collect()
            torch.set_num_threads(threads)  # each format is tuned by itself
            runner = load_runner(folder, form, context)
            rates, size = speed(runner, ids), runner.computer.model_format.total_bytes / checkpoint.parameters
            if form == "auto":
                print(f"{name}: {runner.weights}; alone against {NEIGHBOURS} neighbours: {neighbours(runner, ids)}")
            for way, kl, same in compare_readings(runner, ids, truth):
                yield Row(", ".join(filter(None, (name, way))), size, kl, same, rates)
        runner.close()


def without_gguf_mark(folder: Path, place: Path) -> Path:
    """The same weights without the mark of a GGUF file, as of a checkpoint in full precision."""
    for path in folder.iterdir():
        if path.name != "config.json":
            (place / path.name).symlink_to(path.resolve())
    config = json.loads((folder / "config.json").read_text())
    config.pop("qwentin_source", None)
    (place / "config.json").write_text(json.dumps(config))
    return place


def main() -> None:
    """Print a table."""
    model = sys.argv[1] if len(sys.argv) > 1 else "builtin"
    checkpoint = open_checkpoint(model, cache=MODELS, progress=lambda label, done, total: None)
    forms: tuple[WeightFormat, ...] = tuple(form for form in FORMS if form in sys.argv[2:]) or FORMS
    print(f"{checkpoint.name}, {torch.get_num_threads()} threads at most")
    rows = list(measure(checkpoint, forms))
    print(
        "| form | bytes a parameter | KL | agreement | prefill, ids/s | 1 chat, tokens/s |\n|---|---|---|---|---|---|"
    )
    print(*rows, sep="\n")


if __name__ == "__main__":
    main()
