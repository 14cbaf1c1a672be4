"""What each way of holding the weights costs: the divergence from the model's own float32, on a fixed text.

The text, English, Vietnamese and some Python, is read as one sequence; at each position the distribution of the next
token is compared with that of the same file computed in float32. KL is mean KL(float32 || form) in nats, agreement the
share of positions with the same most likely token. Forms that have two ways, for few rows and for many, are read twice.

Usage: python -m benchmarks.fidelity [FOLDER | FILE.gguf | builtin] [forms, by default all]
"""

import gc
import json
import sys
import tempfile
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


@dataclass(frozen=True, slots=True)
class Row:
    """One form, read in one way."""

    form: str
    kl: float
    agreement: float
    bytes: float

    def __str__(self) -> str:
        return f"| {self.form:34} | {self.bytes:5.2f} | {self.kl:.4f} | {self.agreement:.3f} |"


def logits(runner: TorchRunner, ids: list[int]) -> Iterator[torch.Tensor]:
    """float32 [ids, vocabulary], some rows at a time."""
    sequence = Sequence(1, "fidelity", ids)
    sequence.blocks = list(range(-(-len(ids) // runner.block_size)))
    for start in range(0, len(ids), CHUNK):
        part = Part(sequence, start, min(CHUNK, len(ids) - start))
        step = plan([part], runner.kv, runner.model.sizes.queries, runner.like)
        with torch.inference_mode():
            yield runner.model(replace(step, last=torch.arange(part.count)), runner.kv).float()


def compare(form: str, runner: TorchRunner, ids: list[int], truth: list[torch.Tensor], size: float) -> Row:
    """The runner against the truth's log-probabilities."""
    divergence, same = 0.0, 0
    for rows, true in zip(logits(runner, ids), truth, strict=True):
        logs = true.float()
        divergence += float((logs.exp() * (logs - rows.log_softmax(-1))).sum())
        same += int((rows.argmax(-1) == logs.argmax(-1)).sum())
    return Row(form, divergence / len(ids), same / len(ids), size)


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
    context = len(ids) + 1
    runner = load(Loader(checkpoint.folder, "float32", context=context), lambda step: None)
    truth = [rows.log_softmax(-1) for rows in logits(runner, ids)]
    with tempfile.TemporaryDirectory() as place:
        for name, folder in (("", checkpoint.folder), ("full precision", unmarked(checkpoint.folder, Path(place)))):
            for form in forms:
                if name and form != "auto":
                    continue
                del runner
                gc.collect()
                runner = load(Loader(folder, form, context=context), lambda step: None)
                for way in ways(runner):
                    told = ", ".join(filter(None, (form, name, way)))
                    yield compare(told, runner, ids, truth, runner.weight_bytes / checkpoint.parameters)


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
    print(f"{checkpoint.name}, threads {torch.get_num_threads()}")
    print("| form | bytes a parameter | KL | agreement |\n|---|---|---|---|")
    for row in measure(checkpoint, forms):
        print(row, flush=True)


if __name__ == "__main__":
    main()
