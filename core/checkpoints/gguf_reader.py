"""A GGUF file: what its metadata says, as the config.json that transformers would have."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, GGUFValueType, ReaderTensor

from core.checkpoints.architecture import FAMILIES
from core.checkpoints.json_files import line
from core.domain.errors import SetupError

CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
LONGEST_ARRAY = 4_000_000
"""No vocabulary comes near; a damaged length would keep the reader busy for minutes and fill the memory."""
USE_SAFETENSORS = "use the safetensors version of the model"


class BoundedReader(GGUFReader):
    """The library's reader takes what lies beyond the file's end for empty; this one says that it is too short."""

    def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
        if int(offset) + np.dtype(dtype).itemsize * int(count) > len(self.data):
            raise ValueError("it ends too early")
        return super()._get(offset, dtype, count, override_order)

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> Any:
        if raw_type == GGUFValueType.ARRAY and self._get(orig_offs + 4, np.uint64)[0] > LONGEST_ARRAY:
            raise ValueError("an array of impossible length")
        return super()._get_field_parts(orig_offs, raw_type)


class GgufFile:
    """Reading takes some seconds: the library goes through the vocabulary one token at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reader = read(path)
        self.tensors: dict[str, ReaderTensor] = {tensor.name: tensor for tensor in self.reader.tensors}
        self.family = str(self.value("general.architecture"))
        self.refuse_unsupported()

    def value(self, key: str) -> Any:
        field = self.reader.get_field(key)
        try:
            return None if field is None else field.contents()
        except (ValueError, IndexError, TypeError) as error:
            raise self.damaged(f"{key}: {line(error)}") from error

    def number(self, key: str, default: float) -> float:
        value = self.own(key)
        if value is None:
            return default
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise self.damaged(f"{key} is {value!r}")
        return value

    def own(self, key: str) -> Any:
        """A value that the file keeps under its family's name."""
        return self.value(f"{self.family}.{key}")

    def refuse_unsupported(self) -> None:
        if self.family not in FAMILIES:
            raise self.refused(f"is a '{self.family}' model; Qwentin runs qwen2, qwen3 and llama: choose another model")
        if self.value("split.count") not in (None, 0, 1):
            raise self.refused("is one of several parts: join them with llama-gguf-split --merge")
        if self.own("expert_count"):
            raise self.refused("is a mixture of experts, which Qwentin can't run: choose another model")
        if self.own("attention.sliding_window"):
            raise self.refused("uses a sliding window of attention, which Qwentin can't run: choose another model")
        if self.own("rope.scaling.type") not in (None, "none") or "rope_freqs.weight" in self.tensors:
            raise self.refused(f"stretches its positions (rope scaling): {USE_SAFETENSORS}")
        if self.own("rope.dimension_count") not in (None, self.head_dim) or (self.head_dim or 0) % 2:
            raise self.refused("rotates only a part of each head, which Qwentin can't run: choose another model")

    def refused(self, why: str) -> SetupError:
        return SetupError(f"{self.path.name} {why}")

    def damaged(self, why: object) -> SetupError:
        return unreadable(self.path, why)

    @property
    def head_dim(self) -> int | None:
        size, hidden, heads = (
            self.own(key) for key in ("attention.key_length", "embedding_length", "attention.head_count")
        )
        if size is None and isinstance(hidden, int) and isinstance(heads, int) and heads:
            return hidden // heads
        return size if isinstance(size, int) else None

    def config(self) -> dict[str, Any]:
        """GGUF's key names: docs/gguf.md of ggml-org/ggml. rope_parameters is transformers 5's form.

        qwentin_source is our own: it tells the engine that the numbers are as fine as a quantised file's, no finer.
        """
        words = self.tensors.get("token_embd.weight")
        return {
            "architectures": [CLASSES[self.family]],
            "model_type": self.family,
            "qwentin_source": "gguf",
            "dtype": "float16",
            "hidden_act": "silu",
            "attention_bias": False,
            "hidden_size": self.own("embedding_length"),
            "intermediate_size": self.own("feed_forward_length"),
            "num_hidden_layers": self.own("block_count"),
            "num_attention_heads": self.own("attention.head_count"),
            "num_key_value_heads": self.own("attention.head_count_kv"),
            "head_dim": self.head_dim,
            "max_position_embeddings": self.own("context_length"),
            "rms_norm_eps": self.number("attention.layer_norm_rms_epsilon", 1e-6),
            "rope_parameters": {"rope_type": "default", "rope_theta": self.number("rope.freq_base", 10000.0)},
            "vocab_size": None if words is None else int(words.shape[-1]),
            "tie_word_embeddings": "output.weight" not in self.tensors,
            "bos_token_id": self.value("tokenizer.ggml.bos_token_id"),
            "eos_token_id": self.ends() or None,
        }

    def ends(self) -> list[int]:
        ids = (self.value(f"tokenizer.ggml.{key}_token_id") for key in ("eos", "eot", "eom"))
        return sorted({number for number in ids if isinstance(number, int)})


def read(path: Path) -> BoundedReader:
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise SetupError(f"{path.name} is not a GGUF file: give a folder with safetensors, or a .gguf file")
    try:
        with np.errstate(all="ignore"):
            reader = BoundedReader(path)
    except (ValueError, KeyError, IndexError, OverflowError, RecursionError) as error:
        raise unreadable(path, error) from error
    if reader.byte_order != "I":
        raise SetupError(f"{path.name} is for machines of the other byte order: download the usual version")
    return reader


def unreadable(path: Path, why: object) -> SetupError:
    return SetupError(f"{path.name} is damaged or of an unknown kind ({line(why)}): download it again")
