"""From what a person wrote to the text of a question: what they reply to, commands of others, the bot's name. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.answering.prompt import speaker_label
from core.domain.command_line import parse_command

GREETING = "/start"
"""What a mention and nothing else is answered like."""

_MAX_QUOTE_CHARACTERS = 1000
"""Characters of the quoted text that go before a question."""
_AFTER_NAME = re.compile(r"(?:[,:]|\s+,)?\s*")
_PUNCTUATION = ".,:;!?…)"


@dataclass(frozen=True, slots=True)
class Forward:
    """A forwarded message: the name of whoever wrote it, "" unknown, and its text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class QuestionParts:
    """What an adapter has read of a message that is addressed to the bot.

    `text` is what the person wrote, without the bot's name. `quoted` is the text that they reply to or have picked,
    where the conversation's history may not have it. `has_media`: it holds something that the model can't see.
    `is_forwarded`: somebody else wrote the text.
    """

    text: str
    quoted: str = ""
    has_media: bool = False
    is_forwarded: bool = False


def compose_question(parts: QuestionParts) -> str:
    """The text for the core: a question, a command, GREETING for a bare mention, "" where nothing can be answered."""
    text = parts.text
    command = parse_command(text)
    if command and parts.is_forwarded:
        return f"/ask {text}"  # somebody else's command: whoever passes it on gives no order
    if command and command.name != "ask":
        return text
    body = with_quote(command.argument if command else text, parts.quoted)
    if not (body or command):
        return "" if parts.has_media else GREETING
    if command:
        return f"{text.split()[0]} {body}".strip()
    # A quoted command is a question here, not an order of the person who replies to it.
    return f"/ask {body}" if not text and parse_command(body) else body


def with_quote(question: str, quoted: str) -> str:
    """The question under what it is about. Where either is empty, the other alone."""
    if not (question and quoted):
        return question or quoted
    cut = quoted if len(quoted) <= _MAX_QUOTE_CHARACTERS else f"{quoted[:_MAX_QUOTE_CHARACTERS]}…"
    quote = "\n".join(f"> {line}".rstrip() for line in cut.split("\n"))
    return f"{quote}\n\n{question}"


def with_forwards(question: str, forwards: Sequence[Forward]) -> str:
    """The question under the messages that were forwarded with it, each with the name of whoever wrote it."""
    blocks = []
    for forward in forwards:
        quote = "\n".join(f"> {line}".rstrip() for line in forward.text.split("\n"))
        blocks.append(f"Forwarded message from {speaker_label(forward.name)}:\n{quote}")
    return "\n\n".join(filter(None, (*blocks, question)))


def join_around_name(left: str, right: str) -> str:
    """The two sides of a removed name, as a person would have written them without it."""
    if not left.strip() or left.endswith("\n"):
        return left.lstrip() + _AFTER_NAME.sub("", right, count=1)
    if not right.strip():
        left = left.rstrip()
        return (left[:-1] if left.endswith((",", ":")) else left).rstrip()
    if right[0] in _PUNCTUATION:
        return left.rstrip(" ,:;") + right
    space = " " if left.endswith(" ") or right.startswith(" ") else ""
    rest = right.lstrip(" ")
    return left.rstrip(" ") + ("" if rest.startswith("\n") else space) + rest
