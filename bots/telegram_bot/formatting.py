"""Markdown as Telegram shows it: text and entities, never a parse_mode, so that no text can fail; split once rendered.

Each block is rendered by itself, and shown as it was written where the library would lose a word of it. Offsets and
lengths count UTF-16 units (core.telegram.org/bots/api#messageentity).
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import telegramify_markdown as library
from markdown_it import MarkdownIt
from telegram import MessageEntity

from core.delivery.splitting import boundary, utf16

LIMIT = 4000
"""UTF-16 units of a message. Telegram takes 4,096 characters, counted one way or the other."""
MOST_ENTITIES = 100

_GOES_ON = "…\n"
"""Before code that begins with an indentation: Telegram trims a message, and the first line would lose it."""
_CODE_TYPES = ("code", "pre")
_QUOTES = ("blockquote", "expandable_blockquote")
_BLOCKS = MarkdownIt("commonmark").enable("table")
_BLOCKS.core.ruler.enableOnly(["normalize", "block"])
_CODE = re.compile(
    r"^[ \t>]*(`{3,}|~{3,})[^\n]*(?:\n.*?(?:^[ \t>]*\1[`~]*[ \t]*$|\Z)|\Z)|(?<!`)(`+)(?!`).+?(?<!`)\2(?!`)",
    re.DOTALL | re.MULTILINE,
)
_FENCE_IN_LIST = re.compile(r"(?<=[^\n])\n(?=[ \t]+(?:`{3,}|~{3,}))")
_FORMULA = re.compile(
    r"(?<![\w\\])(?:\$\$([^`$]+)\$\$|\\\[([^`]+?)\\\]|\\\(([^`]+?)\\\)|(?<!\$)\$(?!\s)([^`$\n]+?)(?<!\s)\$(?![\w$]))"
)
_MATHEMATICAL = re.compile(r"[\\^_={}<>]|^\s*[^\W_]{1,2}\s*$")
"""What prices and paths between dollars don't look like."""
_TABLE = re.compile(r"[^\n]*\n[ \t]*\|?[ \t]*:?-[-|: \t]*(?:\n|\Z)")
_LITERAL = (
    (re.compile(r"\\(?=[{},;&%\\])"), r"\\\\"),  # LaTeX
    (re.compile(r"<|&(?=[#\w])|\[(?=\^)|(?<!\\)\$"), r"\\\g<0>"),  # HTML, entities, footnotes: all would vanish
    (re.compile(r"(?<=[^\W_])\*(?=[^\W_])"), r"\\*"),  # 2*3*4
    (
        re.compile(r"(?<=[\w)\]])(?<!\*)\*\*(?=\d)|(?<=\d)\*\*(?=\w)|(?:(?<=/)|(?<!\S))\*\*(?=/)"),
        r"\\*\\*",
    ),  # x**2, **/
    (re.compile(r"((?<!\S)\*\*(?=\S)[^*\n]*[^\w\s*])\*\*(?=\w)"), r"\1** "),  # **Note:**text would stay raw
    (re.compile(r"(?<!\w)__([a-z][a-z0-9_]*)__(?!\w)"), r"\\_\\_\1\\_\\_"),  # __init__
    (re.compile(r"\|\|"), r"\\|\\|"),  # a || b
    (re.compile(r"^(\s*)\[(?=[^\]\n]+\]:)", re.MULTILINE), r"\1\\["),  # a definition would vanish
    (re.compile(r"!?\[\s*\]\(\s*([^)\s]*)[^)\n]*\)"), r"\1"),  # a link without words
)
_WORD = re.compile(r"[^\W_]+")
_MARKS = str.maketrans("", "", "*~`\\")
"""What may stand inside a word without parting it."""
_NUMBER = re.compile(r"^[\s>•#|_+-]*\d{1,9}[.)](?=\s|$)", re.MULTILINE)
_NO_WORDS = re.compile(r"(?<=\])\([^)\n]*\)|(?<=[-*+] )\[[xX ]\]")
_FENCES = re.compile(r"\A[ \t>]*(?:`{3,}|~{3,})[^\n]*|(?<=\n)[ \t>]*(?:`{3,}|~{3,})[ \t]*\Z")
_ADDRESS = re.compile(r"https?://[^\s/]+\.[^\s]+", re.IGNORECASE)
"""What Telegram shows as a link; of tg://user it would make a mention."""


def _configured() -> library.RenderConfig:
    config = library.RenderConfig.isolated()
    symbols = config.markdown_symbol
    symbols.heading_level_1 = symbols.heading_level_2 = symbols.heading_level_3 = symbols.heading_level_4 = ""
    symbols.image, symbols.link, symbols.unordered_list_item = "🖼", "", "•"
    symbols.task_completed, symbols.task_uncompleted = "☑", "☐"
    return config


_CONFIG = _configured()


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """One message: the text as a person reads it, and what of it is bold, code, a link."""

    text: str
    entities: tuple[MessageEntity, ...] = ()

    def __eq__(self, other: object) -> bool:
        """Links and languages count, which the entities' own comparison leaves out: a message that changes only there
        has to be edited."""
        return isinstance(other, Rendered) and self._seen() == other._seen()

    def __hash__(self) -> int:
        return hash(self.text)

    def _seen(self) -> tuple[object, ...]:
        return self.text, [(each.type, each.offset, each.length, each.url, each.language) for each in self.entities]


class _Span(NamedTuple):
    """An entity while it is worked on: those of Telegram's library take ten times as long to make."""

    type: str
    start: int
    end: int
    url: str | None = None
    language: str | None = None


class _Spanned(NamedTuple):
    text: str
    spans: Sequence[_Span] = ()


def messages(markdown: str, limit: int = LIMIT, most: int = MOST_ENTITIES) -> list[Rendered]:
    """The Markdown text as messages, at least one: cut at paragraph, line, sentence or word, where each has at most
    `limit` UTF-16 units and `most` entities. What a cut parts goes on in the next message, code in its language."""
    whole = _whole(markdown)
    ends = _offsets(whole.text)
    pieces = (_piece(whole, ends, start, end) for start, end in _cuts(whole, ends, limit, most))
    return [_finished(piece, most) for piece in pieces if _visible(piece.text)] or [Rendered("…")]


def render(markdown: str) -> Rendered:
    """The whole text, however long; plain where it can't be rendered."""
    whole = _whole(markdown)
    return _finished(whole, len(whole.spans))


def _finished(whole: _Spanned, most: int) -> Rendered:
    return Rendered(whole.text, tuple(_entity(span) for span in whole.spans[:most]))


def _entity(span: _Span) -> MessageEntity:
    return MessageEntity(span.type, span.start, span.end - span.start, url=span.url, language=span.language)


def _whole(markdown: str) -> _Spanned:
    parts, spans, at = list[str](), list[_Span](), 0
    for gap, block in _blocks(markdown.strip("\n")):
        rendered = _block(block)
        if not rendered.text:
            continue
        at += len(gap) if parts else 0
        spans += [_moved(span, at) for span in rendered.spans]
        parts += [gap, rendered.text] if parts else [rendered.text]
        at += utf16(rendered.text)
    text = "".join(parts).rstrip()
    if not text:
        return _Spanned(markdown.strip() or "…")
    return _Spanned(text, _clipped(spans, text))


def _blocks(markdown: str) -> Iterator[tuple[str, str]]:
    """The top-level blocks, each with the gap before it: what is rendered once need not be again."""
    lines = markdown.split("\n")
    tokens = [token for token in _BLOCKS.parse(markdown) if token.level == 0 and token.nesting >= 0]
    bounds = [0, *[token.map[0] for token in tokens if token.map and token.map[0] > 0], len(lines)]
    for start, end in pairwise(bounds):
        near = start > 0 and lines[start - 1].strip()
        yield ("\n" if near else "\n\n"), "\n".join(lines[start:end]).rstrip()


@lru_cache(maxsize=512)
def _block(block: str) -> _Spanned:
    try:
        rendered = _rendered(block)
    except Exception:  # a bug of the library must not cost an answer
        return _Spanned(block.strip("\n"))
    return rendered if _words(rendered.text) == _words(_without_marks(block)) else _Spanned(block.strip("\n"))


def _rendered(block: str) -> _Spanned:
    text, found = library.convert(_prepared(block), latex_escape=False, config=_CONFIG)
    kept = text.strip("\n")
    shift = -utf16(text[: len(text) - len(text.lstrip("\n"))])
    spans = [_moved(span, shift) for span in map(_ours, found) if span]
    return _Spanned(kept, _clipped(_unnested(spans), kept))


def _prepared(block: str) -> str:
    """The block with everything escaped, outside code, that the library would take for what no model means by it."""
    if _TABLE.match(block):
        block = block.replace("||", "| |")
    block = _outside_code(_FENCE_IN_LIST.sub("\n\n", block), lambda text: _FORMULA.sub(_formula, text))
    return _outside_code(block, _escaped)


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    return "".join(part if code else change(part) for part, code in _parted(text))


def _parted(text: str) -> Iterator[tuple[str, bool]]:
    """What is code, and what is not."""
    at = 0
    for code in _CODE.finditer(text):
        yield text[at : code.start()], False
        yield code[0], True
        at = code.end()
    yield text[at:], False


def _without_marks(block: str) -> str:
    """The words that a person must read: of links not the address, of fences neither line."""
    return "".join((_FENCES if code else _NO_WORDS).sub(" ", part) for part, code in _parted(block))


def _formula(match: re.Match[str]) -> str:
    """As code, as it was written: what the library makes of LaTeX can't be told from something else (1/2a)."""
    inside = next(group for group in match.groups() if group is not None)
    lines = [line.strip(" \t>") for line in inside.split("\n")]
    if not _MATHEMATICAL.search(inside):
        return match[0]
    return "\n".join(f"`{line}`" for line in lines if line)


def _escaped(text: str) -> str:
    for pattern, written in _LITERAL:
        text = pattern.sub(written, text)
    return text


def _words(text: str) -> list[str]:
    """What a person must read; the numbers of a list aside, which may be counted anew."""
    return _WORD.findall(_NUMBER.sub(" ", text.translate(_MARKS)))


# Entities


def _ours(entity: library.MessageEntity) -> _Span | None:
    """The library's entity as Telegram takes it; None for what is not worth sending."""
    if entity.type == "text_link" and not _ADDRESS.fullmatch(entity.url or ""):
        return None
    if entity.type == "custom_emoji":
        return None
    language = (entity.language or "").split()[0][:64] if (entity.language or "").strip() else None
    return _Span(entity.type, entity.offset, entity.offset + entity.length, entity.url, language)


def _unnested(spans: Sequence[_Span]) -> list[_Span]:
    """Telegram nests nothing in code and code only in quotes, and no quote in a quote. Of a link around code the link
    is kept: its address stands nowhere else."""
    links = [span for span in spans if span.type == "text_link"]
    codes = [span for span in spans if span.type in _CODE_TYPES and not any(_within(span, link) for link in links)]
    quotes = [span for span in spans if span.type in _QUOTES]
    outer = [one for at, one in enumerate(quotes) if not any(_within(one, each) for each in quotes[at + 1 :])]
    rest = [span for span in spans if span.type not in (*_CODE_TYPES, *_QUOTES)]
    pieces = [piece for span in rest for piece in _outside(span, codes)]
    return sorted([*codes, *outer, *pieces], key=lambda span: (span.start, -span.end, span.type in _CODE_TYPES))


def _within(inner: _Span, outer: _Span) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _clipped(spans: Iterable[_Span], text: str) -> list[_Span]:
    """Those inside the text and around something to see."""
    units, out = text.encode("utf-16-le"), list[_Span]()
    for span in spans:
        start, end = max(span.start, 0), min(span.end, len(units) // 2)
        if start < end and units[2 * start : 2 * end].decode("utf-16-le").strip():
            out.append(span._replace(start=start, end=end))
    return out


def _outside(span: _Span, codes: Sequence[_Span]) -> Iterator[_Span]:
    """What of a span lies in no code."""
    start = span.start
    for code in sorted(codes, key=lambda code: code.start):
        if code.end <= start or code.start >= span.end:
            continue
        if start < code.start:
            yield span._replace(start=start, end=code.start)
        start = code.end
    if start < span.end:
        yield span._replace(start=start)


def _moved(span: _Span, by: int) -> _Span:
    return span._replace(start=span.start + by, end=span.end + by)


def _visible(text: str) -> bool:
    """Whether Telegram would call the message empty."""
    return any(not character.isspace() and unicodedata.category(character) not in ("Cc", "Cf") for character in text)


# Splitting


def _offsets(text: str) -> list[int]:
    """For every character, and the end, how many UTF-16 units lie before it."""
    if text.isascii():
        return list(range(len(text) + 1))
    out, at = [0], 0
    for character in text:
        at += 2 if ord(character) > 0xFFFF else 1
        out.append(at)
    return out


def _cuts(whole: _Spanned, ends: Sequence[int], limit: int, most: int) -> Iterator[tuple[int, int]]:
    """Where the messages begin and end, in characters."""
    start, size = 0, len(whole.text)
    while start < size:
        fitting = _fitting(whole, ends, start, limit, most)
        end = size if start + fitting >= size else start + boundary(whole.text[start : start + fitting + 1], fitting)
        yield start, end
        start = _next_start(whole, ends, end)


def _fitting(whole: _Spanned, ends: Sequence[int], start: int, limit: int, most: int) -> int:
    """How many characters from `start` on fit into one message; at least one."""
    first = ends[start]
    here = [span for span in whole.spans if span.end > first]
    units = min(limit, here[most].start - first if len(here) > most else limit)
    units -= utf16(_GOES_ON) if whole.text[start : start + 1].isspace() else 0
    low, high = start + 1, len(whole.text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if ends[middle] - first <= units else (low, middle - 1)
    return low - start


def _next_start(whole: _Spanned, ends: Sequence[int], end: int) -> int:
    """Behind the white space at a cut; in code only behind its line break, so that the indentation stays."""
    text, size = whole.text, len(whole.text)
    if any(code.type == "pre" and code.start < ends[end] < code.end for code in whole.spans):
        return end + 1 if end < size and text[end] == "\n" else end
    while end < size and text[end].isspace():
        end += 1
    return end


def _piece(whole: _Spanned, ends: Sequence[int], start: int, end: int) -> _Spanned:
    text = whole.text[start:end].rstrip()
    lead = _GOES_ON if text[:1].isspace() else ""
    here = [span for span in whole.spans if span.start < ends[end] and span.end > ends[start]]
    inside = [_moved(span._replace(start=max(span.start, ends[start])), utf16(lead) - ends[start]) for span in here]
    return _Spanned(lead + text, _clipped(inside, lead + text))
