"""The value types of a conversation: chats, people, messages, questions, replies. Pure."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from hashlib import sha256
from math import isfinite

from core.domain.reply_states import Lane, State

MAX_ID_CHARACTERS = 255
MAX_NAME_CHARACTERS = 255
MAX_LOCALE_CHARACTERS = 32

OptionValue = str | int | float | bool
"""A typed value of a slash command."""

_FORBIDDEN = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ChatId:
    """A conversation: a platform, its chat, and the topic or thread in it ("" where there is none)."""

    platform: str
    chat: str
    thread: str = ""

    def fitted(self) -> "ChatId":
        """The conversation with ids that a database takes, see fit_id."""
        return replace(self, chat=fit_id(self.chat), thread=fit_id(self.thread))

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

    def fitted(self) -> "Author":
        """The person with an id that a database takes, see fit_id, and a name: the id where the platform has none."""
        id = fit_id(self.id)
        name, locale = clean(self.name).strip(), clean(self.locale).strip()
        return Author(id, name[:MAX_NAME_CHARACTERS] or id, locale[:MAX_LOCALE_CHARACTERS])


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
    """Whether the message holds a picture, sticker or file that the model can't see. Not stored."""
    joins: tuple[str, ...] = ()
    """External ids of messages whose text this one holds too: what they ask is not answered by itself. Not stored."""
    alone: str | None = None
    """Its text without that of `joins`, for where one of them has its answer already; None asks the whole text all the
    same. Not stored."""
    missed: bool = False
    """Whether it was written in the bot's absence and is found too late to be answered: people are told to ask again,
    and nothing is kept of its text. Not stored."""

    @property
    def key(self) -> tuple[str, str, str]:
        """The message's identity: platform, bot, external id."""
        return self.chat.platform, self.bot, self.external_id

    def cleaned(self) -> "Incoming":
        """The message as it can be stored: ids that fit, no NUL and no lone surrogates (no database or encoder takes
        them), and NFC, because a decomposed Vietnamese question costs a model three times the tokens.

        A message that needs no change, as nearly all, is returned as it is.
        """
        ids = (self.chat.chat, self.chat.thread, self.bot, self.external_id, self.author.id)
        written = (self.author.name, self.author.locale, self.text)
        fits = (
            not self.options
            and max(map(len, ids)) <= MAX_ID_CHARACTERS
            and 0 < len(self.author.name) <= MAX_NAME_CHARACTERS
            and len(self.author.locale) <= MAX_LOCALE_CHARACTERS
            and not _FORBIDDEN.search("".join(ids + written))
        )
        # What fitted() and clean() would do to each, in the order in which they do it, is nothing.
        if fits and all(
            each == each.strip() and "\r\n" not in each and unicodedata.is_normalized("NFC", each) for each in written
        ):
            return self
        return replace(
            self,
            chat=self.chat.fitted(),
            bot=fit_id(self.bot),
            external_id=fit_id(self.external_id),
            author=self.author.fitted(),
            text=clean(self.text).strip(),
            alone=None if self.alone is None else clean(self.alone).strip(),
            options={name: _clean_option(value) for name, value in self.options.items()},
        )


def _clean_option(value: OptionValue) -> OptionValue:
    """`value`, storable as JSON. Infinity and NaN become text, which the option's parser refuses."""
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return clean(value) if isinstance(value, str) else value


def fit_id(id: str) -> str:
    """`id` itself where a database takes it: up to 255 characters, no NUL, no lone surrogates.

    Any other keeps its beginning and ends in the SHA-256 digest of the whole, 255 characters at most, so that
    different ids stay different.
    """
    if len(id) <= MAX_ID_CHARACTERS and not _FORBIDDEN.search(id):
        return id
    digest = "~" + sha256(id.encode("utf-8", "surrogatepass")).hexdigest()
    return storable(id)[: MAX_ID_CHARACTERS - len(digest)] + digest


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
    index: int = field(default=0, compare=False)
    """One more than that of the turn before it. The store counts from the same turn on for some thousand messages."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer to a question in the history."""

    text: str
    truncated: bool
    """Whether the token limit ended it."""
    stopped: bool
    """Whether a person stopped it."""


@dataclass(frozen=True, slots=True)
class Question:
    """A stored question: its message's id, its text, who asked."""

    id: int
    text: str
    author: Author


ELSEWHERE = "~"
"""In the nonce of a message that is sent outside the thread in which its reply belongs. Short: Discord takes 25
characters."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One message of a reply."""

    nonce: str
    """The key that it is sent with, so that the platform can recognise a repeated send."""
    message_id: str | None = None
    """The platform's id; None while only the intent to send is stored."""

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is outside the thread in which its reply belongs."""
        return ELSEWHERE in self.nonce


@dataclass(frozen=True, slots=True)
class Reply:
    """The bot's reply to one incoming message, from the queue to the delivered text.

    `attempt` is the fencing token: it rises with each claim, and a worker with an older one can change nothing.
    """

    id: int
    chat: ChatId
    private: bool
    conversation: int
    lane: Lane
    state: State
    attempt: int
    author: Author
    text: str
    """The question, or the command as it was written; a command's is "" once the reply is closed."""
    bot: str
    external_id: str
    seq: int
    """The message's place in the platform's order; 0 where its chat has changed its id since."""
    reply_token: str = field(default="", repr=False)
    """The token of the incoming message; "" once the reply is closed."""
    options: Mapping[str, OptionValue] = field(default_factory=dict, hash=False)
    """The typed values of a slash command, by the option's name; empty once the reply is closed."""
    question: int | None = None
    """The stored question's id, in the answer lane."""
    asker: Author | None = None
    """Who asked the question: another person than the author where an admin has it answered again."""
    outcome: State | None = None
    """The terminal state that the delivery of `final` leads to."""
    final: str | None = None
    """The final text; None before it is stored, and once the reply is closed."""
    chunks: tuple[Chunk, ...] = ()
    """Its messages on the platform, in order."""
    at: int = 0
    """When the question was asked, or the command stored; milliseconds UTC."""
    isolated: bool = False
    """Whether it is generated with no other answer beside it, because the engine died when it had just begun."""
    engine_deaths: int = 0
    """How often the engine died while the reply ran isolated."""
    merged_into: int | None = None
    """The id of the reply that answers this one's message too."""
    prefix: str = ""
    """The truncated answer that this one continues; "" for a new answer."""
    is_repeat: bool = False
    """Whether its question had an answer before (/retry, /continue), which its messages show until it is generated.
    False once the reply is closed."""

    @property
    def is_answer(self) -> bool:
        """Whether its messages are an answer's. A withdrawn answer is sent in the notice lane."""
        return self.lane is Lane.ANSWER or self.outcome is State.CANCELLED

    @property
    def is_pending(self) -> bool:
        """Whether people see that a queued reply is to come: it has messages, or an interaction waits for it."""
        return bool(self.chunks or self.reply_token)


@dataclass(frozen=True, slots=True)
class NewReply:
    """A reply to be stored with its message. QUEUED: to be generated, or a command to be executed. SENDING: `final` is
    its text. MERGED: the reply `merged_into` answers it too."""

    incoming: Incoming
    lane: Lane
    state: State = State.QUEUED
    final: str | None = None
    merged_into: int | None = None


@dataclass(slots=True)
class QueueLoad:
    """How many answers are queued, and how often people asked lately."""

    here: dict[ChatId, int]
    """Queued answers in each conversation."""
    waiting: int
    """Queued answers in all conversations."""
    asked: dict[tuple[str, str], list[int]]
    """When each person, by platform and id, asked: milliseconds UTC, oldest first."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A stored value of a conversation."""

    value: str
    by: str
    """The name of the person who set it."""
    at: int
    """When it was set; milliseconds UTC."""
    inherited: bool = False
    """Whether it belongs to the chat and is used in a topic or thread without a value of its own."""


@dataclass(frozen=True, slots=True)
class KnownChat:
    """A stored conversation that the bot can write to."""

    chat: ChatId
    private: bool
    seq: int
    """The place of its newest stored message in the platform's order."""
