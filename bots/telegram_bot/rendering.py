"""Markdown as Telegram shows it: text and entities, never a parse_mode, so that no text can fail; split once rendered.

Each block is rendered by itself, and shown as it was written where the library would lose a word of it. Offsets and
lengths count UTF-16 units (core.telegram.org/bots/api#messageentity).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import telegramify_markdown as library
from markdown_it import MarkdownIt
from telegram import MessageEntity

from core.splitting import boundary, utf16

LIMIT = 4000
"""UTF-16 units of a message. Telegram takes 4,096 characters, counted one way or the other."""
MOST_ENTITIES = 100

_GOES_ON = "…\n"
"""Before code that begins with an indentation: Telegram trims a message, and the first line would lose it."""
_CODE_TYPES = ("code", "pre")
_BLOCKS = MarkdownIt("commonmark").enable("table")
_BLOCKS.core.ruler.enableOnly(["normalize", "block"])
_CODE = re.compile(
    r"^[ \t>]*(`{3,}|~{3,})[^\n]*(?:\n.*?(?:^[ \t>]*\1[`~]*[ \t]*$|\Z)|\Z)|(?<!`)(`+)(?!`).+?(?<!`)\2(?!`)",
    re.DOTALL | re.MULTILINE,
)
_FENCE_IN_LIST = re.compile(r"(?<=[^\n])\n(?=[ \t]+(?:`{3,}|~{3,}))")
_LITERAL = (
    (re.compile(r"<|&(?=[#\w])|\[(?=\^)"), r"\\\g<0>"),  # HTML, entities and footnotes would vanish
    (re.compile(r"(?<=[^\W_])\*(?=[^\W_])"), r"\\*"),  # 2*3*4
    (re.compile(r"(?<!\w)__(?=\w+__(?!\w))|(?<=\w)__(?!\w)"), r"\\_\\_"),  # __init__
    (re.compile(r"^(?!\s*\|).*\|\|.*$", re.MULTILINE), lambda match: match[0].replace("||", r"\|\|")),  # a || b
    (re.compile(r"^(\s*)\[(?=[^\]\n]+\]:)", re.MULTILINE), r"\1\\["),  # a definition would vanish
    (re.compile(r"!?\[\s*\]\(\s*([^)\s]*)[^)\n]*\)"), r"\1"),  # a link without words
)  # fmt: skip
_WORD = re.compile(r"[^\W_]+")
_MARKS = str.maketrans("", "", "*~`\\")
"""What may stand inside a word without parting it."""
_NUMBER = re.compile(r"^[ \t>•-]*\d{1,9}[.)](?=\s)", re.MULTILINE)
_NO_WORDS = re.compile(r"(?<=\])\([^)\n]*\)|^[ \t>]*(?:`{3,}|~{3,})[^\n]*$|(?<=[-*+] )\[[xX ]\]", re.MULTILINE)
_ADDRESS = re.compile(r"(?:https?|tg|mailto|tel)://?[^\s]+|mailto:[^\s]+|tel:[^\s]+", re.IGNORECASE)


def _configured() -> library.RenderConfig:
    config = library.RenderConfig.isolated()
    symbols = config.markdown_symbol
    symbols.heading_level_1 = symbols.heading_level_2 = symbols.heading_level_3 = symbols.heading_level_4 = ""
    symbols.image, symbols.link, symbols.unordered_list_item = "🖼", "", "•"
    symbols.task_completed, symbols.task_uncompleted = "☑", "☐"
    return config


_CONFIG = _configured()


@dataclass(frozen=True, slots=True)
class Rendered:
    """One message: the text as a person reads it, and what of it is bold, code, a link."""

    text: str
    entities: tuple[MessageEntity, ...] = ()


def messages(markdown: str, limit: int = LIMIT, most: int = MOST_ENTITIES) -> list[Rendered]:
    """The Markdown text as messages, at least one: cut at paragraph, line, sentence or word, where each has at most
    `limit` UTF-16 units and `most` entities. What a cut parts goes on in the next message, code in its language."""
    whole = render(markdown)
    ends = _offsets(whole.text)
    return [_piece(whole, ends, start, end) for start, end in _cuts(whole, ends, limit, most)] or [whole]


def render(markdown: str) -> Rendered:
    """The whole text, however long; plain where it can't be rendered."""
    out, entities = "", list[MessageEntity]()
    for gap, block in _blocks(markdown.strip("\n")):
        rendered = _block(block)
        if not rendered.text:
            continue
        out += gap if out else ""
        entities += [_moved(entity, utf16(out)) for entity in rendered.entities]
        out += rendered.text
    if not out.strip():
        return Rendered(markdown.strip() or "…")
    return Rendered(out, tuple(entities))


def _blocks(markdown: str) -> Iterator[tuple[str, str]]:
    """The top-level blocks, each with the gap before it: what is rendered once need not be again."""
    lines = markdown.split("\n")
    tokens = [token for token in _BLOCKS.parse(markdown) if token.level == 0 and token.nesting >= 0]
    bounds = [0, *[token.map[0] for token in tokens if token.map and token.map[0] > 0], len(lines)]
    for start, end in pairwise(bounds):
        near = start > 0 and lines[start - 1].strip()
        yield ("\n" if near else "\n\n"), "\n".join(lines[start:end]).rstrip()


@lru_cache(maxsize=512)
def _block(block: str) -> Rendered:
    try:
        rendered = _rendered(block)
    except Exception:  # a bug of the library must not cost an answer
        return Rendered(block.strip("\n"))
    return rendered if _words(rendered.text) == _words(_NO_WORDS.sub(" ", block)) else Rendered(block.strip("\n"))


def _rendered(block: str) -> Rendered:
    text, found = library.convert(_prepared(block), latex_escape=False, config=_CONFIG)
    kept = text.strip("\n")
    shift = -utf16(text[: len(text) - len(text.lstrip("\n"))])
    usable = [_ours(entity, shift) for entity in found]
    return Rendered(kept, tuple(_cleaned([entity for entity in usable if entity], kept)))


def _prepared(block: str) -> str:
    """The block with everything escaped, outside code, that the library would take for what no model means by it."""
    block = _FENCE_IN_LIST.sub("\n\n", block)
    out, at = "", 0
    for code in _CODE.finditer(block):
        out += _escaped(block[at : code.start()]) + code[0]
        at = code.end()
    return out + _escaped(block[at:])


def _escaped(text: str) -> str:
    for pattern, written in _LITERAL:
        text = pattern.sub(written, text)
    return text


def _words(text: str) -> list[str]:
    """What a person must read; the numbers of a list aside, which may be counted anew."""
    return _WORD.findall(_NUMBER.sub(" ", text).translate(_MARKS))


# Entities


def _ours(entity: library.MessageEntity, shift: int) -> MessageEntity | None:
    """The library's entity as Telegram takes it; None for what is not worth sending."""
    if entity.type == "text_link" and not _ADDRESS.fullmatch(entity.url or ""):
        return None
    if entity.type == "custom_emoji" or entity.length <= 0:
        return None
    language = (entity.language or "").split()[0][:64] if (entity.language or "").strip() else None
    return MessageEntity(entity.type, entity.offset + shift, entity.length, url=entity.url, language=language)


def _cleaned(entities: Sequence[MessageEntity], text: str) -> list[MessageEntity]:
    """Inside the text, around something to see, and none within code: Telegram nests nothing there."""
    codes = [entity for entity in entities if entity.type in _CODE_TYPES]
    size, out = utf16(text), list[MessageEntity]()
    for entity in entities:
        pieces = [entity] if entity.type in _CODE_TYPES else _outside(entity, codes)
        for piece in pieces:
            start, end = max(piece.offset, 0), min(piece.offset + piece.length, size)
            if start < end and _slice(text, start, end).strip():
                out.append(_between(piece, start, end))
    return sorted(out, key=lambda entity: (entity.offset, -entity.length))


def _outside(entity: MessageEntity, codes: Sequence[MessageEntity]) -> list[MessageEntity]:
    """What of an entity lies in no code."""
    start, end, out = entity.offset, entity.offset + entity.length, list[MessageEntity]()
    for code in sorted(codes, key=lambda code: code.offset):
        if code.offset + code.length <= start or code.offset >= end:
            continue
        if start < code.offset:
            out.append(_between(entity, start, code.offset))
        start = code.offset + code.length
    return [*out, _between(entity, start, end)] if start < end else out


def _between(entity: MessageEntity, start: int, end: int) -> MessageEntity:
    return MessageEntity(entity.type, start, end - start, url=entity.url, language=entity.language)


def _moved(entity: MessageEntity, by: int) -> MessageEntity:
    return _between(entity, entity.offset + by, entity.offset + entity.length + by)


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


def _cuts(whole: Rendered, ends: Sequence[int], limit: int, most: int) -> Iterator[tuple[int, int]]:
    """Where the messages begin and end, in characters."""
    start, size = 0, len(whole.text)
    while start < size:
        fitting = _fitting(whole, ends, start, limit, most)
        end = size if start + fitting >= size else start + boundary(whole.text[start : start + fitting + 1], fitting)
        yield start, end
        start = _next_start(whole, ends, end)


def _fitting(whole: Rendered, ends: Sequence[int], start: int, limit: int, most: int) -> int:
    """How many characters from `start` on fit into one message; at least one."""
    first = ends[start]
    here = [entity for entity in whole.entities if entity.offset + entity.length > first]
    units = min(limit, here[most].offset - first if len(here) > most else limit)
    units -= utf16(_GOES_ON) if whole.text[start : start + 1].isspace() else 0
    low, high = start + 1, len(whole.text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if ends[middle] - first <= units else (low, middle - 1)
    return low - start


def _next_start(whole: Rendered, ends: Sequence[int], end: int) -> int:
    """Behind the white space at a cut; in code only behind its line break, so that the indentation stays."""
    text, size = whole.text, len(whole.text)
    if any(code.type == "pre" and code.offset < ends[end] < code.offset + code.length for code in whole.entities):
        return end + 1 if end < size and text[end] == "\n" else end
    while end < size and text[end].isspace():
        end += 1
    return end


def _piece(whole: Rendered, ends: Sequence[int], start: int, end: int) -> Rendered:
    text = whole.text[start:end].rstrip()
    first, last = ends[start], ends[start] + utf16(text)
    here = [entity for entity in whole.entities if entity.offset < last and entity.offset + entity.length > first]
    cut = [_between(entity, max(entity.offset, first), min(entity.offset + entity.length, last)) for entity in here]
    lead = _GOES_ON if text[:1].isspace() else ""
    text = lead + text
    return Rendered(text, tuple(_cleaned([_moved(entity, utf16(lead) - first) for entity in cut], text)))


def _slice(text: str, start: int, end: int) -> str:
    return text.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le", "replace")
