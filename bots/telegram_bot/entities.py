"""Spans of a rendered text as Telegram's entities: nesting, clipping, and where a long text is cut."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from telegram import MessageEntity

from core.delivery.splitting import boundary, utf16

LIMIT = 4000
"""UTF-16 units of a message. Telegram takes 4,096 characters, counted one way or the other."""
MOST_ENTITIES = 100
_GOES_ON = "…\n"
"""Before code that begins with an indentation: Telegram trims a message, and the first line would lose it."""
_CODE_TYPES = ("code", "pre")
_QUOTES = ("blockquote", "expandable_blockquote")


class Span(NamedTuple):
    """An entity while it is worked on: those of Telegram's library take ten times as long to make."""

    type: str
    start: int
    end: int
    url: str | None = None
    language: str | None = None


class SpannedText(NamedTuple):
    text: str
    spans: Sequence[Span] = ()


def to_entity(span: Span) -> MessageEntity:
    return MessageEntity(span.type, span.start, span.end - span.start, url=span.url, language=span.language)


def unnest(spans: Sequence[Span]) -> list[Span]:
    """Telegram nests nothing in code and code only in quotes, and no quote in a quote. Of a link around code the link
    is kept: its address stands nowhere else."""
    links = [span for span in spans if span.type == "text_link"]
    codes = [span for span in spans if span.type in _CODE_TYPES and not any(_is_within(span, link) for link in links)]
    quotes = [span for span in spans if span.type in _QUOTES]
    outer = [one for at, one in enumerate(quotes) if not any(_is_within(one, each) for each in quotes[at + 1 :])]
    rest = [span for span in spans if span.type not in (*_CODE_TYPES, *_QUOTES)]
    pieces = [piece for span in rest for piece in _outside_of(span, codes)]
    return sorted([*codes, *outer, *pieces], key=lambda span: (span.start, -span.end, span.type in _CODE_TYPES))


def _is_within(inner: Span, outer: Span) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def clip(spans: Iterable[Span], text: str) -> list[Span]:
    """Those inside the text and around something to see."""
    units, out = text.encode("utf-16-le"), list[Span]()
    for span in spans:
        start, end = max(span.start, 0), min(span.end, len(units) // 2)
        if start < end and units[2 * start : 2 * end].decode("utf-16-le").strip():
            out.append(span._replace(start=start, end=end))
    return out


def _outside_of(span: Span, codes: Sequence[Span]) -> Iterator[Span]:
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


def shift(span: Span, by: int) -> Span:
    return span._replace(start=span.start + by, end=span.end + by)


def utf16_offsets(text: str) -> list[int]:
    """For every character, and the end, how many UTF-16 units lie before it."""
    if text.isascii():
        return list(range(len(text) + 1))
    out, at = [0], 0
    for character in text:
        at += 2 if ord(character) > 0xFFFF else 1
        out.append(at)
    return out


def cut_points(whole: SpannedText, ends: Sequence[int], limit: int, most: int) -> Iterator[tuple[int, int]]:
    """Where the messages begin and end, in characters."""
    start, size = 0, len(whole.text)
    while start < size:
        fitting = _last_fitting(whole, ends, start, limit, most)
        end = size if start + fitting >= size else start + boundary(whole.text[start : start + fitting + 1], fitting)
        yield start, end
        start = _next_start(whole, ends, end)


def _last_fitting(whole: SpannedText, ends: Sequence[int], start: int, limit: int, most: int) -> int:
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


def _next_start(whole: SpannedText, ends: Sequence[int], end: int) -> int:
    """Behind the white space at a cut; in code only behind its line break, so that the indentation stays."""
    text, size = whole.text, len(whole.text)
    if any(code.type == "pre" and code.start < ends[end] < code.end for code in whole.spans):
        return end + 1 if end < size and text[end] == "\n" else end
    while end < size and text[end].isspace():
        end += 1
    return end


def slice_spans(whole: SpannedText, ends: Sequence[int], start: int, end: int) -> SpannedText:
    text = whole.text[start:end].rstrip()
    lead = _GOES_ON if text[:1].isspace() else ""
    here = [span for span in whole.spans if span.start < ends[end] and span.end > ends[start]]
    inside = [shift(span._replace(start=max(span.start, ends[start])), utf16(lead) - ends[start]) for span in here]
    return SpannedText(lead + text, clip(inside, lead + text))
