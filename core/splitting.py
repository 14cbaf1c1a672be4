"""A long text in messages: cut at paragraph, line, sentence, word; code fences closed and opened again. Pure."""

import re
import unicodedata
from collections.abc import Callable, Iterator

_BOUNDARIES = (re.compile(r"\n\n+"), re.compile(r"\n"), re.compile(r"(?<=[.!?…])\s"), re.compile(r"\s"))
_FENCE = re.compile(r"^ {0,3}(`{3,}(?=[^`]*$)|~{3,})(.*)$", re.MULTILINE)
_HALF_FENCE = re.compile(r"\n {0,3}[`~]{1,2}$")
_HALF_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*$|!?\[([^\]\n]*)$")
_HALF_MARK = re.compile(r"(?:(?:^|(?<=\n))[ \t]*(?:[-+>#]{1,6}|\d{1,3}[.)]|\|[^\n]*)|\*{1,3}|_{1,3}|~{1,2}|`{1,3})$")
_CODE = re.compile(r"(?<!`)(`+)(?!`)[^\n]*?(?<!`)\1(?!`)")
_SPANS = (
    ("*", re.compile(r"(?<![*\w\\])(?:\*{3}|\*)(?![*\s])|(?<=[^*\s\\])(?:\*{3}|\*)(?![*\w])")),
    ("**", re.compile(r"(?<!\\)\*\*")),
    ("~~", re.compile(r"(?<!\\)~~")),
)
"""Marks with what counts as one of them, innermost first."""
_LONGEST_INFO = 40
"""Characters of an opening fence's line that are worth repeating."""
_JOINERS = "\u200d\ufe0e\ufe0f"
_LEAST = 0.5
"""A boundary earlier than this share of a message is too early: the next kind of boundary is tried."""


def utf16(text: str) -> int:
    """Length in UTF-16 code units, which is how both platforms count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def split(text: str, fits: Callable[[str], bool]) -> list[str]:
    """`text` in parts that each fit. `fits` judges a part as it will be shown, and must hold for one character.

    Joined, the parts hold every character of the text in order, except white space at the cuts and the repeated fences.
    """
    return [part for part in _parts(text, fits) if part.strip()] or [text]


def close(text: str) -> str:
    """`text` with an open code fence closed, for showing what is not finished."""
    fence = open_fence(text)
    return f"{text.rstrip()}\n{fence[0]}" if fence else text


def finished(text: str) -> str:
    """`text` for showing while more is to come: open code and open spans of the last paragraph are closed, and what
    could still become markup is left out."""
    if open_fence(text):
        return close(_HALF_FENCE.sub("", text))
    if _FENCE.fullmatch(text.rstrip().rpartition("\n")[2]):
        return text.rstrip()  # code that has just ended
    before, gap, last = text.rpartition("\n\n")
    return (before + gap + _closed(last)).rstrip()


def _closed(paragraph: str) -> str:
    text = _HALF_LINK.sub(lambda match: match[1] or match[2] or "", paragraph.rstrip())
    text = _HALF_MARK.sub("", text).rstrip()
    plain = _CODE.sub("", text)
    if "`" in plain:
        return f"{text}`"
    closers = [mark for mark, pattern in _SPANS if len(pattern.findall(plain)) % 2]
    return text + "".join(closers)


def open_fence(text: str) -> tuple[str, str] | None:
    """The fence that is open at the end of `text`: its marks and its opening line; None outside code."""
    current: tuple[str, str] | None = None
    for match in _FENCE.finditer(text):
        marks, rest = match.groups()
        if current is None:
            current = (marks, match.group().strip())
        elif marks.startswith(current[0]) and not rest.strip():
            current = None
    return current


def _parts(text: str, fits: Callable[[str], bool]) -> Iterator[str]:
    opened = 0
    while not fits(text):
        at = max(_cut(text, fits), opened + 1)
        head, rest = text[:at], text[at:]
        fence = open_fence(head)
        yield close(head) if fence else head.rstrip()
        again = _reopening(fence) if fence else ""
        text, opened = again + (rest.removeprefix("\n") if fence else rest.lstrip()), len(again)
    yield text


def _reopening(fence: tuple[str, str]) -> str:
    marks, line = fence
    return f"{line if len(line) <= _LONGEST_INFO else marks}\n"


def _cut(text: str, fits: Callable[[str], bool]) -> int:
    """Where to cut: at the best boundary that is not too early, never inside a character of several code points."""
    at = boundary(text, _longest(text, lambda part: fits(close(part))))
    while at > 1 and (_joined(text, at) or not fits(close(text[:at]))):
        at -= 1
    return at


def boundary(text: str, most: int) -> int:
    """Where to cut a text of which `most` characters fit: at the best boundary that is not too early, never inside a
    character of several code points."""
    at = next(filter(None, (_last(kind, text, most) for kind in _BOUNDARIES)), most)
    while at > 1 and _joined(text, at):
        at -= 1
    return at


def _longest(text: str, fits: Callable[[str], bool]) -> int:
    """The length of the longest beginning that fits, found by bisection; at least one character."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(text[:middle]) else (low, middle - 1)
    return low


def _last(kind: re.Pattern[str], text: str, most: int) -> int:
    """The last place of a boundary at or before `most`; 0 where it comes too early."""
    ends = [match.start() for match in kind.finditer(text, 0, most + 1)]
    return ends[-1] if ends and ends[-1] >= max(1, most * _LEAST) else 0


def _joined(text: str, at: int) -> bool:
    """Whether a cut at `at` would part what is one character to a reader, or make a code fence of what is none."""
    if at >= len(text):
        return False
    if bool(unicodedata.combining(text[at])) or text[at] in _JOINERS or text[at - 1] == "\u200d":
        return True
    rest = text[at:].lstrip()
    gap = text[at - 1] + text[at : len(text) - len(rest)]
    return "\n" not in gap and rest.startswith(("`", "~"))
