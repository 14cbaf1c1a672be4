"""Tokenizers rebuilt from GGUF files split text as the models' own do."""

import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter
from transformers.models.qwen2.tokenization_qwen2 import Qwen2Tokenizer

from core.checkpoints.gguf_convert import convert
from core.checkpoints.gguf_tokenizer import LLAMA3_PATTERN
from tests.core.checkpoints.conftest import TinyGguf
from tests.tables import each_row

Make = Callable[..., Any]
Built = Callable[[str | None], Tokenizer]

TEXTS = [
    "the the  The\tthe\n\n the",
    "it's 123 and 12345; IT'S 1 2 3!",
    "Xin chào, bạn khỏe không? Số 1234, ngày 05/06/2025.",
    unicodedata.normalize("NFD", "Tiếng Việt rất đẹp, café"),
    "日本語 и русский 👍🏽 \r\n  in\u00a0the",
    "   ",
    "",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The tokenizer that a file with this pre-tokenizer becomes, made once."""

    @cache
    def build(pre: str | None) -> Tokenizer:
        place = tmp_path_factory.mktemp("tokenizer")
        tiny = TinyGguf(place / "tiny.gguf")
        if pre is None:
            tiny.omit.add("tokenizer.ggml.pre")
        else:
            tiny.values["tokenizer.ggml.pre"] = pre
        folder = convert(tiny.write(), place / "cache", lambda *_: None)
        return Tokenizer.from_file(str(folder / "tokenizer.json"))

    return build


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    found: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return found


@each_row("pre", ["smollm", "qwen2", "llama-bpe", "gpt-2", "default", None])
@each_row("text", TEXTS)
def test_every_text_comes_back(built: Built, pre: str | None, text: str) -> None:
    tokenizer = built(pre)
    expected = unicodedata.normalize("NFC", text) if pre == "qwen2" else text
    assert tokenizer.decode(ids(tokenizer, text)) == expected


@each_row("text", TEXTS)
def test_qwen2_is_transformers_own(make_gguf: Make, built: Built, text: str) -> None:
    tiny = make_gguf()
    vocabulary = {token: number for number, token in enumerate(tiny.values["tokenizer.ggml.tokens"])}
    merges = [tuple(merge.split()) for merge in tiny.values["tokenizer.ggml.merges"]]
    build: Callable[..., Any] = Qwen2Tokenizer
    theirs = build(vocab=vocabulary, merges=merges)
    assert ids(built("qwen2"), text) == theirs.encode(text, add_special_tokens=False)


@each_row("text", TEXTS)
def test_llama3_splits_as_transformers_converter(text: str) -> None:
    build: Callable[..., Any] = TikTokenConverter
    theirs = Split(Regex(build(vocab_file="unused").pattern), "isolated")
    assert Split(Regex(LLAMA3_PATTERN), "isolated").pre_tokenize_str(text) == theirs.pre_tokenize_str(text)


@each_row(
    ("pre", "pieces"),
    [("smollm", ["1", "2", "3"]), ("qwen2", ["1", "2", "3"]), ("llama-bpe", ["123"]), ("gpt-2", ["123"])],
)
def test_digits(built: Built, pre: str, pieces: list[str]) -> None:
    """The tiny vocabulary could join 123; whether it may is the pre-tokenizer's affair."""
    tokenizer = built(pre)
    assert [tokenizer.id_to_token(number) for number in ids(tokenizer, "123")] == pieces


def test_special_tokens_are_one_id_each(make_gguf: Make, tmp_path: Path) -> None:
    tiny = make_gguf()
    folder = convert(tiny.write(), tmp_path / "cache", lambda *_: None)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokens = tiny.values["tokenizer.ggml.tokens"]
    for token in ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>"):
        assert tokenizer.encode(f"a{token}b", add_special_tokens=False)[1:-1] == [tokens.index(token)]
    shown = tokenizer.decode(tokenizer.encode("<|im_start|><tool_call>"), skip_special_tokens=True)
    assert shown == "<tool_call>"
    assert tokenizer.eos_token == "<|im_end|>"
