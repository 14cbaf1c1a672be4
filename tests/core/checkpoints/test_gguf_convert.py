"""Converting GGUF files: the folder computes what the original weights compute, or a SetupError says why not."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
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
from core.checkpoints.gguf_cache import content_hash, converted_folder
from core.checkpoints.gguf_convert import convert
from core.checkpoints.weight_index import stored_tensors
from core.domain.errors import SetupError
from tests.core.checkpoints.conftest import TinyGguf, model_of, read_weights
from tests.sweeps import either_extent, sweep
from tests.tables import each_row

ROOT = Path(__file__).parents[3]
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


def test_a_second_call_uses_the_first_ones_folder(make_gguf: Make, tmp_path: Path) -> None:
    calls: list[int] = []
    path = make_gguf().write()
    first = convert(path, tmp_path / "cache", nothing)
    assert convert(path, tmp_path / "cache", lambda label, done, total: calls.append(done)) == first
    assert calls == []


def test_a_changed_file_is_converted_anew(make_gguf: Make, tmp_path: Path) -> None:
    tiny = make_gguf()
    first = convert(tiny.write(), tmp_path / "cache", nothing)
    tiny.weights["model.norm.weight"][0] += 1
    assert convert(tiny.write(), tmp_path / "cache", nothing) != first


def aged(path: Path) -> Path:
    os.utime(path, (1, 1))
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def made_folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


MOVES: dict[str, Callable[[Path], Path]] = {
    "another time": aged,
    "another name": lambda path: path.rename(path.with_name("renamed.gguf")),
    "another folder": lambda path: path.rename(made_folder(path.parent / "elsewhere") / path.name),
    "downloaded again": lambda path: written(path.with_name("again.gguf"), path.read_bytes()),
}


@each_row("move", MOVES)
def test_a_file_is_known_by_its_content(tmp_path_factory: pytest.TempPathFactory, move: str) -> None:
    """Wherever it lies, it is not converted again, and the folder's index points to where it is now."""
    place, calls = tmp_path_factory.mktemp("row"), list[int]()
    path, cache = TinyGguf(place / "tiny.gguf").write(), place / "cache"
    first = convert(path, cache, nothing)
    path = MOVES[move](path)
    assert convert(path, cache, lambda label, done, total: calls.append(done)) == first
    assert calls == []
    checkpoint = open_checkpoint(str(path), cache=cache, progress=nothing)
    assert (checkpoint.folder, checkpoint.name) == (first, path.name)
    assert {tensor.path for tensor in stored_tensors(first).values()} == {path}


def test_a_file_is_read_through_once(make_gguf: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at the second start, and not for nothing: a change that keeps size and times is seen by the file system."""
    path, cache, read = make_gguf().write(), tmp_path / "cache", list[str]()
    digest = hashlib.file_digest

    def counted(file: Any, kind: str) -> Any:
        read.append(file.name)
        return digest(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    first = content_hash(path, cache)
    assert content_hash(path, cache) == first == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read == [str(path)]
    stat, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert content_hash(path, cache) != first and len(read) == 2
    [note, *_] = (cache / "hashes").iterdir()
    note.write_text("damaged")
    assert {content_hash(path, cache)} == {hashlib.sha256(path.read_bytes()).hexdigest()}


@each_row("change", ["other content", "gone"])
def test_a_file_that_changes_meanwhile(tmp_path_factory: pytest.TempPathFactory, change: str) -> None:
    """Its tokens may no longer be those of the folder, so its weights are not read until the bot starts again."""
    place = tmp_path_factory.mktemp("row")
    path = TinyGguf(place / "tiny.gguf").write()
    folder = convert(path, place / "cache", nothing)
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(SetupError, match="can't be read" if change == "gone" else "has changed while"):
        inspect_checkpoint(folder)


def test_what_older_versions_have_written_goes(make_gguf: Make, tmp_path: Path) -> None:
    """More than twice the file's size, and of no use any more. Other files' folders stay."""
    path = make_gguf().write()
    stat = path.stat()
    identity = f"{path.resolve()}\n{stat.st_size}\n{stat.st_mtime_ns}\n2"
    parent = tmp_path / "cache" / "converted"
    old = parent / f"{path.stem}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    other = parent / f"{path.stem}-0123456789abcdef"
    for folder in (old, other):
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"weights")
    made = convert(path, tmp_path / "cache", nothing)
    assert set(parent.iterdir()) == {made, other}


@each_row("name", ["gguf_index.json", "tokenizer.json", "config.json"])
def test_a_damaged_folder_is_made_again(make_gguf: Make, tmp_path: Path, name: str) -> None:
    path = make_gguf().write()
    damaged = convert(path, tmp_path / "cache", nothing) / name
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-10])
    assert (convert(path, tmp_path / "cache", nothing) / name).read_bytes() == whole


def test_converters_at_once_do_not_disturb_each_other(make_gguf: Make, tmp_path: Path) -> None:
    path, cache = make_gguf().write(), tmp_path / "cache"
    together = threading.Barrier(4)
    made: list[Path] = []

    def work() -> None:
        together.wait()
        made.append(convert(path, cache, nothing))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [converted_folder(path, cache)] * 4
    inspect_checkpoint(made[0])
    assert list((cache / "converted").iterdir()) == [made[0]]


def test_an_interrupted_conversion_leaves_nothing(make_gguf: Make, tmp_path: Path) -> None:
    def interrupt(label: str, done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(make_gguf().write(), tmp_path / "cache", interrupt)
    assert list((tmp_path / "cache" / "converted").iterdir()) == []


def test_what_a_killed_converter_left_goes_after_a_day(make_gguf: Make, tmp_path: Path) -> None:
    path = make_gguf().write()
    folder = converted_folder(path, tmp_path / "cache")
    old, young = (folder.parent / f".{folder.name}.{name}" for name in ("old", "young"))
    for left in (old, young):
        left.mkdir(parents=True)
        (left / "model.safetensors").write_bytes(b"half")
    os.utime(old, (time.time() - 90_000,) * 2)
    convert(path, tmp_path / "cache", nothing)
    assert not old.exists() and young.exists()


def test_a_cache_that_cannot_be_written(make_gguf: Make, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(SetupError, match="can't be stored in"):
        convert(make_gguf().write(), tmp_path / "cache", nothing)


def test_a_write_that_fails_leaves_nothing(make_gguf: Make, tmp_path: Path) -> None:
    """As on a full disk: no file may grow beyond 2,000 bytes."""
    path, cache = make_gguf().write(), tmp_path / "cache"
    code = (
        "import resource, pathlib\nfrom core.checkpoints import open_checkpoint\n"
        "from core.domain.errors import SetupError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))\n"
        f"try: open_checkpoint({str(path)!r}, cache=pathlib.Path({str(cache)!r}), progress=lambda *_: None)\n"
        "except SetupError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "can't be stored in" in done.stdout
    assert list((cache / "converted").iterdir()) == []


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
