"""A text that takes long to format, or more messages than a chat should get. Pure."""

from collections.abc import Callable, Sequence

from core.delivery.partial_markdown import close_open_markup
from core.domain.platform import OutgoingMessage

LONG_TEXT_CHARACTERS = 2000
"""A longer text is read in a thread: on the event loop it would hold up other chats. 2,000 characters of words, lists
and code take some 15 ms, the worst that was found of marks 150 ms."""
MAX_MESSAGES = 8
"""Of one reply."""


def format_long(
    formatted: Callable[[str], Sequence[OutgoingMessage]], text: str, notice: str
) -> Sequence[OutgoingMessage]:
    """The messages of a text, at most MAX_MESSAGES: where they would be more, the rest is cut, and `notice` says so."""
    messages, length = formatted(text), len(text)
    while len(messages) > MAX_MESSAGES:
        length = length * (2 * MAX_MESSAGES - 1) // (2 * len(messages))
        messages = formatted(f"{close_open_markup(text[:length])}\n\n{notice}")
    return messages
