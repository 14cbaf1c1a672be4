"""The port of the store: repositories within short transactions. Pure protocols; storage/ implements them.

Every method may raise Unavailable, and one that writes Unstorable. Reads of a chat, reply or person that is not stored
return None or an empty result, where no other error is named, and store nothing. Times are milliseconds UTC.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from core.domain.conversation import (
    ChatId,
    Incoming,
    KnownChat,
    NewReply,
    Question,
    QueueLoad,
    Reply,
    Setting,
    StoredAnswer,
    Turn,
)
from core.domain.reply_states import Lane, ReplyEvent, State


class Stale(Exception):
    """The reply has been claimed again since, or is in a state in which the event has no meaning."""


class Unavailable(Exception):
    """The store can't be reached or written at the moment; the same call may succeed later."""


class Unstorable(ValueError):
    """What was to be stored breaks a rule of the database, or fits none of its columns: a bug, not trouble."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What one claim of a lane gave."""

    replies: Sequence[Reply]
    """Claimed now, in the order in which they are to begin."""
    waiting: bool
    """Whether replies of the lane are still queued on the platforms, claimable or held up."""


@dataclass(frozen=True, slots=True)
class Penalty:
    """A stored penalty: the chat of `reply` takes no call before `until`. `set_at`: when that was stored, None where an
    older version stored it. Both by this machine's clock, milliseconds UTC."""

    reply: Reply
    until: int
    set_at: int | None


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one step of pruning has done: how many messages it deleted, and the reply's id `after` which the next step
    goes on; None where there is nothing after it."""

    count: int
    after: int | None


class Inbox(Protocol):
    """Incoming messages, each stored once."""

    async def stored_keys(self, messages: Sequence[Incoming]) -> Collection[tuple[str, str, str]]:
        """The keys of those messages that are stored already, or were and are pruned."""

    async def add(self, owed: Sequence[NewReply]) -> Sequence[Reply]:
        """Store messages that are not stored yet, each with its reply; return the replies in the same order.

        The messages must be cleaned, see Incoming.cleaned.
        """

    async def queue_load(self, messages: Sequence[Incoming], since: int, platforms: Collection[str]) -> QueueLoad:
        """The queued answers in the messages' conversations and on `platforms`, and the times from `since` on at which
        the messages' authors asked, both by the platform's clock. Of what was received hours ago some may be missing.
        """

    async def find_question(self, platform: str, bot: str, external_id: str) -> Reply | None:
        """The reply to a question by its message; None for any other message, and where it answers others too."""

    async def set_merged_into(self, others: Sequence[Reply], into: Reply) -> None:
        """Record that `into` answers the messages of `others` too, which are merged."""

    async def edit_question(self, incoming: Incoming) -> bool:
        """Replace the text of an edited question, if it is still queued. Return whether it was."""


class Replies(Protocol):
    """The work queue and its replies."""

    async def claim(self, lane: Lane, platforms: Collection[str], now: int, limit: int) -> Claimed:
        """C2: claim up to `limit` queued replies of a lane on the platforms, those that can run now.

        The conversation that was served longest ago comes first, with one answer at a time; an isolated answer is
        claimed alone. `now` is stored as the time at which the conversations were served, or a later one where an
        earlier claim has stored a later one: their order stays right where the clock is set back.
        """

    async def get(self, reply_id: int) -> Reply:
        """The reply as it is stored. Raises LookupError for an unknown id."""

    async def find(self, reply_id: int) -> Reply | None:
        """The reply with an id that came from outside; None for an unknown id."""

    async def move(
        self, reply: Reply, event: ReplyEvent, *, outcome: State | None = None, final: str | None = None
    ) -> Reply:
        """Apply an event; return the reply as it then is. `outcome` and `final` belong to ReplyEvent.FINISH, `final` to
        ReplyEvent.WITHDRAW too, which raises the attempt and moves the reply to the notice lane.

        Raises Stale where the reply's attempt is over or the event has no meaning in its state.
        """

    async def deliver(self, reply: Reply) -> Reply | None:
        """C7: ReplyEvent.DELIVER. Return the last answer before this one in its conversation that has a message on the
        platform; None where there is none, and for a notice. Raises Stale, see move.
        """

    async def become_answer(self, reply: Reply, question: Question, *, goes_on: bool = False) -> Reply:
        """Turn a command's reply into a queued answer to `question`, with the messages of the question's last answer.

        `goes_on`: the new answer continues the stored one. Raises Stale, see move.
        """

    async def open_answers(self, chat: ChatId) -> Sequence[Reply]:
        """The open answers of a conversation, oldest first."""

    async def open_commands(self, chat: ChatId) -> Sequence[Reply]:
        """The open commands and notices of a conversation, oldest first."""

    async def longest_waiting(self, platforms: Collection[str], limit: int) -> Sequence[Reply]:
        """The `limit` oldest queued answers on the platforms."""

    async def count_active(self) -> tuple[int, int]:
        """How many answers are running, and how many are queued, in all conversations."""

    async def requeue(self, reply: Reply, *, isolated: bool) -> Reply:
        """Queue an answer again whose engine died. `isolated`: it is to run with no other beside it. The death counts
        where it ran so.

        An answer that was stopped meanwhile is returned unchanged. Raises Stale, see move.
        """

    async def delay(self, reply: Reply, now: int, until: int) -> None:
        """Store, at `now`, that the platform accepts no call for the reply's chat before `until`. Never shortens a
        penalty but one that was stored in the future: the clock was wrong then."""


class Messages(Protocol):
    """The messages of a reply on the platform: each is an intent before it is sent, and has an id afterwards."""

    async def add_intent(self, reply: Reply, nonce: str, *, instead_of: str = "") -> None:
        """C3: store the intent to send a message, after the others or in place of the one with the nonce `instead_of`.

        Idempotent. Raises Stale where the reply's attempt is over.
        """

    async def set_id(self, reply: Reply, nonce: str, message_id: str) -> None:
        """C4: store the platform's id of the message sent with `nonce`. Raises Stale where the attempt is over."""

    async def remove(self, reply: Reply, nonce: str) -> None:
        """Remove a message that is deleted. Idempotent. Raises Stale where the attempt is over."""

    async def exists(self, platform: str, chat: str, message_id: str) -> bool:
        """Whether a reply has this message in any conversation of the platform's chat."""


class Recovery(Protocol):
    """Replies that were left unfinished."""

    async def recover(self, platform: str) -> Sequence[Reply]:
        """Requeue the platform's answers that were being generated; return those to be delivered or stopped."""

    async def find_orphaned(
        self, platforms: Collection[str], running: Collection[tuple[int, int]], before: int
    ) -> Sequence[Reply]:
        """Requeue replies that changed last before `before`, or in the future (the clock was set back since), and are
        not in `running`, the ids and attempts of those that are worked on. Return all of them as they then are."""

    async def delayed(self, platform: str, now: int) -> Sequence[Penalty]:
        """The penalties that end after `now`."""

    async def superseded_answers(self, chat: ChatId, most: int) -> Sequence[Reply]:
        """The `most` newest closed answers of a conversation, newest first, that have a message on the platform and are
        not to the last question (Turns.last_question): what their buttons repeat is gone, or another question has come
        after it."""

    async def superseded(self, platform: str, latest: int, most: int) -> Sequence[Reply]:
        """Of the conversations of the platform's `latest` newest replies the `most` newest superseded answers each, see
        superseded_answers."""

    async def newest_id(self) -> int:
        """The id of the newest reply; 0 where there is none."""

    async def backlog(self, platform: str, after: int) -> Sequence[Reply]:
        """The platform's queued answers and commands, the commands that are being carried out, and those with an id
        above `after`, oldest first."""

    async def merge(self, into: Reply, others: Sequence[Reply]) -> None:
        """Append the question of `into` to those of `others`, so that one answer is given to all; close `others`."""

    async def expire(self, reply: Reply, others: Sequence[Reply], text: str) -> Reply:
        """Finish a queued reply with the apology `text`, in the notice lane, and merge `others` into it.

        Return the reply as it then is.
        """


class Turns(Protocol):
    """The history. Only answered questions of the conversation's current number are read."""

    async def recent(self, chat: ChatId, before: int, limit: int) -> Sequence[Turn]:
        """The last `limit` answered questions with an id below `before`, oldest first, each with its index."""

    async def save_answer(self, reply: Reply, text: str, *, cut: bool = False) -> None:
        """Store the answer to a reply's question in place of an earlier one; "" only deletes that.

        Nothing is stored where the question is deleted or its conversation cleared. `cut`: the token limit ended the
        answer.
        """

    async def answer_to(self, question: int) -> StoredAnswer | None:
        """The question's answer; None where there is none."""

    async def is_truncated(self, question: int) -> bool:
        """Whether the question has an answer that the token limit ended."""

    async def last_question(self, chat: ChatId) -> Question | None:
        """The newest question whose answer is done, stopped or failed."""

    async def delete_pair(self, question: int) -> None:
        """Delete a question and its answer. Idempotent."""

    async def delete_unanswered(self, question: int) -> None:
        """Delete a question that has no answer. Idempotent."""

    async def clear(self, reply: Reply) -> None:
        """Delete the turns before this command and raise the conversation's number. Later questions are kept."""


class Preferences(Protocol):
    """Settings of conversations and interface languages of people."""

    async def settings(self, chat: ChatId) -> Mapping[str, Setting]:
        """A conversation's values by name. A topic or thread inherits those of its chat that it does not set itself."""

    async def set(self, chat: ChatId, name: str, setting: Setting) -> None:
        """Store a conversation's value, which replaces an earlier one."""

    async def delete(self, chat: ChatId, name: str) -> None:
        """Delete a conversation's value, so that the chat's or the deployment's is in force. Idempotent."""

    async def language(self, platform: str, user: str) -> str:
        """A person's interface language: "en", "vi", or "auto" where none is stored."""

    async def languages(self, platform: str, limit: int) -> Mapping[str, str]:
        """The languages that people of a platform have chosen, by person, the newest `limit` choices, newest first."""

    async def set_language(self, platform: str, user: str, language: str, at: int) -> None:
        """Store a person's interface language, chosen at the time `at`."""


class Chats(Protocol):
    """The chats of a platform, each with all its conversations."""

    async def deactivate(self, platform: str, chat: str) -> Sequence[int]:
        """Mark a chat as closed to the bot until its next message, and cancel its queued replies.

        Return the ids of the answers that are being generated there. Idempotent.
        """

    async def change_id(self, platform: str, old: str, new: str) -> None:
        """Move everything of the chat `old` to the id `new`, and merge it into what is stored there. Idempotent."""

    async def active(self, platform: str) -> Sequence[KnownChat]:
        """The conversations that the bot can write to, the one with the newest message first."""


class Accounts(Protocol):
    """What is stored of a bot's account on a platform."""

    async def record_login(self, platform: str, bot: str, at: int) -> None:
        """Store a login at a gateway that limits logins; delete those older than a day."""

    async def logins_since(self, platform: str, bot: str, since: int) -> Sequence[int]:
        """The times of the logins from `since` on, oldest first."""

    async def menu_fingerprint(self, platform: str, bot: str) -> str:
        """The fingerprint of the command menu that was published last; "" where none was."""

    async def set_menu_fingerprint(self, platform: str, bot: str, fingerprint: str) -> None:
        """Store the fingerprint of the command menu that is published now."""


class Bookkeeping(Protocol):
    """What nobody needs any more."""

    async def prune(self, before: int, after: int, most: int) -> Pruned:
        """Of the `most` replies after the id `after`, delete those that were closed before `before`, with their
        messages and with questions that have no answer. Turns stay, and a hash of each message, see Inbox.stored_keys.
        So does what is still needed: each conversation's last answer and newest message.
        """


class Transaction(Protocol):
    """One short transaction: all of it is stored, or nothing. Never held across anything but its own calls."""

    @property
    def inbox(self) -> Inbox: ...
    @property
    def replies(self) -> Replies: ...
    @property
    def messages(self) -> Messages: ...
    @property
    def recovery(self) -> Recovery: ...
    @property
    def turns(self) -> Turns: ...
    @property
    def preferences(self) -> Preferences: ...
    @property
    def chats(self) -> Chats: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def bookkeeping(self) -> Bookkeeping: ...


class Store(Protocol):
    """The bot's memory."""

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction, committed when its block ends without an error and rolled back otherwise.

        Raises Unavailable, also for what the block itself calls. A commit that is cancelled or ends in Unavailable may
        have happened.
        """
