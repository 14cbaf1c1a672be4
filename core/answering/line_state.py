"""Where in its lines and its code a growing text stands. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

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
MAX_LINE = 200
"""Characters of a line that are looked at."""

_WORDS = re.compile(r"[^\W_]")
_HEADING = re.compile(r" {0,3}#{1,6}(?:\s|\Z)")
_TITLE = re.compile(
    r"(?:[^\w\s*>+•-]+\s*)?(\*{2,3}|_{2,3})(?![\s*_])[^*_:：]*[^\W\d_][^*_:：]*(?<![\s*_.!?…。！？])\1[^\w*]*"
)
_ROW = re.compile(r"\s*\|")
_ASIDE = re.compile(
    r"\s*(?:\*(?![\s*])[^*]+\*|_(?![\s_])[^_]+_|\*?\([^()]+\)\*?|\*?\[[^\[\]]+\]\*?|(?:<[^<>]{1,40}>\s*)+)\s*"
)
_ANNOUNCING_END = re.compile(r"[:：][^\w.!?…。！？,;]*\Z")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-{2,})[ \t]*")
_SENTENCE_END = re.compile(r"[.!?…。！？][\s*_\"'”’)]*\Z")


class LineKind(Enum):
    """What a line is that has any sign."""

    WORDS = auto()
    HEADING = auto()
    TITLE = auto()
    """A line that is bold as a whole, and no sentence."""
    ROW = auto()
    """Of a table."""
    RULE = auto()
    ASIDE = auto()
    """How a scene is set: in italics or in brackets. Also a line of HTML tags alone."""


def kind_of(line: str) -> LineKind:
    """What a line outside code is. At most the first characters of a long line are looked at."""
    line = line[:MAX_LINE]
    if not _WORDS.search(line):
        return LineKind.ROW if _ROW.match(line) else LineKind.RULE
    if _HEADING.match(line):
        return LineKind.HEADING
    if _ROW.match(line):
        return LineKind.ROW
    if len(line) == MAX_LINE:
        return LineKind.WORDS
    if _TITLE.fullmatch(line):
        return LineKind.TITLE
    return LineKind.ASIDE if _ASIDE.fullmatch(line) else LineKind.WORDS


def may_be_other_than_words(line: str) -> bool:
    """Whether a line may, with more of it, turn out to be something else than words."""
    return len(line) < MAX_LINE and (not _WORDS.search(line) or not line.lstrip()[0].isalnum())


def parts_of(text: str) -> Iterator[str]:
    """A text in runs of signs, and what stands between them."""
    return (part[0] for part in _PARTS.finditer(text))


@dataclass(slots=True)
class LineState:
    """The state at the end of the text that it was told, part by part: a run of signs, or text without signs."""

    begins_paragraph: bool = False
    """Whether a line begins here, and the one before has only white space."""
    announced: bool = False
    """Whether an example is to follow: the last line with words ends with a colon, or a heading stands here."""
    announced_line: str = ""
    """The last line of words that was announced, or the first 200 characters of it."""
    lines: int = 0
    """Lines of words, those of code among them. The current one does not count."""
    _line: str = ""
    """The line so far, or the first 200 characters of it."""
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
    _words_end: str = ""
    """The end of the line before, where it has words."""

    @property
    def in_code(self) -> bool:
        """Whether what follows is code: in a fence, or inline code that may still be closed."""
        return self._span > 0 or (self._fence != "" and not self._closes_fence)

    @property
    def on_line_of_code(self) -> bool:
        """As `in_code`, and also on the line that closes a fence: words do not change it."""
        return self._span > 0 or self._fence != ""

    def feed(self, part: str) -> None:
        """Take the next part."""
        self.begins_paragraph = False
        if part == "\n":
            self._end_line()
            return
        if len(self._line) < MAX_LINE:
            self._line = (self._line + part)[:MAX_LINE]
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
        elif self._fence:
            self.lines, self.announced, self._words_end = self.lines + 1, False, ""
            self._fence = "" if self._closes_fence else self._fence
        else:
            self._judge_line(kind_of(self._line))
        self._words_end = "" if self._blank else self._words_end
        self.begins_paragraph, self._head, self._blank, self._line, self._line_end = self._blank, "", True, "", ""
        self._opens_fence = self._closes_fence = False

    def _judge_line(self, kind: LineKind) -> None:
        if kind in (LineKind.HEADING, LineKind.TITLE):
            self.announced = self.announced or kind is LineKind.HEADING or self.lines > 0
        elif kind is LineKind.RULE:
            self.announced = self.announced or self._is_underline()
        elif kind is LineKind.ASIDE:
            self.announced = self.announced or bool(_ANNOUNCING_END.search(self._line_end))
        else:
            self.announced_line = self._line if self.announced and kind is LineKind.WORDS else self.announced_line
            self.lines += kind is LineKind.WORDS
            self.announced = bool(_ANNOUNCING_END.search(self._line_end))
        self._words_end = self._line_end if kind is LineKind.WORDS else ""

    def _is_underline(self) -> bool:
        """Whether this line makes the one above it a heading."""
        above = self._words_end
        return above != "" and not _SENTENCE_END.search(above) and bool(_UNDERLINE.fullmatch(self._line))
