"""Where a reply is shown: the parts of a message, what may be pressed under it, and how a platform may fail."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from core.domain.conversation import Author, ChatId, Reply, Role
from core.domain.settings import Settings


@dataclass(frozen=True, slots=True)
class Pace:
    """What a chat bears. `interval`: seconds from any call to the next preview. `gap`: seconds between any two calls.
    `previews`, `calls`: so many in a minute, 0 is without bound; what `calls` has above `previews` is the room that is
    kept for final texts and commands."""

    interval: float = 0.0
    gap: float = 0.0
    previews: int = 0
    calls: int = 0


STUB = "…"
"""An answer's message before there is text."""


class ButtonAction(StrEnum):
    """What a button under an answer does."""

    STOP = "stop"
    RETRY = "retry"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True)
class Controls:
    """What may be pressed under a message: actions of its reply, or the settings of its conversation."""

    actions: tuple[ButtonAction, ...] = ()
    panel: Settings | None = None
    language: str = "en"


NO_CONTROLS = Controls()


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message of a reply. `text` is what a person reads, without markup; `body` what the adapter sends for it."""

    text: str
    body: object = None
    controls: Controls = NO_CONTROLS


class DeliveryError(Exception):
    """A platform did not take a call."""


class NotSent(DeliveryError):
    """Certainly not taken, and may be tried again: after `wait` seconds where the platform said so."""

    def __init__(self, wait: float = 0.0) -> None:
        super().__init__()
        self.wait = wait


class Ambiguous(DeliveryError):
    """It may have been taken: the connection was lost before the answer."""


class Unacceptable(DeliveryError):
    """Refused for good: this call will never be taken."""


class MessageGone(DeliveryError):
    """The message to be changed is not there any more."""


class OutOfReach(MessageGone):
    """It may be there, but can't be changed from here any more, nor can those that belong to it."""


class Unreachable(DeliveryError):
    """The chat is closed to the bot: blocked, thrown out, deleted."""


class ChatMoved(DeliveryError):
    """The chat goes on under another id."""

    def __init__(self, chat: str) -> None:
        super().__init__()
        self.chat = chat


class ReplyChannel(Protocol):
    """Where one reply is shown: all that an adapter implements for output. Calls raise DeliveryError."""

    key: str
    """The platform's chat, whose rate limit is shared by all its conversations."""
    pace: Pace
    stubs: bool
    """A send that is repeated shows twice: an answer's messages begin as an empty stub, and are then edited."""
    drafts: bool
    """What is not finished goes to `draft`, not to a message."""

    def parts(self, text: str) -> Sequence[OutgoingMessage]:
        """The Markdown text as messages, at least one, each within the platform's limits."""

    async def send(self, index: int, part: OutgoingMessage, nonce: str) -> str:
        """A new message, the reply's `index`th; its id."""

    async def find(self, index: int, part: OutgoingMessage, nonce: str) -> str | None:
        """The id of the reply's `index`th message where it was sent already, by a process that could not note it, and
        the platform can tell; None where there is none, or nobody knows."""

    async def edit(self, message_id: str, part: OutgoingMessage) -> None:
        """Idempotent: what it shows already is success. Raises MessageGone, OutOfReach."""

    async def delete(self, message_id: str) -> None:
        """Idempotent; a message that can't be deleted is emptied."""

    async def strip(self, message_id: str) -> None:
        """Take away what may be pressed under it. Idempotent."""

    async def draft(self, part: OutgoingMessage) -> None:
        """Show what is not finished, where the platform has a place for that."""

    async def typing(self) -> None:
        """Show that something is coming."""


class Platform(Protocol):
    """The outside world as the dispatcher sees it."""

    name: str

    def surface(self, reply: Reply) -> ReplyChannel:
        """Where a reply goes. Works from the stored reply alone, also after a restart."""

    async def role(self, chat: ChatId, author: Author) -> Role:
        """What a person may do there, asked at this moment. Raises DeliveryError where the platform can't tell."""
