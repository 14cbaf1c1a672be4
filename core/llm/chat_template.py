"""A checkpoint's chat template (Jinja), rendered as transformers renders it (utils/chat_template_utils.py), without it:
importing transformers takes longer than everything else that the bot imports."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.utils import Namespace

from core.llm.template_limits import LimitedEnvironment, TemplateTooCostly

_CONTINUE_TAG = "CONTINUE_FINAL_MESSAGE_TAG "
"""Marks where the text of the last message ends. transformers' own, because templates may cut its trailing space."""

_TAG, _LAST_WORD = re.compile(r"<[^<>]*>|\[[^\[\]]*\]"), re.compile(r"([^\W\d_]+)\s*:?\s*\Z")


class ChatTemplate:
    """A compiled template in the sandbox of transformers, within the limits of template_limits. Raises
    jinja2.TemplateError for one that can't be compiled.

    `variables`: what it may read beside the messages.
    """

    def __init__(self, source: str, variables: Mapping[str, Any]) -> None:
        self._source, self._variables = source, dict(variables)
        self._environment = environment = _environment()
        try:
            self._template = environment.from_string(source)
            tree = environment.parse(source)
        except RecursionError as error:
            raise TemplateTooCostly("the chat template is nested too deeply") from error
        literals = {node.data for node in tree.find_all(nodes.TemplateData)}
        literals |= {node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)}
        self.literal_text = "\0".join(literals)
        """All text that the template itself can write, its parts separated by null characters."""

    def user_role(self, messages: Sequence[dict[str, str]]) -> str:
        """The word with which the last message, a person's, begins in the prompt: "user" in ChatML and Llama 3, "USER"
        in Vicuna. Where there is none, as in "[INST]", it is "user".

        Raises as `render` does.
        """
        content = messages[-1]["content"]
        line = self.render(messages).rpartition(content)[0].rstrip().rpartition("\n")[2]
        word = _LAST_WORD.search(_TAG.sub(" ", line))
        return word[1] if word and word[1] != content else "user"

    def render(self, messages: Sequence[dict[str, str]]) -> str:
        """The text of a whole prompt, with the beginning of the answer. A last message of the assistant's is that
        beginning: the text ends with it.

        Raises jinja2.TemplateError (TemplateTooCostly among them), and ValueError where the template leaves out the
        beginning of the answer.
        """
        if messages[-1]["role"] != "assistant":
            return self._render(messages, add_generation_prompt=True)
        start = messages[-1]["content"]
        if "content" not in self._source:
            raise ValueError("the chat template reads no content")
        tagged = {**messages[-1], "content": start + _CONTINUE_TAG}
        text = self._render([*messages[:-1], tagged], add_generation_prompt=False)
        if start.strip() not in text or _CONTINUE_TAG.strip() not in text:
            raise ValueError("the chat template leaves out the beginning of the answer")
        end = text.rindex(_CONTINUE_TAG.strip())
        return text[:end] if text[end:].startswith(_CONTINUE_TAG) else text[:end].rstrip()

    def _render(self, messages: Sequence[dict[str, str]], *, add_generation_prompt: bool) -> str:
        self._environment.begin()
        try:
            return self._template.render(
                messages=messages,
                tools=None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                **self._variables,
            )
        except (RecursionError, MemoryError) as error:
            raise TemplateTooCostly("the chat template is nested too deeply, or makes too much") from error


class _GenerationBlocks(Extension):
    """`{% generation %}` marks what the assistant says, for training; here its body is rendered as it is."""

    tags = {"generation"}  # noqa: RUF012 (declared by Jinja, without ClassVar)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller: Callable[[], str]) -> str:
        return caller()


class _TemplateDict:
    """`dict` for templates: no class, so that a template gets no attributes of one."""

    def __call__(self, *args: Any, **values: Any) -> dict[Any, Any]:
        return dict(*args, **values)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _TemplateNamespace(Namespace):
    """`namespace` for templates: refuses names that begin with an underscore, which could lead to Python's internals.

    The parameters have no names of their own, so that `namespace(self=...)` works.
    """

    def __init__(*args: Any, **values: Any) -> None:
        self, args = args[0], args[1:]
        attributes = dict(*args, **values)
        for name in attributes:
            _refuse_private(name)
        Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        super().__setitem__(name, value)


def _refuse_private(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a chat template can't store {name!r} in a namespace")


def _environment() -> LimitedEnvironment:
    environment = LimitedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlocks, loopcontrols])
    environment.filters["tojson"] = _to_json
    environment.globals |= {
        "raise_exception": _raise_exception,
        "strftime_now": _strftime_now,
        "dict": _TemplateDict(),
        "namespace": _TemplateNamespace,
    }
    environment.limit()
    return environment


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """Unlike Jinja's own filter it escapes nothing for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)
