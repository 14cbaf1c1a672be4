"""Bold and italic: which asterisks and underscores are marks, and which are signs of the text.

CommonMark's rules are the base: what stands on either side of a run of marks says whether it may open or close. Models
write more than these rules know ("**100**g", "**len**(x)", "*重点*内容"), and less ("2*3*4", "*.py", "x**n"). So a run
that may be a sign of the text as well is weak: it is a mark only where a partner stands for it.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import accumulate

from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter

_NAME = re.compile(
    r"__(?:[A-Z][A-Z0-9_]*?|(?:"
    r"abs|add|all|annotations|author|bool|builtins|bytes|call|class|closure|code|contains|context|copy|deepcopy|"
    r"defaults|del|delattr|delete|delitem|dict|dir|doc|enter|eq|exit|file|float|floordiv|format|future|ge|get|"
    r"getattr|getattribute|getitem|getstate|globals|gt|hash|iadd|index|init|int|invert|iter|le|len|loader|lt|main|"
    r"match_args|mod|module|mro|mul|name|ne|neg|new|next|or|package|path|post_init|pow|qualname|repr|reversed|"
    r"round|set|setattr|setitem|setstate|slots|spec|str|sub|subclasses|truediv|version|weakref|wrapped|xor|aenter|"
    r"aexit|aiter|anext|await"
    r"))__(?!\w)"
)
"""Names of Python between two underscores on either side; others are bold words."""
_ARGUMENTS = re.compile(r"(?<![\w*])\*{1,2}k?w?args\b(?!\*)")
"""Python's *args and **kwargs."""
_OPERAND = re.compile(r"\d[ \t]+\Z")
_SPACE, _LETTER = re.compile(r"\s"), re.compile(r"[^\W\d_]")
_MAX_GAP = 10
"""Spaces before a sign of arithmetic."""
_MAX_EQUATION = 200
_NOTE = re.compile(r"\((?:[^\W\d_][^()=+*/^<>\-]{0,80})?(?:(?<!\()\)|\Z)")
_BRACKETS = "([{“‘«¿¡（【《「『"
"""What only opens."""
_OPENING = f"{_BRACKETS}\"'"
_ENDING = ".,:;!?%)]}"
_ENCLOSED = ("()", "[]", "{}", "<>", "``", "“”", "‘’", "//")
"""A run between two of these is a sign: COUNT(*), src/**/x."""
_FILE_TYPE = re.compile(r"\.[a-z0-9*{\[]")


class _Weak(Enum):
    """What a run of marks may be instead."""

    ARITHMETIC = auto()
    """2*3, (a)*(b), x**2"""
    LETTERS = auto()
    """x**n, x**(n + 1), (x)**n"""
    FACTOR = auto()
    """2 *3"""
    PATTERN = auto()
    """*.py, **/x, */5"""
    QUOTED = auto()
    """'*'"""
    BRACKETED = auto()
    """(*, /*"""


_BETWEEN = (_Weak.ARITHMETIC, _Weak.LETTERS)


@dataclass(slots=True)
class Run:
    """A run of marks, from `start` up to `end` in the source, between the characters `before` and `after`."""

    size: int
    start: int
    end: int
    before: str
    after: str
    opens: bool = False
    closes: bool = False
    weak: _Weak | None = None
    may_close: bool = False
    """Of a weak one that is open at the end of the text: whether a mark there would close it."""
    crosses: bool = False
    """Whether it closes more than the last open one: "*italic **bold*", which may become "**"."""


@dataclass(slots=True)
class Mark(Delimiter):
    """One mark of a run."""

    run: Run = field(default_factory=lambda: Run(0, 0, 0, "", ""))


def emphasis(state: StateInline, silent: bool) -> bool:
    """Read a run of marks. What each one is gets decided when all are known: `settle`."""
    src, at = state.src, state.pos
    mark = src[at]
    if silent or mark not in "*_":
        return False
    if name := (_NAME if mark == "_" else _ARGUMENTS).match(src, at, state.posMax):
        state.append_pending(name[0])
        state.pos = name.end()
        return True
    end = at
    while end < state.posMax and src[end] == mark:
        end += 1
    run = Run(end - at, at, end, src[at - 1] if at else " ", src[end] if end < state.posMax else " ")
    if mark == "_":
        _look_around_underscores(run)
    else:
        _look_around_asterisks(run, src)
    _count_open(state, mark, run)
    for _ in range(run.size):
        token = state.push("text", "", 0)
        token.content = mark
        index = len(state.tokens) - 1
        state.delimiters.append(Mark(ord(mark), run.size, index, -1, run.opens, run.closes, run=run))
    state.pos = end
    return True


def count_open(state: StateInline, mark: str) -> int:
    """How many marks of a kind are probably open at this place."""
    src, counts = state.env.get("open", (None, {}))
    return counts.get(mark, 0) if src is state.src else 0


def _count_open(state: StateInline, mark: str, run: Run) -> None:
    src, counts = state.env.get("open", (None, {}))
    if src is not state.src:
        counts = {}
        state.env["open"] = state.src, counts
    before = counts.get(mark, 0)
    if run.closes and before:
        counts[mark] = max(before - run.size, 0)
    elif run.opens:
        counts[mark] = before + run.size


# What stands on either side


def is_word(sign: str) -> bool:
    """Whether a character belongs to a name."""
    return sign.isalnum() or sign == "_"


def _is_letter(sign: str) -> bool:
    """A letter, a digit or a sign upon one."""
    return sign.isalnum() or (not sign.isascii() and unicodedata.category(sign)[0] == "M")


def _is_operand(sign: str) -> bool:
    """A letter of a script with capitals, or a digit: arithmetic is written with these, and with spaces between words.
    Others (Chinese, Japanese, Korean, Thai) may have a mark within a word."""
    if sign.isascii():
        return sign.isalnum()
    return sign.isdigit() or sign.lower() != sign.upper() or "\u0300" <= sign <= "\u036f"


def _look_around_underscores(run: Run) -> None:
    """An underscore is no mark inside a word or a path, nor in a face: ^_^"""
    before, after = run.before, run.after
    run.opens = not after.isspace() and (after.isalnum() or not before.isalnum())
    run.opens &= before.isspace() or before in f"{_OPENING}*~|" or not (before.isascii() or before.isalnum())
    run.closes = not before.isspace() and (before.isalnum() or not after.isalnum())
    run.closes &= after.isspace() or not (after.isascii() or after.isalnum()) or after in f"{_ENDING}{_OPENING}*~|"


def _look_around_asterisks(run: Run, src: str) -> None:
    before, after = run.before, run.after
    if f"{before}{after}" in _ENCLOSED:
        return
    if _opens_comment(src, run):
        run.weak, run.closes = _Weak.BRACKETED, run.size == 2
        return
    run.opens = not after.isspace() and (_is_letter(after) or not _is_operand(before))
    run.closes = not before.isspace() and (_is_letter(before) or not _is_operand(after))
    if run.size == 1:
        run.opens &= after not in ")]},"  # f(a, *, b)
        run.closes |= _is_operand(after) and (before in "!?:" or _is_mark_of_other_scripts(before))
    else:
        run.opens |= _is_operand(before) and (after in _OPENING or unicodedata.category(after) == "So")
        run.closes |= _is_operand(after) and not before.isspace()
    run.closes &= before not in _BRACKETS or run.size > 2
    if run.size < 3:
        _look_for_signs(run, src)


def _opens_comment(src: str, run: Run) -> bool:
    """/*x*/, in C"""
    return run.end < len(src) and run.before == "/" and (run.start == 1 or src[run.start - 2].isspace())


def _is_mark_of_other_scripts(sign: str) -> bool:
    """Punctuation or a picture that ASCII does not have, and that opens nothing."""
    return not sign.isascii() and not sign.isalnum() and not sign.isspace() and sign not in _BRACKETS


def _look_for_signs(run: Run, src: str) -> None:
    """Find what the run may be instead of a mark."""
    before, after = run.before, run.after
    is_operand = _is_operand(before) or before in ")]"
    if before == after and before in "'\"":
        run.weak, run.opens, run.closes = _Weak.QUOTED, True, True
    elif before in _BRACKETS and after.isspace():
        run.weak, run.opens, run.closes = _Weak.BRACKETED, False, True
    elif run.size == 1 and is_operand and (_is_operand(after) or after == "(" or _is_negative(run, src)):
        run.weak, run.opens, run.closes = _Weak.ARITHMETIC, False, True
    elif run.size == 1 and after.isdigit() and _OPERAND.search(src, max(run.start - _MAX_GAP, 0), run.start):
        run.weak = _Weak.FACTOR
    elif run.size == 2 and is_operand and (_is_operand(after) or after == "("):
        is_power = after.isdigit() or before.isdigit() or (before in ")]" and after == "(")
        run.weak, run.opens, run.closes = _Weak.ARITHMETIC if is_power else _Weak.LETTERS, True, True
    elif after == "/" and not (_is_letter(before) or before in ").!?…”’"):
        run.weak = _Weak.PATTERN
    elif not _is_letter(before) and run.size == 1 and _FILE_TYPE.match(src, run.end):
        run.weak, run.closes = _Weak.PATTERN, False


def _is_negative(run: Run, src: str) -> bool:
    """5*-3, 2*.5"""
    return run.before.isdigit() and run.after in "-+." and src[run.end + 1 : run.end + 2].isdigit()


# Partners


def settle(state: StateInline, *, growing: bool = False) -> None:
    """Decide of every run of asterisks whether it opens, closes, or is a sign. `growing`: what stands at the end may
    not be complete."""
    for delimiters in (state.delimiters, *(each["delimiters"] for each in state.tokens_meta if each)):
        marks = [each for each in delimiters if isinstance(each, Mark) and each.marker == ord("*")]
        _Partners(state.src, list({id(each.run): each.run for each in marks}.values()), growing=growing).settle()
        for each in marks:
            each.open, each.close = each.run.opens, each.run.closes


class _Partners:
    """Finds the run that each one closes: the last open one of the same kind, bold or italic."""

    def __init__(self, src: str, runs: Sequence[Run], *, growing: bool) -> None:
        self._src, self._runs = src, runs
        self._sure = len(src) - growing
        """Where a run ends at most whose kind is known."""
        self._open: dict[int, list[int]] = {1: [], 2: []}
        """The runs that italic and bold are open since, by their place in the list."""
        ends = [runs[0].start, *(run.end for run in runs)] if runs else []
        starts = [*(run.start for run in runs), len(src)]
        gaps = [_SPACE.search(src, end, start) is not None for end, start in zip(ends, starts, strict=False)]
        self._spaces = list(accumulate(gaps))
        """For each run how many of the gaps before it have white space."""
        self._left = sum(run.size == 2 for run in runs)
        """Bold marks that are still to come."""

    def settle(self) -> None:
        """Decide of every run."""
        closed_next = list(self._closed_next())
        for at, run in enumerate(self._runs):
            self._left -= run.size == 2
            if run.size > 3:
                continue
            if self._ends_behind_space(run):
                run.opens, run.closes = False, True
            partners = self._partners(at, closed_next[at]) if run.closes else []
            if partners:
                run.opens, run.crosses = False, self._drop_above(min(partners))
            elif run.opens or run.weak:
                run.closes = False
            for kind in _kinds(run) if run.opens else ():
                self._open[kind].append(at)
        self._drop_weak()

    def _closed_next(self) -> Iterator[bool]:
        """For each run whether the next one of its size that is surely a mark closes."""
        closes, out = {1: False, 2: False, 3: False}, list[bool]()
        for run in reversed(self._runs):
            out.append(closes.get(run.size, False))
            if run.weak not in (*_BETWEEN, _Weak.BRACKETED) and (run.opens or run.closes) and run.end <= self._sure:
                closes[run.size] = not run.opens
        return reversed(out)

    def _ends_behind_space(self, run: Run) -> bool:
        """Whether bold ends with a space, as in "**Mr. **Smith". What follows has to pair up."""
        return run.size == 2 and run.before == " " and not run.closes and self._left % 2 == 0 and self._is_bold()

    def _is_bold(self) -> bool:
        return bool(self._open[2]) and self._runs[self._open[2][-1]].weak is None

    def _partners(self, at: int, closed_next: bool) -> list[int]:
        found = [self._partner(kind, at, closed_next) for kind in _kinds(self._runs[at])]
        return [each for each in found if each is not None]

    def _partner(self, kind: int, at: int, closed_next: bool) -> int | None:
        """The run that one closes; those that may not be closed here are signs."""
        run, opened = self._runs[at], self._open[kind]
        while opened:
            opener, spaced = self._runs[opened[-1]], self._has_space(opened[-1], at)
            waits = run.weak in _BETWEEN and spaced and closed_next and not _has_note(self._src, opener, run)
            if not waits and self._is_pair(opener, run, spaced=spaced):
                return opened.pop()
            if run.weak or not opener.weak:
                return None
            opener.opens = False
            opened.pop()
        return None

    def _drop_above(self, first: int) -> bool:
        """What was opened within a pair, and is still open at its end, is a sign. Whether there is any."""
        size = sum(map(len, self._open.values()))
        for opened in self._open.values():
            while opened and opened[-1] > first:
                self._runs[opened.pop()].opens = False
        return sum(map(len, self._open.values())) < size

    def _drop_weak(self) -> None:
        """Weak runs that nothing closed are signs."""
        for at in {at for opened in self._open.values() for at in opened}:
            run = self._runs[at]
            if run.weak:
                run.opens = False
                run.may_close = run.weak is not _Weak.ARITHMETIC and self._is_pair(
                    run, None, spaced=self._has_space(at, len(self._runs))
                )

    def _has_space(self, first: int, last: int) -> bool:
        return self._spaces[first] != self._spaces[last]

    def _is_pair(self, opener: Run, run: Run | None, *, spaced: bool) -> bool:
        """Whether one run closes another. None: a mark at the end of the text."""
        start = run.start if run else len(self._src)
        if run and run.weak and not self._closes_weakly(opener, run, spaced=spaced):
            return False
        last = self._src[start - 1]
        match opener.weak:
            case _Weak.ARITHMETIC:
                is_pair = not spaced
            case _Weak.PATTERN if spaced and last == "/":  # globs are ASCII, phonetics are not
                is_pair = not self._src[opener.end : start].isascii()
            case _Weak.PATTERN:
                is_pair = not spaced or opener.size == 2
            case _Weak.FACTOR:
                is_pair = _LETTER.search(self._src, opener.end, start) is not None
            case _:
                is_pair = opener.weak is not _Weak.QUOTED or last == opener.after
        return is_pair

    def _closes_weakly(self, opener: Run, run: Run, *, spaced: bool) -> bool:
        """Whether a run that may be a sign closes another all the same."""
        if run.weak is _Weak.PATTERN and run.before in "'\"":
            return opener.after == run.before
        if run.weak is _Weak.QUOTED:
            return opener.weak is not _Weak.QUOTED and opener.after == run.after
        if run.weak is _Weak.BRACKETED and run.end == len(self._src):  # the end of a preview
            return True
        if opener.weak:
            return not spaced and (opener.weak is _Weak.PATTERN or opener.weak is run.weak is _Weak.LETTERS)
        return not spaced or run.size == 2 or _has_note(self._src, opener, run)


def _kinds(run: Run) -> Sequence[int]:
    """1: italic, 2: bold."""
    return (1, 2) if run.size == 3 else (run.size,)


def _has_note(src: str, opener: Run, run: Run) -> bool:
    """Whether words end here and a note on them follows: "*xin chào*(hello)", and not "*S = a*(b + c)"."""
    words = src[max(run.start - 2, opener.end) : run.start]
    is_equation = src.rfind("=", max(opener.end, run.start - _MAX_EQUATION), run.start) >= 0
    return words.isalpha() and not is_equation and _NOTE.match(src, run.end) is not None
