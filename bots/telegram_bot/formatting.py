"""Markdown as Telegram shows it: text and entities, never a parse_mode, so that no text is refused. Pure.

Each block is rendered by itself, and shown as it was written where the library would lose a word of it. The rendered
text is then split into messages. Offsets and lengths count UTF-16 units (core.telegram.org/bots/api#messageentity).
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
    MAX_ENTITIES,
    MAX_MESSAGE_UNITS,
    Span,
    SpannedText,
    clip,
    cut_points,
    shift,
    slice_spans,
    unnest,
    utf16_offsets,
)
from core.delivery.splitting import utf16

_EMPTY = "…"
"""In place of a text that shows nothing."""
_BLOCKS = MarkdownIt("commonmark").enable("table")
_BLOCKS.core.ruler.enableOnly(["normalize", "block"])
_PLAIN_CHARACTER = r"[^\W_]|[ ,.;:!?'\"()%…–—]"
_PLAIN = re.compile(rf"(?:[^\W\d_]|…)(?:{_PLAIN_CHARACTER}|(?<! )\n\n?(?=[^\W\d_]))*+(?<! )")
"""A text of which Markdown, the escapes and the splitting change nothing: lines that begin with a letter and hold
letters, digits, spaces and common punctuation, in paragraphs."""
_PLAIN_ITEM = rf"- [^\W\d_](?:{_PLAIN_CHARACTER}|[“”]|(?<=[^\W_])-(?=[^\W_]))*+(?<! )"
_PLAIN_LIST = re.compile(rf"{_PLAIN_ITEM}(?:\n{_PLAIN_ITEM})*+")
"""A list of such lines, as the settings panel has: of it only the bullets change."""
_CODE = re.compile(
    r"^[ \t>]*(`{3,}|~{3,})[^\n]*(?:\n.*?(?:^[ \t>]*\1[`~]*[ \t]*$|\Z)|\Z)|(?<!`)(`+)(?!`).+?(?<!`)\2(?!`)",
    re.DOTALL | re.MULTILINE,
)
_FENCE_IN_LIST = re.compile(r"(?<=[^\n])\n(?=[ \t]+(?:`{3,}|~{3,}))")
_FORMULA = re.compile(
    r"(?<![\w\\])(?:\$\$([^`$]+)\$\$|\\\[([^`]+?)\\\]|\\\(([^`]+?)\\\)|(?<!\$)\$(?!\s)([^`$\n]+?)(?<!\s)\$(?![\w$]))"
)
_MATHEMATICAL = re.compile(r"[\\^_={}<>]|^\s*[^\W_]{1,2}\s*$")
"""Signs of a formula: prices and paths between dollars have none."""
_TABLE = re.compile(r"[^\n]*\n[ \t]*\|?[ \t]*:?-[-|: \t]*(?:\n|\Z)")
_ESCAPES = (
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
_MARKUP = str.maketrans("", "", "*~`\\")
"""Removes the markup that may stand inside a word without parting it."""
_LIST_NUMBER = re.compile(r"^[\s>•#|_+-]*\d{1,9}[.)](?=\s|$)", re.MULTILINE)
_UNREAD = re.compile(r"(?<=\])\([^)\n]*\)|(?<=[-*+] )\[[xX ]\]")
_FENCE_LINES = re.compile(r"\A[ \t>]*(?:`{3,}|~{3,})[^\n]*|(?<=\n)[ \t>]*(?:`{3,}|~{3,})[ \t]*\Z")
_WEB_ADDRESS = re.compile(r"https?://[^\s/]+\.[^\s]+", re.IGNORECASE)
"""Addresses that are sent as links. Telegram would make a mention of tg://user."""


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
    """One message: the text as a person reads it, and its entities (bold, code, links)."""

    text: str
    entities: tuple[MessageEntity, ...] = ()

    def __eq__(self, other: object) -> bool:
        """Links and languages count, which the entities' own comparison leaves out: a message that changes only there
        has to be edited."""
        return isinstance(other, Rendered) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self.text)

    def _key(self) -> tuple[object, ...]:
        return self.text, [(each.type, each.offset, each.length, each.url, each.language) for each in self.entities]


def messages(markdown: str, max_units: int = MAX_MESSAGE_UNITS, max_entities: int = MAX_ENTITIES) -> list[Rendered]:
    """The Markdown text as messages, at least one, of at most `max_units` UTF-16 units and `max_entities` entities.

    They are cut at a paragraph, line, sentence or word. A cut entity continues in the next message, code in its
    language.
    """
    if 2 * len(markdown) <= max_units and _PLAIN.fullmatch(markdown):
        return [Rendered(markdown)]
    whole = _rendered_text(markdown)
    if 2 * len(whole.text) <= max_units and len(whole.spans) <= max_entities and not whole.text[0].isspace():
        pieces = [whole]
    else:
        offsets = utf16_offsets(whole.text)
        cuts = cut_points(whole, offsets, max_units, max_entities)
        pieces = [slice_spans(whole, offsets, start, end) for start, end in cuts]
    return [_to_message(piece, max_entities) for piece in pieces if _is_visible(piece.text)] or [Rendered(_EMPTY)]


def render(markdown: str) -> Rendered:
    """The whole text as one message, however long; plain where it can't be rendered."""
    whole = _rendered_text(markdown)
    return _to_message(whole, len(whole.spans))


def _to_message(piece: SpannedText, max_entities: int) -> Rendered:
    entities = (
        MessageEntity(type, start, end - start, url=url, language=language)
        for type, start, end, url, language in piece.spans[:max_entities]
    )
    return Rendered(piece.text, tuple(entities))


def _rendered_text(markdown: str) -> SpannedText:
    parts, spans, at = list[str](), list[Span](), 0
    for gap, block in _blocks(markdown.strip("\n")):
        rendered = _render_safely(block)
        if not rendered.text:
            continue
        at += len(gap) if parts else 0
        spans += [shift(span, at) for span in rendered.spans] if at else rendered.spans
        parts += [gap, rendered.text] if parts else [rendered.text]
        at += utf16(rendered.text)
    whole = "".join(parts)
    text = whole.rstrip()
    if not text:
        return SpannedText(markdown.strip() or _EMPTY)
    return SpannedText(text, clip(spans, text) if len(text) < len(whole) else spans)


def _blocks(markdown: str) -> Iterator[tuple[str, str]]:
    """The top-level blocks, each with the gap before it. Rendered one by one they can be cached while a text grows."""
    lines = markdown.split("\n")
    tokens = [token for token in _BLOCKS.parse(markdown) if token.level == 0 and token.nesting >= 0]
    bounds = [0, *[token.map[0] for token in tokens if token.map and token.map[0] > 0], len(lines)]
    for start, end in pairwise(bounds):
        follows_directly = start > 0 and lines[start - 1].strip()
        yield ("\n" if follows_directly else "\n\n"), "\n".join(lines[start:end]).rstrip()


@lru_cache(maxsize=512)
def _render_safely(block: str) -> SpannedText:
    """The rendered block; as it was written, where the library fails or loses a word."""
    if _PLAIN_LIST.fullmatch(block):
        return SpannedText("• " + block[2:].replace("\n- ", "\n• "))
    try:
        rendered = _render(block)
    except Exception:  # a bug of the library must not cost an answer
        return SpannedText(block.strip("\n"))
    return rendered if _words(rendered.text) == _words(_readable(block)) else SpannedText(block.strip("\n"))


def _render(block: str) -> SpannedText:
    text, entities = library.convert(_prepared(block), latex_escape=False, config=_CONFIG)
    stripped = text.strip("\n")
    removed_units = utf16(text[: len(text) - len(text.lstrip("\n"))])
    spans = [shift(span, -removed_units) for span in map(_to_span, entities) if span]
    return SpannedText(stripped, clip(unnest(spans), stripped))


def _prepared(block: str) -> str:
    """The block with everything escaped, outside code, that the library would read as markup and no model means so."""
    if _TABLE.match(block):
        block = block.replace("||", "| |")
    block = _outside_code(_FENCE_IN_LIST.sub("\n\n", block), lambda text: _FORMULA.sub(_formula, text))
    return _outside_code(block, _escaped)


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    return "".join(part if is_code else change(part) for part, is_code in _split_code(text))


def _split_code(text: str) -> Iterator[tuple[str, bool]]:
    """The parts of a text, each with whether it is code."""
    at = 0
    for code in _CODE.finditer(text):
        yield text[at : code.start()], False
        yield code[0], True
        at = code.end()
    yield text[at:], False


def _readable(block: str) -> str:
    """What a person must read of a block: of links not the address, of fences neither line."""
    return "".join((_FENCE_LINES if is_code else _UNREAD).sub(" ", part) for part, is_code in _split_code(block))


def _formula(match: re.Match[str]) -> str:
    """The formula as code, as it was written: what the library makes of LaTeX is ambiguous (1/2a)."""
    inside = next(group for group in match.groups() if group is not None)
    lines = [line.strip(" \t>") for line in inside.split("\n")]
    if not _MATHEMATICAL.search(inside):
        return match[0]
    return "\n".join(f"`{line}`" for line in lines if line)


def _escaped(text: str) -> str:
    for pattern, replacement in _ESCAPES:
        text = pattern.sub(replacement, text)
    return text


def _words(text: str) -> list[str]:
    """The words of a text, without the numbers of a list: those may be counted anew."""
    return _WORD.findall(_LIST_NUMBER.sub(" ", text.translate(_MARKUP)))


def _to_span(entity: library.MessageEntity) -> Span | None:
    """The library's entity as Telegram takes it; None for one that is not sent."""
    if entity.type == "text_link" and not _WEB_ADDRESS.fullmatch(entity.url or ""):
        return None
    if entity.type == "custom_emoji":
        return None
    language = (entity.language or "").split()[0][:64] if (entity.language or "").strip() else None
    return Span(entity.type, entity.offset, entity.offset + entity.length, entity.url, language)


def _is_visible(text: str) -> bool:
    """Whether a message has something to show: Telegram refuses one that has not."""
    return any(not character.isspace() and unicodedata.category(character) not in ("Cc", "Cf") for character in text)
