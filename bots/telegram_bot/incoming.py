"""Telegram's updates as the core's nouns: what of them is addressed to the bot, and how it reads. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from telegram import CallbackQuery, ChatMemberRestricted, ChatMemberUpdated, Message, MessageEntity, Update, User
from telegram.constants import ChatMemberStatus, ChatType

from bots.telegram_bot.forwards import forwards_of, is_forward
from core.commands.button_payloads import (
    ButtonPayload,
    FormPayload,
    OpenFormPayload,
    QuestionFormPayload,
    SettingPayload,
    decode_payload,
)
from core.commands.press import Press
from core.delivery.splitting import utf16
from core.domain.command_line import parse_command
from core.domain.conversation import Author, ChatId, Incoming
from core.inbound.question_text import QuestionParts, compose_question, join_around_name, with_forwards

PLATFORM = "telegram"
UPDATE_KINDS = ("message", "edited_message", "callback_query", "my_chat_member")
"""The updates to ask Telegram for."""

CUT_TEXT_MIN_UNITS = 4000
"""UTF-16 units: a text at least this long may have been cut by the client, which cuts at 4096 or a little before."""
_HARD_CUT_UNITS = 4096
"""UTF-16 units at which a client cuts a long text wherever it is; a shorter piece was cut at a space or a line end."""
_CONTENT_FIELDS = (
    "text", "caption", "animation", "audio", "checklist", "contact", "dice", "document", "game", "invoice",
    "live_photo", "location", "paid_media", "photo", "poll", "sticker", "story", "venue", "video", "video_note",
    "voice",
)  # fmt: skip
"""What people send. A message with none of it is Telegram's own note: somebody joined, a title changed."""

_FOREIGN_PAYLOADS = (OpenFormPayload, FormPayload, QuestionFormPayload)
_ADDRESSED_COMMAND = re.compile(r"\s*/\w+@(\w+)(?!\S)", re.ASCII)


@dataclass(frozen=True, slots=True)
class BotAccount:
    """The bot's own account: its id, its name without "@"."""

    id: int
    username: str


@dataclass(frozen=True, slots=True)
class EditedMessage:
    """A message was edited. `incoming` is how it would have come in as it stands now."""

    incoming: Incoming


@dataclass(frozen=True, slots=True)
class ChatlessPress:
    """A press on a button of which Telegram tells neither chat nor message: one under somebody's inline message."""

    id: str
    author: Author
    payload: ButtonPayload | None


@dataclass(frozen=True, slots=True)
class Migration:
    """A group became a supergroup, under another id."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Membership:
    """Whether the bot is in a chat from now on: it was let in or removed, unblocked or blocked."""

    chat: str
    is_member: bool


Parsed = Incoming | EditedMessage | Press | ChatlessPress | Migration | Membership


def parse_updates(updates: Sequence[Update], account: BotAccount, now_ms: int) -> Parsed | None:
    """What `updates` mean: one update, or several messages that belong together (see message_grouping).

    None: not addressed to the bot, or nothing that could be answered. `now_ms` is the time of presses, of which
    Telegram tells none; milliseconds UTC.
    """
    first = updates[0]
    if first.callback_query is not None:
        return _parse_press(first.callback_query, account, now_ms)
    if first.my_chat_member is not None:
        return _parse_membership(first.my_chat_member)
    if first.edited_message is not None:
        return _parse_edit(first.edited_message, account)
    messages = [update.message for update in updates if update.message is not None]
    return _parse_messages(messages, account) if messages else None


def may_be_piece(message: Message | None) -> bool:
    """Whether the next message may belong to the same question: this one is of an album or forwarded, or long enough to
    be cut."""
    if message is None or message.media_group_id or is_forward(message):
        return message is not None
    text = message.text or ""
    if 2 * len(text) < CUT_TEXT_MIN_UNITS:  # a character is two units at most
        return False
    return is_typed(message) and utf16(text) >= CUT_TEXT_MIN_UNITS


def is_typed(message: Message) -> bool:
    """Whether its sender typed or pasted it."""
    return bool(message.text) and message.forward_origin is None and message.via_bot is None


def _parse_edit(message: Message, account: BotAccount) -> EditedMessage | None:
    """None for a piece of a paste, or what may be one: the question is more than that piece."""
    parsed = _parse_messages([message], account)
    if not isinstance(parsed, Incoming) or utf16(message.text or "") >= CUT_TEXT_MIN_UNITS:
        return None
    return EditedMessage(parsed)


def _parse_press(query: CallbackQuery, account: BotAccount, now_ms: int) -> Press | ChatlessPress:
    message, author, payload = query.message, _person(query.from_user), decode_payload(query.data or "")
    if isinstance(payload, _FOREIGN_PAYLOADS) or (isinstance(payload, SettingPayload) and not payload.value):
        payload = None  # what no button on Telegram carries, which has neither forms nor lists
    if message is None:
        return ChatlessPress(query.id, author, payload)
    accessible = message if isinstance(message, Message) else None
    sender = accessible.from_user if accessible else None
    is_own = sender is not None and sender.id == account.id
    return Press(
        id=query.id,
        chat=chat_id(accessible) if accessible else ChatId(PLATFORM, str(message.chat.id)),
        message_id=str(message.message_id),
        author=author,
        private=message.chat.type == ChatType.PRIVATE,
        bot=str(account.id),
        at=now_ms,
        payload=payload,
        seq=int(message.message_id),
        message_text=accessible.text if accessible and is_own else None,
    )


def _parse_membership(change: ChatMemberUpdated) -> Membership:
    now = change.new_chat_member
    has_left = now.status in (ChatMemberStatus.LEFT, ChatMemberStatus.BANNED)
    return Membership(str(change.chat.id), now.is_member if isinstance(now, ChatMemberRestricted) else not has_left)


def _parse_messages(messages: Sequence[Message], account: BotAccount) -> Incoming | Migration | None:
    first = messages[0]
    if first.migrate_to_chat_id:  # told twice, in the old group and in the new one
        return Migration(str(first.chat.id), str(first.migrate_to_chat_id))
    if first.migrate_from_chat_id:
        return Migration(str(first.migrate_from_chat_id), str(first.chat.id))
    author = author_of(first, account)
    if author is None:
        return None
    question = _Question(first.text or "") if _is_plain(messages) else _read_question(messages, account)
    if question is None:
        return None
    # An album has an id of its own: which of its pieces comes first, or alone, must not make it another question.
    album = first.media_group_id
    external_id = f"g:{first.chat.id}:{album}" if album else f"m:{first.chat.id}:{first.message_id}"
    joins = list[str]()
    if len(messages) > 1 and not album and any(map(is_forward, messages)):
        # Each may have been stored alone before a crash: then the last one, with all of their texts, is new.
        *joins, external_id = (f"m:{each.chat.id}:{each.message_id}" for each in messages)
    return Incoming(
        chat=chat_id(first),
        bot=str(account.id),
        external_id=external_id,
        seq=first.message_id,
        author=author,
        text=question.text,
        private=first.chat.type == ChatType.PRIVATE,
        at=int(first.date.timestamp() * 1000),
        has_unseen_media=question.has_unseen_media,
        joins=tuple(joins),
    )


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked, and whether something that the model can't see came with it."""

    text: str
    has_unseen_media: bool = False


def _is_plain(messages: Sequence[Message]) -> bool:
    """Whether they are one text in a private chat that is the question as it stands: no command, mention or reply."""
    first = messages[0]
    has_more = len(messages) > 1 or first.entities or first.reply_to_message or first.quote or first.forward_origin
    text = (first.text or "").lstrip()
    return first.chat.type == ChatType.PRIVATE and not has_more and bool(text) and not text.startswith("/")


def _read_question(messages: Sequence[Message], account: BotAccount) -> _Question | None:
    """None for what is not addressed to the bot, or could not be answered."""
    if any(map(is_forward, messages)):
        return _read_forwards(messages, account)
    text, private = _JoinedText.of(messages), messages[0].chat.type == ChatType.PRIVATE
    if not any(_has_content(message) for message in messages):
        return None
    if not (private or text.addresses(account) or any(_replies_to_bot(message, account) for message in messages)):
        return None
    parts = _question_parts(messages, text, account)
    if _is_for_another_bot(parts, account):
        return None
    question = _question(parts) if text.units else ""
    if not (question or private):
        return None
    return _Question(question, parts.has_media and _is_question(parts, question))


def _read_forwards(messages: Sequence[Message], account: BotAccount) -> _Question:
    forwards, comments = forwards_of(messages), [message for message in messages if not is_forward(message)]
    text = with_forwards(_JoinedText.of(comments).without_name(account).strip(), forwards)
    return _Question(text, any(not message.text for message in messages))


def chat_id(message: Message) -> ChatId:
    """The chat and topic. Replies in plain supergroups carry a thread id too, but it names no topic."""
    thread = message.message_thread_id if message.is_topic_message else None
    return ChatId(PLATFORM, str(message.chat.id), str(thread or ""))


def author_of(message: Message, account: BotAccount) -> Author | None:
    """Who wrote; None for senders that are never answered: bots, channels and what was copied from them."""
    sender, user, chat = message.sender_chat, message.from_user, message.chat
    if message.is_automatic_forward or chat.type == ChatType.CHANNEL:
        return None
    if message.via_bot is not None and message.via_bot.id == account.id:
        return None
    if sender is not None:  # the user is a stand-in bot of Telegram's: an anonymous admin, a person as a channel
        signature = message.author_signature if sender.id == chat.id else None
        return Author(str(sender.id), signature or sender.title or "")
    return None if user is None or user.is_bot or user.id == account.id else _person(user)


def _person(user: User) -> Author:
    return Author(str(user.id), user.full_name, user.language_code or "")


def _is_bot(user: User | None, account: BotAccount) -> bool:
    return user is not None and user.id == account.id


def _has_content(message: Message) -> bool:
    return any(getattr(message, field) for field in _CONTENT_FIELDS)


def _replies_to_bot(message: Message, account: BotAccount) -> bool:
    """Whether it replies to a message of the bot's. Every message of a topic "replies" to the note of its creation."""
    replied = message.reply_to_message
    return replied is not None and _is_bot(replied.from_user, account) and _has_content(replied)


def _question_parts(messages: Sequence[Message], text: "_JoinedText", account: BotAccount) -> QuestionParts:
    return QuestionParts(
        text=text.without_name(account),
        quoted=_quoted(messages, account),
        has_media=not any(message.text for message in messages),
        is_forwarded=bool(messages[0].forward_origin or messages[0].via_bot),
    )


def _is_for_another_bot(parts: QuestionParts, account: BotAccount) -> bool:
    """Whether the text is a command with another bot's name. A forwarded one is no command."""
    if parts.is_forwarded and parse_command(parts.text):
        return False
    addressed = _ADDRESSED_COMMAND.match(parts.text)
    return addressed is not None and addressed[1].casefold() != account.username.casefold()


def _question(parts: QuestionParts) -> str:
    command = parse_command(parts.text)
    if command and command.name == "start" and not parts.is_forwarded:
        return parts.text.split()[0]  # a link with a payload leads here; the payload is no question
    return compose_question(parts)


def _is_question(parts: QuestionParts, question: str) -> bool:
    command = parse_command(parts.text)
    return bool(question) and (command is None or command.name == "ask")


def _quoted(messages: Sequence[Message], account: BotAccount) -> str:
    """What the question is about and history may not have: a part that the person picked, or somebody's message."""
    reply = next((message for message in messages if message.reply_to_message or message.quote), None)
    if reply is None:
        return ""
    replied, quote = reply.reply_to_message, reply.quote
    is_own = replied is not None and _is_bot(replied.from_user, account)
    if quote is not None and (quote.is_manual or not is_own):
        return quote.text.strip()
    return "" if replied is None or is_own else _JoinedText.of([replied]).without_name(account).strip()


@dataclass(frozen=True, slots=True)
class _Span:
    """An entity, in UTF-16 units of the joined text."""

    start: int
    end: int
    entity: MessageEntity


@dataclass(frozen=True, slots=True)
class _JoinedText:
    """Texts or captions of messages put together, with their entities. `units` is UTF-16, as Telegram counts."""

    units: bytes
    spans: tuple[_Span, ...]

    @classmethod
    def of(cls, messages: Sequence[Message]) -> "_JoinedText":
        """The joined text of messages in their order."""
        units, spans, separator = b"", list[_Span](), ""
        for message in messages:
            if not (text := message.text or message.caption):
                continue
            units += _utf16_bytes(separator) if units else b""
            shift = len(units) // 2
            for entity in message.entities or message.caption_entities:
                start = shift + entity.offset
                spans.append(_Span(start, start + entity.length, entity))
            units += _utf16_bytes(text)
            separator = "" if message.text and utf16(text) == _HARD_CUT_UNITS else "\n"
        return cls(units, tuple(spans))

    def addresses(self, account: BotAccount) -> bool:
        """Whether the text names the bot or begins with a command."""
        return self._command is not None or any(True for _ in self._mentions(account))

    def without_name(self, account: BotAccount) -> str:
        """The text without mentions of the bot. A command's @name is part of the command and stays."""
        command_end = self._command.end if self._command else 0
        parts, position = [], command_end
        for span in self._mentions(account):
            if span.start >= position:
                parts.append(self._slice(position, span.start))
                position = span.end
        if not parts:
            return self._slice(0)
        text, *rest = *parts, self._slice(position)
        for part in rest:
            text = join_around_name(text, part)
        return f"{self._slice(0, command_end)} {text.strip()}".strip()

    @property
    def _command(self) -> _Span | None:
        return next((span for span in self.spans if span.start == 0 and span.entity.type == "bot_command"), None)

    def _mentions(self, account: BotAccount) -> Iterator[_Span]:
        name = f"@{account.username}".casefold()
        for span in self.spans:
            is_named = span.entity.type == "mention" and self._slice(span.start, span.end).casefold() == name
            if is_named or (span.entity.type == "text_mention" and _is_bot(span.entity.user, account)):
                yield span

    def _slice(self, start: int, end: int | None = None) -> str:
        units = self.units[2 * start : None if end is None else 2 * end]
        return units.decode("utf-16-le", "surrogatepass")


def _utf16_bytes(text: str) -> bytes:
    """Lone surrogates stay: the core removes them."""
    return text.encode("utf-16-le", "surrogatepass")
