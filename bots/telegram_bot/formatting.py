"""Markdown as Telegram shows it: text and entities, never a parse_mode, so that no text can fail; split once rendered.

Each block is rendered by itself, and shown as it was written where the library would lose a word of it. Offsets and
lengths count UTF-16 units (core.telegram.org/bots/api#messageentity).
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import telegramify_markdown as library
from markdown_it import MarkdownIt
from telegram import MessageEntity

from bots.telegram_bot.entities import (
    LIMIT,
    MOST_ENTITIES,
    Span,
    SpannedText,
    clip,
    cut_points,
    shift,
    slice_spans,
    to_entity,
    unnest,
    utf16_offsets,
)
from core.delivery.splitting import utf16

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


def messages(markdown: str, limit: int = LIMIT, most: int = MOST_ENTITIES) -> list[Rendered]:
    """The Markdown text as messages, at least one: cut at paragraph, line, sentence or word, where each has at most
    `limit` UTF-16 units and `most` entities. What a cut parts goes on in the next message, code in its language."""
    whole = _whole(markdown)
    ends = utf16_offsets(whole.text)
    pieces = (slice_spans(whole, ends, start, end) for start, end in cut_points(whole, ends, limit, most))
    return [_finished(piece, most) for piece in pieces if _visible(piece.text)] or [Rendered("…")]


def render(markdown: str) -> Rendered:
    """The whole text, however long; plain where it can't be rendered."""
    whole = _whole(markdown)
    return _finished(whole, len(whole.spans))


def _finished(whole: SpannedText, most: int) -> Rendered:
    return Rendered(whole.text, tuple(to_entity(span) for span in whole.spans[:most]))


def _whole(markdown: str) -> SpannedText:
    parts, spans, at = list[str](), list[Span](), 0
    for gap, block in _blocks(markdown.strip("\n")):
        rendered = _block(block)
        if not rendered.text:
            continue
        at += len(gap) if parts else 0
        spans += [shift(span, at) for span in rendered.spans]
        parts += [gap, rendered.text] if parts else [rendered.text]
        at += utf16(rendered.text)
    text = "".join(parts).rstrip()
    if not text:
        return SpannedText(markdown.strip() or "…")
    return SpannedText(text, clip(spans, text))


def _blocks(markdown: str) -> Iterator[tuple[str, str]]:
    """The top-level blocks, each with the gap before it: what is rendered once need not be again."""
    lines = markdown.split("\n")
    tokens = [token for token in _BLOCKS.parse(markdown) if token.level == 0 and token.nesting >= 0]
    bounds = [0, *[token.map[0] for token in tokens if token.map and token.map[0] > 0], len(lines)]
    for start, end in pairwise(bounds):
        near = start > 0 and lines[start - 1].strip()
        yield ("\n" if near else "\n\n"), "\n".join(lines[start:end]).rstrip()


@lru_cache(maxsize=512)
def _block(block: str) -> SpannedText:
    try:
        rendered = _rendered(block)
    except Exception:  # a bug of the library must not cost an answer
        return SpannedText(block.strip("\n"))
    return rendered if _words(rendered.text) == _words(_without_marks(block)) else SpannedText(block.strip("\n"))


def _rendered(block: str) -> SpannedText:
    text, found = library.convert(_prepared(block), latex_escape=False, config=_CONFIG)
    kept = text.strip("\n")
    stripped = -utf16(text[: len(text) - len(text.lstrip("\n"))])
    spans = [shift(span, stripped) for span in map(_ours, found) if span]
    return SpannedText(kept, clip(unnest(spans), kept))


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


def _ours(entity: library.MessageEntity) -> Span | None:
    """The library's entity as Telegram takes it; None for what is not worth sending."""
    if entity.type == "text_link" and not _ADDRESS.fullmatch(entity.url or ""):
        return None
    if entity.type == "custom_emoji":
        return None
    language = (entity.language or "").split()[0][:64] if (entity.language or "").strip() else None
    return Span(entity.type, entity.offset, entity.offset + entity.length, entity.url, language)


def _visible(text: str) -> bool:
    """Whether Telegram would call the message empty."""
    return any(not character.isspace() and unicodedata.category(character) not in ("Cc", "Cf") for character in text)


# Splitting
