"""Bold and italic: which asterisks and underscores are marks, and which are signs of the text."""

import re
from bisect import bisect_right

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
_MAX_GAP = 10
"""Spaces before a sign of arithmetic."""
_BOLD = re.compile(r"(?<![*\\])\*\*(?!\*)")
_OPENING = "([{\"'“‘«¿¡（【《「『"
_CLOSING_PUNCTUATION = ".,:;!?%…)]}\"'”’»：。，；！？、）】》」』"


def emphasis(state: StateInline, silent: bool) -> bool:
    """Bold and italic. Unlike CommonMark, bold may end behind punctuation before a letter ("**Note:**text"), and signs
    of arithmetic, patterns of files and names of Python are no marks."""
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
    before = src[at - 1] if at else " "
    after = src[end] if end < state.posMax else " "
    opens, closes = _flanks(mark * (end - at), before, after)
    if mark == "*" and (_is_factor(src, at, end, after) or _opens_comment(src, at, before)):
        opens = closes = False
    if mark == "*" and end - at == 2:
        opens, closes = _in_pairs(state, at, opens, closes)
    for _ in range(end - at):
        token = state.push("text", "", 0)
        token.content = mark
        if opens or closes:
            index = len(state.tokens) - 1
            state.delimiters.append(Delimiter(ord(mark), end - at, index, -1, opens, closes))
    state.pos = end
    return True


def _in_pairs(state: StateInline, at: int, opens: bool, closes: bool) -> tuple[bool, bool]:
    """The same, where bold is open and its end has a space before it: "**Mr. **Smith". What follows has to pair up."""
    env = state.env
    if env.get("bold", (None,))[0] is not state.src:
        env["bold"] = state.src, [found.start() for found in _BOLD.finditer(state.src)], 0
    src, marks, opened = env["bold"]
    if opened and not closes and state.src[at - 1 : at] == " " and (len(marks) - bisect_right(marks, at)) % 2 == 0:
        opens, closes = False, True
    opened += -1 if closes and opened else 1 if opens else 0
    env["bold"] = src, marks, opened
    return opens, closes


def _is_factor(src: str, at: int, end: int, after: str) -> bool:
    """2 *3"""
    return end - at == 1 and after.isdigit() and _OPERAND.search(src, max(at - _MAX_GAP, 0), at) is not None


def _opens_comment(src: str, at: int, before: str) -> bool:
    """/*x*/, in C"""
    return before == "/" and (at == 1 or src[at - 2].isspace())


def is_word(sign: str) -> bool:
    """Whether a character belongs to a name."""
    return sign.isalnum() or sign == "_"


def _flanks(run: str, before: str, after: str) -> tuple[bool, bool]:
    """Whether a run of marks may open, and whether it may close."""
    if _is_arithmetic(run, before, after) or _is_pattern(run, before, after):
        return False, False
    opens = not after.isspace() and (after.isalnum() or not before.isalnum())
    closes = not before.isspace() and (before.isalnum() or not after.isalnum())
    if run[0] == "_":  # not inside a word or a path, nor in a face: ^_^
        opens = opens and (before.isspace() or before in f"{_OPENING}*~|")
        closes = closes and (after.isspace() or after in f"{_CLOSING_PUNCTUATION}*~|")
    elif len(run) >= 2 and after.isalnum() and before in _CLOSING_PUNCTUATION:
        closes = True
    elif len(run) >= 2 and before.isalnum() and after in _OPENING:
        opens, closes = True, False
    return opens, closes


def _is_arithmetic(run: str, before: str, after: str) -> bool:
    """2*3, (a)*(b), 5*-3, x**2, (x)**(y)."""
    operand = before.isalnum() or before in ")]"
    if run == "*":
        return operand and (after.isalnum() or after == "(" or (before.isdigit() and after in "-+."))
    if run != "**":
        return False
    power = operand and after.isdigit()
    return power or (before.isdigit() and (is_word(after) or after == "(")) or (before in ")]" and after == "(")


def _is_pattern(run: str, before: str, after: str) -> bool:
    """*.py, src/**/x, COUNT(*), '*'."""
    if run == "**":
        return after == "/" and (before == "/" or before.isspace())
    if run != "*" or before.isalnum():
        return False
    return after in "./" or (before in "([{'\"`/" and after in ")]}'\"`,;:")
