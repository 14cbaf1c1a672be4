"""Markdown that is still being written: open code and spans are closed, half a mark is left out. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it.token import Token

from core.markdown.formulas import is_formula
from core.markdown.grammar import CODE_SPAN, FORMULA, PARSER, open_marks
from core.markdown.html_blocks import BLOCK_TAGS, as_markdown
from core.markdown.inline import is_known_tag, open_tags

_LINE_SIGNS = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*")
"""Before the words of a line: quotes and lists."""
_HALF_LINE = re.compile(
    r"(?:[-+*#>=_`~|: \t]*|\d{1,4}[.)]|\[[ xX]?\]?|\[![A-Za-z]*\]?|\|.*|\[[^\[\]]{1,200}\]:\s*)\Z", re.DOTALL
)
"""A last line that may still become something else: a rule, a marker, a fence, a task, the first row of a table."""
_HALF_ROW = re.compile(r"[^|]*|\|.*[^|\s]\s*|\|\s*", re.DOTALL)
"""A last row of a table that has not all of its cells."""
_DEFINITION = re.compile(r"[ \t]*\[[^\[\]^][^\[\]]{0,200}\]:[ \t]*\S+[ \t]+[\"'(][^\"'()]*")
_TITLE = re.compile(r"[ \t]+[\"'(][^\"'()\n]*\Z")
"""Half the title of an address that links name."""
_HALF_TAG = re.compile(
    r"<(?:/?([a-zA-Z][a-zA-Z0-9]*)?/?|([a-zA-Z][a-zA-Z0-9]*)\s[^<>\n]*|!-{0,2}|[a-zA-Z][\w.+-]*[:@][^\s<>]*)\Z"
)
_HALF_ENTITY = re.compile(r"&(?:#?\w{0,10})\Z")
_HALF_FORMULA = re.compile(
    r"(?<![\w\\])(?:\\[(\[]|\\begin(?![a-z])|\$\$|\$(?=[^\s$]*\Z|[^\d\s$`]|\d+[a-zA-Z\\^_=])(?!\d+\Z))[^$`]*\Z"
)
_HALF_NAME = re.compile(r"(?<!\w)__([a-zA-Z][a-zA-Z0-9_]*)?\Z")
"""It may become a name of Python, which is shown as it is, or the beginning of something bold."""
_SPACED_MARK = re.compile(r"[ \t]\*{2}\Z")
"""It may open bold words, or close those before it."""
_HALF_ARGUMENTS = re.compile(r"(?<![\w*])\*{1,2}(a(?:r(?:gs?)?)?|k(?:w(?:a(?:r(?:gs?)?)?)?)?)\Z")
"""The same for Python's *args and **kwargs."""
_PROSE = re.compile(r"(?<![\\{a-zA-Z])[a-z]{2,}[ \t]+[a-z]{2,}[ \t]")
"""Two words, which a formula has in braces alone."""
_REFERENCE = re.compile(r"(?<![\w\])!])!?\[([^\[\]\n]{1,200})\]\[([^\[\]\n]{0,200})(?:\]|\Z)")
_DEFINED = re.compile(r"^[ \t]{0,3}\[([^\[\]\n]{1,200})\]:[ \t]*\S", re.MULTILINE)
_TICKS = re.compile(r"(?<!\\)`+")
_MAX_HALVES = 6
"""Half marks at the end of a text, one behind the other, that are left out."""
_MAX_HALF_FORMULA = 400
"""Characters of a formula that is waited for."""
_MAX_HALF_LINK = 600
"""Characters of a link that is waited for: after more, its bracket is a word."""


def close_fence(text: str) -> str:
    """`text` with an open code fence closed."""
    end = _end(text.rstrip()) if "```" in text or "~~~" in text else None
    return f"{text.rstrip()}\n{end.closing}" if end and end.closing else text


def close_open_markup(text: str) -> str:
    """`text` as it can be shown while more is to come.

    Open code and the open spans of the last paragraph are closed; what could still become markup is left out.
    """
    text = _without_references(as_markdown(text.rstrip(), growing=True).rstrip())
    for _ in range(_MAX_HALVES):
        end = _end(text)
        if end.closing:
            if code := _shut(text[end.start :], end.closing):
                return text[: end.start] + code
            text = text[: end.start].rstrip()  # nothing of it can be seen yet
            continue
        if end.is_code:
            return text
        words = text[end.start :]
        if (shorter := _shortened(words, in_table=end.in_table).rstrip()) == words:
            return text + _closing_marks(words)
        text = (text[: end.start] + shorter).rstrip()
    return text


@dataclass(frozen=True, slots=True)
class _End:
    """The last block of a text. `start`: where its lines begin. `closing`: the fence that would close it, if it is open
    code."""

    start: int
    closing: str = ""
    is_code: bool = False
    in_table: bool = False


def _end(text: str) -> _End:
    tokens, lines = PARSER.parse(text, {}), text.split("\n")
    last = next((token for token in reversed(tokens) if token.map and not token.nesting), None)
    if last is None or last.map is None:
        return _End(0)
    if last.map[1] < len(lines):  # a marker without words
        return _End(len("\n".join(lines[: last.map[1]])) + 1)
    start = sum(len(line) + 1 for line in lines[: last.map[0]])
    if last.type == "fence" and not _is_closed(last, lines):
        return _End(start, _closing_fence(last, lines[last.map[0]]))
    in_table = any(token.type == "table_close" for token in tokens[-3:])
    return _End(start, is_code=last.type in ("fence", "code_block", "formula_block"), in_table=in_table)


def _is_closed(fence: Token, lines: list[str]) -> bool:
    first, end = fence.map or (0, 0)
    last = lines[min(end, len(lines)) - 1].strip(" \t>")
    return end - first > 1 and last.startswith(fence.markup) and not last.strip(fence.markup[0])


def _closing_fence(fence: Token, line: str) -> str:
    """The fence with the signs of quotes before it, and below the words of a list item."""
    before = line[: line.index(fence.markup[0])]
    return re.sub(r"[^>\s]", " ", before) + fence.markup


def _shut(code: str, closing: str) -> str:
    """Open code, closed; "" while there is nothing in it to see."""
    opening, _, inside = code.partition("\n")
    head, _, last = inside.rpartition("\n")
    half, marks = last.strip(" \t>"), closing.strip(" \t>")
    if half and half != marks and marks.startswith(half):
        inside = head.rstrip()
    return f"{opening}\n{inside}\n{closing}" if inside.strip(" \t\n>") else ""


def _shortened(words: str, *, in_table: bool) -> str:
    """The lines without the last thing at their end that could still become markup."""
    masked = _masked(words)
    before, _, line = masked.rpartition("\n")
    signs, ticks = _LINE_SIGNS.match(line), _open_ticks(masked)
    own = line[signs.end() :] if signs else line
    if ticks and (in_table or not own.startswith("|")):
        return _shortened_in_code(words, masked[: ticks.start()], ticks)
    if ticks or (_HALF_ROW if in_table else _HALF_LINE).fullmatch(own):
        return words[: len(before)]
    if half := _SPACED_MARK.search(masked) or _half_formula(masked) or _half_title(masked, line):
        return words[: half.start()]
    if (start := _half_link(masked)) >= 0:
        return words[:start] + _label(words[start:])
    if name := _HALF_NAME.search(masked) or _HALF_ARGUMENTS.search(masked):
        return words[: name.start()] + (name[1] or "")
    end = min((half.start() for half in _halves(masked)), default=len(words) - open_marks(masked)[1])
    return words[:end].rstrip("\\")


def _shortened_in_code(words: str, before: str, ticks: re.Match[str]) -> str:
    """The same where code is open, `before` which a link may have begun."""
    if (start := _half_link(before)) >= 0:
        return words[:start] + words[start:].removeprefix("!").removeprefix("[")
    return words.rstrip("`") if words[ticks.end() :].strip("` ") else words[: ticks.start()]


def _half_title(masked: str, line: str) -> re.Match[str] | None:
    return _TITLE.search(masked) if _DEFINITION.fullmatch(line) else None


def _halves(masked: str) -> Iterator[re.Match[str]]:
    """What may still become an entity or a tag."""
    if entity := _HALF_ENTITY.search(masked):
        yield entity
    if (tag := _HALF_TAG.search(masked)) and (not tag[2] or is_known_tag(tag[2]) or tag[2].lower() in BLOCK_TAGS):
        yield tag


def _half_formula(masked: str) -> re.Match[str] | None:
    found = _HALF_FORMULA.search(masked)
    if not found or len(masked) - found.start() >= _MAX_HALF_FORMULA:
        return None
    return found if found[0][:1] == "\\" or not _PROSE.search(found[0]) else None


def _masked(words: str) -> str:
    """The words with NUL in place of every character of code and of formulas."""
    words = CODE_SPAN.sub(lambda found: "\0" * len(found[0]), words)
    return FORMULA.sub(lambda found: found[0] if _is_price(found[0]) else "\0" * len(found[0]), words)


def _is_price(found: str) -> bool:
    """$5 and **$"""
    return found[:2] != "$$" and found[0] == "$" and not is_formula(found[1:-1])


def _open_ticks(masked: str) -> re.Match[str] | None:
    return _TICKS.search(masked)


def _half_link(masked: str) -> int:
    """Where a link begins that is not complete; -1 where there is none."""
    opened = list[int]()
    for at in range(max(len(masked) - _MAX_HALF_LINK, 0), len(masked)):
        sign = masked[at]
        if sign == "[":
            opened.append(at)
        elif sign == "]" and opened:
            start = opened.pop()
            rest = masked[at + 1 :]
            if opened:
                continue
            if not rest or (rest[0] == "(" and "\n" not in rest and rest.count("(") > rest.count(")")):
                opened.append(start)
                break
        elif sign == "\n":
            opened.clear()
    start = opened[0] if opened else -1
    if start > 0 and masked[start - 1] == "!":
        start -= 1
    is_index = start > 0 and masked[start - 1].isalnum() and masked[start + 1 : start + 2] != "^"
    return -1 if is_index else start


def _label(link: str) -> str:
    """The words of half a link; none of a footnote, an alert, or a link around an image."""
    inner = link.removeprefix("!").removeprefix("[")
    label = inner.partition("]")[0]
    return "" if label[:1] in ("^", "!") else label.partition("[")[0].rstrip("!")


def _without_references(text: str) -> str:
    """The text with the words alone of links whose address is still to come."""
    if "][" not in text:
        return text
    masked, defined = _masked(text), {label.lower() for label in _DEFINED.findall(text)}
    out, at = list[str](), 0
    for link in _REFERENCE.finditer(masked):
        if (link[2] or link[1]).lower() not in defined and "\0" not in link[0]:
            out += [text[at : link.start()], link[1]]
            at = link.end()
    return "".join([*out, text[at:]])


def _closing_marks(words: str) -> str:
    """What closes the code, the marks and the tags that are open at the end."""
    masked = _masked(words)
    ticks = _open_ticks(masked)
    plain = masked[: ticks.start()] + "\0" if ticks else masked  # the code follows the marks
    return (ticks[0] if ticks else "") + open_tags(plain) + open_marks(plain)[0]
