"""Markdown that is still being written: open code and spans are closed, half a mark is left out. Pure."""

import re

_FENCE = re.compile(r"^ {0,3}(`{3,}(?=[^`]*$)|~{3,})(.*)$", re.MULTILINE)
_ANY_FENCE = re.compile(r"^([ \t>]*)((?:[-*+]|\d{1,9}[.)])[ \t]+)?(`{3,}(?=[^`]*$)|~{3,})(.*)$", re.MULTILINE)
"""A code fence, also inside lists and quotes."""
_BLOCK = re.compile(r"\n[ \t>]*\n|\n(?=[ \t>]*(?:(?:[-*+]|\d{1,9}[.)]|#{1,6})[ \t]|\|))")
"""Where a new block begins: no span reaches into it from the block before."""
_HALF_LINE = re.compile(
    r"(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(?:[-+*#>=_`~|: \t]*|\d{1,3}[.)]|\[[ xX]?\]?|\|.*[^|])", re.DOTALL
)
_HALF_LINK = re.compile(r"(?<!\w)!?\[([^\[\]\n]*)(?:\]\([^()\n]*(?:\([^()\n]*\)?[^()\n]*)*)?$")
_TICKS = re.compile(r"(?<![\\`])`+")
_MARKS = re.compile(r"(?<!\\)(?:\*+|_+|~~+)|~$")


def close_fence(text: str) -> str:
    """`text` with an open code fence closed."""
    if "```" not in text and "~~~" not in text:  # most texts: no fence is shorter
        return text
    fence = open_fence(text)
    return f"{text.rstrip()}\n{fence[0]}" if fence else text


def close_open_markup(text: str) -> str:
    """`text` as it can be shown while more is to come.

    Open code and the open spans of the last paragraph are closed; what could still become markup is left out.
    """
    end, opening = _fences(text)
    if opening is not None:
        return _shut(text, opening)
    start = max([end, *(match.end() for match in _BLOCK.finditer(text, end))])
    return close_fence((text[:start] + _closed(text[start:])).rstrip())


def _fences(text: str) -> tuple[int, re.Match[str] | None]:
    """The end of the last closed code block, and the fence of an open one."""
    end, opening = 0, None
    for match in _ANY_FENCE.finditer(text):
        further = _width(match) - _width(opening) if opening else 0
        if opening is None or further < -1:  # what is further left has ended the list, and its code with it
            opening = match
        elif further < 4 and match[3].startswith(opening[3]) and not match[2] and not match[4].strip():
            end, opening = match.end(), None
    return end, opening


def _width(fence: re.Match[str]) -> int:
    return len((fence[1] + (fence[2] or "")).expandtabs(4))


def _shut(text: str, opening: re.Match[str]) -> str:
    """`text`, which ends in a code block, with that closed; without the block while there is nothing in it to see."""
    indent, item, marks, _ = opening.groups()
    code = text[opening.end() :].rstrip()
    head, _, last = code.rpartition("\n")
    if (half := last.strip(" \t>")) and half != marks and marks.startswith(half):
        code = head.rstrip()
    if not code.strip(" \t\n>"):
        return close_open_markup(text[: opening.start()])
    return f"{text[: opening.end()]}{code}\n{indent}{' ' * len(item or '')}{marks}"


def _closed(block: str) -> str:
    """A block with its open spans closed."""
    text = block.rstrip()
    while (shorter := _shortened(text).rstrip()) != text:
        text = shorter
    plain, code = _plain(text)
    return text + (code[0] if code else "") + "".join(reversed(_open_marks(plain)[0]))


def _shortened(text: str) -> str:
    """The text without the last thing at its end that could still become markup."""
    plain, code = _plain(text)
    if code:
        return text.rstrip("`") if text[code.end() :].strip("` ") else text[: code.start()]
    before, _, line = plain.rpartition("\n")
    if _HALF_LINE.fullmatch(line.lstrip(" \t>")):
        return text[: len(before)]
    if match := _HALF_LINK.search(plain):
        return text[: match.start()] + text[match.start(1) : match.end(1)]
    loose = _open_marks(plain)[1] or int(plain.endswith("\\"))
    return text[: len(text) - loose]


def _plain(text: str) -> tuple[str, re.Match[str] | None]:
    """The text with each character of its code spans replaced by NUL, and the mark of a span that is open."""
    runs, index, out, at = list(_TICKS.finditer(text)), 0, "", 0
    while index < len(runs):
        first = runs[index]
        last = next((each for each in range(index + 1, len(runs)) if runs[each][0] == first[0]), None)
        end = len(text) if last is None else runs[last].end()
        out += text[at : first.start()] + "\0" * (end - first.start())
        if last is None:
            return out, first
        at, index = end, last + 1
    return out + text[at:], None


def _open_marks(plain: str) -> tuple[list[str], int]:
    """The open marks, and the number of marks at the end that mean nothing yet. CommonMark's rules, simplified."""
    opened: list[str] = []
    for match in _MARKS.finditer(plain):
        before, after = plain[max(match.start() - 1, 0) : match.start()], plain[match.end() : match.end() + 1]
        mark, count = match[0][0], len(match[0])
        if _arithmetic(match[0], before, after):
            continue
        if _closes(mark, before, after):
            count = _matched(opened, mark, count)
        if count and not after:
            return opened, count
        if count and _opens(mark, before, after):
            opened.append(mark * count)
    return opened, 0


def _matched(opened: list[str], mark: str, count: int) -> int:
    """Close open marks of this kind with `count` new ones; return how many of those are left."""
    while count and any(each[0] == mark for each in opened):
        while opened[-1][0] != mark:
            opened.pop()
        top = opened.pop()
        if len(top) > count:
            opened.append(top[count:])
        count = max(0, count - len(top))
    return count


def _arithmetic(run: str, before: str, after: str) -> bool:
    """Whether the marks stand for multiplication or a power: 2*3, x**2, 2**n."""
    digits = before.isdigit() or after.isdigit()
    return before.isalnum() and after.isalnum() and (run == "*" or (run == "**" and digits))


def _opens(mark: str, before: str, after: str) -> bool:
    if after.isspace() or (mark == "_" and before.isalnum()):
        return False
    return after.isalnum() or not before.isalnum()


def _closes(mark: str, before: str, after: str) -> bool:
    if not before.strip() or (mark == "_" and after.isalnum()):
        return False
    return before.isalnum() or not after.isalnum()


def open_fence(text: str) -> tuple[str, str] | None:
    """The code fence that is open at the end of `text`: its marks and its opening line. None outside code."""
    current: tuple[str, str] | None = None
    for match in _FENCE.finditer(text):
        marks, rest = match.groups()
        if current is None:
            current = (marks, match.group().strip())
        elif marks.startswith(current[0]) and not rest.strip():
            current = None
    return current
