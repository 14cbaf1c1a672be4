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
    """Follows a call through a text that grows."""

    is_open: bool = False
    """Whether the text is inside a call, whose end is all that is waited for."""

    def feed(self, text: str, at: int, *, final: bool) -> int | None:
        """How many characters at `at` are a call, or the next part of an open one: 0 where there is none, None where
        that takes more of the text."""
        start = at
        if not self.is_open:
            opening = _OPENING.match(text, at)
            if opening is None:
                return 0
            start = opening.end()
        if closing := _CLOSING.search(text, start):
            self.is_open = False
            return closing.end() - at
        if self.is_open:
            return len(text) - at if final else max(len(text) - at - _LONGEST_CLOSING, 0)
        inside = text[start : start + _MAX_WORDS].lstrip()
        if inside[:1] in ("{", "[", "<") and inside:
            self.is_open = True
            return start - at
        may_close = len(inside) < _MAX_WORDS and "\n\n" not in inside
        return None if may_close and not final else 0
