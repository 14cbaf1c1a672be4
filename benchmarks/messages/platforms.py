"""Where the measured bot gets its questions and shows its answers: Telegram, Discord, or a socket without a platform.

A `Front` asks in numbered chats, and tells of every text that the bot shows in one.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from benchmarks.messages.bot import SOCKET
from tests.platforms import bot_api, discord_server
from tests.platforms.discord_channels import walk
from tests.platforms.discord_world import Effect as DiscordEffect

Shown = Callable[[int, str, bool], None]
"""Called with a chat's number, the text that it shows, and whether that text still grows."""
STOP = "⏹"
CHANNELS_A_GUILD = 100
DISCORD_MESSAGES = re.compile(r"^/channels/\d+/messages(/\d+)?$")


class Front(Protocol):
    """What the load is put on."""

    environment: dict[str, str]
    """Where the bot finds it."""
    shown: Shown

    def ask(self, chat: int, text: str) -> None:
        """A person writes in a chat."""

    async def connected(self) -> None:
        """Return once the bot would hear a question."""


class _Calls(list[Any]):
    """A server's ledger that hands every call on, and keeps none: it would only grow."""

    def __init__(self, heard: Callable[[Any], None]) -> None:
        super().__init__()
        self._heard = heard

    def append(self, call: Any) -> None:
        self._heard(call)


class Telegram:
    """Private chats on our Bot API server."""

    def __init__(self, server: bot_api.BotApi, chats: int) -> None:
        people = [server.person(f"Person {number}") for number in range(chats)]
        self._chats = [server.private(person) for person in people]
        self._people, self._server = people, server
        self._numbers = {chat.id: number for number, chat in enumerate(self._chats)}
        self.environment = {"TELEGRAM_TOKEN": server.token, "TELEGRAM_API_URL": server.url}
        self.shown: Shown = lambda chat, text, growing: None
        server.ledger = _Calls(self._heard)

    def ask(self, chat: int, text: str) -> None:
        """See Front, here and below."""
        self._chats[chat].say(text, self._people[chat])

    async def connected(self) -> None:
        """Telegram keeps what comes before."""

    def _heard(self, effect: bot_api.Effect) -> None:
        if effect.refused or effect.method not in ("sendMessage", "editMessageText") or effect.chat is None:
            return
        rows = (effect.values.get("reply_markup") or {}).get("inline_keyboard", [])
        growing = any(button["text"].startswith(STOP) for row in rows for button in row)
        self.shown(self._numbers[effect.chat], effect.values["text"], growing)


class Discord:
    """Channels of some servers on our Discord; one person asks in all of them, and mentions the bot."""

    def __init__(self, server: discord_server.DiscordServer, chats: int) -> None:
        server.a_second = 1_000_000  # the real limit of one bot would be what is measured
        self._server, self._person = server, server.person("Ann")
        guilds = [server.guild(self._person, name=f"Server {n}") for n in range(-(-chats // CHANNELS_A_GUILD))]
        self._channels = [guilds[n // CHANNELS_A_GUILD].channel(f"channel-{n}") for n in range(chats)]
        self._numbers = {channel.id: number for number, channel in enumerate(self._channels)}
        self.environment = {"DISCORD_TOKEN": server.token, "DISCORD_API_URL": server.api_url,
                            "DISCORD_GATEWAY_URL": server.gateway_url}  # fmt: skip
        self.shown: Shown = lambda chat, text, growing: None
        server.ledger = _Calls(self._heard)

    def ask(self, chat: int, text: str) -> None:
        """See Front, here and below."""
        self._channels[chat].say(text, self._person, mention=True)

    async def connected(self) -> None:
        """Discord tells nobody later of what was said before."""
        while not (self._server.connected and self._server.commands):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)  # every server has been told of

    def _heard(self, effect: DiscordEffect) -> None:
        if effect.refused or effect.method not in ("POST", "PATCH") or not DISCORD_MESSAGES.match(effect.path):
            return
        if effect.channel is None or not (text := effect.body.get("content")):
            return
        labels = [each.get("label") or "" for each in walk(effect.body.get("components") or [])]
        self.shown(self._numbers[effect.channel], text, any(label.startswith(STOP) for label in labels))


class Lines:
    """A Unix socket: see benchmarks.messages.bot.Lines."""

    def __init__(self, socket: Path) -> None:
        self.environment = {SOCKET: str(socket)}
        self.shown: Shown = lambda chat, text, growing: None
        self._writer: asyncio.StreamWriter | None = None

    def ask(self, chat: int, text: str) -> None:
        """See Front, here and below."""
        assert self._writer is not None, "the bot has not connected"
        self._writer.write(json.dumps({"chat": chat, "text": text}).encode() + b"\n")

    async def connected(self) -> None:
        """The bot opens the socket once it could read from it."""
        while self._writer is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: the bot's."""
        self._writer = writer
        while line := await reader.readline():
            told = json.loads(line)
            self.shown(told["chat"], told["text"], told["growing"])
        writer.close()


@asynccontextmanager
async def _telegram(chats: int, folder: Path) -> AsyncIterator[Front]:
    async with bot_api.bot_api() as server:
        yield Telegram(server, chats)


@asynccontextmanager
async def _discord(chats: int, folder: Path) -> AsyncIterator[Front]:
    async with discord_server.discord_server() as server:
        yield Discord(server, chats)


@asynccontextmanager
async def _store(chats: int, folder: Path) -> AsyncIterator[Front]:
    front = Lines(folder / "lines")
    server = await asyncio.start_unix_server(front.serve, folder / "lines")
    try:
        yield front
    finally:
        server.close()


FRONTS: dict[str, Callable[[int, Path], AbstractAsyncContextManager[Front]]] = {
    "telegram": _telegram,
    "discord": _discord,
    "store": _store,
}
"""Called with the number of chats and a folder."""
