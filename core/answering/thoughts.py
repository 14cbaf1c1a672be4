"""The thoughts that a model writes before its answer, between `<think>` and `</think>`. Pure."""

import re
from dataclasses import dataclass, field, replace

THOUGHT = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_TURN = "<|im_start|>assistant\n"
"""The template's own opening of an answer, which a model may write once more."""
_OPENINGS = ("<think>", "<thinking>", _TURN)
_MAX_CODE = 200
"""Characters of inline code in a thought."""
_TAG = re.compile(r"<(?P<tag>/?)think(?:ing)?>", re.IGNORECASE)
_FENCE = re.compile(r"\n[ \t]{0,8}(?:`{3,}|~{3,})[^`\n<]{0,100}(?=\n)")
_HALF_FENCE = re.compile(r"\n[ \t]{0,8}(?:`{3,}[^`\n<]{0,100}|~{3,}[^`\n<]{0,100}|`{0,2}|~{0,2})\Z")
_IN_THOUGHT = re.compile(rf"(?P<fence>{_FENCE.pattern})|`[^`\n]{{0,{_MAX_CODE}}}`|{_TAG.pattern}", re.IGNORECASE)
"""A line that opens code, inline code, whose tags are no tags, or a tag."""
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

    knows_fences: bool = True
    _fence: str = ""
    """What opened the code of a thought."""
    _tag_in_fence: bool = False
    _without_fences: "LeadingThoughts | None" = None
    """Reads the same since code with a tag in it was opened, as if it were no code: it may never be closed."""
    _shown_without_fences: list[str] = field(default_factory=list)

    def feed(self, piece: str, *, final: bool) -> str:
        """Take the next piece; returns the text around the thoughts, which is white space before `decided`."""
        if self.decided:
            return piece
        self._buffer += piece
        if self._without_fences:
            self._shown_without_fences.append(self._without_fences.feed(piece, final=final))
        space = ""
        while not self._depth or self._step(final=final):
            if self._depth:
                continue
            start = self._buffer.lstrip()
            if not self._dropped:
                space = self._buffer[: len(self._buffer) - len(start)]
            if self._opens(start):
                continue
            if not final and any(tag.startswith(start.lower()) for tag in _OPENINGS):
                self._buffer = start
                return space
            self.decided = True
            return space + start
        return space + (self._rest() if final else "")

    def _opens(self, start: str) -> bool:
        """Whether a thought opens there, or the template's turn; then it is behind."""
        if opening := THOUGHT.match(start):
            self._buffer, self._depth = "\n" + start[opening.end() :], 1
        elif start.startswith(_TURN):
            self._buffer = start[len(_TURN) :]
        else:
            return False
        self._dropped = True
        return True

    def _step(self, *, final: bool) -> bool:
        """Go on to behind the next tag, or code, of a thought; False where that takes more text."""
        if self._fence:
            return self._step_in_fence(final=final)
        found = _IN_THOUGHT.search(self._buffer)
        half = _HALF_FENCE.search(self._buffer) if self.knows_fences and not final else None
        if half and (not found or half.start() < found.start()):
            self._consume(half.start())
            return False
        if found is None:
            code = self._open_code(len(self._buffer))
            self._consume(code if code >= 0 else max(len(self._buffer) - _LONGEST_TAG + 1, 0))
            return False
        if found["tag"] is None:
            self._consume(found.end())
            if found["fence"] and self.knows_fences:
                self._open_fence(found["fence"], final=final)
            return True
        in_code = self._open_code(found.start()) >= 0 and "\n" not in self._buffer[found.end() :]
        if (in_code or (not found["tag"] and found.end() == len(self._buffer))) and not final:
            return False
        self._count(found)
        return True

    def _open_fence(self, line: str, *, final: bool) -> None:
        signs = line.strip()
        self._fence = signs[: len(signs) - len(signs.lstrip(signs[0]))]
        if not self._without_fences:
            self._tag_in_fence = False
            since = self._since_closing and list(self._since_closing)
            self._without_fences = replace(
                self, knows_fences=False, _fence="", _since_closing=since, _shown_without_fences=[]
            )
            self._shown_without_fences = [self._without_fences.feed("", final=final)]

    def _step_in_fence(self, *, final: bool) -> bool:
        """The same where code is open, whose tags are no tags."""
        sign = re.escape(self._fence[0])
        end = r"(?=\n|<|\Z)" if final else r"(?=\n|<)"
        closing = re.search(rf"\n[ \t]{{0,8}}{sign}{{{len(self._fence)},}}[ \t]*{end}", self._buffer)
        inside = self._buffer[: closing.start()] if closing else self._buffer
        self._tag_in_fence = self._tag_in_fence or _TAG.search(inside) is not None
        if not closing:
            line = self._buffer.rfind("\n")
            is_half = line >= 0 and not self._buffer[line:].strip(f"{self._fence[0]} \t\n")
            self._consume(line if is_half else max(len(self._buffer) - _LONGEST_TAG + 1, 0))
            return False
        self._consume(closing.end())
        self._fence = ""
        if not self._tag_in_fence:
            self._without_fences = None
        return True

    def _open_code(self, end: int) -> int:
        """Where inline code begins before `end` that may still be closed; -1 where there is none."""
        line = self._buffer.rfind("\n", 0, end) + 1
        return self._buffer.find("`", max(line, len(self._buffer) - _MAX_CODE - 1), end)

    def _count(self, tag: re.Match[str]) -> None:
        if tag["tag"]:
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
        if self._without_fences:
            return "".join(self._shown_without_fences)
        if self._since_closing is None or self._mentions < self._depth:
            return ""
        return "".join((*self._since_closing, self._buffer)).lstrip()
