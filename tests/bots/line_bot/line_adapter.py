"""A complete small adapter: a chat service that speaks JSON, one object a line, over a local socket.

It shows what a new platform needs (docs/adapters.md): events in, messages out, buttons, roles, errors. Ids are texts of
any shape. See line_server.py for the other side.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from core.commands.button_payloads import ActionPayload, SettingPayload, decode_payload, encode_payload
from core.commands.press import Press
from core.commands.settings_view import describe_settings, setting_revision
from core.delivery.splitting import split
from core.domain.conversation import Author, ChatId, Incoming, Reply, Role
from core.domain.platform import (
    Ambiguous,
    Controls,
    MessageGone,
    NotSent,
    OutgoingMessage,
    Pace,
    Unacceptable,
    Unreachable,
)
from core.domain.settings import Settings
from core.i18n import t
from core.inbound.events import (
    BotRemoved,
    ButtonPressed,
    CaughtUp,
    ChatMoved,
    Event,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    PressReceipt,
)
from core.inbound.question_text import QuestionParts, compose_question
from core.markdown.document import Block, plain_text
from core.markdown.reader import read
from tests.patience import limit

PLATFORM = "line"
MAX_CHARACTERS = 200
PACE = Pace(preview_interval_s=0.02)
ERRORS = {"gone": MessageGone, "closed": Unreachable, "refused": Unacceptable, "later": NotSent}

Line = dict[str, Any]


class LineBot:
    """The adapter. Works inside `connected()`."""

    name = PLATFORM

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._connection = Connection()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Inside the block the bot can send."""
        reader, writer = await asyncio.open_connection(*self._address)
        self._connection.writer = writer
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(self._listen(reader, tasks))
            try:
                yield
            finally:
                listening.cancel()
                writer.close()
                await writer.wait_closed()

    async def events(self) -> AsyncIterator[Event]:
        """Everything that happens, without end."""
        while True:
            yield await self._events.get()

    def channel(self, reply: Reply) -> "LineReplyChannel":
        """Where a reply goes."""
        return LineReplyChannel(self._connection, reply)

    async def role(self, chat: ChatId, author: Author) -> Role:
        """Asked of the service."""
        answer = await self._connection.call(type="role", chat=chat.chat, author=author.id)
        return Role.ADMIN if answer["role"] == "admin" else Role.MEMBER

    async def _listen(self, reader: asyncio.StreamReader, tasks: asyncio.TaskGroup) -> None:
        while line := await reader.readline():
            said: Line = json.loads(line)
            if said["type"] == "result":
                self._connection.finish(said)
            elif event := to_event(said):
                self._events.put_nowait(event)
                tasks.create_task(self._confirm(said, event))

    async def _confirm(self, said: Line, event: Event) -> None:
        """The service repeats a line until it is confirmed. A press is answered, and its panel painted again."""
        receipt = await event.acknowledged()
        if not isinstance(receipt, PressReceipt):
            self._connection.write(type="confirm", number=said["number"], acceptance=receipt.acceptance)
            return
        result = receipt.result
        self._connection.write(type="confirm", number=said["number"], text=result.text, alert=result.alert)
        if result.panel is not None:
            chat = ChatId(PLATFORM, said["chat"])
            await self._connection.call(
                type="edit",
                chat=said["chat"],
                id=said["message"],
                text=describe_settings(result.panel, receipt.language),
                buttons=panel_buttons(result.panel, chat),
            )


class Connection:
    """Calls to the service, and their results."""

    writer: asyncio.StreamWriter

    def __init__(self) -> None:
        self._calls: dict[int, asyncio.Future[Line]] = {}

    def write(self, **line: Any) -> None:
        """Say a line."""
        self.writer.write(json.dumps(line).encode() + b"\n")

    async def call(self, **line: Any) -> Line:
        """Say a line and wait for its result. Raises DeliveryError."""
        number = len(self._calls)
        self._calls[number] = asyncio.get_running_loop().create_future()
        self.write(call=number, **line)
        try:
            async with limit():
                result = await self._calls[number]
        except TimeoutError as error:
            raise Ambiguous from error
        if "error" in result:
            raise ERRORS[result["error"]]()
        return result

    def finish(self, result: Line) -> None:
        """A call has its result."""
        self._calls[result["call"]].set_result(result)


def to_event(said: Line) -> Event | None:
    """A line of the service as an event; None for one that is not for the bot."""
    chat = ChatId(PLATFORM, said.get("chat", ""))
    read: dict[str, Callable[[], Event]] = {
        "ready": lambda: CaughtUp(PLATFORM),
        "message": lambda: MessageReceived(to_incoming(said)),
        "edit": lambda: MessageEdited(to_incoming(said)),
        "delete": lambda: MessageDeleted(chat, PLATFORM, said["id"]),
        "press": lambda: ButtonPressed(to_press(said, chat)),
        "moved": lambda: ChatMoved(PLATFORM, said["chat"], said["to"]),
        "removed": lambda: BotRemoved(PLATFORM, said["chat"]),
    }
    return read[said["type"]]() if said["type"] in read else None


def to_incoming(said: Line) -> Incoming:
    """A message of the service. Its numbers are its order."""
    parts = QuestionParts(said["text"], said.get("quoted", ""), has_media=bool(said.get("picture")))
    return Incoming(
        chat=ChatId(PLATFORM, said["chat"], said.get("thread", "")),
        bot=PLATFORM,
        external_id=said["id"],
        seq=said["number"],
        author=Author(said["author"], said.get("name") or said["author"], said.get("locale", "")),
        text=compose_question(parts),
        private=bool(said.get("private", True)),
        at=said["at"],
        has_unseen_media=parts.has_media,
    )


def to_press(said: Line, chat: ChatId) -> Press:
    """A press on one of the bot's buttons."""
    return Press(
        id=str(said["number"]),
        chat=chat,
        message_id=said["message"],
        author=Author(said["author"], said["author"], said.get("locale", "")),
        private=bool(said.get("private", True)),
        bot=PLATFORM,
        at=said["at"],
        payload=decode_payload(said["data"]),
        seq=said["number"],
    )


class LineReplyChannel:
    """One reply in a chat of the service. See core.domain.platform.ReplyChannel."""

    needs_placeholder = False  # the service knows a nonce again, so a repeated send shows once
    pace = PACE

    def __init__(self, connection: Connection, reply: Reply) -> None:
        self._connection, self._reply = connection, reply
        self.key = f"{PLATFORM}:{reply.chat.chat}"

    def format(self, markdown: str) -> Sequence[OutgoingMessage]:
        """The service shows plain text."""
        parts = split(read(markdown), lambda blocks: len(_plain(blocks)), MAX_CHARACTERS)
        return [OutgoingMessage(text, text) for text in map(_plain, parts)]

    async def send(self, index: int, part: OutgoingMessage, nonce: str) -> str:
        """A new message."""
        result = await self._call("send", nonce=nonce, text=part.text, buttons=self._buttons(part.controls))
        return str(result["id"])

    async def edit(self, message_id: str, part: OutgoingMessage) -> None:
        """Change a message."""
        await self._call("edit", id=message_id, text=part.text, buttons=self._buttons(part.controls))

    async def delete(self, message_id: str) -> None:
        """Delete a message."""
        await self._call("delete", id=message_id)

    async def remove_buttons(self, message_id: str) -> None:
        """Remove the buttons under a message."""
        await self._call("buttons", id=message_id, buttons=[])

    async def typing(self) -> None:
        """Show that an answer is on its way."""
        self._connection.write(type="typing", chat=self._reply.chat.chat)

    async def _call(self, type: str, **line: Any) -> Line:
        return await self._connection.call(
            type=type, chat=self._reply.chat.chat, thread=self._reply.chat.thread, **line
        )

    def _buttons(self, controls: Controls) -> list[tuple[str, str]]:
        """Labels with what the buttons carry."""
        buttons = [
            (t(controls.language, f"button.{action}"), encode_payload(ActionPayload(action, self._reply.id)))
            for action in controls.actions
        ]
        return buttons + (panel_buttons(controls.panel, self._reply.chat) if controls.panel else [])


def panel_buttons(settings: Settings, chat: ChatId) -> list[tuple[str, str]]:
    """A button for some numbers of remembered turns: the smallest panel that is of use."""
    seen = setting_revision(chat, settings, "memory")
    return [(str(turns), encode_payload(SettingPayload("memory", str(turns), seen))) for turns in (1, 3, 10)]


def _plain(blocks: Sequence[Block]) -> str:
    return plain_text(blocks, links=lambda address: False)
