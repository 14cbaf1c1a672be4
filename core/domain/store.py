"""The Store: what is remembered, as the outside fills it."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from core.domain.conversation import ChatId, Incoming, KnownChat, NewReply, Question, QueueLoad, Reply, Setting, Turn
from core.domain.reply_states import Event, Lane, State


class Stale(Exception):
    """The reply is no longer this worker's, or no longer in a state in which the event means anything."""


class Unavailable(Exception):
    """The store can't be reached or written at the moment; the same call may succeed later."""


class Inbox(Protocol):
    """What came in, each message once."""

    async def stored_keys(self, messages: Sequence[Incoming]) -> Collection[tuple[str, str, str]]:
        """The keys of those that are stored already."""

    async def add(self, owed: Sequence[NewReply]) -> Sequence[Reply]:
        """Store messages that are not known, each with its reply; in order."""

    async def queue_load(self, messages: Sequence[Incoming], since: int, platforms: Collection[str]) -> QueueLoad:
        """Who waits in these messages' conversations and on these platforms, and how often their authors have asked
        since."""

    async def merge_refused(self, others: Sequence[Reply], into: Reply) -> None:
        """What is said about one message is said about the others too."""

    async def edit_question(self, incoming: Incoming) -> bool:
        """A message was edited: the question it asked gets its new text, if nobody has begun to answer it."""


class Replies(Protocol):
    """The work queue."""

    async def claim(self, lane: Lane, platforms: Collection[str], now: int) -> Reply | None:
        """Take the next reply of a lane, on a platform that is served: least recently served conversation first."""

    async def get(self, reply_id: int) -> Reply:
        """The reply as it stands."""

    async def find(self, reply_id: int) -> Reply | None:
        """The same for an id from outside, which may be none."""

    async def has_message(self, platform: str, chat: str, message_id: str) -> bool:
        """Whether this message is one that a reply is known to have in the platform's chat."""

    async def previous_answer(self, reply: Reply) -> Reply | None:
        """The conversation's answer before this one that was shown."""

    async def move(
        self, reply: Reply, event: Event, *, outcome: State | None = None, final: str | None = None
    ) -> Reply:
        """Apply an event. Raises Stale where it means nothing."""

    async def become_answer(self, reply: Reply, question: Question, *, goes_on: bool = False) -> Reply:
        """/retry, /continue: the command's row takes the question and its last answer's messages, and waits in the
        answer lane. `goes_on`: its answer begins with the one that is there."""

    async def add_intent(self, reply: Reply, nonce: str, *, instead_of: str = "") -> None:
        """C3: before a first send. `instead_of`: the nonce of a message that has vanished."""

    async def set_message_id(self, reply: Reply, nonce: str, message_id: str) -> None:
        """C4: after it."""

    async def remove_message(self, reply: Reply, nonce: str) -> None:
        """The message is deleted."""

    async def open_answers(self, chat: ChatId) -> Sequence[Reply]:
        """The open answers of a conversation, oldest first."""

    async def longest_waiting(self, platforms: Collection[str], limit: int) -> Sequence[Reply]:
        """The answers that wait longest, on these platforms."""

    async def count_active(self) -> tuple[int, int]:
        """How many answers run and how many wait, in all conversations."""

    async def requeue_isolated(self, reply: Reply) -> Reply:
        """The engine died under it: it waits to run by itself; a death while it did so is a strike."""

    async def delay(self, reply: Reply, until: int) -> None:
        """Its chat wants to hear nothing until then (milliseconds UTC)."""


class Recovery(Protocol):
    """After a restart."""

    async def recover(self, platform: str) -> Sequence[Reply]:
        """Apply the crash event to what is open on a platform; what need not be generated again is returned."""

    async def find_orphaned(
        self, platforms: Collection[str], running: Collection[tuple[int, int]], before: int
    ) -> Sequence[Reply]:
        """The same for what nobody runs (by id and attempt) although it was claimed before then; as it stands after."""

    async def delayed(self, platform: str, now: int) -> Sequence[tuple[Reply, int]]:
        """Replies whose chats want to hear nothing yet, each with the time until when."""

    async def backlog(self, platform: str, since: int) -> Sequence[Reply]:
        """The queued answers and commands, and the commands that came since then, oldest first."""

    async def merge(self, into: Reply, others: Sequence[Reply]) -> None:
        """One reply answers the others' questions too: its own becomes all of them, theirs are merged."""

    async def expire(self, reply: Reply, others: Sequence[Reply], text: str) -> Reply:
        """Nobody answered for too long: `text` is said about all of them, beside the conversation's answers."""


class Turns(Protocol):
    """The history. Only answered pairs of the current conversation count."""

    async def recent(self, chat: ChatId, before: int, limit: int) -> Sequence[Turn]:
        """The last `limit` answered pairs older than the question `before`, oldest first."""

    async def save_answer(self, reply: Reply, text: str, *, cut: bool = False) -> None:
        """Store an answer in place of the question's last one, unless its conversation has been cleared; "" is none.
        `cut`: the token limit ended it."""

    async def is_truncated(self, question: int) -> bool:
        """Whether the question has an answer that the token limit ended."""

    async def last_question(self, chat: ChatId) -> Question | None:
        """The newest question that was answered, stopped or failed."""

    async def delete_pair(self, question: int) -> None:
        """Delete a question and its answer."""

    async def delete_unanswered(self, question: int) -> None:
        """Delete a question that has no answer."""

    async def clear(self, reply: Reply) -> None:
        """Delete what was said before this command and raise the conversation's number. What came after it stays."""


class Preferences(Protocol):
    """Settings of conversations and the interface language of people."""

    async def settings(self, chat: ChatId) -> Mapping[str, Setting]:
        """A conversation's own values by name, over those of the chat that its topic or thread belongs to."""

    async def set(self, chat: ChatId, name: str, setting: Setting) -> None:
        """Set one."""

    async def delete(self, chat: ChatId, name: str) -> None:
        """Fall back to the chat's, or the deployment's."""

    async def language(self, platform: str, user: str) -> str:
        """A person's interface language: "en", "vi" or "auto"."""

    async def set_language(self, platform: str, user: str, language: str, at: int) -> None:
        """Set it."""


class Chats(Protocol):
    """The platform's chats, with all their conversations."""

    async def deactivate(self, platform: str, chat: str) -> Sequence[int]:
        """Mark it inactive and cancel what waits there, until it writes again; the ids of the answers that run."""

    async def change_id(self, platform: str, old: str, new: str) -> None:
        """Everything of a chat goes on under another id. Idempotent."""

    async def active(self, platform: str) -> Sequence[KnownChat]:
        """The conversations that are not closed to the bot, the one used last first."""


class Accounts(Protocol):
    """What a platform knows of the bot's account."""

    async def record_login(self, platform: str, bot: str, at: int) -> None:
        """It logs in at a gateway that counts logins."""

    async def logins_since(self, platform: str, bot: str, since: int) -> Sequence[int]:
        """When it did, oldest first; milliseconds UTC."""

    async def menu_fingerprint(self, platform: str, bot: str) -> str:
        """The fingerprint of the menu that was published last; "" where none was."""

    async def set_menu_fingerprint(self, platform: str, bot: str, fingerprint: str) -> None:
        """Another has been published."""


class Transaction(Protocol):
    """One short transaction: all of it happens, or nothing. Never held across anything but its own calls."""

    @property
    def inbox(self) -> Inbox: ...
    @property
    def replies(self) -> Replies: ...
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


class Store(Protocol):
    """The memory."""

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction, committed when its block is left without an error."""
