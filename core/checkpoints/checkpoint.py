"""A model in a local folder, looked over before anything of it is loaded."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from core.checkpoints import safetensors_index as weights
from core.checkpoints.architecture import Architecture
from core.checkpoints.json_files import damaged, read_json
from core.domain.errors import SetupError
from core.domain.sampling import Sampling

ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "</s>")
"""Tokens that end a turn or a text in the families we run, where a tokenizer marks them as added tokens."""

DEFAULTS = {
    "qwen2": Sampling(top_p=0.8, top_k=20, repetition_penalty=1.05),
    "qwen3": Sampling(top_p=0.8, top_k=20, repetition_penalty=1.0),
    "llama": Sampling(top_p=0.9, top_k=0, repetition_penalty=1.1),
}
"""For a model that ships none.

qwen2: Qwen2.5-Instruct's generation_config.json. qwen3: its model card, for answers without thinking.
llama: SmolLM2-Instruct's model card, and a penalty, because without one the built-in model loops.
"""

RANGES = {"top_p": (0.0, 1.0), "top_k": (0, 1_000_000), "repetition_penalty": (0.01, 10.0)}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model that is safe to load. Its weights are the files that `weights.weight_files(folder)` names."""

    name: str
    folder: Path
    family: str
    context: int
    parameters: int
    chat_template: str
    stop_ids: tuple[int, ...]
    sampling: Sampling
    """The model's own way of choosing words, `stop_ids` included. Temperature and length are Qwentin's settings."""


class Progress(Protocol):
    """A person sees it; called from any thread. `done` and `total` are bytes; `done` reaches `total` at the end."""

    def __call__(self, label: str, done: int, total: int) -> None: ...


def inspect(folder: Path, name: str | None = None) -> Checkpoint:
    """The model in a folder; SetupError says in one line what is wrong with it and what to do."""
    name = name or folder.resolve().name
    config = read_json(present(folder, "config.json"))
    architecture = Architecture.read(config, name)
    found = weights.shapes(folder)
    weights.check(found, architecture.tensors(), name)
    tokenizer = read_json(present(folder, "tokenizer.json"))
    if "model" not in tokenizer:
        raise damaged(folder / "tokenizer.json", "it has no vocabulary")
    settings = optional(folder, "tokenizer_config.json")
    generation = optional(folder, "generation_config.json")
    stops = stop_ids(config, generation, settings, tokenizer)
    kept = tuple(sorted(token for token in stops if token < architecture.vocab_size))
    return Checkpoint(
        name=name,
        folder=folder,
        family=architecture.family,
        context=architecture.context,
        parameters=weights.count(found),
        chat_template=chat_template(folder, settings, name),
        stop_ids=kept,
        sampling=sampling(architecture.family, generation, kept, folder),
    )


def present(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise SetupError(f"{name} is missing from {folder}: download the model again, with that file")
    return path


def optional(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    return read_json(path) if path.is_file() else {}


def chat_template(folder: Path, settings: dict[str, Any], name: str) -> str:
    """As transformers: a file of its own before tokenizer_config.json; of several templates the one named "default"."""
    path = folder / "chat_template.jinja"
    template = settings.get("chat_template")
    if path.is_file():
        template = text(path)
    elif isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    if not isinstance(template, str) or not template.strip():
        raise SetupError(f"{name} has no chat template, so it is not a chat model: choose an Instruct or Chat version")
    return template


def text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error


def stop_ids(*documents: dict[str, Any]) -> set[int]:
    """Every id that one of the model's own files gives as an end."""
    config, generation, settings, tokenizer = documents
    added = dict(added_tokens(tokenizer))
    end = settings.get("eos_token")
    end = end.get("content") if isinstance(end, dict) else end
    ids = [added[token] for token in (*ENDS, str(end)) if token in added]
    for document in (config, generation):
        own = document.get("eos_token_id")
        ids += own if isinstance(own, list) else [own]
    return {token for token in ids if type(token) is int and token >= 0}


def added_tokens(tokenizer: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    entries = tokenizer.get("added_tokens")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            yield str(entry.get("content")), entry.get("id")


def sampling(family: str, generation: dict[str, Any], stops: tuple[int, ...], folder: Path) -> Sampling:
    """What generation_config.json leaves out is off, but if it leaves out everything the family's defaults hold."""
    own = {key: generation[key] for key in RANGES if generation.get(key) is not None}
    for key, value in own.items():
        least, most = RANGES[key]
        if not isinstance(value, int | float) or not least <= value <= most:
            raise damaged(folder / "generation_config.json", f"{key} is {value!r}")
    chosen = Sampling() if own else DEFAULTS[family]
    return Sampling(
        top_p=float(own.get("top_p", chosen.top_p)),
        top_k=int(own.get("top_k", chosen.top_k)),
        repetition_penalty=float(own.get("repetition_penalty", chosen.repetition_penalty)),
        stop_ids=stops,
    )
