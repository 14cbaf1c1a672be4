"""The tokenizer inside a GGUF file, as the tokenizer.json and tokenizer_config.json that transformers would have.

A beginning-of-text token is never added here: in a chat the template writes it.
"""

from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.normalizers import NFC
from tokenizers.pre_tokenizers import ByteLevel, Digits, PreTokenizer, Sequence, Split

from core.checkpoints.gguf_reader import USE_SAFETENSORS, GgufFile

CONTROL, USER_DEFINED = 3, 4
"""Token types, from gguf.TokenType."""

# The patterns are facts of the models: those in the tokenizer.json of Qwen2.5 and of Llama 3. Both are also cited in
# llama.cpp's src/llama-vocab.cpp, which gives them (and smollm's digits) the names that GGUF files use.
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")  # up to three digits together


def build(file: GgufFile) -> Tokenizer:
    kind = file.value("tokenizer.ggml.model")
    if kind != "gpt2":
        raise file.refused(f"has a tokenizer of the kind '{kind}', which Qwentin can't rebuild: {USE_SAFETENSORS}")
    name = file.value("tokenizer.ggml.pre") or "default"
    splitter = splitters().get(name)
    if splitter is None:
        raise file.refused(f"splits words in the way '{name}', which Qwentin doesn't know: {USE_SAFETENSORS}")
    tokens = strings(file, "tokenizer.ggml.tokens")
    ids = {token: number for number, token in enumerate(tokens)}
    # llama3 alone takes a whole word that is a token, without looking at merges (its tokenizer.json).
    tokenizer = Tokenizer(BPE(vocab=ids, merges=merges(file, ids), ignore_merges=name.startswith("llama")))
    if name == "qwen2":
        tokenizer.normalizer = NFC()
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = ByteLevelDecoder()
    add(tokenizer, tokens, file.value("tokenizer.ggml.token_type") or [])
    return tokenizer


def splitters() -> dict[str, PreTokenizer]:
    gpt2 = ByteLevel(add_prefix_space=False, use_regex=True)
    llama3 = by_pattern(LLAMA3)
    return {
        "smollm": Sequence([Digits(individual_digits=True), gpt2]),
        "gpt-2": gpt2,
        "default": gpt2,
        "qwen2": by_pattern(QWEN2),
        "llama-bpe": llama3,
        "llama3": llama3,
    }


def by_pattern(pattern: str) -> PreTokenizer:
    return Sequence([Split(Regex(pattern), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)])


def strings(file: GgufFile, key: str) -> list[str]:
    found = file.value(key)
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise file.damaged(f"no usable {key}")
    if len(set(found)) != len(found):
        raise file.damaged(f"{key} repeats itself")
    return found


def merges(file: GgufFile, ids: dict[str, int]) -> list[tuple[str, str]]:
    """Checked here, because the library has no error of its own for a merge of unknown tokens."""
    pairs = []
    for merge in strings(file, "tokenizer.ggml.merges"):
        left, _, right = merge.partition(" ")
        if left not in ids or right not in ids or left + right not in ids:
            raise file.damaged(f"a merge of unknown tokens, {merge!r}")
        pairs.append((left, right))
    return pairs


def add(tokenizer: Tokenizer, tokens: list[str], types: list[int]) -> None:
    """All tokens have their ids from the vocabulary already; adding them makes each one whole in any text."""
    special = [
        AddedToken(token, normalized=False) for token, kind in zip(tokens, types, strict=False) if kind == CONTROL
    ]
    plain = [
        AddedToken(token, normalized=False) for token, kind in zip(tokens, types, strict=False) if kind == USER_DEFINED
    ]
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens(plain)


def settings(file: GgufFile) -> dict[str, Any]:
    """tokenizer_config.json; a GGUF keeps its chat template where transformers keeps it too."""
    template = file.value("tokenizer.chat_template")
    if not template:
        raise file.refused("has no chat template, so it is not a chat model: choose an Instruct or Chat version")
    tokens = strings(file, "tokenizer.ggml.tokens")
    named = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    ids = {name: file.value(f"tokenizer.ggml.{key}_token_id") for name, key in named.items()}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": template,
        "clean_up_tokenization_spaces": False,
        "model_max_length": file.own("context_length"),
    } | {
        f"{name}_token": tokens[number]
        for name, number in ids.items()
        if isinstance(number, int) and number < len(tokens)
    }
