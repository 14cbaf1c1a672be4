"""Finds a message that was sent but whose id was never stored, in the history of its channel. Pure.

Discord remembers a nonce for a few minutes; this is for later. Rather no message than another reply's.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.commands.button_payloads import ActionPayload, decode_payload
from core.domain.platform import PLACEHOLDER

MessageJson = Mapping[str, Any]
"""A message as Discord's REST API returns it."""

_LOADING = 1 << 7
"""The flag of a deferred response that is not filled in yet."""


@dataclass(frozen=True, slots=True)
class SentMessage:
    """The message that is looked for.

    `account`: the bot's. `reply`: the reply that it belongs to. `nonce`, `content`: what it was sent with. `question`:
    the message that it quotes. `interaction`: the one that it may respond to. `other_ids`: ids of messages that it is
    not.
    """

    account: int
    reply: int
    nonce: str
    content: str
    question: int | None
    interaction: int | None
    other_ids: Collection[str]


def find_sent_message(sent: SentMessage, history: Sequence[MessageJson]) -> str | None:
    """The id of the message in a channel's history; None where none is surely the one. The surest sign counts first;
    among equals, the oldest message."""
    candidates = [message for message in history if _may_be(sent, message)]
    candidates.sort(key=lambda message: int(message["id"]))
    for matches in (_by_nonce, _by_button, _by_quote, _by_interaction, _by_content):
        for message in candidates:
            if matches(sent, message):
                return str(message["id"])
    return None


def _may_be(sent: SentMessage, message: MessageJson) -> bool:
    """Whether the bot wrote it, it shows something, and it is no other message of the reply."""
    loading = bool(int(message.get("flags") or 0) & _LOADING)
    own = str((message.get("author") or {}).get("id")) == str(sent.account)
    return own and not loading and str(message["id"]) not in sent.other_ids


def _by_nonce(sent: SentMessage, message: MessageJson) -> bool:
    return str(message.get("nonce")) == sent.nonce


def _by_button(sent: SentMessage, message: MessageJson) -> bool:
    return sent.reply in _replies(message)


def _by_quote(sent: SentMessage, message: MessageJson) -> bool:
    return sent.question is not None and _quoted(message) == str(sent.question)


def _by_interaction(sent: SentMessage, message: MessageJson) -> bool:
    return sent.interaction is not None and _interaction(message) == str(sent.interaction)


def _by_content(sent: SentMessage, message: MessageJson) -> bool:
    """The weakest sign: anything that points to another reply outweighs it, and one placeholder is like another."""
    content = sent.content.strip()
    has_other_sign = _replies(message) or _quoted(message) or _interaction(message) or message.get("nonce")
    return content not in ("", PLACEHOLDER) and str(message.get("content")).strip() == content and not has_other_sign


def _quoted(message: MessageJson) -> str:
    return str((message.get("message_reference") or {}).get("message_id") or "")


def _interaction(message: MessageJson) -> str:
    return str((message.get("interaction_metadata") or {}).get("id") or "")


def _replies(message: MessageJson) -> list[int]:
    """The replies that the message's buttons name."""
    components = _components(message.get("components") or ())
    payloads = (decode_payload(str(component.get("custom_id"))) for component in components)
    return [payload.reply_id for payload in payloads if isinstance(payload, ActionPayload)]


def _components(rows: Sequence[MessageJson]) -> Iterator[MessageJson]:
    for row in rows:
        yield row
        yield from _components(row.get("components") or ())
