"""The ids of prompts are those of transformers' apply_chat_template, whatever the template and the texts."""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend
from transformers import PreTrainedTokenizerFast

from core.checkpoints import open_checkpoint
from core.domain.prompt import Message, Prompt
from core.llm.chat_template import ChatTemplate
from core.llm.tokenizer import Tokenizer
from core.llm.tokenizer_files import load_tokenizer
from tests.real import CACHE
from tests.tables import each_row

CHECKPOINT = open_checkpoint("builtin", cache=CACHE, progress=lambda label, done, total: None)
TEMPLATES = {
    "the model's own": CHECKPOINT.chat_template,
    "as qwen2.5": """{%- if tools %}{{- '<tool_call></tool_call>' }}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}{{- '<|im_start|>system\\nYou are Qwen.<|im_end|>\\n' }}{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first)
        or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}""",
    "as qwen3": """{%- set ns = namespace(last=messages|length - 1, seen=0) %}
{%- for message in messages[::-1] %}
    {%- if message.role == 'user' %}{%- set ns.seen = ns.seen + 1 %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == 'assistant' and '</think>' in content %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}""",
    "as llama 3": """{{- bos_token }}{%- if tools is not none %}{{- raise_exception('no tools') }}{%- endif %}
{%- if documents is none and not date is defined %}{%- set date = strftime_now('%Y') %}{%- endif %}
{{- date }}{% for message in messages %}
    {{- '<|im_start|>' + message['role'] + '<|im_end|>\\n\\n' + message['content'] | trim + eos_token }}
{%- endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n\\n' }}{% endif %}""",
    "with everything": """{% set d = dict(a=1) %}{{ d | tojson }}{{ dict.fromkeys(['b']) | tojson(indent=1) }}
{% for message in messages %}
  {% if message.role == 'system' %}{% continue %}{% endif %}
  {% generation %}[{{ message.role }}]{{ message.content }}{% set inner = 1 %}{% endgeneration %}{{ inner }}
  {% if loop.index > 4 %}{% break %}{% endif %}
{% endfor %}[assistant]""",
}
COMMON = st.sampled_from("<|>_imstarend/thk \n\U000f0000\U000f0001")
ALPHABET = st.one_of(COMMON, st.characters(exclude_categories=["Cs"]))
TOOL_TOKENS = ["<tool_call>", "</tool_call>", "<unused>"]
PARTS = st.sampled_from(
    [*TOOL_TOKENS, "<|im_start|>", "<|im_end|>", "<|endoftext|>", "hi ", "\n", "</think>", "Ấn Độ", "👋🏽", " "]
)
TEXTS = st.one_of(
    st.text(alphabet=ALPHABET, max_size=60),
    st.lists(PARTS).map("".join),
)


def by_transformers(folder: Path, template: str) -> Callable[[Prompt], list[int]]:
    fast = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    fast.chat_template = template

    def encode(prompt: Prompt) -> list[int]:
        continues = prompt[-1].role == "assistant"
        out = fast.apply_chat_template(
            [{"role": message.role, "content": message.content} for message in prompt],
            add_generation_prompt=not continues,
            continue_final_message=continues,
            sanitize_control_tokens=True,
            return_dict=True,
            enable_thinking=False,
        )
        return list(out["input_ids"])

    return encode


def result(encode: Callable[[Prompt], list[int]], prompt: Prompt) -> list[int] | type[Exception]:
    """The ids, or the kind of error."""
    try:
        return encode(prompt)
    except Exception as error:
        return type(error)


def with_tool_tokens() -> Path:
    """The model's tokenizer with added tokens that are not special, as Qwen's has."""
    folder = Path(tempfile.mkdtemp()) / "copy"
    shutil.copytree(CHECKPOINT.folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    backend = Backend.from_file(str(folder / "tokenizer.json"))
    backend.add_tokens([AddedToken(token, normalized=False, special=False) for token in TOOL_TOKENS])
    backend.save(str(folder / "tokenizer.json"))
    return folder


PAIRS = {
    (name, folder.name): (Tokenizer(folder, template).encode, by_transformers(folder, template))
    for folder in (CHECKPOINT.folder, with_tool_tokens())
    for name, template in TEMPLATES.items()
}


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    """System or none, some turns, then a question or the beginning of an answer."""
    turns = [(Message("user", draw(TEXTS)), Message("assistant", draw(TEXTS))) for _ in range(draw(st.integers(0, 2)))]
    start = [Message("system", draw(TEXTS))] if draw(st.booleans()) else []
    end = [Message("user", draw(TEXTS)), *([Message("assistant", draw(TEXTS))] if draw(st.booleans()) else [])]
    return (*start, *(message for turn in turns for message in turn), *end)


@settings(max_examples=60)
@given(prompts())
def test_the_same_ids(prompt: Prompt) -> None:
    for name, (ours, theirs) in PAIRS.items():
        assert result(ours, prompt) == result(theirs, prompt), name


def test_a_tool_token_in_a_message_is_text() -> None:
    ours, theirs = PAIRS["as qwen2.5", "copy"]
    prompt = (Message("user", "What is <tool_call> for?"),)
    assert ours(prompt) == theirs(prompt) and isinstance(result(ours, prompt), list)


MARKED = ["black\U000f0000bird", "\U000f0000<|im_end|>\U000f0001", "<|im_\U000f0001start|>", "\U000f0001 \U000f0000"]
"""Texts with the characters that stand around control tokens until a prompt is encoded."""


def test_the_marks_of_control_tokens_in_a_message_are_removed() -> None:
    for ours, theirs in PAIRS.values():
        for text in MARKED:
            prompt = (Message("user", text),)
            assert result(ours, prompt) == result(theirs, prompt), text


UNUSUAL: dict[str, dict[str, object]] = {
    "a token that the file lacks": {"eos_token": "<|fin|>"},
    "a token by its properties": {"bos_token": {"content": "<|im_start|>", "__type": "AddedToken"}},
    "other properties": {
        "added_tokens_decoder": {
            "2": {"content": "<|im_end|>", "lstrip": True, "rstrip": False, "normalized": False, "special": True,
                  "single_word": False}
        }
    },
    "more tokens": {"extra_special_tokens": ["<|more|>"]},
    "a name of its own": {"image_token": "<|image|>"},
    "its own list": {"chat_control_tokens": ["<|im_end|>"]},
    "nothing unusual": {},
}  # fmt: skip


@each_row("case", UNUSUAL)
def test_unusual_tokenizers(tmp_path_factory: pytest.TempPathFactory, case: str) -> None:
    folder = tmp_path_factory.mktemp("model") / "copy"
    shutil.copytree(CHECKPOINT.folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | UNUSUAL[case]))
    template = TEMPLATES["as llama 3"] + "<|fin|><|more|>{{ image_token }}"
    prompt = (Message("system", "a <|more|>"), Message("user", "<|fin|> b <|image|> <|im_end|> c"))
    ours, theirs = Tokenizer(folder, template), by_transformers(folder, template)
    assert ours.encode(prompt) == theirs(prompt)


def test_the_built_in_model_needs_no_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.llm.tokenizer_files._load_by_transformers", None)
    assert load_tokenizer(CHECKPOINT.folder).named_tokens["eos_token"] == "<|im_end|>"


ESCAPES = [
    "{{ ''.__class__.__mro__ }}",
    "{{ namespace(__class__=1) }}",
    "{% set n = namespace() %}{% set n._x = 1 %}",
    "{{ dict.__class__ }}{{ dict.__init__.__globals__ }}",
    "{{ messages.append(1) }}",
]


@each_row("source", ESCAPES)
def test_a_template_can_not_leave_its_sandbox(source: str) -> None:
    """Where transformers' sandbox refuses, ours does; what it renders is the same."""
    prompt = (Message("user", "hi"),)
    template = source + "{{ messages[0].content }}"
    fast = PreTrainedTokenizerFast.from_pretrained(CHECKPOINT.folder, local_files_only=True)
    chat = [{"role": "user", "content": "hi"}]

    def render(how: Callable[[], str]) -> str:
        try:
            return how()
        except Exception as error:
            return type(error).__name__

    ours = render(lambda: ChatTemplate(template, {}).render(chat))
    assert ours == render(lambda: str(fast.apply_chat_template(chat, chat_template=template, tokenize=False)))
    assert prompt
