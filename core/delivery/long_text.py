"""A text that takes long to read, or more messages than a chat should get."""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from core.delivery.partial_markdown import close_open_markup
from core.delivery.splitting import boundary
from core.domain.platform import OutgoingMessage

T = TypeVar("T")

LONG_TEXT_CHARACTERS = 600
"""A longer text is read in a thread: on the event loop it would hold up other chats, where 50 ms are the most. 2,000
characters of words, lists and code take some 15 ms, the worst that was found of marks 150 ms."""
MAX_MESSAGES = 8
"""Of one reply."""
_END_CHARACTERS = 2000
"""Of a text that is cut: in the second half of them a boundary is looked for."""
_WHOLE = re.compile(
    r"""!?\[[^\[\]\n]{0,300}\](?:\([^()\s]{0,600}(?:\([^()\s]{0,100}\)[^()\s]{0,100})?(?:\s"[^"\n]{0,200}")?\)?)?
    |`[^`\n]{1,300}`
    |(?:[A-Za-z][A-Za-z+.-]{1,15}:|www\.)[^\s<>]{1,900}
    |[\w.+-]{1,80}@[\w.-]{1,80}
    |\+?[^\W_]{0,40}\d(?:[.,:/'\u00a0\ +-]\d{1,20}){0,20}[^\W\d_]{0,20}""",
    re.VERBOSE,
)
"""What is not cut inside, as it is written: a link, inline code, an address, a number."""
_MAX_SPACED_NUMBER = 40
"""Characters: more digits with spaces between them are several numbers."""


async def in_thread_if_long(read: Callable[[str], T], text: str) -> T:
    """What `read` makes of a text; of a long one in a thread, so that other chats go on."""
    return read(text) if len(text) <= LONG_TEXT_CHARACTERS else await asyncio.to_thread(read, text)


def format_long(
    formatted: Callable[[str], Sequence[OutgoingMessage]], notice: str, text: str
) -> Sequence[OutgoingMessage]:
    """The messages of a text, at most MAX_MESSAGES: where they would be more, the rest is cut, and `notice` says so."""
    messages, length = formatted(text), len(text)
    while len(messages) > MAX_MESSAGES:
        length = length * (2 * MAX_MESSAGES - 1) // (2 * len(messages))
        messages = formatted(f"{close_open_markup(beginning(text, length))}\n\n{notice}")
    return messages


def beginning(text: str, most: int) -> str:
    """The beginning of a Markdown text: at most that many characters, whole paragraphs, lines, sentences or words."""
    if len(text) <= most:
        return text
    start = max(most - _END_CHARACTERS, 0)
    end = text[start : most + _END_CHARACTERS]
    at = boundary(end, most - start)
    starts = [found.start() for found in _WHOLE.finditer(end, 0, at + _END_CHARACTERS) if _is_inside(found, at)]
    return text[: start + (min(starts, default=at) or at)]


def _is_inside(found: re.Match[str], at: int) -> bool:
    is_list = " " in found[0] and found[0][:1].isdigit() and found.end() - found.start() > _MAX_SPACED_NUMBER
    return found.start() < at < found.end() and not is_list
