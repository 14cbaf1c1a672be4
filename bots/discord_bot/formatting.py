"""A model's Markdown as Discord's: what Discord lacks is rewritten, what only Discord has is escaped. Pure."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from core.delivery.splitting import split, utf16

MAX_MESSAGE_UNITS = 2000
"""UTF-16 units of a message. Discord does not document what it counts; characters are never more than these."""

_FENCE = re.compile(r"^([ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?)(`{3,}|~{3,})([^\n`]*)$")
_INLINE = re.compile(r"(?<![\\`])(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_RULE = re.compile(r"^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_DELIMITER = re.compile(r"^ {0,3}\|?(?:[ \t]*:?-+:?[ \t]*\|)+(?:[ \t]*:?-+:?[ \t]*)?$")
_CELL = re.compile(r"(?<!\\)\|")
_URL = re.compile(r"https?://[^\s<>]+")
_LINK = re.compile(
    r"!?\[(?P<label>[^\[\]\n]*)\]"
    r"\(\s*<?(?P<target>(?:https?://)(?:[^\s()<>]|\([^\s()<>]*\))+)>?(?:\s+\"[^\"\n]*\")?\s*\)"
)
_ANY_LINK = re.compile(rf"{_LINK.pattern}|<?(?P<address>{_URL.pattern})>?")
_TRAILING = ".,:;!?'\"*_~"
_MARKS = re.compile(r"\\([!-/:-@\[-`{-~])|(\|\||~~|\*+|(?<!\w)_+(?=\S)|(?<=\S)_+(?!\w)|\u200b)")
_LINE_MARK = re.compile(r"^(?:#{1,3} |-# |(?:> )+)", re.MULTILINE)

_REWRITTEN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^( {0,3})#{4,6}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE), r"\1**\2**"),  # Discord has three levels
    (re.compile(r"(?<![\w*\\])__(\w+?)__(?![\w*])"), r"\\_\\_\1\\_\\_"),  # __init__, underlined
    (re.compile(r"(?<=[\w)])\*(?=[\w(])"), r"\*"),  # 2*3*4
    (re.compile(r"(?<!\\)\|\|"), r"\\|\\|"),  # a || b || c, a spoiler
    (re.compile(r"^(\s*)-# ", re.MULTILINE), r"\1\\-# "),  # small print
    (re.compile(r"^(\s*)>>> ", re.MULTILINE), r"\1\\>>> "),  # a quote of all that follows
    (re.compile(r"<(?=@|#\d|/|id:|t:-?\d|a?:\w+:\d)"), r"\<"),  # people, channels, commands, times, emoji
    (re.compile(r"@(?=everyone|here)"), "@\u200b"),  # also where it is copied from
)


@dataclass(frozen=True, slots=True)
class Rendered:
    """One message. `content` is what is sent, `text` what a person reads."""

    content: str
    text: str


def messages(markdown: str, *, bare: bool = False) -> Sequence[Rendered]:
    """The Markdown text as messages, each within Discord's limit. `bare`: links are written as <link>, which shows no
    preview even where a message has no flag against previews."""
    parts = split(rendered(markdown, bare=bare), lambda part: utf16(part) <= MAX_MESSAGE_UNITS)
    return [Rendered(part, plain(part)) for part in parts]


def rendered(markdown: str, *, bare: bool = False) -> str:
    """The Markdown text in Discord's dialect, in one piece. `bare` as in `messages`."""

    def rewrite(text: str) -> str:
        return _links(text, bare=bare)

    return "\n".join(_lines(_blocks(markdown.split("\n")), rewrite))


def plain(content: str) -> str:
    """What a person reads of a message's content: without marks, code as it is. The final check judges this."""
    blocks = (_without_fences(block) for block in _blocks(content.split("\n"), tables=False))
    return "\n".join(_lines(blocks, _unmarked, code=lambda _, body: body))


# Blocks: code stays as it is, tables become code


@dataclass(frozen=True, slots=True)
class _Block:
    lines: list[str]
    code: bool = False


def _blocks(lines: Sequence[str], *, tables: bool = True) -> Iterator[_Block]:
    at = 0
    while at < len(lines):
        if opening := _FENCE.match(lines[at]):
            end = _fence_end(lines, at, opening)
            yield _Block(_fenced(lines[at : end + 1], opening), code=True)
            at = end + 1
        elif tables and (rows := _table(lines, at)):
            yield _Block(["```", *_aligned(rows), "```"], code=True)
            at += len(rows) + 1
        else:
            end = at + 1
            while end < len(lines) and not _FENCE.match(lines[end]) and not (tables and _table(lines, end)):
                end += 1
            yield _Block(list(lines[at:end]))
            at = end


def _fenced(lines: Sequence[str], opening: re.Match[str]) -> list[str]:
    """The code between fences as Discord knows them: three backticks, one word after them, and no backticks within."""
    body = list(lines[1:])
    closed = bool(body) and body[-1].strip(" \t>").strip(opening[2][0]) == "" and opening[2] in body[-1]
    inside = body[:-1] if closed else body
    info = (opening[3].split() or [""])[0]
    last = [re.sub(r"[`~]+[ \t]*$", "```", body[-1])] if closed else []
    return [f"{opening[1]}```{info}", *(line.replace("```", "``\u200b`") for line in inside), *last]


def _without_fences(block: _Block) -> _Block:
    inside = [
        line for at, line in enumerate(block.lines) if at not in (0, len(block.lines) - 1) or not _FENCE.match(line)
    ]
    return _Block(inside, code=True) if block.code else block


def _fence_end(lines: Sequence[str], at: int, opening: re.Match[str]) -> int:
    for index in range(at + 1, len(lines)):
        closing = lines[index].strip(" \t>")
        if closing.startswith(opening[2]) and not closing.strip(opening[2][0]):
            return index
    return len(lines) - 1


def _table(lines: Sequence[str], at: int) -> list[str]:
    """The rows of the table that begins at line `at`, without its delimiter row; empty where no table begins."""
    if at + 1 >= len(lines) or "|" not in lines[at] or not _DELIMITER.match(lines[at + 1]):
        return []
    rows = [lines[at]]
    for line in lines[at + 2 :]:
        if "|" not in line or not line.strip():
            break
        rows.append(line)
    return rows


def _aligned(rows: Sequence[str]) -> list[str]:
    cells = [[cell.strip().replace("\\|", "|").replace("`", "") for cell in _cells(row)] for row in rows]
    widths = [max(_width(row[column]) for row in cells if column < len(row)) for column in range(max(map(len, cells)))]
    lines = ["  ".join(cell + " " * (widths[at] - _width(cell)) for at, cell in enumerate(row)) for row in cells]
    return [lines[0].rstrip(), "  ".join("─" * width for width in widths), *(line.rstrip() for line in lines[1:])]


def _cells(row: str) -> list[str]:
    return _CELL.split(re.sub(r"(?<!\\)\|$", "", row.strip().removeprefix("|")))


def _width(text: str) -> int:
    """Columns that the text takes in a monospaced font."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


# Lines: inline code stays as it is


def _lines(
    blocks: Iterator[_Block],
    rewrite: Callable[[str], str],
    *,
    code: Callable[[str, str], str] = lambda ticks, body: f"{ticks}{body}{ticks}",
) -> Iterator[str]:
    for block in blocks:
        if block.code:
            yield from block.lines
            continue
        text, out, at = "\n".join(block.lines), "", 0
        for span in _INLINE.finditer(text):
            out += rewrite(text[at : span.start()]) + code(span[1], span[2])
            at = span.end()
        yield out + rewrite(text[at:])


def _links(text: str, *, bare: bool) -> str:
    """Rewrite text outside code. Links are set apart first: an underscore in an address is no mark."""
    out, position = "", 0
    while link := _ANY_LINK.search(text, position):
        rewritten, consumed = _link(link, bare=bare)
        out += _escaped(text[position : link.start()]) + rewritten
        position = link.start() + consumed
    return out + _escaped(text[position:])


def _link(link: re.Match[str], *, bare: bool) -> tuple[str, int]:
    """What is written for a match of _ANY_LINK, and how many of its characters that stands for: punctuation after an
    address belongs to the sentence."""
    whole, label, target, address = link[0], link["label"], link["target"], link["address"]
    if target:
        return _masked(label, target, bare=bare), len(whole)
    if whole.startswith("<") and whole.endswith(">"):
        return whole, len(whole)
    address = _without_punctuation(address)
    opening = "<" if whole.startswith("<") else ""
    return f"<{address}>" if bare else address, len(opening) + len(address)


def _masked(label: str, address: str, *, bare: bool) -> str:
    """A link with a label. Where the label is an address too, Discord shows no link: both addresses are written."""
    written = f"<{address}>" if bare else address
    if not label.strip() or label.strip() == address:
        return written
    # Nothing can be escaped in a label: backslashes would show.
    return f"{_links(label, bare=bare)} ({written})" if _URL.search(label) else f"[{label}]({written})"


def _without_punctuation(address: str) -> str:
    """An address without the punctuation of the sentence that ends with it."""
    while address and (address[-1] in _TRAILING or (address[-1] == ")" and address.count(")") > address.count("("))):
        address = address[:-1]
    return address


def _escaped(text: str) -> str:
    """Text without links: what only Discord takes for markup is escaped, what it does not know is rewritten."""
    text = "\n".join("───" if _RULE.match(line) else line for line in text.split("\n"))
    for pattern, replacement in _REWRITTEN:
        text = pattern.sub(replacement, text)
    return text


def _unmarked(text: str) -> str:
    text = _LINK.sub(lambda link: link["label"], text)
    return _MARKS.sub(lambda mark: mark[1] or "", _LINE_MARK.sub("", text))
