"""Converting GGUF files: the folder computes what the original weights compute, or a SetupError says why not."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoConfig

from core.checkpoints import inspect_checkpoint, open_checkpoint
from core.checkpoints.gguf_convert import convert
from core.domain.errors import SetupError
from tests.core.checkpoints.conftest import TinyGguf, model_of, read_weights
from tests.sweeps import either_extent, sweep
from tests.tables import each_row

Kind = gguf.GGMLQuantizationType
Make = Callable[..., Any]
"""Makes a TinyGguf of conftest.py."""


APART = {Kind.Q8_0: 0.02, Kind.F16: 1e-5, Kind.BF16: 1e-5, Kind.Q4_0: 1e-5, Kind.Q4_1: 1e-5}
"""How far apart the logits may be."""


def nothing(label: str, done: int, total: int) -> None:
    pass


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model(torch.tensor([[5, 1, 77, 130, 42, 42, 9]])).logits
    return result


def converted(folder: Path) -> Any:
    """The model that a folder's own files make."""
    return model_of(json.loads((folder / "config.json").read_text()), read_weights(folder))


@sweep(
    ("family", "tied"),
    product(["llama", "qwen2", "qwen3"], [True, False]),
    quick=[("llama", True), ("qwen2", False), ("qwen3", True)],
)
def test_the_same_logits(make_gguf: Make, tmp_path: Path, family: str, tied: bool) -> None:
    tiny = make_gguf(family, tied=tied)
    checkpoint = open_checkpoint(str(tiny.write()), cache=tmp_path / "cache", progress=nothing)
    assert torch.allclose(logits(converted(checkpoint.folder)), logits(model_of(tiny.config, tiny.weights)), atol=1e-5)
    assert (checkpoint.name, checkpoint.family, checkpoint.context) == (f"tiny-{family}.gguf", family, 128)
    assert checkpoint.stop_ids == inspect_checkpoint(checkpoint.folder).stop_ids != ()


@pytest.mark.slow
@sweep(
    ("family", "kind", "apart"),
    [(family, *kind) for family, kind in product(["llama", "qwen2", "qwen3"], APART.items())],
    quick=[("llama", Kind.Q8_0, 0.02), ("qwen2", Kind.F16, 1e-5), ("qwen3", Kind.Q4_1, 1e-5)],
)
def test_the_same_logits_from_few_bits(make_gguf: Make, tmp_path: Path, family: str, kind: Kind, apart: float) -> None:
    tiny = make_gguf(family, kind=kind)
    model = converted(convert(tiny.write(), tmp_path / "cache", nothing))
    assert torch.allclose(logits(model), logits(model_of(tiny.config, tiny.weights)), atol=apart)


def test_numbers_too_large_for_float16_stay(make_gguf: Make, tmp_path: Path) -> None:
    tiny = make_gguf("qwen2", kind=Kind.Q8_0)
    name = "model.layers.0.mlp.up_proj.weight"
    tiny.weights[name][50, 3] = 100_000.0
    tensors = read_weights(convert(tiny.write(), tmp_path / "cache", nothing))
    assert tensors[name][50, 3] > 65_504
    np.testing.assert_array_equal(tensors[name], tiny.weights[name])


@each_row("kind", [Kind.F16, Kind.Q4_1, Kind.Q5_0, Kind.Q8_0])
def test_no_weights_are_written(tmp_path_factory: pytest.TempPathFactory, kind: Kind) -> None:
    """They stay in the file, so that the folder is no larger than what it says about tokens and tensors."""
    place = tmp_path_factory.mktemp("row")
    file = TinyGguf(place / "tiny.gguf", kind=kind).write()
    folder = convert(file, place / "cache", nothing)
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.json", "tokenizer.json", "tokenizer_config.json", "gguf_index.json"}
    index = json.loads((folder / "gguf_index.json").read_text())
    assert index["file"] == str(file) and index["size"] == file.stat().st_size


def test_progress_goes_from_nothing_to_all(make_gguf: Make, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    path = make_gguf().write()
    convert(path, tmp_path / "cache", lambda *call: calls.append(call))
    size = path.stat().st_size
    assert calls[0] == ("Converting tiny-llama.gguf", 0, size)
    assert calls[-1] == ("Converting tiny-llama.gguf", size, size)
    assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)


def values(**changes: Any) -> Callable[[Any], None]:
    return lambda tiny: tiny.values.update({key.replace("__", "."): value for key, value in changes.items()})


def omit(*keys: str) -> Callable[[Any], None]:
    return lambda tiny: tiny.omit.update(keys)


def extra(name: str) -> Callable[[Any], None]:
    return lambda tiny: tiny.extra.update({name: np.ones(8, np.float32)})


def another_family(tiny: Any) -> None:
    tiny.architecture = "gemma3"


def twice(tiny: Any) -> None:
    tiny.values["tokenizer.ggml.tokens"][1] = tiny.values["tokenizer.ggml.tokens"][0]


def not_finite(tiny: Any) -> None:
    tiny.kind = Kind.Q8_0
    tiny.weights["model.layers.0.mlp.up_proj.weight"][:] = np.inf


def integers(tiny: Any) -> None:
    del tiny.weights["model.layers.0.mlp.up_proj.weight"]
    tiny.extra["blk.0.ffn_up.weight"] = np.ones((96, 64), np.int8)


BAD_CONTENT: dict[str, tuple[Callable[[Any], None], str]] = {
    "another family": (another_family, "'gemma3' model; Qwentin runs qwen2, qwen3 and llama"),
    "a part of a file": (values(split__count=3), "one of several parts"),
    "experts": (values(llama__expert_count=8), "mixture of experts"),
    "sliding window": (values(llama__attention__sliding_window=64), "sliding window"),
    "yarn": (values(llama__rope__scaling__type="yarn"), "rope scaling"),
    "llama 3.1's rope": (extra("rope_freqs.weight"), "rope scaling): use the safetensors version"),
    "part of each head": (values(llama__rope__dimension_count=8), "rotates only a part"),
    "odd heads": (values(llama__attention__key_length=15), "rotates only a part"),
    "unknown tensor": (extra("blk.0.attn_q.bias"), "doesn't know (blk.0.attn_q.bias)"),
    "tensor lost": (omit("blk.1.ffn_up.weight"), "it lacks blk.1.ffn_up.weight"),
    "no base frequency": (values(llama__rope__freq_base=-1.0), "rope.freq_base is -1.0"),
    "embeddings lost": (omit("token_embd.weight"), "vocab_size"),
    "size lost": (omit("llama.block_count"), "num_hidden_layers"),
    "heads lost": (omit("llama.attention.head_count"), "num_attention_heads"),
    "other sizes": (values(llama__feed_forward_length=128), "ffn_gate.weight is (96, 64), not (128, 64)"),
    "not finite": (not_finite, "ffn_up.weight: it holds numbers that are not finite"),
    "integers": (integers, "quantised in the way I8, which Qwentin can't read"),
    "sentencepiece": (values(tokenizer__ggml__model="llama"), "of the kind 'llama', which Qwentin can't rebuild"),
    "no tokenizer": (omit("tokenizer.ggml.model"), "of the kind 'None'"),
    "unknown splitting": (values(tokenizer__ggml__pre="tekken"), "in the way 'tekken'"),
    "no tokens": (omit("tokenizer.ggml.tokens"), "no usable tokenizer.ggml.tokens"),
    "no merges": (omit("tokenizer.ggml.merges"), "no usable tokenizer.ggml.merges"),
    "merges of nothing": (values(tokenizer__ggml__merges=["qq zz"]), "a merge of unknown tokens, 'qq zz'"),
    "a token twice": (twice, "repeats itself"),
    "no chat template": (omit("tokenizer.chat_template"), "no chat template"),
}


def refused(path: Path, cache: Path) -> str:
    with pytest.raises(SetupError) as caught:
        convert(path, cache, nothing)
    assert "\n" not in str(caught.value)
    kept = cache / "converted"
    assert not kept.exists() or list(kept.iterdir()) == []
    return str(caught.value)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # gguf's own, packing infinities
@each_row("case", BAD_CONTENT)
def test_content_that_cannot_be_used(make_gguf: Make, tmp_path: Path, case: str) -> None:
    spoil, words = BAD_CONTENT[case]
    tiny = make_gguf()
    spoil(tiny)
    assert words in refused(tiny.write(), tmp_path / "cache")


def flipped(content: bytes, key: bytes, after: int, number: int) -> bytes:
    """A 64-bit number `after` bytes behind a key, replaced."""
    at = content.index(key) + len(key) + after
    return content[:at] + number.to_bytes(8, "little") + content[at + 8 :]


BAD_BYTES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda content: b"", "is not a GGUF file"),
    "a web page": (lambda content: b"<!doctype html>" * 100, "is not a GGUF file"),
    "only the magic": (lambda content: content[:4], "is damaged"),
    "cut in the metadata": (lambda content: content[:900], "it ends too early"),
    "cut in the tensors": (lambda content: content[:-64], "it ends too early"),
    "cut in the middle": (lambda content: content[: len(content) // 2], "it ends too early"),
    "version of the future": (lambda content: content[:4] + b"\x09\0\0\0" + content[8:], "version 9"),
    "other byte order": (lambda content: content[:4] + content[7:3:-1] + content[8:], "is damaged"),
    "numbers without end": (lambda c: flipped(c, b"tokenizer.ggml.token_type", 8, 2**40), "impossible length"),
    "text without end": (lambda c: flipped(c, b"general.architecture", 4, 2**62), "it ends too early"),
    "more tensors than there are": (lambda c: c[:8] + (2**60).to_bytes(8, "little") + c[16:], "is damaged"),
    "a name that is no text": (lambda c: c.replace(b"output_norm", b"\xff" * 11), "is damaged"),
}


@each_row("case", BAD_BYTES)
def test_damaged_files(make_gguf: Make, tmp_path: Path, case: str) -> None:
    spoil, words = BAD_BYTES[case]
    path = make_gguf().write()
    path.write_bytes(spoil(path.read_bytes()))
    assert words in refused(path, tmp_path / "cache")


@either_extent
def test_any_cut_is_noticed(make_gguf: Make, tmp_path: Path, every_row: bool) -> None:
    path = make_gguf(kind=Kind.Q4_1).write()
    content = path.read_bytes()
    for end in range(0, len(content) - 32, len(content) // (40 if every_row else 10)):
        path.write_bytes(content[:end])
        assert path.name in refused(path, tmp_path / "cache")


@pytest.mark.slow
@either_extent
def test_flipped_bytes_never_crash(make_gguf: Make, tmp_path: Path, every_row: bool) -> None:
    """Whatever a damaged header says, there is a model or a SetupError; damaged numbers can't be known."""
    path = make_gguf(kind=Kind.Q4_1).write()
    content = path.read_bytes()
    draw = np.random.default_rng(1)
    for _ in range(60 if every_row else 15):
        spoilt = bytearray(content)
        spoilt[int(draw.integers(0, 12_000))] = int(draw.integers(0, 256))
        path.write_bytes(spoilt)
        try:
            inspect_checkpoint(convert(path, tmp_path / "cache", nothing))
        except SetupError as error:
            assert "\n" not in str(error)


def test_the_config_is_what_transformers_reads(make_gguf: Make, tmp_path: Path) -> None:
    folder = convert(make_gguf("qwen3").write(), tmp_path / "cache", nothing)
    config = AutoConfig.from_pretrained(folder)
    assert config.rope_parameters == {"rope_type": "default", "rope_theta": 5000.0}
    assert (config.head_dim, config.num_key_value_heads) == (32, 2)
    written = json.loads((folder / "config.json").read_text())
    assert written["architectures"] == ["Qwen3ForCausalLM"]
    assert written["qwentin_source"] == config.qwentin_source == "gguf"
