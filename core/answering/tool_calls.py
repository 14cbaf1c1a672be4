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
        if self.is_open:
            return self._feed_open(text, at, at, final=final)
        opening = _OPENING.match(text, at)
        if opening is None:
            return 0
        start = opening.end()
        inside = text[start : start + _MAX_WORDS]
        if inside.lstrip()[:1] in ("{", "[", "<") and not inside.isspace() and inside:
            self.is_open = True
            return self._feed_open(text, at, start, final=final)
        blank = inside.find("\n\n", len(inside) - len(inside.lstrip()))
        closing = _CLOSING.search(text, start, start + (blank if blank >= 0 else _MAX_WORDS + _LONGEST_CLOSING))
        if closing and closing.start() <= start + _MAX_WORDS:
            return closing.end() - at
        may_close = blank < 0 and len(text) < start + _MAX_WORDS + _LONGEST_CLOSING
        return None if may_close and not final else 0

    def _feed_open(self, text: str, at: int, start: int, *, final: bool) -> int:
        """The next part of an open call, whose closing tag is behind `start`."""
        if closing := _CLOSING.search(text, start):
            self.is_open = False
            return closing.end() - at
        return len(text) - at if final else max(len(text) - _LONGEST_CLOSING, start) - at
