"""What an adapter tells the core: one stream of events, each acknowledged once it is stored or refused.

An adapter yields events in the order in which the platform has them. core.inbound.event_consumer stores them and
acknowledges each with a receipt; only then may the adapter confirm the event to the platform, or answer an interaction.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from core.commands.press import NO_RESULT, Press, PressResult
from core.domain.conversation import ChatId, Incoming, Reply
from core.domain.platform import Platform


class Acceptance(StrEnum):
    """What became of an event."""

    STORED = "stored"
    """It is stored, and a reply is owed for it (a message), or it is carried out (everything else)."""
    IGNORED = "ignored"
    """It was stored before, or nothing is owed for it."""
    NOT_ADMITTED = "not admitted"
    """Its author may not use the bot, and nothing is owed for it."""
    UNANSWERABLE = "unanswerable"
    """Its author may use the bot, but the bot can't write there."""
    UNAVAILABLE = "unavailable"
    """It could not be stored in time, and will not be."""
    REJECTED = "rejected"
    """It can never be stored. It is logged by its number and kind, and passed over."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an event, with the language in which its author is to be told about it ("en" or "vi")."""

    acceptance: Acceptance
    language: str = "en"
    reply: Reply | None = field(default=None, kw_only=True)
    """The reply that is owed for a message, where it was stored."""


@dataclass(frozen=True, slots=True)
class PressReceipt(Receipt):
    """What became of a press. The adapter shows `result`."""

    result: PressResult = NO_RESULT


@dataclass(eq=False, slots=True)
class Event:
    """Something that happened on a platform. Made inside a running event loop."""

    _receipt: asyncio.Future[Receipt] = field(
        init=False, repr=False, default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def acknowledge(self, receipt: Receipt) -> None:
        """Tell the adapter what became of the event. Only the first call counts."""
        if not self._receipt.done():
            self._receipt.set_result(receipt)

    async def acknowledged(self) -> Receipt:
        """The receipt, once the core has given it."""
        return await asyncio.shield(self._receipt)


@dataclass(eq=False, slots=True)
class MessageReceived(Event):
    """Somebody wrote to the bot.

    `deadline_s`: seconds in which it must be stored; later it is refused as UNAVAILABLE, and nothing of it is kept.
    None waits for as long as the database takes. `answerable`: whether the bot can write there.
    """

    message: Incoming
    deadline_s: float | None = None
    answerable: bool = True


@dataclass(eq=False, slots=True)
class MessageEdited(Event):
    """Somebody edited a message to the bot. `message` is how it would have come in as it stands now."""

    message: Incoming


@dataclass(eq=False, slots=True)
class MessageDeleted(Event):
    """Somebody deleted a message. `external_id` is as in Incoming."""

    chat: ChatId
    bot: str
    external_id: str


@dataclass(eq=False, slots=True)
class ButtonPressed(Event):
    """Somebody pressed a button. Acknowledged with a PressReceipt. `deadline_s` as in MessageReceived."""

    press: Press
    deadline_s: float | None = None


@dataclass(eq=False, slots=True)
class ChatMoved(Event):
    """A chat goes on under another id."""

    platform: str
    old: str
    new: str


@dataclass(eq=False, slots=True)
class BotAdded(Event):
    """The bot was let into a chat, or a person unblocked it."""

    platform: str
    chat: str


@dataclass(eq=False, slots=True)
class BotRemoved(Event):
    """The bot was removed from a chat, a person blocked it, or the chat was deleted."""

    platform: str
    chat: str


@dataclass(eq=False, slots=True)
class CaughtUp(Event):
    """Everything that waited on the platform while the bot was away has been yielded and acknowledged."""

    platform: str


class Adapter(Platform, Protocol):
    """One chat platform. See docs/adapters.md."""

    def connected(self) -> AbstractAsyncContextManager[None]:
        """Inside the block the adapter can send. Waits for the network; raises SetupError where it will never work."""

    def events(self) -> AsyncIterator[Event]:
        """Everything that happens, without end. Used inside `connected()`. Raises SetupError as above."""
