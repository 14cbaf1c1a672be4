"""The nouns of a conversation, and what is remembered of them: the Store, which the outside fills."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from core.domain.reply_states import Lane, State

OptionValue = str | int | float | bool
"""A typed value of a slash command."""

_FORBIDDEN = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ChatId:
    """A conversation: a platform, its chat, and the topic or thread in it ("" where there is none)."""

    platform: str
    chat: str
    thread: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.platform, self.chat, self.thread)))


class Role(IntEnum):
    """What a person may do in a chat. In a private chat everyone is its admin."""

    MEMBER = 0
    ADMIN = 1
    OWNER = 2


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote: the platform's id, the name shown there, the language of the person's client ("vi-VN", "" unknown)."""

    id: str
    name: str
    locale: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message addressed to the bot. `external_id` is unique for a platform and bot; `seq` is the platform's order."""

    chat: ChatId
    bot: str
    external_id: str
    seq: int
    author: Author
    text: str
    private: bool
    at: int
    """Milliseconds UTC."""
    reply_token: str = field(default="", repr=False)
    """What the adapter needs to answer where this came from; handed back with the reply, unread. It may be a key."""
    options: Mapping[str, OptionValue] = field(default_factory=dict, hash=False)
    """The typed values of a slash command, by the option's name."""
    has_unseen_media: bool = False
    """It holds a picture, a sticker or a file that the model can't see."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What the message is known by."""
        return self.chat.platform, self.bot, self.external_id

    def cleaned(self) -> "Incoming":
        """Without what no database or encoder takes (NUL, lone surrogates), and in NFC: a decomposed Vietnamese
        question costs a model three times the tokens."""
        id, name, locale = (clean(part).strip() for part in (self.author.id, self.author.name, self.author.locale))
        author = Author(id[:64], name or id[:64], locale[:32])  # as long as a database takes
        options = {name: clean(value) if isinstance(value, str) else value for name, value in self.options.items()}
        external_id = clean(self.external_id)[:128]
        return replace(self, text=clean(self.text).strip(), external_id=external_id, author=author, options=options)


def clean(text: str) -> str:
    """`text` in NFC, without NUL and lone surrogates, line ends as \\n."""
    return unicodedata.normalize("NFC", storable(text).replace("\r\n", "\n"))


def storable(text: str) -> str:
    """`text` without what no database or encoder takes: NUL, lone surrogates."""
    return _FORBIDDEN.sub("", text)


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer, as history keeps them."""

    question: str
    answer: str
    author: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A stored question: its message's id, its text, who asked."""

    id: int
    text: str
    author: Author


@dataclass(frozen=True, slots=True)
class Chunk:
    """One message of a reply: the nonce it was sent with, its id once the platform has told it (None: intent only)."""

    nonce: str
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What we owe for one incoming message. `attempt` is the fence: a worker whose attempt is stale changes nothing."""

    id: int
    chat: ChatId
    private: bool
    conversation: int
    lane: Lane
    state: State
    attempt: int
    author: Author
    text: str
    """The question, or the command as it was written."""
    bot: str
    external_id: str
    seq: int
    """What the platform knows the message by."""
    reply_token: str = field(default="", repr=False)
    """What the adapter asked to be reminded of, as long as the reply is open."""
    options: Mapping[str, OptionValue] = field(default_factory=dict, hash=False)
    """The typed values of a slash command, by the option's name; empty once the reply is closed."""
    question: int | None = None
    """The stored question's id, in the answer lane."""
    asker: Author | None = None
    """Who asked the question: another than the author where an admin has it answered again."""
    outcome: State | None = None
    final: str | None = None
    chunks: tuple[Chunk, ...] = ()
    at: int = 0
    """When the question was asked or the command given, as the platform says; milliseconds UTC."""
    isolated: bool = False
    """The engine died while it ran: it runs by itself now."""
    engine_deaths: int = 0
    """So often the engine died while it did."""
    merged_into: int | None = None
    """The reply that answers its message too."""
    prefix: str = ""
    """The answer that was cut at the token limit, where this one goes on with it."""


@dataclass(frozen=True, slots=True)
class NewReply:
    """What a message is owed: an answer, or what is said to a command, from `queued` on; or nothing but the text
    `final`, as `sending`; or nothing more than another reply says already, as `merged`."""

    incoming: Incoming
    lane: Lane
    state: State = State.QUEUED
    final: str | None = None
    merged_into: int | None = None


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """Who waits: answers in each conversation, answers in all; when each person asked lately (platform and id;
    milliseconds UTC, oldest first)."""

    here: Mapping[ChatId, int]
    waiting: int
    asked: Mapping[tuple[str, str], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Setting:
    """A stored value of a conversation, with who set it and when (milliseconds UTC)."""

    value: str
    by: str
    at: int
    inherited: bool = False
    """It is the chat's, and holds in a topic or thread that has none of its own."""


@dataclass(frozen=True, slots=True)
class KnownChat:
    """A conversation that the platform's people have used. `seq`: the newest message in it that is stored."""

    chat: ChatId
    private: bool
    seq: int
