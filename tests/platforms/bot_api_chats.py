"""People and chats on a Bot API server: what people do becomes updates, what the bot sends becomes messages."""

import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiogram.types import Message, Update

from tests.platforms.bot_api_checks import bad, width
from tests.platforms.bot_api_queue import Queue
from tests.platforms.bot_api_rich import Read
from tests.waiting import until

BOT: dict[str, Any] = {"id": 123456789, "is_bot": True, "first_name": "Qwentin", "username": "qwentin_bot"}
ANONYMOUS = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
CHANNEL_BOT = {"id": 136817688, "is_bot": True, "first_name": "Channel", "username": "Channel_Bot"}
_FOUND = (("bot_command", re.compile(r"(?<![\w/])/\w{1,32}(?:@\w+)?")), ("mention", re.compile(r"(?<!\w)@\w{4,32}")))


@dataclass(frozen=True, slots=True)
class Person:
    """An account."""

    id: int
    name: str
    language: str = "en"

    @property
    def user(self) -> dict[str, Any]:
        """As the Bot API shows it."""
        return {"id": self.id, "is_bot": False, "first_name": self.name, "language_code": self.language}


@dataclass(slots=True)
class Shown:
    """A message of the bot, as it stands, with every text that it ever showed."""

    id: int
    thread: int | None
    text: str
    entities: list[dict[str, Any]]
    keyboard: list[list[dict[str, Any]]]
    reply_to: int | None
    history: list[str] = field(default_factory=list)
    rich: Read | None = None

    @property
    def buttons(self) -> list[str]:
        """What stands on them."""
        return [button["text"] for row in self.keyboard for button in row]


class Chat:
    """A chat with what was said in it. `say` and its like are what people do."""

    def __init__(self, id: int, kind: str, queue: Queue, ids: Iterator[int], **details: Any) -> None:
        self.id, self.kind, self.details = id, kind, details
        self.members: dict[int, str] = {}
        self.topics: set[int] = set()
        self.closed: set[int | None] = set()
        """Topics that are closed; None is General."""
        self.messages: list[Shown] = []
        self.removed: list[Shown] = []
        """Messages that the bot has deleted."""
        self.actions: list[str] = []
        self.drafts: list[str] = []
        self.draft = ""
        """What stands below the messages as being written, until a message takes its place."""
        self.views: list[list[str]] = []
        """What a person saw, from one change to the next: the bot's messages, and the draft below them."""
        self.known: dict[int, dict[str, Any]] = {}
        """Every message by its id, as the Bot API shows it."""
        self.gone = ""
        """Why the bot gets nothing through any more: the words of the 403 or 400."""
        self.successor: int | None = None
        self.privacy = kind != "private"
        self.queue, self.ids = queue, ids
        self.changed: Callable[[], None] = lambda: None

    @property
    def about(self) -> dict[str, Any]:
        """As the Bot API shows it."""
        return {"id": self.id, "type": self.kind, **self.details}

    # What people do

    def say(self, text: str = "", by: Person | None = None, **more: Any) -> int:
        """A message; its id. More: reply_to, topic, anonymous, channel, caption, photo, media_group_id, quote, date."""
        message = self._message(by, **more)
        if text:
            message |= {"text": text, "entities": _found(text)}
        if "caption" in message:
            message["caption_entities"] = _found(message["caption"])
        self.known[message["message_id"]] = message
        if self._delivered(message):
            Update.model_validate({"update_id": 1, "message": message})
            self.queue.put("message", message)
        return int(message["message_id"])

    def revise(self, id: int, text: str) -> None:
        """Its author edits a message."""
        message = self.known[id] = self.known[id] | {
            "text": text, "entities": _found(text), "edit_date": int(time.time())
        }  # fmt: skip
        if self._delivered(message):
            self.queue.put("edited_message", message)

    def paste(self, text: str, by: Person | None = None, **more: Any) -> list[int]:
        """A long text, cut as clients do."""
        pieces, piece = list[str](), ""
        for character in text:
            if width(piece + character) > 4096:
                pieces, piece = [*pieces, piece], ""
            piece += character
        return [self.say(each, by, **more) for each in [*pieces, piece]]

    def service(self, by: Person | None = None, **content: Any) -> int:
        """A service message, such as new_chat_title="x"."""
        return self.say("", by, **content)

    def membership(self, by: Person, old: str, new: str) -> None:
        """The bot's own membership changes."""
        extra = {"kicked": {"until_date": 0}}
        states = [{"user": BOT, "status": status, **extra.get(status, {})} for status in (old, new)]
        change = {"chat": self.about, "from": by.user, "date": int(time.time()), "old_chat_member": states[0],
                  "new_chat_member": states[1]}  # fmt: skip
        self.queue.put("my_chat_member", change)

    def topic(self, thread: int | None = None) -> int:
        """A new topic; its thread id."""
        thread = thread or self.say("", forum_topic_created={"name": "Topic", "icon_color": 0x6FB9F0})
        self.topics.add(thread)
        return thread

    def delete_topic(self, thread: int) -> None:
        """Away with a topic, and all that was said in it."""
        self.topics.discard(thread)
        self.messages = [shown for shown in self.messages if shown.thread != thread]

    # What a person sees

    @property
    def last(self) -> Shown:
        """The bot's newest message."""
        assert self.messages, "the bot has said nothing here"
        return self.messages[-1]

    @property
    def texts(self) -> list[str]:
        """What the bot's messages show."""
        return [message.text for message in self.messages]

    async def until(self, true: Callable[["Chat"], object]) -> None:
        """Wait until it is so; says what was seen instead."""
        await until(lambda: true(self), lambda: (self.id, self.messages))

    async def ended(self, count: int = 1) -> Shown:
        """Wait for so many messages, none of which still grows; the newest."""
        await self.until(lambda chat: len(self.messages) >= count and not self._growing())
        return self.last

    def _growing(self) -> bool:
        return any(shown.text == "…" or shown.buttons[:1] in (["⏹ Stop"], ["⏹ Dừng"]) for shown in self.messages)

    # What the bot does

    def send(self, values: dict[str, Any]) -> dict[str, Any]:
        """sendMessage."""
        thread, text = values.get("message_thread_id"), values["text"].strip()
        if thread is not None and thread not in self.topics:
            raise bad("message thread not found")
        if thread in self.closed:
            raise bad("TOPIC_CLOSED")
        reply = (values.get("reply_parameters") or {}).get("message_id")
        if reply is not None and reply not in self.known:
            if not values["reply_parameters"].get("allow_sending_without_reply"):
                raise bad("message to be replied not found")
            reply = None
        shown = Shown(next(self.ids), thread, text, values.get("entities") or [], _rows(values), reply, [text])
        shown.rich = values.get("rich")
        self.messages.append(shown)
        self.draft = ""
        self._look()
        return self._result(shown)

    def edit(self, values: dict[str, Any], *, text: bool) -> dict[str, Any]:
        """editMessageText, editMessageReplyMarkup."""
        shown = self._own(int(values["message_id"]), "edit")
        if shown.thread in self.closed:
            raise bad("TOPIC_CLOSED")
        new = values["text"].strip() if text else shown.text
        entities = (values.get("entities") or []) if text else shown.entities
        rich = values.get("rich") if text else shown.rich
        if (shown.text, shown.entities, shown.keyboard, shown.rich) == (new, entities, _rows(values), rich):
            raise bad("message is not modified: specified new message content and reply markup are exactly the same")
        shown.text, shown.entities, shown.keyboard, shown.rich = new, entities, _rows(values), rich
        shown.history.append(new)
        self._look()
        return self._result(shown)

    def delete(self, message_id: int) -> bool:
        """deleteMessage, of the bot's own."""
        self.removed.append(self._own(message_id, "delete"))
        self.messages.remove(self.removed[-1])
        self._look()
        return True

    def show_draft(self, text: str) -> bool:
        """sendMessageDraft."""
        if self.kind != "private":
            raise bad("message drafts are supported only in private chats")
        self.drafts.append(text)
        self.draft = text
        self._look()
        return True

    def _look(self) -> None:
        self.views.append([*self.texts, *([self.draft] if self.draft else [])])

    def _own(self, message_id: int, verb: str) -> Shown:
        for shown in self.messages:
            if shown.id == message_id:
                return shown
        raise bad("message can't be edited" if message_id in self.known else f"message to {verb} not found")

    def _result(self, shown: Shown) -> dict[str, Any]:
        message: dict[str, Any] = {"message_id": shown.id, "date": int(time.time()), "chat": self.about, "from": BOT,
                                   **_content(shown)}  # fmt: skip
        if shown.thread is not None:
            message |= {"message_thread_id": shown.thread, "is_topic_message": True}
        if shown.keyboard:
            message["reply_markup"] = {"inline_keyboard": shown.keyboard}
        Message.model_validate(message)
        self.known[shown.id] = message
        return message

    def _message(self, by: Person | None, **more: Any) -> dict[str, Any]:
        sender = by.user if by else next(iter(self.details.get("people", [])), {}) or self._only()
        message: dict[str, Any] = {"message_id": next(self.ids), "date": int(more.pop("date", time.time())),
                                   "chat": self.about, "from": sender}  # fmt: skip
        if more.pop("anonymous", False):
            message |= {"from": ANONYMOUS, "sender_chat": self.about, "author_signature": "boss"}
        if channel := more.pop("channel", None):
            message |= {"from": CHANNEL_BOT, "sender_chat": {"id": channel, "type": "channel", "title": "News"}}
        topic = more.pop("topic", None)
        if topic is not None:
            message |= {"message_thread_id": topic, "is_topic_message": True}
            if self.kind != "private" and topic in self.known:
                message["reply_to_message"] = _bare(self.known[topic])
        if (answered := more.pop("reply_to", None)) is not None:
            message["reply_to_message"] = _bare(self.known[answered])
            if self.kind == "supergroup" and topic is None:
                message["message_thread_id"] = answered
        return message | more

    def _only(self) -> dict[str, Any]:
        return {"id": self.id, "is_bot": False, "first_name": self.details.get("first_name", "?"),
                "language_code": self.details.get("language", "en")}  # fmt: skip

    def _delivered(self, message: dict[str, Any]) -> bool:
        """What a bot in privacy mode gets to see."""
        if not self.privacy or self.members.get(BOT["id"]) == "administrator":
            return True
        entities = [*message.get("entities", ()), *message.get("caption_entities", ())]
        text = message.get("text", message.get("caption", ""))
        named = any(e["type"] == "mention" and f"@{BOT['username']}" in text.lower() for e in entities)
        commanded = any(entity["type"] == "bot_command" and entity["offset"] == 0 for entity in entities)
        replied = message.get("reply_to_message", {}).get("from", {}).get("id") == BOT["id"]
        return named or commanded or replied or not (text or "photo" in message or "sticker" in message)


def _content(shown: Shown) -> dict[str, Any]:
    if shown.rich:
        return {"rich_message": {"blocks": [{"type": "paragraph", "text": shown.text}]}}
    return {"text": shown.text, "entities": shown.entities}


def chat_ids() -> Iterator[int]:
    """Message ids as one account or one supergroup counts them; 1 is the creation, in a forum the topic General."""
    return itertools.count(2)


def _rows(values: dict[str, Any]) -> list[list[dict[str, Any]]]:
    return [list(row) for row in (values.get("reply_markup") or {}).get("inline_keyboard", [])]


def _bare(message: dict[str, Any]) -> dict[str, Any]:
    """A message that is replied to does not carry the one that it replies to."""
    return {key: value for key, value in message.items() if key != "reply_to_message"}


def _found(text: str) -> list[dict[str, Any]]:
    """The entities that Telegram's servers find in a text."""
    return [
        {"type": kind, "offset": width(text[: match.start()]), "length": width(match[0])}
        for kind, pattern in _FOUND
        for match in pattern.finditer(text)
    ]
