"""Loads a checkpoint's tokenizer.json and what tokenizer_config.json says beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from core.checkpoints.json_files import read_json

_NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_SPECIAL_SETTINGS = (
    "extra_special_tokens",
    "model_specific_special_tokens",
    "chat_control_tokens",
    "split_special_tokens",
)
"""Settings that change which tokens there are or how text is split."""
_LEGACY_FILES = ("special_tokens_map.json", "added_tokens.json")
"""transformers reads them only where tokenizer_config.json lists no added tokens."""


@dataclass(frozen=True, slots=True)
class LoadedTokenizer:
    """`named_tokens`: special tokens by the names that chat templates read. `control_tokens`: tokens that the model's
    author lists as control tokens though they are not special; None where there is no such list."""

    backend: Backend
    named_tokens: Mapping[str, str]
    control_tokens: frozenset[str] | None


def load_tokenizer(folder: Path) -> LoadedTokenizer:
    """The tokenizer as transformers would load it, without truncation and padding. Raises exceptions of many kinds for
    files that can't be used.

    transformers itself is imported only for files that are not as those of most models: see _is_plain.
    """
    backend = Backend.from_file(str(folder / "tokenizer.json"))
    settings = read_json(path) if (path := folder / "tokenizer_config.json").is_file() else {}
    if settings and _is_plain(folder, backend, settings):
        names = {name: text for name in _NAMED_TOKENS if (text := _content(settings.get(name))) is not None}
        loaded = LoadedTokenizer(backend, names, None)
    else:
        loaded = _load_by_transformers(folder)
    loaded.backend.no_truncation()
    loaded.backend.no_padding()
    return loaded


def _is_plain(folder: Path, backend: Backend, settings: Mapping[str, Any]) -> bool:
    """Whether tokenizer.json alone says how to tokenize, and tokenizer_config.json merely names some of its tokens."""
    has_legacy_files = any((folder / name).is_file() for name in _LEGACY_FILES)
    if backend.truncation or backend.padding or (has_legacy_files and "added_tokens_decoder" not in settings):
        return False
    if any(settings.get(key) for key in _SPECIAL_SETTINGS) or any(map(_is_unusual_token, settings.items())):
        return False
    added = backend.get_added_tokens_decoder().values()
    texts, properties = {token.content for token in added}, {repr(token) for token in added}
    named = [settings.get(name) for name in _NAMED_TOKENS] + list(settings.get("additional_special_tokens") or ())
    listed = settings.get("added_tokens_decoder", {}).values()
    return all(token is None or _content(token) in texts for token in named) and all(
        repr(AddedToken(**token)) in properties for token in listed
    )


def _is_unusual_token(setting: tuple[str, object]) -> bool:
    """Whether a setting names a token of this model's own kind."""
    name, value = setting
    return name.endswith("_token") and name not in _NAMED_TOKENS and not isinstance(value, bool | None)


def _content(token: object) -> str | None:
    """The text of a token, which tokenizer_config.json holds as a text or as an object."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _load_by_transformers(folder: Path) -> LoadedTokenizer:
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415 (takes half a second; few models need it)

    fast = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    control = fast.chat_control_tokens
    return LoadedTokenizer(
        fast.backend_tokenizer, fast.special_tokens_map, None if control is None else frozenset(control)
    )
