"""A text that takes long to read, or more messages than a chat should get."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from core.delivery.partial_markdown import close_open_markup
from core.domain.platform import OutgoingMessage

T = TypeVar("T")

LONG_TEXT_CHARACTERS = 600
"""A longer text is read in a thread: on the event loop it would hold up other chats, where 50 ms are the most. 2,000
characters of words, lists and code take some 15 ms, the worst that was found of marks 150 ms."""
MAX_MESSAGES = 8
"""Of one reply."""


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
        messages = formatted(f"{close_open_markup(text[:length])}\n\n{notice}")
    return messages
