"""A GGUF file: its tensors, and its metadata as the config.json that transformers would have."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, GGUFValueType, ReaderTensor

from core.checkpoints.architecture import FAMILIES
from core.checkpoints.json_files import one_line
from core.domain.errors import SetupError

MODEL_CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
MAX_ARRAY_ITEMS = 4_000_000
"""More than any vocabulary has. A damaged length would keep the reader busy for minutes and fill the memory."""
USE_SAFETENSORS = "use the safetensors version of the model"


class BoundedReader(GGUFReader):
    """The library's reader, with an error for a file that is too short: the library takes what is missing for empty."""

    def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
        if int(offset) + np.dtype(dtype).itemsize * int(count) > len(self.data):
            raise ValueError("it ends too early")
        return super()._get(offset, dtype, count, override_order)

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> Any:
        if raw_type == GGUFValueType.ARRAY and self._get(orig_offs + 4, np.uint64)[0] > MAX_ARRAY_ITEMS:
            raise ValueError("an array of impossible length")
        return super()._get_field_parts(orig_offs, raw_type)


class GgufFile:
    """An open GGUF file of a family that Qwentin runs. `tensors` go by their GGUF names.

    Opening takes seconds: the library reads the vocabulary one token at a time. Raises SetupError for a file that is
    damaged or can't be run, and OSError for one that can't be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = open_gguf(path)
        self.tensors: dict[str, ReaderTensor] = {tensor.name: tensor for tensor in self._reader.tensors}
        self.family = str(self.value("general.architecture"))
        self._check_supported()

    def value(self, key: str) -> Any:
        """A value of the metadata; None where there is none."""
        field = self._reader.get_field(key)
        try:
            return None if field is None else field.contents()
        except (ValueError, IndexError, TypeError) as error:
            raise self.damaged(f"{key}: {one_line(error)}") from error

    def positive_number(self, key: str, default: float) -> float:
        """A positive number under the family's name."""
        value = self.family_value(key)
        if value is None:
            return default
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise self.damaged(f"{key} is {value!r}")
        return value

    def family_value(self, key: str) -> Any:
        """A value that the file keeps under its family's name, such as "llama.context_length"."""
        return self.value(f"{self.family}.{key}")

    def _check_supported(self) -> None:
        if self.family not in FAMILIES:
            raise self.unsupported(
                f"is a '{self.family}' model; Qwentin runs qwen2, qwen3 and llama: choose another model"
            )
        if self.value("split.count") not in (None, 0, 1):
            raise self.unsupported("is one of several parts: join them with llama-gguf-split --merge")
        if self.family_value("expert_count"):
            raise self.unsupported("is a mixture of experts, which Qwentin can't run: choose another model")
        if self.family_value("attention.sliding_window"):
            raise self.unsupported("uses a sliding window of attention, which Qwentin can't run: choose another model")
        if self.family_value("rope.scaling.type") not in (None, "none") or "rope_freqs.weight" in self.tensors:
            raise self.unsupported(f"stretches its positions (rope scaling): {USE_SAFETENSORS}")
        if self.family_value("rope.dimension_count") not in (None, self.head_dim) or (self.head_dim or 0) % 2:
            raise self.unsupported("rotates only a part of each head, which Qwentin can't run: choose another model")

    def unsupported(self, why: str) -> SetupError:
        """The error for a model that Qwentin can't run; `why` continues a sentence that begins with the file's name."""
        return SetupError(f"{self.path.name} {why}")

    def damaged(self, why: object) -> SetupError:
        """The error for a damaged file."""
        return damaged_gguf(self.path, why)

    @property
    def head_dim(self) -> int | None:
        """The size of an attention head; None where the metadata does not tell."""
        size, hidden, heads = (
            self.family_value(key) for key in ("attention.key_length", "embedding_length", "attention.head_count")
        )
        if size is None and isinstance(hidden, int) and isinstance(heads, int) and heads:
            return hidden // heads
        return size if isinstance(size, int) else None

    def config(self) -> dict[str, Any]:
        """The metadata as a config.json. GGUF's keys are those of docs/gguf.md in ggml-org/ggml.

        rope_parameters has the form of transformers 5. qwentin_source is our own key: it tells the engine that the
        weights are no more precise than a quantised file's.
        """
        embeddings = self.tensors.get("token_embd.weight")
        return {
            "architectures": [MODEL_CLASSES[self.family]],
            "model_type": self.family,
            "qwentin_source": "gguf",
            "dtype": "float16",
            "hidden_act": "silu",
            "attention_bias": False,
            "hidden_size": self.family_value("embedding_length"),
            "intermediate_size": self.family_value("feed_forward_length"),
            "num_hidden_layers": self.family_value("block_count"),
            "num_attention_heads": self.family_value("attention.head_count"),
            "num_key_value_heads": self.family_value("attention.head_count_kv"),
            "head_dim": self.head_dim,
            "max_position_embeddings": self.family_value("context_length"),
            "rms_norm_eps": self.positive_number("attention.layer_norm_rms_epsilon", 1e-6),
            "rope_parameters": {"rope_type": "default", "rope_theta": self.positive_number("rope.freq_base", 10000.0)},
            "vocab_size": None if embeddings is None else int(embeddings.shape[-1]),
            "tie_word_embeddings": "output.weight" not in self.tensors,
            "bos_token_id": self.value("tokenizer.ggml.bos_token_id"),
            "eos_token_id": self._end_token_ids() or None,
        }

    def _end_token_ids(self) -> list[int]:
        ids = (self.value(f"tokenizer.ggml.{key}_token_id") for key in ("eos", "eot", "eom"))
        return sorted({number for number in ids if isinstance(number, int)})


def open_gguf(path: Path) -> BoundedReader:
    """A reader of the file; raises SetupError unless it is a whole GGUF file, OSError where it can't be read."""
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise SetupError(f"{path.name} is not a GGUF file: give a folder with safetensors, or a .gguf file")
    try:
        with np.errstate(all="ignore"):
            reader = BoundedReader(path)
    except (ValueError, KeyError, IndexError, OverflowError, RecursionError) as error:
        raise damaged_gguf(path, error) from error
    if reader.byte_order != "I":
        raise SetupError(f"{path.name} is for machines of the other byte order: download the usual version")
    return reader


def damaged_gguf(path: Path, why: object) -> SetupError:
    """The error for a damaged file."""
    return SetupError(f"{path.name} is damaged or of an unknown kind ({one_line(why)}): download it again")
