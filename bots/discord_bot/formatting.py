"""A text in Discord's Markdown: what Discord lacks is rewritten, what only Discord has is escaped. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import groupby
from operator import and_

from core.delivery.splitting import split, utf16
from core.markdown.document import (
    RULE,
    Block,
    Kind,
    Run,
    Style,
    gap,
    joined,
    plain_text,
    stands_for_itself,
    style_ends,
    text_of,
    with_addresses,
)
from core.markdown.reader import read
from core.markdown.tables import laid_out

MAX_MESSAGE_UNITS = 2000
"""UTF-16 units of a message. Discord does not document what it counts; characters are never more than these."""
MAX_TABLE_COLUMNS = 56
"""Columns of an aligned table, at most."""
_EMPTY = "…"
"""In place of a text that shows nothing."""
_MAX_HEADING_LEVEL = 3
_LINKED = re.compile(r"https?://(?:[^\s/:?#()<>]+\.)+[^\s/:?#.()<>]+(?:[:/?#][^\s<>]*)?", re.IGNORECASE)
"""Addresses that Discord takes as links with words of their own."""
_URL = re.compile(r"(https?://[^\s<>]+)", re.IGNORECASE)
"""What Discord takes as an address, in which nothing is a mark."""
_ADDRESS_IN_LABEL = re.compile(r"https?://|(?<![^\W_])www\.", re.IGNORECASE)
_NO_LANGUAGE = re.compile(r"[^\w+#.-]")
_MARKS = {Style.BOLD: "**", Style.UNDERLINED: "__", Style.STRUCK: "~~", Style.ITALIC: "*"}
"""In the order of their nesting where they end together, the outer one first."""
_ESCAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\\(?=[!-/:-@\[-`{-~]|\Z)"), r"\\\\"),
    (re.compile(r"(?<!\s)\*|\*(?!\s)|(?<![^\W_])_|_(?![^\W_])|`|~(?=~)|(?<=~)~|\|(?=\|)|(?<=\|)\|"), r"\\\g<0>"),
    (re.compile(r"\](?=\(\s{0,9}<?\Z)"), r"\\]"),  # before an address
    (re.compile(r"<(?=@|#\d|/[^<>\n]{1,100}:\d|id:|t:-?\d|a?:\w+:\d)"), r"\\<"),  # people, channels, times, emoji
    (re.compile(r"@(?=everyone|here)"), "@\u200b"),  # also where it is copied from
)
_TWO_TICKS, _THREE_TICKS = re.compile("`(?=`)"), re.compile("``(?=`)")
_LONELY_ASTERISK = re.compile(r"(?<!\S)\*(?!\S)")
"""It means nothing, but within italic."""
_EDGES = re.compile(r"(\A\s+|\s+\Z)")
_LINE_MARK = re.compile(r"^([ \t]*)(?=#{1,3} |-# |>{1,3} |[-*+] )|^([ \t]*\d+)(?=\. )", re.MULTILINE)
"""Where a line would become a heading, small print, a quote or a list."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """One message. `content` is what is sent, `text` what a person reads."""

    content: str
    text: str


def messages(markdown: str, *, bare: bool = False) -> Sequence[Rendered]:
    """The Markdown text as messages, each within Discord's limit. `bare`: links are written as <link>, which shows no
    preview even where a message has no flag against previews."""
    parts = split(_blocks(markdown), lambda part: utf16(_content(part, bare=bare)), MAX_MESSAGE_UNITS)
    rendered = [Rendered(_content(part, bare=bare).rstrip(), plain_text(part, _is_link).rstrip()) for part in parts]
    return [each for each in rendered if each.text.strip()] or [Rendered(_EMPTY, _EMPTY)]


def _blocks(markdown: str) -> list[Block]:
    return list(laid_out(read(markdown), MAX_TABLE_COLUMNS, _is_link))


def _is_link(address: str) -> bool:
    return _LINKED.fullmatch(address) is not None


def _content(blocks: Sequence[Block], *, bare: bool) -> str:
    out = ""
    for at, block in enumerate(blocks):
        quoted = at and block.quotes and blocks[at - 1].quotes
        out += ("\n> \n" if quoted and block.gap else gap(block)) if at else ""
        written = _written(block, bare=bare)
        out += "> " + written.replace("\n", "\n> ") if block.quotes else written
    return out


def _written(block: Block, *, bare: bool) -> str:
    match block.kind:
        case Kind.CODE:
            return _fenced(block)
        case Kind.RULE:
            return RULE
        case Kind.HEADING if block.level <= _MAX_HEADING_LEVEL and not block.depth:
            return "#" * block.level + " " + _words(block, bare=bare).replace("\n", " ")
        case Kind.HEADING:
            bold = tuple(replace(run, style=run.style | Style.BOLD) for run in block.runs)
            return _lead(block) + _words(replace(block, runs=bold), bare=bare)
    return _lead(block) + _words(block, bare=bare)


def _lead(block: Block) -> str:
    """The indentation and the sign of a list item. Numbers that do not go up by one each, or that begin with a zero,
    are words, or Discord would count them anew."""
    if not block.marker:
        return "  " * block.depth
    number, dot, rest = block.marker.partition(".")
    if not dot:
        sign = "-" if block.marker == "•" else f"- {block.marker}" if not block.marker[0].isdigit() else block.marker
    else:
        is_kept = block.counted and str(int(number)) == number
        sign = f"{number}.{rest}" if is_kept else f"{number}\\.{rest}"
    return "  " * (block.depth - 1) + sign + " "


def _fenced(block: Block) -> str:
    """Code between fences as Discord knows them: three backticks, one word after them, and no three within."""
    return f"```{_NO_LANGUAGE.sub('', block.language)}\n" + _THREE_TICKS.sub("``\u200b", block.text) + "\n```"


# Words


def _words(block: Block, *, bare: bool) -> str:
    runs = _tight(list(_without_broken_styles(with_addresses(block.runs, _is_link))))
    return _LINE_MARK.sub(lambda mark: f"{mark[0]}\\", "".join(_marked(runs, bare=bare)))


def _tight(runs: Sequence[Run]) -> Sequence[Run]:
    """The runs with white space outside the marks that begin or end there: Discord takes "** a**" for words."""
    pieces = [replace(run, text=text) for run in runs for text in _EDGES.split(run.text) if text]
    for _ in range(2):  # from the beginning, then from the end
        beside = Style.PLAIN
        for at, piece in enumerate(pieces):
            if piece.text.isspace() and Style.CODE not in piece.style:
                pieces[at] = replace(piece, style=piece.style & beside)
            beside = pieces[at].style
        pieces = pieces[::-1]
    return joined(pieces)


def _without_broken_styles(runs: Sequence[Run]) -> Iterator[Run]:
    """The runs without the styles around code that holds their mark, which would end there."""
    for run in runs:
        is_styled = Style.CODE in run.style and run.style != Style.CODE
        broken = [style for style, mark in _MARKS.items() if mark in run.text] if is_styled else []
        yield replace(run, style=reduce(and_, (~style for style in broken), run.style)) if broken else run


def _marked(runs: Sequence[Run], *, bare: bool, in_label: bool = False) -> Iterator[str]:
    """The runs with marks where a style begins and ends. Nothing is escaped in a link's words: backslashes would
    show there."""
    stretches, opened = list(_stretches(runs)), list[Style]()
    ends = style_ends([style for style, _ in stretches], list(_MARKS))
    for (style, words), last in zip(stretches, ends, strict=True):
        closing, opening = _to_styles(opened, last)
        address = words[0].address
        if address and not stands_for_itself(text_of(words), address):
            text = _link([Run(run.text, run.style & ~style) for run in words], address, bare=bare)
        elif in_label and Style.CODE not in style:
            text = text_of(words)
        else:
            text = "".join(_run(run, bare=bare) for run in words)
        space = text[: len(text) - len(text.lstrip())] if opening else ""  # Discord opens nothing before white space
        between = space or ("\u200b" if closing and opening else "")
        yield closing + between + opening + text[len(space) :]
    yield "".join(_to_styles(opened, {}))


def _stretches(runs: Sequence[Run]) -> Iterator[tuple[Style, Sequence[Run]]]:
    """Each run, and each link as a whole, with the style of all its words."""
    for address, same in groupby(runs, key=lambda run: run.address):
        words = list(same)
        if address and not stands_for_itself(text_of(words), address):
            yield reduce(and_, (run.style for run in words)) & ~Style.CODE, words
        else:
            yield from ((run.style, [run]) for run in words)


def _to_styles(opened: list[Style], ends: Mapping[Style, int]) -> tuple[str, str]:
    """The marks that close and that open between words of the styles `opened` and words of those that `ends` has: what
    ends later is opened first."""
    closing = opening = ""
    while any(each not in ends for each in opened):
        closing += _MARKS[opened.pop()]
    new = [each for each in ends if each not in opened]
    for each in sorted(new, key=lambda each: -ends[each]) if len(new) > 1 else new:
        opened.append(each)
        opening += _MARKS[each]
    return closing, opening


def _run(run: Run, *, bare: bool) -> str:
    if run.address and _URL.fullmatch(run.text):
        return f"<{run.text}>" if bare else run.text
    if Style.CODE in run.style:
        return _code(run.text)
    text = _escaped(run.text, bare=bare)
    return _LONELY_ASTERISK.sub(r"\\\g<0>", text) if Style.ITALIC in run.style else text


def _code(text: str) -> str:
    ticks = "``" if "`" in text else "`"
    inside = _TWO_TICKS.sub("`\u200b", text)
    padding = " " if inside.startswith("`") or inside.endswith("`") else ""
    return f"{ticks}{padding}{inside}{padding}{ticks}"


def _link(words: Sequence[Run], address: str, *, bare: bool) -> str:
    """A link with words. Where those hold an address or a bracket, Discord shows no link: both are written."""
    text, written = text_of(words), f"<{address}>" if bare else address
    if _ADDRESS_IN_LABEL.search(text) or "\n" in text or "[" in text or "]" in text:
        return f"{_escaped(text, bare=bare)} ({written})"
    return f"[{''.join(_marked(words, bare=bare, in_label=True))}]({written})"


def _escaped(text: str, *, bare: bool) -> str:
    """Words of which Discord would make something else, escaped; addresses among them as they are."""
    words = _URL.split(text)
    words[1::2] = [f"<{each}>" if bare and "://" in each else each for each in words[1::2]]
    for pattern, replacement in _ESCAPES:
        words[::2] = [pattern.sub(replacement, part) for part in words[::2]]
    return "".join(words)
