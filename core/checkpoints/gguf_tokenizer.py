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
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_PATTERN = QWEN2_PATTERN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")  # up to three digits together


def build_tokenizer(file: GgufFile) -> Tokenizer:
    """The tokenizer of a GGUF file; raises SetupError where it is damaged or of another kind than byte-level BPE."""
    kind = file.value("tokenizer.ggml.model")
    if kind != "gpt2":
        raise file.unsupported(f"has a tokenizer of the kind '{kind}', which Qwentin can't rebuild: {USE_SAFETENSORS}")
    name = file.value("tokenizer.ggml.pre") or "default"
    pre_tokenizer = pre_tokenizers().get(name)
    if pre_tokenizer is None:
        raise file.unsupported(f"splits words in the way '{name}', which Qwentin doesn't know: {USE_SAFETENSORS}")
    tokens = read_strings(file, "tokenizer.ggml.tokens")
    ids = {token: number for number, token in enumerate(tokens)}
    # llama3 alone takes a whole word that is a token, without looking at merges (its tokenizer.json).
    tokenizer = Tokenizer(BPE(vocab=ids, merges=read_merges(file, ids), ignore_merges=name.startswith("llama")))
    if name == "qwen2":
        tokenizer.normalizer = NFC()
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = ByteLevelDecoder()
    add_tokens(tokenizer, tokens, file.value("tokenizer.ggml.token_type") or [])
    return tokenizer


def pre_tokenizers() -> dict[str, PreTokenizer]:
    """The pre-tokenizers by their names in GGUF files."""
    gpt2 = ByteLevel(add_prefix_space=False, use_regex=True)
    llama3 = split_by(LLAMA3_PATTERN)
    return {
        "smollm": Sequence([Digits(individual_digits=True), gpt2]),
        "gpt-2": gpt2,
        "default": gpt2,
        "qwen2": split_by(QWEN2_PATTERN),
        "llama-bpe": llama3,
        "llama3": llama3,
    }


def split_by(pattern: str) -> PreTokenizer:
    """Byte-level BPE's pre-tokenizer with another pattern than GPT-2's."""
    return Sequence([Split(Regex(pattern), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)])


def read_strings(file: GgufFile, key: str) -> list[str]:
    """A list of different strings in the metadata; raises SetupError for anything else."""
    found = file.value(key)
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise file.damaged(f"no usable {key}")
    if len(set(found)) != len(found):
        raise file.damaged(f"{key} repeats itself")
    return found


def read_merges(file: GgufFile, ids: dict[str, int]) -> list[tuple[str, str]]:
    """The BPE merges as pairs of tokens; raises SetupError for unknown tokens, which the library does not check."""
    pairs = []
    for merge in read_strings(file, "tokenizer.ggml.merges"):
        left, _, right = merge.partition(" ")
        if left not in ids or right not in ids or left + right not in ids:
            raise file.damaged(f"a merge of unknown tokens, {merge!r}")
        pairs.append((left, right))
    return pairs


def add_tokens(tokenizer: Tokenizer, tokens: list[str], types: list[int]) -> None:
    """Add the control and user-defined tokens, so that each is one token in any text. Their ids stay as they are."""
    special = [
        AddedToken(token, normalized=False) for token, kind in zip(tokens, types, strict=False) if kind == CONTROL
    ]
    user_defined = [
        AddedToken(token, normalized=False) for token, kind in zip(tokens, types, strict=False) if kind == USER_DEFINED
    ]
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens(user_defined)


def tokenizer_config(file: GgufFile) -> dict[str, Any]:
    """The content of tokenizer_config.json; raises SetupError for a file without a chat template."""
    template = file.value("tokenizer.chat_template")
    if not template:
        raise file.unsupported("has no chat template, so it is not a chat model: choose an Instruct or Chat version")
    tokens = read_strings(file, "tokenizer.ggml.tokens")
    named = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    ids = {name: file.value(f"tokenizer.ggml.{key}_token_id") for name, key in named.items()}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": template,
        "clean_up_tokenization_spaces": False,
        "model_max_length": file.family_value("context_length"),
    } | {
        f"{name}_token": tokens[number]
        for name, number in ids.items()
        if isinstance(number, int) and number < len(tokens)
    }
