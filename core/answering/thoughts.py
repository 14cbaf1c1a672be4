"""The thoughts that a model writes before its answer, between `<think>` and `</think>`. Pure."""

import re
from dataclasses import dataclass

THOUGHT = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_OPENINGS = ("<think>", "<thinking>")
_MAX_CODE = 200
"""Characters of inline code in a thought."""
_IN_THOUGHT = re.compile(rf"`[^`\n]{{0,{_MAX_CODE}}}`|<(/?)think(?:ing)?>", re.IGNORECASE)
"""Inline code, whose tags are no tags, or a tag."""
_LONGEST_TAG = len("</thinking>")
_WORD_BEFORE, _WORD_AFTER = re.compile(r"[\s\"'(]\Z"), re.compile(r"[\s\"'),.;:?!]")
"""What stands around a tag that a sentence only mentions."""


@dataclass(slots=True)
class LeadingThoughts:
    """Drops the thoughts at the beginning of an answer: also nested ones, and one that never ends. A tag that comes
    later is text."""

    decided: bool = False
    """Whether the thoughts are over, or there are none."""
    _buffer: str = ""
    _depth: int = 0
    _dropped: bool = False
    _mentions: int = 0
    """Inner opening tags that stand in a sentence, and may not open anything."""
    _since_closing: list[str] | None = None
    """The parts of what follows an inner closing tag; None before the first one."""

    def feed(self, piece: str, *, final: bool) -> str:
        """Take the next piece; returns the text around the thoughts, which is white space before `decided`."""
        if self.decided:
            return piece
        self._buffer += piece
        space = ""
        while True:
            if self._depth:
                if not self._step(final=final):
                    return space + (self._rest() if final else "")
                continue
            start = self._buffer.lstrip()
            if not self._dropped:
                space = self._buffer[: len(self._buffer) - len(start)]
            if opening := THOUGHT.match(start):
                self._buffer, self._depth, self._dropped = start[opening.end() :], 1, True
                continue
            if not final and any(tag.startswith(start.lower()) for tag in _OPENINGS):
                self._buffer = start
                return space
            self.decided = True
            return space + start

    def _step(self, *, final: bool) -> bool:
        """Go on to behind the next tag, or code, of a thought; False where that takes more text."""
        found = _IN_THOUGHT.search(self._buffer)
        if found is None:
            code = self._open_code(len(self._buffer))
            self._consume(code if code >= 0 else max(len(self._buffer) - _LONGEST_TAG + 1, 0))
            return False
        if found[1] is None:  # code
            self._consume(found.end())
            return True
        in_code = self._open_code(found.start()) >= 0 and "\n" not in self._buffer[found.end() :]
        if (in_code or (not found[1] and found.end() == len(self._buffer))) and not final:
            return False
        self._count(found)
        return True

    def _open_code(self, end: int) -> int:
        """Where inline code begins before `end` that may still be closed; -1 where there is none."""
        line = self._buffer.rfind("\n", 0, end) + 1
        return self._buffer.find("`", max(line, len(self._buffer) - _MAX_CODE - 1), end)

    def _count(self, tag: re.Match[str]) -> None:
        if tag[1]:
            self._depth -= 1
            self._buffer, self._since_closing = self._buffer[tag.end() :], []
            return
        is_mention = _WORD_BEFORE.search(self._buffer[: tag.start()]) and _WORD_AFTER.match(self._buffer, tag.end())
        self._mentions += bool(is_mention)
        self._depth += 1
        self._consume(tag.end())

    def _consume(self, size: int) -> None:
        if self._since_closing is not None:
            self._since_closing.append(self._buffer[:size])
        self._buffer = self._buffer[size:]

    def _rest(self) -> str:
        """The answer where only tags that a sentence mentions are still open, else ""."""
        self.decided = True
        if self._since_closing is None or self._mentions < self._depth:
            return ""
        return "".join((*self._since_closing, self._buffer)).lstrip()
