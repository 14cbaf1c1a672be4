"""What each way of holding the weights costs: the divergence from the model's own float32, on a fixed text.

The text, English, Vietnamese and some Python, is read as one sequence; at each position the distribution of the next
token is compared with that of the same file computed in float32. KL is mean KL(float32 || form) in nats, agreement the
share of positions with the same most likely token. Forms that have two ways, for few rows and for many, are read twice.

Then the speed of a single chat with each form, and what neighbours change: a sequence's distributions alone against the
same with sixteen others in the batch, which are computed with the other form.

Usage: python -m benchmarks.fidelity [FOLDER | FILE.gguf | builtin] [forms, by default all]
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

import torch

from core.checkpoints import Checkpoint, open_checkpoint
from core.engine.loader import Loader, Weights
from core.engine.nn.linear import Both
from core.engine.nn.plan import plan
from core.engine.nn.runner import TorchRunner, load
from core.engine.sequence import Part, Sequence
from core.tokens import Tokenizer

ROOT = Path(__file__).parents[1]
TEXT = Path(__file__).with_suffix(".txt")
FORMS: tuple[Weights, ...] = ("bf16", "int8", "int4", "auto")
CHUNK = 256
ALL_ROWS = 1 << 30
STEPS, OTHERS = 48, 16


@dataclass(frozen=True, slots=True)
class Row:
    """One form, read in one way."""

    form: str
    bytes: float
    kl: float
    agreement: float
    speed: tuple[float, float]
    """Ids read, and tokens drawn, a second."""

    def __str__(self) -> str:
        read, drawn = self.speed
        cells = f"{self.bytes:.2f} | {self.kl:.4f} | {self.agreement:.3f} | {read:.0f} | {drawn:.1f}"
        return f"| {self.form} | {cells} |"


def logits(runner: TorchRunner, ids: list[int]) -> Iterator[torch.Tensor]:
    """float32 [ids, vocabulary], some rows at a time."""
    sequence = Sequence(1, "fidelity", ids)
    sequence.blocks = list(range(-(-len(ids) // runner.block_size)))
    for start in range(0, len(ids), CHUNK):
        part = Part(sequence, start, min(CHUNK, len(ids) - start))
        step = plan([part], runner.kv, runner.model.sizes.queries, runner.like)
        with torch.inference_mode():
            yield runner.model(replace(step, last=torch.arange(part.count)), runner.kv).float()


def step(runner: TorchRunner, parts: list[Part]) -> torch.Tensor:
    """One step; float32 logits of the last row of each part, in their order."""
    made = plan(parts, runner.kv, runner.model.sizes.queries, runner.like)
    ends = torch.tensor([sum(part.count for part in made.order[: place + 1]) - 1 for place in range(len(parts))])
    with torch.inference_mode():
        found = runner.model(replace(made, last=ends), runner.kv).float()
    return found[[made.order.index(part) for part in parts]]


def divergence(true: torch.Tensor, other: torch.Tensor) -> tuple[float, int]:
    """The sum of KL over rows of log-probabilities, and how many rows agree on the most likely id."""
    logs = true.float()
    return float((logs.exp() * (logs - other)).sum()), int((other.argmax(-1) == logs.argmax(-1)).sum())


def compare(runner: TorchRunner, ids: list[int], truth: list[torch.Tensor]) -> tuple[float, float]:
    """Mean KL and agreement of the runner with the truth's log-probabilities."""
    each = [divergence(true, rows.log_softmax(-1)) for rows, true in zip(logits(runner, ids), truth, strict=True)]
    return sum(kl for kl, _ in each) / len(ids), sum(same for _, same in each) / len(ids)


def speed(runner: TorchRunner, ids: list[int]) -> tuple[float, float]:
    """Ids read a second, 512 of them, and tokens drawn a second after them: the median of STEPS steps."""
    sequence = placed(runner, 0, ids[: 512 + STEPS])
    started = time.perf_counter()
    for start in (0, CHUNK):
        step(runner, [Part(sequence, start, CHUNK)])
    read = 2 * CHUNK / (time.perf_counter() - started)
    times = []
    for start in range(512, 512 + STEPS):
        started = time.perf_counter()
        step(runner, [Part(sequence, start, 1)])
        times.append(time.perf_counter() - started)
    return read, 1 / statistics.median(times)


def neighbours(runner: TorchRunner, ids: list[int]) -> tuple[float, float]:
    """Mean KL and agreement of a sequence alone with the same among OTHERS, whose texts begin elsewhere in `ids`."""
    ours, others = placed(runner, 0, ids), [placed(runner, place, ids[place * 8 :]) for place in range(1, OTHERS + 1)]
    alone, among = [], []
    for start in range(STEPS):
        alone.append(step(runner, [Part(ours, start, 1)])[0])
    for start in range(STEPS):
        among.append(step(runner, [Part(each, start, 1) for each in (ours, *others)])[0])
    kl, same = divergence(torch.stack(alone).log_softmax(-1), torch.stack(among).log_softmax(-1))
    return kl / STEPS, same / STEPS


def placed(runner: TorchRunner, number: int, ids: list[int]) -> Sequence:
    """A sequence with blocks of its own."""
    count = -(-len(ids) // runner.block_size) if number == 0 else -(-STEPS // runner.block_size)
    first = 0 if number == 0 else runner.blocks - number * count
    sequence = Sequence(number, "fidelity", ids)
    sequence.blocks = list(range(first, first + count))
    return sequence


def ways(runner: TorchRunner) -> Iterator[str]:
    """Set the runner to each way of multiplying."""
    both = [product for layer in runner.model.layers for product in
            (layer.qkv, layer.out, layer.gate_up, layer.down) if isinstance(product, Both)]  # fmt: skip
    for name, crossing in (("few rows", ALL_ROWS), ("many rows", 1)) if both else (("", 0),):
        for product in both:
            product.crossing = crossing
        yield name


def measure(checkpoint: Checkpoint, forms: tuple[Weights, ...]) -> Iterator[Row]:
    """A row for each form and way."""
    ids = Tokenizer(checkpoint.folder, checkpoint.chat_template).plain(TEXT.read_text("utf-8"))
    print(f"{len(ids)} ids")
    context, threads = len(ids) + (OTHERS + 1) * STEPS, torch.get_num_threads()
    runner = load(Loader(checkpoint.folder, "float32", context=context), lambda step: None)
    truth = [rows.log_softmax(-1) for rows in logits(runner, ids)]
    with tempfile.TemporaryDirectory() as place:
        for name, folder in (("", checkpoint.folder), ("full precision", unmarked(checkpoint.folder, Path(place)))):
            for form in forms:
                if name and form != "auto":
                    continue
                del runner
                gc.collect()
                torch.set_num_threads(threads)  # each form has its own best
                runner = load(Loader(folder, form, context=context), lambda step: None)
                rates, size = speed(runner, ids), runner.weight_bytes / checkpoint.parameters
                if form == "auto":
                    kl, same = neighbours(runner, ids)
                    print(f"{name or 'auto'}, alone against {OTHERS} neighbours: KL {kl:.5f}, agreement {same:.3f}")
                for way in ways(runner):
                    told = ", ".join(filter(None, (form, name, way)))
                    yield Row(told, size, *compare(runner, ids, truth), rates)


def unmarked(folder: Path, place: Path) -> Path:
    """The same numbers as a checkpoint in full precision has them."""
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
    checkpoint = open_checkpoint(model, cache=ROOT / "build" / "models", progress=lambda label, done, total: None)
    forms: tuple[Weights, ...] = tuple(form for form in FORMS if form in sys.argv[2:]) or FORMS
    print(f"{checkpoint.name}, {torch.get_num_threads()} threads at most")
    rows = list(measure(checkpoint, forms))
    print(
        "| form | bytes a parameter | KL | agreement | prefill, ids/s | 1 chat, tokens/s |\n|---|---|---|---|---|---|"
    )
    print(*rows, sep="\n")


if __name__ == "__main__":
    main()
