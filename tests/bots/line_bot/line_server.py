"""The chat service that line_adapter.py connects to: chats of texts, confirmed lines, errors on demand."""

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.patience import limit

Line = dict[str, Any]


@dataclass
class Message:
    """A message of the bot."""

    text: str
    buttons: list[list[str]]


@dataclass
class LineServer:
    """One service with one bot."""

    port: int = 0
    chats: dict[str, dict[str, Message]] = field(default_factory=dict)
    receipts: dict[int, Line] = field(default_factory=dict)
    admins: set[str] = field(default_factory=set)
    errors: deque[str] = field(default_factory=deque)
    """What the next calls answer; "" lets one pass."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _nonces: dict[str, str] = field(default_factory=dict)
    _unconfirmed: dict[int, Line] = field(default_factory=dict)
    _writer: asyncio.StreamWriter | None = None
    _serving: "list[asyncio.Task[None]]" = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator["LineServer"]:
        """A server on a free port of this machine."""
        service = cls()
        server = await asyncio.start_server(service._accept, "127.0.0.1", 0)
        service.port = server.sockets[0].getsockname()[1]
        try:
            yield service
        finally:
            server.close()
            await server.wait_closed()
            await asyncio.gather(*service._serving)

    def say(self, type: str, **line: Any) -> int:
        """Something happens; its number."""
        number = next(self._numbers)
        self._unconfirmed[number] = {"type": type, "number": number, "at": time.time_ns() // 1_000_000, **line}
        if self._writer:
            self._write(self._unconfirmed[number])
        return number

    async def until(self, met: Callable[["LineServer"], object]) -> None:
        """Return when the service looks as it should."""
        async with limit(), self.changed:
            await self.changed.wait_for(lambda: met(self))

    def texts(self, chat: str) -> list[str]:
        """What the bot has said in a chat."""
        return [message.text for message in self.chats.get(chat, {}).values()]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A bot connects."""
        self._serving.append(asyncio.current_task())  # type: ignore[arg-type]
        self._writer = writer
        try:
            await self._serve(reader)
        finally:
            self._writer = None
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader) -> None:
        for unconfirmed in self._unconfirmed.values():  # an earlier process did not confirm it
            self._write(unconfirmed)
        self.say("ready")
        while line_bytes := await reader.readline():
            line: Line = json.loads(line_bytes)
            if line["type"] == "confirm":
                self._unconfirmed.pop(line["number"], None)
                self.receipts[line["number"]] = line
            elif line["type"] != "typing":
                self._write({"type": "result", "call": line["call"], **self._carry_out(line)})
            async with self.changed:
                self.changed.notify_all()

    def _carry_out(self, line: Line) -> Line:
        if error := self.errors.popleft() if self.errors else "":
            return {"error": error}
        if line["type"] == "role":
            return {"role": "admin" if line["author"] in self.admins else "member"}
        chat = self.chats.setdefault(line["chat"], {})
        if line["type"] == "send":
            message_id = self._nonces.setdefault(line["nonce"], f"msg-{len(self._nonces) + 1}")
            chat.setdefault(message_id, Message(line["text"], line["buttons"]))
            return {"id": message_id}
        if line["id"] not in chat:
            return {"error": "gone"}
        if line["type"] == "delete":
            del chat[line["id"]]
        else:
            chat[line["id"]] = Message(line.get("text", chat[line["id"]].text), line["buttons"])
        return {}

    def _write(self, line: Line) -> None:
        assert self._writer
        self._writer.write(json.dumps(line).encode() + b"\n")
