"""Entities of a rendered text: clipped to its words, and no more than Telegram takes. Pure.

Offsets and lengths count UTF-16 units, as Telegram does.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

MAX_MESSAGE_UNITS = 4000
"""UTF-16 units of a message, at most. Telegram takes 4,096 characters, counted one way or the other."""
MAX_ENTITIES = 100
"""Entities of a message, at most."""
_WORTH = {"text_link": 0, "pre": 1, "code": 2, "blockquote": 3, "bold": 4}
"""Which entities are kept first where there are too many. A link's address stands nowhere else."""


class Span(NamedTuple):
    """An entity from `start` up to `end`. The library's own entities take ten times as long to make."""

    type: str
    start: int
    end: int
    url: str | None = None
    language: str | None = None


def clip(spans: Iterable[Span], text: str) -> list[Span]:
    """The spans cut to the text; those around nothing but white space are left out."""
    units, out = text.encode("utf-16-le", "surrogatepass"), list[Span]()
    for span in spans:
        start, end = max(span.start, 0), min(span.end, len(units) // 2)
        if start < end and units[2 * start : 2 * end].decode("utf-16-le", "surrogatepass").strip():
            out.append(span._replace(start=start, end=end))
    return out


def chosen(spans: Sequence[Span], most: int) -> list[Span]:
    """At most `most` of the spans, in the order of their start, the outer ones first."""
    if len(spans) > most:
        spans = sorted(spans, key=lambda span: (_WORTH.get(span.type, len(_WORTH)), span.start))[:most]
    return sorted(spans, key=lambda span: (span.start, -span.end, span.type in ("code", "pre")))
