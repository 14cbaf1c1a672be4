"""One thread for all, nothing measured for long, nothing compiled twice, and tiny models, each made and loaded once."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from core.engine.kernels import cache, dense, jit, sampling, step
from core.engine.loader import Loader
from core.engine.nn import autotune as tune
from core.engine.nn.model_runner import TorchRunner, load_model
from core.engine.options import WeightFormat
from tests.core.engine.tiny import save
from tests.real import KERNELS


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """What is so small is slower with more; and who loads a model sets the threads for the whole process. Nor is there
    anything to be measured."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tune, "MIN_MEASURE_S", 0)
        patch.setattr(tune, "MIN_RUNS", 1)
        yield
    torch.set_num_threads(before)


COMPILED = step.run_step, sampling.sample_rows, dense.unpack_rows
_cache_in_folder = cache.kernel_cache


@contextmanager
def cache_anyway(folder: Path | None, compiling: Callable[[], None]) -> Iterator[None]:
    """kernel_cache; what is compiled without a folder is kept from one run of the tests to the next."""
    if folder:
        with _cache_in_folder(folder, compiling):
            yield
        return
    compiling()
    jit.cache_in(KERNELS / "kernels" / cache.fingerprint(), *COMPILED)
    yield


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    with _cache_in_folder(KERNELS, lambda: None), pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "kernel_cache", cache_anyway)
        yield


def silent(step: str) -> None:
    """Nobody is told."""


class Models:
    """Makes them at need, by the name of a variant."""

    def __init__(self, folder: Path, variants: dict[str, tuple[str, dict[str, Any]]]) -> None:
        self.variants = variants
        self.folder = functools.cache(lambda name: self._saved(folder / name, name))
        self.reference = functools.cache(self._reference)
        self.runner = functools.cache(self._runner)

    def _saved(self, folder: Path, name: str) -> Path:
        family, changes = self.variants[name]
        return save(folder, family, **changes)

    def _reference(self, name: str) -> Any:
        """transformers' own, in float32."""
        return AutoModelForCausalLM.from_pretrained(self.folder(name), dtype=torch.float32)

    def _runner(self, name: str, weights: WeightFormat = "float32") -> TorchRunner:
        return load_model(Loader(self.folder(name), weights, threads=1), silent)


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama tied": ("llama", {"tie_word_embeddings": True}),
    "llama with biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama with as many key heads": ("llama", {"num_key_value_heads": 4}),
    "llama with one key head": ("llama", {"num_key_value_heads": 1}),
    "llama with heads of their own width": ("llama", {"hidden_size": 96, "num_attention_heads": 6, "head_dim": 24}),
    "llama of odd sizes": ("llama", {"hidden_size": 60, "intermediate_size": 100, "vocab_size": 301, "head_dim": 10}),
    "llama, linear": ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}}),
    "llama, llama3": (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 5e5,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 128,
            }
        },
    ),
    "qwen2": ("qwen2", {}),
    "qwen2 untied": ("qwen2", {"tie_word_embeddings": False}),
    "qwen2, yarn": (
        "qwen2",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 1e6,
                "factor": 4.0,
                "original_max_position_embeddings": 256,
            }
        },
    ),
    "qwen3": ("qwen3", {}),
    "qwen3 with biases": ("qwen3", {"attention_bias": True, "num_attention_heads": 6, "tie_word_embeddings": False}),
}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("models"), VARIANTS)
