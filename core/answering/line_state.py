"""Where in its lines and its code a growing text stands. Pure."""

import re
from dataclasses import dataclass

SIGNS = r"\n|`{1,99}|~{1,99}"
"""What changes that: line breaks, and runs of the signs of code. A longer run is several, so that none is waited for
without end."""
MAX_RUN = 99
_PARTS = re.compile(rf"{SIGNS}|[^\n`~]+")
_SIGNS_OF_BLOCKS = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*[ \t>]*")
"""Of quotes and lists, before the words of a line."""
_PART_OF_SIGNS = re.compile(rf"{_SIGNS_OF_BLOCKS.pattern}(?:[-*+]|\d{{1,9}}[.)]?)?")
"""What may still become such signs: pieces of a text end anywhere."""
_MAX_HEAD, _LINE_END_CHARACTERS = 100, 8


@dataclass(slots=True)
class LineState:
    """The state at the end of the text that it was told, part by part: a run of signs, or text without signs."""

    begins_paragraph: bool = False
    """Whether a line begins here, and the one before has only white space."""
    announced: bool = False
    """Whether the last line with words ends with a colon: it says that an example follows."""
    lines: int = 0
    """Lines with words, the current one not counted."""
    _head: str | None = ""
    """The line so far; None once it has more than signs of lists and quotes."""
    _fence: str = ""
    _opens_fence: bool = False
    """Whether the fence is on this line."""
    _closes_fence: bool = False
    """Whether this line has only what closes the fence, so far."""
    _span: int = 0
    """The backticks that opened inline code."""
    _blank: bool = True
    _line_end: str = ""

    @property
    def in_code(self) -> bool:
        """Whether what follows is code: in a fence, or inline code that may still be closed."""
        return self._span > 0 or (self._fence != "" and not self._closes_fence)

    @property
    def on_line_of_code(self) -> bool:
        """As `in_code`, and also on the line that closes a fence: words do not change it."""
        return self._span > 0 or self._fence != ""

    def read(self, text: str) -> None:
        """Take a text with signs in it."""
        for part in _PARTS.findall(text):
            self.feed(part)

    def feed(self, part: str) -> None:
        """Take the next part."""
        self.begins_paragraph = False
        if part == "\n":
            self._end_line()
            return
        if part[0] in "`~":
            self._take_run(part)
            return
        if self._head is not None:
            self._head += part
            if len(self._head) > _MAX_HEAD or not _PART_OF_SIGNS.fullmatch(self._head):
                self._head = None
        self._line_end = (self._line_end + part)[-_LINE_END_CHARACTERS:]
        if not part.isspace():
            self._blank = self._closes_fence = False

    def _take_run(self, run: str) -> None:
        begins, self._head, self._blank, self._line_end = self._head, None, False, run[-1]
        if begins is not None and not _SIGNS_OF_BLOCKS.fullmatch(begins):
            begins = None
        self._closes_fence = False
        if self._fence:
            same = run[0] == self._fence[0]
            if self._opens_fence and same and run[0] == "`":  # "```x```" is inline code
                self._span = 0 if len(run) == len(self._fence) else len(self._fence)
                self._fence = ""
            elif same and len(run) >= len(self._fence) and begins is not None and not begins.strip(" \t>"):
                self._closes_fence = True
        elif len(run) >= 3 and begins is not None:
            self._fence, self._opens_fence, self._span = run, True, 0
        elif run[0] == "`":
            self._span = 0 if len(run) == self._span else self._span or len(run)

    def _end_line(self) -> None:
        if self._closes_fence:
            self._fence = ""
        if self._blank:
            self._span = 0  # no inline code goes on behind a paragraph
        else:
            self.lines += 1
            self.announced = self._line_end.rstrip(" \t*_").endswith((":", "："))
        self.begins_paragraph, self._head, self._blank, self._line_end = self._blank, "", True, ""
        self._opens_fence = self._closes_fence = False
