"""A long text in messages: cut between blocks where that is possible, else at a line, sentence or word. Pure."""

import re
import unicodedata
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from core.markdown.document import Block, Kind, Run, Style, cut, stripped, without_start

Size = Callable[[Sequence[Block]], int]
"""UTF-16 units of the blocks as a platform writes them."""

_BOUNDARIES = (re.compile(r"\n\n+"), re.compile(r"\n"), re.compile(r"(?<=[.!?…])\s"), re.compile(r"\s"))
_MAX_CODE_POINTS_OF_CHARACTER = 64
"""Code points at most that a reader sees as one character."""
_JOINERS = "\u200d\ufe0e\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
"""Code points that belong to the character before them, skin tones among them."""
_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))
_MIN_SHARE = 0.5
"""A boundary earlier than this share of a message is too early: the next kind of boundary is tried."""
_NUMBER = re.compile(r"\d(?:[\d.,:/'\u00a0 -]*\d)?")
_MAX_WHOLE_CHARACTERS = 80
"""Words of a link, a piece of code or a number of up to this length are never cut."""
_FIRST_TRY_CHARACTERS = 400
"""Of a part, to learn how long its words become as a platform writes them: a link may take ten times as many."""
_TRIES_SHARE = 64
"""A part that is this share smaller than it could be is good enough."""


def utf16(text: str) -> int:
    """Length in UTF-16 code units, which is how both platforms count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def split(blocks: Sequence[Block], size: Size, limit: int) -> list[list[Block]]:
    """The blocks in messages of at most `limit` units each, as far as one character fits.

    A block is divided only where its message would be less than half full without it. A heading stays with what
    follows. A second part of code has the language and the repeated lines of the first.
    """
    waiting, messages, message, used = deque(blocks), list[list[Block]](), list[Block](), 0
    while waiting:
        block = waiting.popleft()
        units = _units(message[-1:], block, size, limit)
        if used + units <= limit:
            message.append(block)
            used += units
            continue
        if used < limit * _MIN_SHARE:
            room = limit - used - _units(message[-1:], replace(block, runs=()), size, limit)
            head, rest = _divided(block, size, room + size([replace(block, runs=())]), alone=not message)
            message += head
            waiting.extendleft(reversed(rest))
        else:
            waiting.appendleft(block)
        ends = [at + 1 for at, each in enumerate(message) if each.kind is not Kind.HEADING] or [len(message)]
        waiting.extendleft(reversed(message[ends[-1] :]))
        messages.append(message[: ends[-1]])
        message, used = [], 0
    return [*messages, message] if message else messages


def _units(before: Sequence[Block], block: Block, size: Size, limit: int) -> int:
    """What a block adds to a message that ends with the block before it. A text is never written in fewer units than
    it has characters: of a long one that is enough to know."""
    if len(block.text) > limit:
        return len(block.text)
    return size([*before, block]) - (size(before) if before else 0)


def _divided(block: Block, size: Size, room: int, *, alone: bool) -> tuple[list[Block], list[Block]]:
    """What of the block fits into `room` units, and the rest. Nothing may fit, but for a block that stands alone."""
    text = block.text
    if block.kind not in (Kind.PARAGRAPH, Kind.HEADING, Kind.CODE) or len(text) < 2:
        return ([block], []) if alone else ([], [block])
    fitting = _longest(block, size, room)
    at = _code_boundary(block, fitting) if block.kind is Kind.CODE else _word_boundary(block, fitting)
    if at <= 0 and not alone:
        return [], [block]
    if at <= 0:  # not even one line or word fits
        block, at = replace(block, repeated=""), max(boundary(text, fitting), 1)
    return [_head(block, at)], [_rest(block, at)]


def _longest(block: Block, size: Size, room: int) -> int:
    """How many characters of the block fit, but for a few where that takes more tries; 0 where none do."""
    fitting, too_many = 0, min(len(block.text), max(room, 0)) + 1
    at = min(too_many - 1, _FIRST_TRY_CHARACTERS)
    while too_many - fitting > 1 + fitting // _TRIES_SHARE:
        units = size([_head(block, at)])
        if units <= room:
            fitting = at
        else:
            too_many = at
        guess = at * room // max(units, 1)
        at = guess if fitting < guess < too_many else (fitting + too_many) // 2
    return fitting


def _head(block: Block, at: int) -> Block:
    runs = cut(block.runs, 0, at)
    shown = _right_stripped(runs) if block.kind is Kind.CODE else stripped(runs)
    return replace(block, runs=shown, latex="", table=None)


def _rest(block: Block, at: int) -> Block:
    runs = without_start(block.runs, at)
    if block.kind is not Kind.CODE:
        return replace(block, runs=stripped(runs), marker="", gap=False, latex="", table=None)
    code = "".join(run.text for run in runs).removeprefix("\n")
    again = f"{block.repeated}\n" if block.repeated else ""
    return replace(block, runs=(Run(again + code, Style.CODE),), marker="", gap=False, latex="", table=None)


def _right_stripped(runs: Sequence[Run]) -> tuple[Run, ...]:
    return cut(runs, 0, len("".join(run.text for run in runs).rstrip()))


def _code_boundary(block: Block, fitting: int) -> int:
    """The end of the last line that fits, after the repeated ones; 0 where none does."""
    at = block.text.rfind("\n", 0, fitting + 1)
    return at if at > len(block.repeated) else 0


def _word_boundary(block: Block, fitting: int) -> int:
    """Where words may be cut: not inside a link, code or a number; 0 where nothing fits."""
    if fitting <= 0:
        return 0
    text = block.text
    at = boundary(text[: fitting + _MAX_CODE_POINTS_OF_CHARACTER], fitting)
    starts = [start for start, end in _whole(block, at) if start < at < end]
    earliest = min(starts, default=at)
    return earliest if earliest > 0 else at


def _whole(block: Block, near: int) -> list[tuple[int, int]]:
    """The parts around a place that should stay whole, each with its beginning and end."""
    out, at = list[tuple[int, int]](), 0
    for run in block.runs:
        if (run.address or Style.CODE in run.style) and len(run.text) <= _MAX_WHOLE_CHARACTERS:
            out.append((at, at + len(run.text)))
        at += len(run.text)
    start = max(near - _MAX_WHOLE_CHARACTERS, 0)
    for number in _NUMBER.finditer(block.text, start, near + _MAX_WHOLE_CHARACTERS):
        if number.end() - number.start() <= _MAX_WHOLE_CHARACTERS // 2:
            out.append(number.span())
    return out


def boundary(text: str, most: int) -> int:
    """Where to cut a text of which `most` characters fit.

    At the best boundary that is not too early; never inside a character of several code points.
    """
    best = next(filter(None, (_last(kind, text, most) for kind in _BOUNDARIES)), most)
    # A sequence that is longer than any character is cut all the same.
    return next(
        (at for at in range(best, max(best - _MAX_CODE_POINTS_OF_CHARACTER, 0), -1) if not _inside(text, at)), best
    )


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


def _flag_letters(text: str, at: int) -> int:
    """The number of regional indicators right before `at`: two make a flag."""
    return len(text[:at]) - len(text[:at].rstrip(_FLAG_LETTERS))
