"""Reading Telegram's updates: what of them is addressed to the bot, as the nouns of the core. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from telegram import CallbackQuery, ChatMemberRestricted, ChatMemberUpdated, Message, MessageEntity, Update, User
from telegram.constants import ChatMemberStatus, ChatType

from core.delivery.splitting import utf16
from core.domain.command_line import CommandLine, parse_command
from core.domain.conversation import Author, ChatId, Incoming
from core.i18n import choose_language, t
from core.inbound.question_text import GREETING, join_around_name, with_quote

PLATFORM = "telegram"
KINDS = ("message", "edited_message", "callback_query", "my_chat_member")
"""The updates to ask Telegram for."""

PIECE = 4000
"""UTF-16 units: a text at least this long may have been cut by the client, which cuts at 4096 or a little before."""
_HARD_CUT = 4096
"""UTF-16 units at which a client cuts a long text wherever it is; a shorter piece was cut at a space or a line end."""
_CONTENT = (
    "text", "caption", "animation", "audio", "checklist", "contact", "dice", "document", "game", "invoice",
    "live_photo", "location", "paid_media", "photo", "poll", "sticker", "story", "venue", "video", "video_note",
    "voice",
)  # fmt: skip
"""What people send. A message with none of it is Telegram's own note: somebody joined, a title changed."""

_COMMAND_TO = re.compile(r"\s*/\w+@(\w+)(?!\S)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Me:
    """The bot's own account."""

    id: int
    username: str


@dataclass(frozen=True, slots=True)
class Press:
    """Somebody pressed a button. It must be answered, also where `chat` is None: the message was not the bot's own."""

    id: str
    chat: ChatId | None
    message_id: str
    data: str
    author: Author
    private: bool
    text: str | None = None
    """What stands over the button, where that message is the bot's own."""


@dataclass(frozen=True, slots=True)
class Edited:
    """A message was edited: how it would have come in as it stands now."""

    incoming: Incoming


@dataclass(frozen=True, slots=True)
class Moved:
    """A group became a supergroup: its id changed."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Membership:
    """The bot was let in or thrown out, unblocked or blocked."""

    chat: str
    member: bool


Read = Incoming | Edited | Press | Moved | Membership


def parse_updates(updates: Sequence[Update], me: Me) -> Read | None:
    """What `updates` say: one update, or several messages that belong together (see joining).

    None: not addressed to the bot, or nothing that could be answered.
    """
    first = updates[0]
    if first.callback_query is not None:
        return _press(first.callback_query, me)
    if first.my_chat_member is not None:
        return _membership(first.my_chat_member)
    if first.edited_message is not None:
        return _edited(first.edited_message, me)
    messages = [update.message for update in updates if update.message is not None]
    return _message(messages, me) if messages else None


def _edited(message: Message, me: Me) -> Edited | None:
    """None for a piece of a paste, or what may be one: the question is more than that piece."""
    now = _message([message], me)
    if not isinstance(now, Incoming) or utf16(message.text or "") >= PIECE:
        return None
    return Edited(now)


def _press(query: CallbackQuery, me: Me) -> Press:
    message, author = query.message, _person(query.from_user)
    if message is None:
        return Press(query.id, None, "", query.data or "", author, False)
    private = message.chat.type == ChatType.PRIVATE
    known = message if isinstance(message, Message) else None
    chat = ChatId(PLATFORM, str(message.chat.id), _thread(known) if known else "")
    text = known.text if known and _is(known.from_user, me) else None
    return Press(query.id, chat, str(message.message_id), query.data or "", author, private, text)


def _membership(change: ChatMemberUpdated) -> Membership:
    now = change.new_chat_member
    gone = now.status in (ChatMemberStatus.LEFT, ChatMemberStatus.BANNED)
    member = now.is_member if isinstance(now, ChatMemberRestricted) else not gone
    return Membership(str(change.chat.id), member)


def _message(messages: Sequence[Message], me: Me) -> Incoming | Moved | None:
    first = messages[0]
    if moved := _moved(first):
        return moved
    author, words = _author(first, me), _Words.of(messages)
    private = first.chat.type == ChatType.PRIVATE
    if author is None or not any(_carries(message) for message in messages):
        return None
    if not (private or words.address(me) or any(_answers(message, me) for message in messages)):
        return None
    text = _question(messages, words, author, me)
    if text is None or not (text or private):
        return None
    return Incoming(
        chat=ChatId(PLATFORM, str(first.chat.id), _thread(first)),
        bot=str(me.id),
        external_id=_external_id(first),
        seq=first.message_id,
        author=author,
        text=text,
        private=private,
        at=int(first.date.timestamp() * 1000),
    )


def _moved(message: Message) -> Moved | None:
    """Telegram says it twice, in the old group and in the new one."""
    if message.migrate_to_chat_id:
        return Moved(str(message.chat.id), str(message.migrate_to_chat_id))
    if message.migrate_from_chat_id:
        return Moved(str(message.migrate_from_chat_id), str(message.chat.id))
    return None


def _external_id(first: Message) -> str:
    """An album has an id of its own: which of its pieces comes first, or alone, must not make it another question."""
    if first.media_group_id:
        return f"g:{first.chat.id}:{first.media_group_id}"
    return f"m:{first.chat.id}:{first.message_id}"


def _thread(message: Message) -> str:
    """The topic. Replies in plain supergroups carry a thread id too, but it names no topic."""
    return str(message.message_thread_id or "") if message.is_topic_message else ""


def _author(message: Message, me: Me) -> Author | None:
    """Who wrote; None where nobody did who could be answered: bots, channels and what was copied from them."""
    sender, user, chat = message.sender_chat, message.from_user, message.chat
    if message.is_automatic_forward or chat.type == ChatType.CHANNEL or _is(message.via_bot, me):
        return None
    if sender is not None:  # the user is a stand-in bot of Telegram's: an anonymous admin, a person as a channel
        signature = message.author_signature if sender.id == chat.id else None
        return Author(str(sender.id), signature or sender.title or "")
    return None if user is None or user.is_bot or _is(user, me) else _person(user)


def _person(user: User) -> Author:
    return Author(str(user.id), user.full_name, user.language_code or "")


def _is(user: User | None, me: Me) -> bool:
    return user is not None and user.id == me.id


def _carries(message: Message) -> bool:
    return any(getattr(message, kind) for kind in _CONTENT)


def _answers(message: Message, me: Me) -> bool:
    """Whether it replies to what the bot said. All that is said in a topic "replies" to the note of its creation."""
    replied = message.reply_to_message
    return replied is not None and _is(replied.from_user, me) and _carries(replied)


def _question(messages: Sequence[Message], words: "_Words", author: Author, me: Me) -> str | None:
    """The text for the core. None: a command for another bot; "": nothing that a model could answer."""
    text = words.without_name(me)
    if (messages[0].forward_origin or messages[0].via_bot) and parse_command(text):
        return f"/ask {text}"  # somebody else's command: no order of whoever passes it on
    named = _COMMAND_TO.match(text)
    if named and named[1].casefold() != me.username.casefold():
        return None
    line = parse_command(text) or CommandLine("", text)
    name, asked = line.name, line.argument
    if name == "start":  # a link with a payload leads here; the payload is nobody's question
        return text.split()[0]
    if name not in ("", "ask") or not words.units:
        return text
    body = with_quote(asked, _replied(messages, me))
    media = not any(message.text for message in messages)
    if not (body or name or media):
        return GREETING
    if body and media:
        body += "\n\n" + t(choose_language("auto", author.locale), "media.unseen")
    # A command that somebody else wrote is a question here, not an order of whoever points at it.
    head = text.split()[0] if name else "/ask" if not asked and parse_command(body) else ""
    return f"{head} {body}".strip()


def _replied(messages: Sequence[Message], me: Me) -> str:
    """What the question is about and history may not have: a part that the person picked, or somebody's message."""
    reply = next((message for message in messages if message.reply_to_message or message.quote), None)
    if reply is None:
        return ""
    replied, quote = reply.reply_to_message, reply.quote
    own = replied is not None and _is(replied.from_user, me)
    if quote is not None and (quote.is_manual or not own):
        return quote.text.strip()
    return "" if replied is None or own else _Words.of([replied]).without_name(me).strip()


@dataclass(frozen=True, slots=True)
class _Span:
    """An entity, in UTF-16 units of the joined text."""

    start: int
    end: int
    entity: MessageEntity


@dataclass(frozen=True, slots=True)
class _Words:
    """Texts or captions joined, in UTF-16 as Telegram counts, and their entities."""

    units: bytes
    spans: tuple[_Span, ...]

    @classmethod
    def of(cls, messages: Sequence[Message]) -> "_Words":
        units, spans, between = b"", list[_Span](), ""
        for message in messages:
            if not (said := message.text or message.caption):
                continue
            units += _units(between) if units else b""
            shift = len(units) // 2
            for entity in message.entities or message.caption_entities:
                start = shift + entity.offset
                spans.append(_Span(start, start + entity.length, entity))
            units += _units(said)
            between = "" if message.text and utf16(said) == _HARD_CUT else "\n"
        return cls(units, tuple(spans))

    def address(self, me: Me) -> bool:
        """Whether they name the bot or begin with a command."""
        return self._command is not None or any(True for _ in self._names(me))

    def without_name(self, me: Me) -> str:
        """The text without mentions of the bot. A command's @name is part of the command and stays."""
        command = self._command.end if self._command else 0
        parts, seen = [], command
        for span in self._names(me):
            if span.start >= seen:
                parts.append(self._slice(seen, span.start))
                seen = span.end
        if not parts:
            return self._slice(0)
        text, *rest = *parts, self._slice(seen)
        for part in rest:
            text = join_around_name(text, part)
        return f"{self._slice(0, command)} {text.strip()}".strip()

    @property
    def _command(self) -> _Span | None:
        return next((span for span in self.spans if span.start == 0 and span.entity.type == "bot_command"), None)

    def _names(self, me: Me) -> Iterator[_Span]:
        name = f"@{me.username}".casefold()
        for span in self.spans:
            mention = span.entity.type == "mention" and self._slice(span.start, span.end).casefold() == name
            if mention or (span.entity.type == "text_mention" and _is(span.entity.user, me)):
                yield span

    def _slice(self, start: int, end: int | None = None) -> str:
        piece = self.units[2 * start : None if end is None else 2 * end]
        return piece.decode("utf-16-le", "surrogatepass")


def _units(text: str) -> bytes:
    """Half an emoji is no reason to fail: what is broken stays broken, the core cleans it."""
    return text.encode("utf-16-le", "surrogatepass")
