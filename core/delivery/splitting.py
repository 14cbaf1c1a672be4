"""A long text in messages: cut at paragraph, line, sentence, word; code fences closed and opened again. Pure."""

import re
import unicodedata
from collections.abc import Callable, Iterator

from core.delivery.partial_markdown import close_fence, open_fence

_BOUNDARIES = (re.compile(r"\n\n+"), re.compile(r"\n"), re.compile(r"(?<=[.!?…])\s"), re.compile(r"\s"))
_MAX_REPEATED_FENCE_CHARACTERS = 40
"""An opening fence's line is repeated after a cut only up to this many characters."""
_MAX_CODE_POINTS_OF_CHARACTER = 64
"""Code points at most that a reader sees as one character."""
_JOINERS = "\u200d\ufe0e\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
"""Code points that belong to the character before them, skin tones among them."""
_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))
_MIN_SHARE = 0.5
"""A boundary earlier than this share of a message is too early: the next kind of boundary is tried."""


def utf16(text: str) -> int:
    """Length in UTF-16 code units, which is how both platforms count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def split(text: str, fits: Callable[[str], bool]) -> list[str]:
    """`text` in parts that each fit. `fits` judges a part as it will be shown, and must hold for one character.

    Joined, the parts hold every character of the text in order, except white space at the cuts and the repeated fences.
    """
    return [part for part in _parts(text, fits) if part.strip()] or [text]


def _parts(text: str, fits: Callable[[str], bool]) -> Iterator[str]:
    opened = 0
    while not fits(text):
        at = max(_cut(text, fits), opened + 1)
        head, rest = text[:at], text[at:]
        fence = open_fence(head)
        yield close_fence(head) if fence else head.rstrip()
        again = _reopening(fence) if fence else ""
        text, opened = again + (rest.removeprefix("\n") if fence else rest.lstrip()), len(again)
    yield text


def _reopening(fence: tuple[str, str]) -> str:
    marks, line = fence
    return f"{line if len(line) <= _MAX_REPEATED_FENCE_CHARACTERS else marks}\n"


def _cut(text: str, fits: Callable[[str], bool]) -> int:
    """Where to cut: at the best boundary that is not too early, never inside a character of several code points."""
    at = boundary(text, _longest(text, lambda part: fits(close_fence(part))))
    while at > 1 and (_inside(text, at) or _makes_fence(text, at) or not fits(close_fence(text[:at]))):
        at -= 1
    return at


def boundary(text: str, most: int) -> int:
    """Where to cut a text of which `most` characters fit.

    At the best boundary that is not too early; never inside a character of several code points.
    """
    best = next(filter(None, (_last(kind, text, most) for kind in _BOUNDARIES)), most)
    # A sequence that is longer than any character is cut all the same.
    return next(
        (at for at in range(best, max(best - _MAX_CODE_POINTS_OF_CHARACTER, 0), -1) if not _inside(text, at)), best
    )


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
    return ends[-1] if ends and ends[-1] >= max(1, most * _MIN_SHARE) else 0


def _inside(text: str, at: int) -> bool:
    """Whether a cut at `at` would divide what a reader sees as one character."""
    if at >= len(text):
        return False
    if unicodedata.category(text[at])[0] == "M" or text[at] in _JOINERS or text[at - 1] == "\u200d":
        return True
    return text[at] in _FLAG_LETTERS and bool(_flag_letters(text, at) % 2)


def _makes_fence(text: str, at: int) -> bool:
    """Whether a cut at `at` would put backticks or tildes at the start of a line, where they become a code fence."""
    rest = text[at:].lstrip()
    gap = text[at - 1] + text[at : len(text) - len(rest)]
    return at < len(text) and "\n" not in gap and rest.startswith(("`", "~"))


def _flag_letters(text: str, at: int) -> int:
    """The number of regional indicators right before `at`: two make a flag."""
    return len(text[:at]) - len(text[:at].rstrip(_FLAG_LETTERS))
