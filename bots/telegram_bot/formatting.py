"""A text as Telegram shows it: plain text with entities, never a parse_mode, so that no text is refused. Pure.

Offsets and lengths count UTF-16 units (core.telegram.org/bots/api#messageentity).
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from telegram import MessageEntity

from bots.telegram_bot.entities import MAX_ENTITIES, MAX_MESSAGE_UNITS, Span, chosen, clip
from core.delivery.splitting import split, utf16
from core.markdown.document import (
    Block,
    Kind,
    Run,
    Style,
    gap,
    lead,
    plain_text,
    shown_runs,
    stands_for_itself,
    style_ends,
    text_of,
)
from core.markdown.reader import read, simple_lines
from core.markdown.tables import laid_out

MAX_TABLE_COLUMNS = 38
"""Columns of an aligned table, at most: what a phone shows without a line break."""
_EMPTY = "…"
"""In place of a text that shows nothing."""
_INDENTATION_GUARD = "…\n"
"""Before code that begins with an indentation: Telegram trims a message, and the first line would lose it."""
_WEB_ADDRESS = re.compile(r"https?://(?:[^\s/:?#\[\]]+\.)+[^\s/:?#\[\].]+(?:[:/?#]\S*)?", re.IGNORECASE)
"""Addresses that Telegram takes as links. It would make a mention of tg://user, and drops localhost."""
_MENTION = re.compile(r"(https?://\S+)|(?<!\w)@(?=[A-Za-z]\w{2}|\Z)")
"""Where a name begins that Telegram makes a mention of, but not in an address; or may begin, in the next run."""
_DEAD_MENTION = "@\N{WORD JOINER}"
_SPAN_TYPES = {Style.UNDERLINED: "underline", Style.BOLD: "bold", Style.ITALIC: "italic",
               Style.STRUCK: "strikethrough"}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """One message: the text as a person reads it, and its entities (bold, code, links). `blocks`: what it was written
    from."""

    text: str
    entities: tuple[MessageEntity, ...] = ()
    blocks: Sequence[Block] = ()

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

    Entities that are too many are left out, those first that a reader misses least.
    """
    if 2 * len(markdown) <= max_units and (lines := simple_lines(markdown)) is not None:
        return [_simple(lines, max_entities)]
    return _read(markdown, max_units, max_entities)


def _simple(lines: Sequence[tuple[str, bool]], max_entities: int) -> Rendered:
    """Lines of which some are bold."""
    entities, at = list[MessageEntity](), 0
    for line, is_bold in lines:
        if is_bold:
            entities.append(MessageEntity("bold", at, utf16(line)))
        at += utf16(line) + 1
    return Rendered("\n".join(line for line, _ in lines), tuple(entities[:max_entities]))


def _read(markdown: str, max_units: int, max_entities: int) -> list[Rendered]:
    blocks = [each for each in laid_out(read(markdown), MAX_TABLE_COLUMNS, is_link) if not _is_empty_code(each)]
    parts = split(blocks, _size, max_units)
    rendered = [_rendered(part, max_entities) for part in parts]
    return [each for each in rendered if _is_visible(each.text)] or [Rendered(_EMPTY)]


def _is_empty_code(block: Block) -> bool:
    return block.kind is Kind.CODE and not block.text


def _size(blocks: Sequence[Block]) -> int:
    text = plain_text(blocks, is_link)
    return utf16(text) + (utf16(_INDENTATION_GUARD) if text[:1].isspace() else 0)


def is_link(address: str) -> bool:
    """Whether Telegram takes an address as a link."""
    return _WEB_ADDRESS.fullmatch(address) is not None


def _rendered(blocks: Sequence[Block], max_entities: int) -> Rendered:
    text, spans = _written(blocks)
    if len(spans) > max_entities:  # code may be among those that are left out
        text, spans = _written(blocks, in_code=True)
    text = text.rstrip()
    if text[:1].isspace():
        guard = utf16(_INDENTATION_GUARD)
        spans = [span._replace(start=span.start + guard, end=span.end + guard) for span in spans]
        text = _INDENTATION_GUARD + text
    entities = (
        MessageEntity(type, start, end - start, url=url, language=language)
        for type, start, end, url, language in chosen(clip(spans, text), max_entities)
    )
    return Rendered(text, tuple(entities), blocks)


def _written(blocks: Sequence[Block], *, in_code: bool = False) -> tuple[str, list[Span]]:
    """The text of the blocks, and its entities. `in_code`: names in code call nobody either."""
    text, spans, at, quote_start = list[str](), list[Span](), 0, -1
    for index, block in enumerate(blocks):
        if quote_start >= 0 and not block.quotes:
            spans.append(Span("blockquote", quote_start, at))
            quote_start = -1
        before = gap(block) if index else ""
        if block.quotes and quote_start < 0:
            quote_start = at + len(before)
        runs, start = _without_pings(shown_runs(block, is_link), in_code=in_code), before + lead(block)
        at += utf16(start)
        spans += _spans(block, runs, at)
        text += [start, text_of(runs)]
        at += utf16(text[-1])
    if quote_start >= 0:
        spans.append(Span("blockquote", quote_start, at))
    return "".join(text), spans


def _without_pings(runs: Sequence[Run], *, in_code: bool) -> Sequence[Run]:
    """The runs, with a sign that nobody sees in every name that Telegram would make a mention of: the model's words
    must call nobody. In code it makes none, where that is sure to be shown as code."""
    if not any("@" in run.text for run in runs):
        return runs
    out, before = list[Run](), ""
    for run in runs:
        is_kept = (Style.CODE in run.style and not in_code) or (run.address and _WEB_ADDRESS.fullmatch(run.text))
        out.append(run if is_kept else replace(run, text=_dead(before, run.text)))
        before = run.text[-1:] or before
    return out


def _dead(before: str, text: str) -> str:
    """Words without mentions, behind the character `before`."""
    start = len(before)
    return _MENTION.sub(lambda found: found[0] if found[1] or found.start() < start else _DEAD_MENTION, before + text)[
        start:
    ]


def _spans(block: Block, runs: Sequence[Run], at: int) -> Iterator[Span]:
    """The entities of a block whose words begin at `at`."""
    end = at + sum(utf16(run.text) for run in runs)
    if block.kind is Kind.CODE:
        yield Span("pre", at, end, None, block.language[:64] or None)
        return
    links = list(_links_and_code(runs, at))
    for span in _styles(block, runs, at):
        yield from _nested(span, links)
    yield from links


def _styles(block: Block, runs: Sequence[Run], at: int) -> Iterator[Span]:
    """Stretches of one look, each within the others or beside them: what lasts longer is the outer one."""
    looks = [_look(block, run) for run in runs]
    opened = list[tuple[Style, int]]()
    for ends, run in zip([*style_ends(looks, list(_SPAN_TYPES)), {}], [*runs, Run("")], strict=True):
        closed = list[Span]()
        while any(style not in ends for style, _ in opened):
            style, start = opened.pop()
            closed.append(Span(_SPAN_TYPES[style], start, at))
        yield from reversed([span for span in closed if span.start < at])
        opened += [(style, at) for style in sorted(ends, key=lambda each: -ends[each]) if (style not in dict(opened))]
        at += utf16(run.text)


def _look(block: Block, run: Run) -> Style:
    """How a run looks: nothing nests in code, and a heading is bold."""
    if _is_code(run):
        return Style.PLAIN
    if block.kind is not Kind.HEADING:
        return run.style
    return run.style | Style.BOLD | (Style.UNDERLINED if block.level == 1 else Style.PLAIN)


def _nested(span: Span, links: Sequence[Span]) -> Iterator[Span]:
    """The span, divided where it would cross one of the links, which are in order: Telegram takes only entities that
    lie in one another."""
    first, last = _around(span.start, links), _around(span.end, links)
    places = {span.start, span.end}
    if first is not last:
        places |= {link.end for link in (first,) if link} | {link.start for link in (last,) if link}
    yield from (span._replace(start=start, end=end) for start, end in pairwise(sorted(places)))


def _around(place: int, links: Sequence[Span]) -> Span | None:
    """The link that a place is inside of."""
    found = bisect_left(links, place, key=lambda link: link.start) - 1
    return links[found] if found >= 0 and place < links[found].end else None


def _links_and_code(runs: Sequence[Run], at: int) -> Iterator[Span]:
    for address, same in groupby(runs, key=lambda run: run.address):
        words = list(same)
        if address and not stands_for_itself(text_of(words), address):  # an address by itself is a link already
            yield Span("text_link", at, at + utf16(text_of(words)), address)
        for run in words:
            if _is_code(run):
                yield Span("code", at, at + utf16(run.text))
            at += utf16(run.text)


def _is_code(run: Run) -> bool:
    """Nothing nests in code; of code that is a link, the link is kept: its address stands nowhere else."""
    return Style.CODE in run.style and not run.address


def _is_visible(text: str) -> bool:
    """Whether a message has something to show: Telegram refuses one that has not."""
    return any(not character.isspace() and unicodedata.category(character) not in ("Cc", "Cf") for character in text)
