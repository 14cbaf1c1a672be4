"""A message that was sent, though nobody could note its id: recognised in what its channel tells. Pure.

A nonce is known for a few minutes; this is for after that. Better none than another reply's.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bots.discord_bot.buttons import Acted, read
from core.domain.platform import PLACEHOLDER

MessageJson = Mapping[str, Any]
"""A message as Discord tells of it."""

_LOADING = 1 << 7


@dataclass(frozen=True, slots=True)
class SentMessage:
    """What is known of it: whose it is, its reply, what it was sent with. `question`: the message that it quotes.
    `interaction`: what it may be a response to. `known`: messages of the reply that it is not."""

    account: int
    reply: int
    nonce: str
    content: str
    question: int | None
    interaction: int | None
    known: Collection[str]


def recognised(sought: SentMessage, told: Sequence[MessageJson]) -> str | None:
    """The id of the message that is the one; None where none surely is. The surest sign counts first, then the age."""
    own = [each for each in told if _own(sought, each)]
    own.sort(key=lambda each: int(each["id"]))
    for sign in (_by_nonce, _by_button, _by_quote, _by_interaction, _by_content):
        for each in own:
            if sign(sought, each):
                return str(each["id"])
    return None


def _own(sought: SentMessage, told: MessageJson) -> bool:
    """Whether the bot wrote it, and it shows something: a response that is only promised is none."""
    promised = bool(int(told.get("flags") or 0) & _LOADING)
    mine = str((told.get("author") or {}).get("id")) == str(sought.account)
    return mine and not promised and str(told["id"]) not in sought.known


def _by_nonce(sought: SentMessage, told: MessageJson) -> bool:
    return str(told.get("nonce")) == sought.nonce


def _by_button(sought: SentMessage, told: MessageJson) -> bool:
    return sought.reply in _replies(told)


def _by_quote(sought: SentMessage, told: MessageJson) -> bool:
    return sought.question is not None and _quoted(told) == str(sought.question)


def _by_interaction(sought: SentMessage, told: MessageJson) -> bool:
    return sought.interaction is not None and _interaction(told) == str(sought.interaction)


def _by_content(sought: SentMessage, told: MessageJson) -> bool:
    """The weakest sign: whatever points to something else outweighs it, and a stub is like any other."""
    content = sought.content.strip()
    elsewhere = _replies(told) or _quoted(told) or _interaction(told) or told.get("nonce")
    return content not in ("", PLACEHOLDER) and str(told.get("content")).strip() == content and not elsewhere


def _quoted(told: MessageJson) -> str:
    return str((told.get("message_reference") or {}).get("message_id") or "")


def _interaction(told: MessageJson) -> str:
    return str((told.get("interaction_metadata") or {}).get("id") or "")


def _replies(told: MessageJson) -> list[int]:
    """Those that its buttons name."""
    pressed = (read(str(each.get("custom_id"))) for each in _components(told.get("components") or ()))
    return [sent.reply for sent in pressed if isinstance(sent, Acted)]


def _components(rows: Sequence[MessageJson]) -> Iterator[MessageJson]:
    for row in rows:
        yield row
        yield from _components(row.get("components") or ())
