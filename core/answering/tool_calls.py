"""Calls of tools as models write them: `<tool_call>{...}</tool_call>` in Qwen's templates, `<|tool_call|>` and the like
in others. Pure."""

import re
from dataclasses import dataclass

_OPENING = re.compile(r"<tool_calls?>|<\|tool_calls?(?:_start|_begin)?\|>")
_CLOSING = re.compile(r"</tool_calls?>|<\|/tool_calls?\|>|<\|tool_calls?_end\|>")
_LONGEST_CLOSING = len("<|tool_calls_end|>")
_TAGS = tuple(
    f"<{bar}{name}{step}{bar}>"
    for name in ("tool_call", "tool_calls")
    for bar, steps in (("", ("",)), ("|", ("", "_start", "_begin")))
    for step in steps
)
_MAX_WORDS = 400
"""Characters behind a tag that is not closed, after which it is a word of a sentence."""


def may_be_call(text: str) -> bool:
    """Whether a text is the beginning of an opening tag."""
    return any(tag.startswith(text) for tag in _TAGS)


@dataclass(slots=True)
class ToolCall:
    """A call that begins a text, which grows."""

    _seen: int = 0
    """Characters that hold no closing tag."""

    def end(self, text: str, *, final: bool) -> int | None:
        """Where the call ends: 0 where there is none, None where that takes more of the text."""
        opening = _OPENING.match(text)
        if opening is None:
            return 0
        if closing := _CLOSING.search(text, max(opening.end(), self._seen - _LONGEST_CLOSING)):
            self._seen = 0
            return closing.end()
        self._seen = len(text)
        inside = text[opening.end() : opening.end() + _MAX_WORDS].lstrip()
        is_open = inside[:1] in ("{", "[", "<") if inside else not final
        if final or not (is_open or (len(inside) < _MAX_WORDS and "\n\n" not in inside)):
            self._seen = 0
            return len(text) if is_open else 0
        return None
