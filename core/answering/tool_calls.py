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
_CLOSING_TAGS = tuple(
    tag for name in ("tool_call", "tool_calls") for tag in (f"</{name}>", f"<|/{name}|>", f"<|{name}_end|>")
)
_MAX_WORDS = 400
"""Characters behind a tag that is not closed, after which it is a word of a sentence."""
_MAX_BEGINNING = 60
"""Characters behind a tag that show whether a call begins."""
_CODE = r"\s*(?:```\w*\s*)?"
_JSON = re.compile(rf"{_CODE}(?=\{{\s*(?:[\"'}}]|\w+\s*:)|\[\s*(?:[{{\[\"\]]|[\w.]+\())")
_HALF_JSON = re.compile(rf"{_CODE}[{{\[]\s*\Z")
"""A call that is cut off."""
_FUNCTION = re.compile(r"\s*<(?:function|invoke|tool|parameter|arg\w*|name)[\s=>]")
_WORDS = re.compile(r"\s*\w[\w.-]*(?:\(|\s*\n\s*[<{])")
_FUNCTION_END = re.compile(r"</(?:function|invoke)>")
_BLANK_LINE = re.compile(r"\n[ \t]{0,8}\n")
_MAX_HELD = 2000
"""Characters behind a blank line in JSON in which its closing tag is looked for: further on, the line has ended it."""
_CONTINUES_JSON, _CONTINUES_FUNCTIONS = "{[,}]\"';`", "<"


def may_be_call(text: str) -> bool:
    """Whether a text is the beginning of an opening tag."""
    return any(tag.startswith(text) for tag in _TAGS)


@dataclass(slots=True)
class _Brackets:
    """Follows the brackets of JSON outside its strings."""

    depth: int = 0
    _in_string: bool = False
    _escaped: bool = False

    def read(self, text: str, start: int, end: int) -> int:
        """Read that part; returns the place behind the bracket that closes all, -1 where none does."""
        for at in range(start, end):
            sign = text[at]
            if self._escaped or sign == "\\":
                self._escaped = not self._escaped and self._in_string
            elif sign == '"':
                self._in_string = not self._in_string
            elif not self._in_string and sign in "{[":
                self.depth += 1
            elif not self._in_string and sign in "}]":
                self.depth -= 1
                if self.depth <= 0:
                    self.depth = 0
                    return at + 1
        return -1


@dataclass(slots=True)
class ToolCall:
    """Follows a call through a text that grows."""

    is_open: bool = False
    """Whether the text is inside a call."""
    _brackets: _Brackets | None = None
    """Of a call in JSON; None for one in XML."""
    _is_whole: bool = False
    """Whether all that was opened in the call is closed: then only its closing tag may follow, or more of the kind."""

    def feed(self, text: str, at: int, *, final: bool) -> int | None:
        """How many characters at `at` are a call, or the next part of an open one: 0 where there is none, None where
        that takes more of the text. An open call may end with 0 characters more."""
        if self.is_open:
            return self._feed_open(text, at, final=final) - at
        opening = _OPENING.match(text, at)
        if opening is None:
            return 0
        start = opening.end()
        beginning = text[start : start + _MAX_BEGINNING]
        found = _JSON.match(beginning) or (_HALF_JSON.match(beginning) if final else None)
        if found or _FUNCTION.match(beginning):
            self.is_open, self._is_whole = True, False
            self._brackets = _Brackets() if found else None
            return self._feed_open(text, start + (found.end() if found else 0), final=final) - at
        if len(beginning) < _MAX_BEGINNING and not final and not _CLOSING.search(beginning):
            return None
        return self._feed_words(text, start, at, final=final) if _WORDS.match(beginning) else 0

    def _feed_words(self, text: str, start: int, at: int, *, final: bool) -> int | None:
        """The whole of a call that is written in words, which is one where it is closed soon."""
        inside = text[start : start + _MAX_WORDS]
        blank = inside.find("\n\n", len(inside) - len(inside.lstrip()))
        closing = _CLOSING.search(text, start, start + (blank if blank >= 0 else _MAX_WORDS + _LONGEST_CLOSING))
        if closing and closing.start() <= start + _MAX_WORDS:
            return closing.end() - at
        may_close = blank < 0 and len(text) < start + _MAX_WORDS + _LONGEST_CLOSING
        return None if may_close and not final else 0

    def _feed_open(self, text: str, start: int, *, final: bool) -> int:
        """Where the next part of an open call ends, which begins at `start`."""
        while self.is_open:
            if self._is_whole:
                behind = self._behind_whole(text, start, final=final)
                if behind is None:
                    break
                start = behind
                continue
            closing = _CLOSING.search(text, start)
            limit = closing.start() if closing else len(text) if final else max(len(text) - _LONGEST_CLOSING, start)
            start, self._is_whole = self._part_end(text, start, limit)
            if not self._is_whole and start < limit:
                return self._end_at_blank_line(text, start, closing, final=final)
            if not self._is_whole:
                self.is_open = not (closing or final)
                return closing.end() if closing else limit
        return start

    def _part_end(self, text: str, start: int, limit: int) -> tuple[int, bool]:
        """The end of the part up to `limit` that surely belongs to the call, and whether all is closed there."""
        if self._brackets is None:
            closed = _FUNCTION_END.search(text, start)
            return (closed.end(), True) if closed and closed.start() < limit else (limit, False)
        blank = _BLANK_LINE.search(text, start)
        most = min(limit, blank.start()) if blank else limit
        behind = self._brackets.read(text, start, most)
        return (behind, True) if behind >= 0 else (most, False)

    def _end_at_blank_line(self, text: str, at: int, closing: re.Match[str] | None, *, final: bool) -> int:
        """Where a call goes on to that has a blank line at `at`, before all its brackets are closed."""
        is_near = closing is not None and closing.start() - at <= _MAX_HELD
        if closing and is_near and not _OPENING.search(text, at, closing.start()):
            self.is_open = False
            return closing.end()
        waits = not (closing or final) and len(text) - at <= _MAX_HELD + _LONGEST_CLOSING
        self.is_open = waits
        return at

    def _behind_whole(self, text: str, at: int, *, final: bool) -> int | None:
        """Where a call goes on, of which all is closed up to `at`; None where it has ended or more must come."""
        rest = text[at:].lstrip()
        start = len(text) - len(rest)
        if closing := _CLOSING.match(text, start):
            self.is_open = False
            return closing.end()
        may_close = any(tag.startswith(rest[:_LONGEST_CLOSING]) for tag in _CLOSING_TAGS)
        if may_close and not final:
            return None
        continues = _CONTINUES_JSON if self._brackets else _CONTINUES_FUNCTIONS
        if not rest or may_close or rest[0] not in continues or _BLANK_LINE.search(text[at:start]):
            self.is_open = False
            return None
        self._is_whole = rest[0] not in "{[<"
        return start + self._is_whole
