"""A model in a local folder, checked before any of its weights is loaded."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from core.checkpoints import weight_index as weights
from core.checkpoints.architecture import Architecture
from core.checkpoints.json_files import damaged_file, read_json
from core.domain.errors import SetupError
from core.domain.sampling import Sampling

END_TOKENS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "</s>")
"""Tokens that end a turn or a text in the families we run, where a tokenizer marks them as added tokens."""

FAMILY_SAMPLING = {
    "qwen2": Sampling(top_p=0.8, top_k=20, repetition_penalty=1.05),
    "qwen3": Sampling(top_p=0.8, top_k=20, repetition_penalty=1.0),
    "llama": Sampling(top_p=0.9, top_k=0, repetition_penalty=1.1),
}
"""The sampling of a model that ships none.

qwen2: Qwen2.5-Instruct's generation_config.json. qwen3: its model card, for answers without thinking.
llama: SmolLM2-Instruct's model card, and a penalty, because without one the built-in model loops.
"""

SAMPLING_RANGES = {"top_p": (0.0, 1.0), "top_k": (0, 1_000_000), "repetition_penalty": (0.01, 10.0)}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model that is safe to load. `weight_index.stored_tensors(folder)` lists its weights."""

    name: str
    folder: Path
    family: str
    context: int
    """In tokens."""
    parameters: int
    chat_template: str
    stop_ids: tuple[int, ...]
    sampling: Sampling
    """The model's own, `stop_ids` included. Temperature and length are settings of a conversation instead."""


class Progress(Protocol):
    """Shows a person how far a download or conversion is."""

    def __call__(self, label: str, done: int, total: int) -> None:
        """May be called from any thread. `done` and `total` are bytes; `done` reaches `total` at the end."""


def inspect_checkpoint(folder: Path, name: str | None = None) -> Checkpoint:
    """The model in a folder, under `name` or the folder's own. Raises SetupError where it can't be used."""
    name = name or folder.resolve().name
    config = read_json(required_file(folder, "config.json"))
    architecture = Architecture.from_config(config, name)
    shapes = weights.tensor_shapes(folder)
    weights.check_shapes(shapes, architecture.tensor_shapes(), name)
    tokenizer = read_json(required_file(folder, "tokenizer.json"))
    if "model" not in tokenizer:
        raise damaged_file(folder / "tokenizer.json", "it has no vocabulary")
    settings = read_optional_json(folder, "tokenizer_config.json")
    generation = read_optional_json(folder, "generation_config.json")
    all_stop_ids = collect_stop_ids(config, generation, settings, tokenizer)
    stop_ids = tuple(sorted(token for token in all_stop_ids if token < architecture.vocab_size))
    return Checkpoint(
        name=name,
        folder=folder,
        family=architecture.family,
        context=architecture.context,
        parameters=weights.parameter_count(shapes),
        chat_template=read_chat_template(folder, settings, name),
        stop_ids=stop_ids,
        sampling=choose_sampling(architecture.family, generation, stop_ids, folder),
    )


def required_file(folder: Path, name: str) -> Path:
    """The path of a file; raises SetupError where it is missing."""
    path = folder / name
    if not path.is_file():
        raise SetupError(f"{name} is missing from {folder}: download the model again, with that file")
    return path


def read_optional_json(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file; {} where there is no file."""
    path = folder / name
    return read_json(path) if path.is_file() else {}


def read_chat_template(folder: Path, settings: dict[str, Any], name: str) -> str:
    """The chat template, chosen as transformers does: a file of its own before tokenizer_config.json; of several
    templates the one named "default". Raises SetupError where there is none."""
    path = folder / "chat_template.jinja"
    template = settings.get("chat_template")
    if path.is_file():
        template = read_text(path)
    elif isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    if not isinstance(template, str) or not template.strip():
        raise SetupError(f"{name} has no chat template, so it is not a chat model: choose an Instruct or Chat version")
    return template


def read_text(path: Path) -> str:
    """The text of a UTF-8 file; raises SetupError where it has none."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise damaged_file(path, error) from error


def collect_stop_ids(
    config: dict[str, Any], generation: dict[str, Any], settings: dict[str, Any], tokenizer: dict[str, Any]
) -> set[int]:
    """Every token id that one of the model's own JSON files marks as an end, whether the model has that token or
    not."""
    added = dict(added_tokens(tokenizer))
    end = settings.get("eos_token")
    end = end.get("content") if isinstance(end, dict) else end
    ids = [added[token] for token in (*END_TOKENS, str(end)) if token in added]
    for document in (config, generation):
        own = document.get("eos_token_id")
        ids += own if isinstance(own, list) else [own]
    return {token for token in ids if type(token) is int and token >= 0}


def added_tokens(tokenizer: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Text and id of each added token in tokenizer.json; the file may be malformed."""
    entries = tokenizer.get("added_tokens")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            yield str(entry.get("content")), entry.get("id")


def choose_sampling(family: str, generation: dict[str, Any], stop_ids: tuple[int, ...], folder: Path) -> Sampling:
    """The sampling of generation_config.json, where what it leaves out is off; if it has none, the family's.

    Raises SetupError for a value out of range.
    """
    own = {key: generation[key] for key in SAMPLING_RANGES if generation.get(key) is not None}
    for key, value in own.items():
        least, most = SAMPLING_RANGES[key]
        if not isinstance(value, int | float) or not least <= value <= most:
            raise damaged_file(folder / "generation_config.json", f"{key} is {value!r}")
    defaults = Sampling() if own else FAMILY_SAMPLING[family]
    return Sampling(
        top_p=float(own.get("top_p", defaults.top_p)),
        top_k=int(own.get("top_k", defaults.top_k)),
        repetition_penalty=float(own.get("repetition_penalty", defaults.repetition_penalty)),
        stop_ids=stop_ids,
    )
