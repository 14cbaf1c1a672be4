"""Entities of a rendered text: which may nest in which, clipping, and where a long text is cut. Pure.

Offsets and lengths of spans count UTF-16 units, as Telegram does.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from core.delivery.splitting import boundary, utf16

MAX_MESSAGE_UNITS = 4000
"""UTF-16 units of a message, at most. Telegram takes 4,096 characters, counted one way or the other."""
MAX_ENTITIES = 100
"""Entities of a message, at most."""
_INDENTATION_GUARD = "…\n"
"""Before code that begins with an indentation: Telegram trims a message, and the first line would lose it."""
_CODE_TYPES = ("code", "pre")
_QUOTE_TYPES = ("blockquote", "expandable_blockquote")


class Span(NamedTuple):
    """An entity from `start` up to `end`. The library's own entities take ten times as long to make."""

    type: str
    start: int
    end: int
    url: str | None = None
    language: str | None = None


class SpannedText(NamedTuple):
    """A text with its entities."""

    text: str
    spans: Sequence[Span] = ()


def unnest(spans: Sequence[Span]) -> list[Span]:
    """The spans without what Telegram does not nest, sorted by their start.

    Nothing nests in code, code nests only in quotes, and no quote nests in a quote. Of a link around code the link is
    kept: its address stands nowhere else.
    """
    links = [span for span in spans if span.type == "text_link"]
    codes = [span for span in spans if span.type in _CODE_TYPES and not any(_is_within(span, link) for link in links)]
    quotes = [span for span in spans if span.type in _QUOTE_TYPES]
    outer = [quote for at, quote in enumerate(quotes) if not any(_is_within(quote, each) for each in quotes[at + 1 :])]
    rest = [span for span in spans if span.type not in (*_CODE_TYPES, *_QUOTE_TYPES)]
    pieces = [piece for span in rest for piece in _outside_of(span, codes)]
    return sorted([*codes, *outer, *pieces], key=lambda span: (span.start, -span.end, span.type in _CODE_TYPES))


def _is_within(inner: Span, outer: Span) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def clip(spans: Iterable[Span], text: str) -> list[Span]:
    """The spans cut to the text; those around nothing but white space are left out."""
    units, out = text.encode("utf-16-le"), list[Span]()
    for span in spans:
        start, end = max(span.start, 0), min(span.end, len(units) // 2)
        if start < end and units[2 * start : 2 * end].decode("utf-16-le").strip():
            out.append(span._replace(start=start, end=end))
    return out


def _outside_of(span: Span, codes: Sequence[Span]) -> Iterator[Span]:
    """The parts of a span that lie in no code."""
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
    """The span, `by` UTF-16 units further on."""
    return span._replace(start=span.start + by, end=span.end + by)


def utf16_offsets(text: str) -> list[int]:
    """For every character, and for the end, the UTF-16 units before it: one element more than the text has."""
    if text.isascii():
        return list(range(len(text) + 1))
    out, at = [0], 0
    for character in text:
        at += 2 if ord(character) > 0xFFFF else 1
        out.append(at)
    return out


def cut_points(
    whole: SpannedText, offsets: Sequence[int], max_units: int, max_entities: int
) -> Iterator[tuple[int, int]]:
    """Where the messages of a text begin and end, in characters. `offsets` is utf16_offsets of the text."""
    start, size = 0, len(whole.text)
    while start < size:
        fitting = _fitting_characters(whole, offsets, start, max_units, max_entities)
        end = size if start + fitting >= size else start + boundary(whole.text[start : start + fitting + 1], fitting)
        yield start, end
        start = _next_start(whole, offsets, end)


def _fitting_characters(
    whole: SpannedText, offsets: Sequence[int], start: int, max_units: int, max_entities: int
) -> int:
    """The number of characters from `start` on that fit into one message; at least one."""
    first = offsets[start]
    here = [span for span in whole.spans if span.end > first]
    units = min(max_units, here[max_entities].start - first) if len(here) > max_entities else max_units
    units -= utf16(_INDENTATION_GUARD) if whole.text[start : start + 1].isspace() else 0
    return max(bisect_right(offsets, first + units) - 1 - start, 1)


def _next_start(whole: SpannedText, offsets: Sequence[int], end: int) -> int:
    """Behind the white space at a cut; in code only behind its line break, so that the indentation stays."""
    text, size = whole.text, len(whole.text)
    if any(code.type == "pre" and code.start < offsets[end] < code.end for code in whole.spans):
        return end + 1 if end < size and text[end] == "\n" else end
    while end < size and text[end].isspace():
        end += 1
    return end


def slice_spans(whole: SpannedText, offsets: Sequence[int], start: int, end: int) -> SpannedText:
    """The characters from `start` up to `end` as a text of their own, with what of the spans lies there."""
    text = whole.text[start:end].rstrip()
    lead = _INDENTATION_GUARD if text[:1].isspace() else ""
    here = [span for span in whole.spans if span.start < offsets[end] and span.end > offsets[start]]
    inside = [
        shift(span._replace(start=max(span.start, offsets[start])), utf16(lead) - offsets[start]) for span in here
    ]
    return SpannedText(lead + text, clip(inside, lead + text))
