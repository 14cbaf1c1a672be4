"""Where a reply is shown: the parts of a message, what may be pressed under it, and how a platform may fail."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from core.domain.conversation import Author, ChatId, Reply, Role
from core.domain.settings import Settings


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a chat may be called; 0 is without a bound.

    `preview_interval_s`: seconds from any call to the next preview. `gap_s`: seconds between any two calls. The calls
    that are allowed above the previews in a minute are kept for final texts and commands.
    """

    preview_interval_s: float = 0.0
    gap_s: float = 0.0
    previews_per_minute: int = 0
    calls_per_minute: int = 0


PLACEHOLDER = "…"
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
    """One message of a reply. `text` is what a person reads, without markup; `body` what the adapter sends for it.

    `hidden_text`: what a person may read of it besides, in letters that `text` has among the signs of a formula.
    """

    text: str
    body: object = None
    controls: Controls = NO_CONTROLS
    hidden_text: str = ""


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


class QuestionGone(MessageGone):
    """The message that an answer would quote is not there any more: nothing was sent."""


class OutOfReach(MessageGone):
    """It may be there, but can't be changed from here any more, nor can those that belong to it."""


class ThreadClosed(OutOfReach):
    """The topic or thread was closed or deleted, or the bot may not write in it any more; its chat may be open."""


class Unreachable(DeliveryError):
    """The chat is closed to the bot: blocked, thrown out, deleted."""


class ChatIdChanged(DeliveryError):
    """The chat goes on under another id."""

    def __init__(self, chat: str) -> None:
        super().__init__()
        self.chat = chat


class ReplyChannel(Protocol):
    """Where one reply is shown: what every adapter implements for output. Calls raise DeliveryError."""

    key: str
    """The rate limiter's key: "platform:chat". All conversations of a chat share its limit."""
    pace: Pace
    needs_placeholder: bool
    """A repeated send would show twice, so an answer begins as a placeholder that is then edited."""

    def format(self, markdown: str) -> Sequence[OutgoingMessage]:
        """The Markdown text as one or more messages, each within the platform's limits."""

    async def send(self, index: int, part: OutgoingMessage, nonce: str) -> str:
        """Send the reply's message number `index`, counted from 0; return the platform's id for it."""

    async def edit(self, message_id: str, part: OutgoingMessage) -> None:
        """Change a message. Succeeds where it shows `part` already. Raises MessageGone, OutOfReach."""

    async def delete(self, message_id: str) -> None:
        """Delete a message, or empty one that can't be deleted. Idempotent."""

    async def remove_buttons(self, message_id: str) -> None:
        """Remove the buttons under a message. Idempotent."""

    async def typing(self) -> None:
        """Show that an answer is on its way."""


@runtime_checkable
class Drafts(Protocol):
    """A reply channel that can show unfinished text without sending a message."""

    @property
    def draft(self) -> Callable[[OutgoingMessage], Awaitable[None]] | None:
        """Shows unfinished text; raises DeliveryError. None where this reply is not shown so."""


@runtime_checkable
class LeavesThread(Protocol):
    """A reply channel that can send a reply of a topic or thread to the chat around it."""

    def leave_thread(self) -> bool:
        """Send to the chat around the thread from now on. False: the reply is in no thread, or has left it."""


@runtime_checkable
class QuotesQuestion(Protocol):
    """A reply channel whose first message of an answer is refused with QuestionGone where the question is gone."""

    def stop_quoting(self) -> None:
        """Send without the quote from now on."""


Look = Callable[[OutgoingMessage], OutgoingMessage]


@runtime_checkable
class FinalLook(Protocol):
    """A reply channel that shows a text in another way once it grows no more."""

    final: Look | None
    """A message that `format` made, as it looks at the end; None where it looks no other for this reply."""


@runtime_checkable
class SentMessageLookup(Protocol):
    """A reply channel that can find a message which an earlier process sent without storing its id."""

    async def find(self, index: int, part: OutgoingMessage, nonce: str) -> str | None:
        """The id of the reply's message number `index` if it was sent, else None. Raises DeliveryError."""


@runtime_checkable
class TellsTime(Protocol):
    """A platform whose own clock is known. It dates messages by that clock, and this machine's may be wrong."""

    def now(self) -> int:
        """The time there; milliseconds UTC."""


class Platform(Protocol):
    """A chat platform as the core sees it."""

    name: str

    def channel(self, reply: Reply) -> ReplyChannel:
        """Where a reply goes. Needs nothing but the stored reply, so it works after a restart."""

    async def role(self, chat: ChatId, author: Author) -> Role:
        """What a person may do in a chat, asked of the platform now. Raises DeliveryError where it can't tell."""
