"""A model's Markdown for Discord: what Discord lacks is written otherwise, what only Discord has is escaped. Pure."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from core.delivery.splitting import split, utf16

LIMIT = 2000
"""UTF-16 units of a message. Discord does not say what it counts; this is safe either way."""

_FENCE = re.compile(r"^([ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?)(`{3,}|~{3,})([^\n`]*)$")
_INLINE = re.compile(r"(?<![\\`])(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_RULE = re.compile(r"^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_DELIMITER = re.compile(r"^ {0,3}\|?(?:[ \t]*:?-+:?[ \t]*\|)+(?:[ \t]*:?-+:?[ \t]*)?$")
_CELL = re.compile(r"(?<!\\)\|")
_URL = re.compile(r"https?://[^\s<>]+")
_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\(\s*<?((?:https?://)(?:[^\s()<>]|\([^\s()<>]*\))+)>?(?:\s+\"[^\"\n]*\")?\s*\)")
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
    """One message: what is sent, and what a person reads."""

    content: str
    text: str


def messages(markdown: str, *, bare: bool = False) -> Sequence[Rendered]:
    """The text in messages. `bare`: links are written so that they show no preview even where none can be forbidden."""
    parts = split(rendered(markdown, bare=bare), lambda part: utf16(part) <= LIMIT)
    return [Rendered(part, plain(part)) for part in parts]


def rendered(markdown: str, *, bare: bool = False) -> str:
    """The text as Discord understands it."""

    def rewrite(text: str) -> str:
        return _links(text, bare=bare)

    return "\n".join(_lines(_blocks(markdown.split("\n")), rewrite))


def plain(content: str) -> str:
    """What a person reads of a message, without marks; code as it is. This is what the last gate judges."""
    blocks = (_without_fences(block) for block in _blocks(content.split("\n"), tables=False))
    return "\n".join(_lines(blocks, _unmarked, code=lambda _, body: body))


# Blocks: code is left alone, tables become code


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
    """Code between fences as Discord knows them: three backticks, one word behind them, and none within."""
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
    """The rows of a table that begins at a line, its delimiter left out; none where none begins."""
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
    """Columns in a monospaced font."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


# Lines: inline code is left alone


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
    """Text outside code. Links are set apart first: an underscore in an address is no mark."""
    out, at = "", 0
    for link in re.finditer(f"{_LINK.pattern}|<?({_URL.pattern})>?", text):
        label, address, plain_address = link[1], link[2], link[3]
        out += _escaped(text[at : link.start()])
        at = link.end()
        if address:
            out += _masked(label, address, bare=bare)
            continue
        whole = link[0].startswith("<") and link[0].endswith(">")
        address = plain_address if whole else _without_end(plain_address)
        at -= 0 if whole else len(plain_address) - len(address) + link[0].endswith(">")
        out += f"<{address}>" if bare or whole else address
    return out + _escaped(text[at:])


def _masked(label: str, address: str, *, bare: bool) -> str:
    """A link behind words. Behind another address Discord shows no link, so neither is hidden."""
    shown = f"<{address}>" if bare else address
    if not label.strip() or label.strip() == address:
        return shown
    # Nothing can be escaped in there: backslashes would show.
    return f"{_links(label, bare=bare)} ({shown})" if _URL.search(label) else f"[{label}]({shown})"


def _without_end(address: str) -> str:
    """An address without the punctuation of the sentence that it ends."""
    while address and (address[-1] in _TRAILING or (address[-1] == ")" and address.count(")") > address.count("("))):
        address = address[:-1]
    return address


def _escaped(text: str) -> str:
    """What Discord alone would take for markup is escaped, what it does not know is written otherwise."""
    text = "\n".join("───" if _RULE.match(line) else line for line in text.split("\n"))
    for pattern, replacement in _REWRITTEN:
        text = pattern.sub(replacement, text)
    return text


def _unmarked(text: str) -> str:
    text = re.sub(_LINK, lambda link: link[1], text)
    return _MARKS.sub(lambda mark: mark[1] or "", _LINE_MARK.sub("", text))
