"""HTML that models write over several lines, as Markdown: quotes, code, tables, images, bold paragraphs. Pure.

Tags within one paragraph are read with its words (inline.py).
"""

import html
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import islice

_HINT = re.compile(r"<(?:pre|table|img|blockquote|b|strong|i|em|u|s|del)\b", re.IGNORECASE)
_TAG = re.compile(r"<(/?)(pre|table|img|blockquote)\b([^<>]*)>", re.IGNORECASE)
_STYLE = re.compile(r"<(/?)(b|strong|i|em|u|s|del)>", re.IGNORECASE)
_BREAK = re.compile(r"\n[ \t>]*\n[ \t>\n]*|\n(?=[ \t>]*(?:[-*+]|\d{1,9}[.)])[ \t])")
"""Between two paragraphs or items of a list."""
_SIGNS = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)]|#{1,6})[ \t]+)*(?:\[[ xX]\][ \t]+)?")
"""Before the words of a line."""
_NO_WORDS = re.compile(r"\||`{3}|~{3}|\Z")
_ENDS_CODE = re.compile(r"[ \t>]*(?:`{3,}|~{3,})[ \t]*|[ \t>]*\|.*")
_FENCE = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(`{3,}|~{3,})")
_CODE_SPAN = re.compile(r"(?<![`\\])(`++)(?:(?!\1)[^\n]|(?<=`)`)*?(?<!`)\1(?!`)")
_LANGUAGE = re.compile(r"\s*<code(?:\s+class=[\"']?(?:language-)?([\w+#-]+)[\"']?)?\s*>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"\b(src|alt)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE)
_ROW = re.compile(r"<tr\b[^<>]*>", re.IGNORECASE)
_CELL = re.compile(r"<t[hd]\b[^<>]*>", re.IGNORECASE)
_TABLE_TAG = re.compile(r"</?(?:table|thead|tbody|tfoot|tr|th|td|caption|colgroup|col)\b[^<>]*>", re.IGNORECASE)
_ANY_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_HALF_TAG = re.compile(r"</?[a-zA-Z]*(?:\s[^<>]*)?\Z")
BLOCK_TAGS = frozenset(("pre", "table", "thead", "tbody", "tr", "th", "td", "img", "blockquote"))
_MAX_QUOTES = 8
"""One within the other."""
_MAX_PAIRS = 100
"""Of tags that go over several paragraphs."""
_MAX_BREAKS = 20
"""Paragraphs that one pair of tags may go over."""


def as_markdown(text: str, *, growing: bool = False) -> str:
    """`text` with such HTML outside code as Markdown. `growing`: more is to come, so that what is open goes on."""
    if "<" not in text or not _HINT.search(text):
        return text
    text = _with_blocks(text, _masked(text), growing=growing)
    return _with_styles(text, _masked(text), growing=growing)


def _masked(text: str) -> str:
    """The text with NUL in place of every character of code."""
    out, fence = list[str](), ""
    for line in _CODE_SPAN.sub(lambda code: "\0" * len(code[0]), text).split("\n"):
        found = _FENCE.match(line)
        is_code = bool(fence or found)
        if fence and line.strip(" \t>").startswith(fence) and not line.strip(" \t>").strip(fence[0]):
            fence = ""
        elif found and not fence:
            fence = found[1]
        out.append("\0" * len(line) if is_code else line)
    return "\n".join(out)


# Quotes, code, tables, images


def _with_blocks(text: str, masked: str, *, growing: bool) -> str:
    return _Blocks(text, masked, growing=growing).markdown()


class _Blocks:
    """Reads the tags of quotes, code, tables and images in order."""

    def __init__(self, text: str, masked: str, *, growing: bool) -> None:
        self._text, self._masked, self._lower = text, masked, masked.lower()
        self._last_ends = {name: self._last_end(name, growing=growing) for name in ("pre", "table", "blockquote")}
        self._out, self._quotes, self._at = _Quoted(), 0, 0

    def _last_end(self, name: str, *, growing: bool) -> int:
        return len(self._text) if growing else self._lower.rfind(f"</{name}>")

    def markdown(self) -> str:
        """The text with Markdown in place of them."""
        for tag in _TAG.finditer(self._masked):
            if tag.start() >= self._at:
                self._read(tag)
        self._out.add(self._text[self._at :], self._quotes)
        return self._out.text

    def _read(self, tag: re.Match[str]) -> None:
        name, closes = tag[2].lower(), bool(tag[1])
        if name == "blockquote":
            self._quote(tag, closes=closes)
        elif closes:
            return
        elif name == "img":
            self._replace(tag, _image(tag[3]), tag.end())
        elif self._opens(tag):
            self._replace(tag, *self._whole(tag))

    def _opens(self, tag: re.Match[str]) -> bool:
        """Whether a tag begins a line and is closed somewhere."""
        start = self._masked.rfind("\n", 0, tag.start()) + 1
        return not self._masked[start : tag.start()].strip(" \t>") and self._last_ends[tag[2].lower()] >= tag.end()

    def _quote(self, tag: re.Match[str], *, closes: bool) -> None:
        if self._quotes > 0 if closes else self._opens(tag):
            self._replace(tag, "", tag.end())
            self._quotes = min(self._quotes + (-1 if closes else 1), _MAX_QUOTES)

    def _whole(self, tag: re.Match[str]) -> tuple[str, int]:
        """Code or a table as Markdown, and where it ends."""
        closing, written = f"</{tag[2].lower()}>", _code if tag[2].lower() == "pre" else _table
        last = self._lower.find(closing, tag.end())
        if last < 0:
            return written(_HALF_TAG.sub("", self._text[tag.end() :])), len(self._text)
        return written(self._text[tag.end() : last]), last + len(closing)

    def _replace(self, tag: re.Match[str], shown: str | None, end: int) -> None:
        """Put what is shown in place of the text from a tag up to `end`; nothing where it is None."""
        if shown is not None:
            self._out.add(self._text[self._at : tag.start()] + shown, self._quotes)
            self._at = end


class _Quoted:
    """A text that is put together of pieces, each in a number of quotes."""

    def __init__(self) -> None:
        self._pieces: list[tuple[int, list[str]]] = []

    def add(self, text: str, quotes: int) -> None:
        """Add a piece."""
        if not self._pieces or self._pieces[-1][0] != quotes:
            self._pieces.append((quotes, []))
        self._pieces[-1][1].append(text)

    @property
    def text(self) -> str:
        """The whole."""
        parts = [(quotes, "".join(pieces)) for quotes, pieces in self._pieces]
        if all(not quotes for quotes, _ in parts):
            return "".join(part for _, part in parts)
        return "\n\n".join(_quoted(part.strip("\n"), quotes) for quotes, part in parts if part.strip())


def _quoted(text: str, quotes: int) -> str:
    return "\n".join(f"{'> ' * quotes}{line}".rstrip() for line in text.split("\n")) if quotes else text


def _image(attributes: str) -> str | None:
    found = {each[1].lower(): each[2] or each[3] or each[4] or "" for each in _ATTRIBUTE.finditer(attributes)}
    source = found.get("src", "")
    if not source:
        return None
    words = re.sub(r"([\[\]\\])", r"\\\1", html.unescape(found.get("alt", "")))
    return f"![{words}](<{html.unescape(source)}>)"


def _code(inner: str) -> str:
    language, opening = "", _LANGUAGE.match(inner)
    if opening:
        language, inner = opening[1] or "", inner[opening.end() :]
    inner = re.sub(r"</code>\s*\Z", "", inner, flags=re.IGNORECASE)
    code = html.unescape(_ANY_TAG.sub("", inner)).strip("\n") if opening else html.unescape(inner).strip("\n")
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"\n\n{fence}{language}\n{code}\n{fence}\n\n"


def _table(inner: str) -> str:
    before, *rows = _ROW.split(inner)
    cells = [[_cell(cell) for cell in _CELL.split(row)[1:]] for row in rows]
    cells = [row for row in cells if row]
    words = _TABLE_TAG.sub(" ", before).strip()
    if not cells:
        return f"\n\n{words}\n\n"
    columns = max(map(len, cells))
    lines = [_line([*row, *[""] * (columns - len(row))]) for row in cells]
    lines.insert(1, _line(["---"] * columns))
    return "\n\n" + (f"{words}\n\n" if words else "") + "\n".join(lines) + "\n\n"


def _cell(cell: str) -> str:
    return " ".join(_TABLE_TAG.sub(" ", cell).split()).replace("|", "\\|")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


# Bold and italic over several paragraphs


def _with_styles(text: str, masked: str, *, growing: bool) -> str:
    """The text with every pair of tags that goes over several paragraphs closed and opened again between them."""
    pairs = list(islice(_pairs(text, masked, growing=growing), _MAX_PAIRS))
    if not pairs:
        return text
    out, at = list[str](), 0
    for gap in _BREAK.finditer(masked):
        around = [pair for pair in pairs if pair[1] <= gap.start() and gap.end() <= pair[2]]
        pairs = [pair for pair in pairs if pair[2] > gap.end()]
        signs = _SIGNS.match(masked, gap.end())
        start = signs.end() if signs else gap.end()
        if around:
            last_line = text[text.rfind("\n", 0, gap.start()) + 1 : gap.start()]
            closing = [f"</{name}>" for name, _, _ in reversed(around) if not _ENDS_CODE.fullmatch(last_line)]
            opening = [f"<{name}>" for name, _, _ in around if not _NO_WORDS.match(text, start)]
            out += [text[at : gap.start()], *closing, text[gap.start() : start], *opening]
            at = start
    return "".join([*out, text[at:]])


def _pairs(text: str, masked: str, *, growing: bool) -> Iterator[tuple[str, int, int]]:
    """Tags, each with where its words begin and end, that a paragraph ends between."""
    breaks, opened = [gap.start() for gap in _BREAK.finditer(masked)], dict[str, list[tuple[int, int]]]()
    for tag in _STYLE.finditer(masked):
        name, before = tag[2].lower(), bisect_left(breaks, tag.start())
        if not tag[1]:
            if not text[tag.end() : tag.end() + 1].isspace():  # not spoken of: "the <b> tag"
                opened.setdefault(name, []).append((tag.end(), before))
        elif opened.get(name) and not text[tag.start() - 1].isspace():
            start, first = opened[name].pop()
            if 0 < before - first <= _MAX_BREAKS:
                yield name, start, tag.start()
    for name, starts in opened.items() if growing else ():
        yield from ((name, start, len(text)) for start, first in starts[-1:] if 0 < len(breaks) - first <= _MAX_BREAKS)
