"""Conversations of trials, on either platform: people say things, and what they are owed for them is kept."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol

from tests.faults.answers import CANARY, HOSTILE
from tests.faults.evidence import ANSWERED, Said, Seen
from tests.platforms import bot_api_chats, discord_channels
from tests.platforms.bot_api import BotApi
from tests.platforms.bot_api_chats import BOT
from tests.platforms.discord_channels import Channel
from tests.platforms.discord_interactions import Interaction
from tests.platforms.discord_server import DiscordServer

COMMANDS = {"/temp": "temperature", "/memory": "memory"}
STOP_SIGN = "⏹"


class Talk(Protocol):
    """One conversation."""

    where: str
    said: list[Said]

    def ask(self, *special: str, ends: frozenset[str] = ANSWERED, **more: Any) -> Said:
        """A new question, which is owed an answer."""

    def command(self, text: str, *, ends: frozenset[str] = ANSWERED, **more: Any) -> Said:
        """A command as a message."""

    def seen(self) -> list[Seen]:
        """What the bot's messages show."""


class _Talk(ABC):
    """What both platforms have in common."""

    where: str

    def __init__(self, tokens: Iterator[int]) -> None:
        self._tokens = tokens
        self.said: list[Said] = []

    def ask(self, *special: str, ends: frozenset[str] = ANSWERED, **more: Any) -> Said:
        token = f"q{next(self._tokens)}"
        text = " ".join([token, CANARY, *special])
        return self._owed(Said(self.where, self._say(text, **more), text, "" if HOSTILE in special else token, ends))

    def command(self, text: str, *, ends: frozenset[str] = ANSWERED, **more: Any) -> Said:
        name, _, value = text.partition(" ")
        sets = (COMMANDS[name], value) if name in COMMANDS and value else None
        return self._owed(Said(self.where, self._say(text, **more), text, "", ends, sets))

    @abstractmethod
    def seen(self) -> list[Seen]: ...

    def _owed(self, said: Said) -> Said:
        self.said.append(said)
        return said

    @abstractmethod
    def _say(self, text: str, **more: Any) -> str: ...


class TelegramTalk(_Talk):
    """A private chat, or a group."""

    def __init__(self, server: BotApi, tokens: Iterator[int], *, group: bool = False) -> None:
        super().__init__(tokens)
        self.person = server.person("Ann")
        self.chat: bot_api_chats.Chat = (
            server.group(self.person, admins=(self.person,)) if group else server.private(self.person)
        )
        self.group, self.where = group, f"telegram/{self.chat.id}"

    def seen(self) -> list[Seen]:
        return [
            Seen(self.where, str(each.id), each.text, any(label.startswith(STOP_SIGN) for label in each.buttons))
            for each in self.chat.messages
        ]

    def _say(self, text: str, **more: Any) -> str:
        if self.group:
            name, _, rest = text.partition(" ")
            bot = f"@{BOT['username']}"
            text = f"{name}{bot} {rest}".strip() if name.startswith("/") else f"{bot} {text}"
        return f"m:{self.chat.id}:{self.chat.say(text, self.person, **more)}"


class DiscordTalk(_Talk):
    """A DM, or a channel of a server."""

    def __init__(self, server: DiscordServer, tokens: Iterator[int], *, group: bool = False) -> None:
        super().__init__(tokens)
        self.server, self.person, self.group = server, server.person("Ann"), group
        self.channel: Channel = (
            server.guild(self.person, admins=(self.person,)).channel() if group else server.dm(self.person)
        )
        self.where = f"discord/{self.channel.id}"

    def slash(self, name: str, **values: Any) -> tuple[Said, Interaction]:
        """A command from the menu."""
        interaction = self.server.slash(self.person, self.channel, name, **values)
        value = next(iter(values.values()), None)
        setting = COMMANDS.get(f"/{name}")
        sets = (setting, str(value)) if setting and value is not None else None
        return self._owed(Said(self.where, f"i:{interaction.id}", f"/{name}", sets=sets)), interaction

    def seen(self) -> list[Seen]:
        return [_seen(self.where, message) for message in self.channel.messages]

    def _say(self, text: str, **more: Any) -> str:
        return f"m:{self.channel.say(text, self.person, mention=self.group, **more).id}"


def _seen(where: str, message: discord_channels.Message) -> Seen:
    growing = message.thinking or any(label.startswith(STOP_SIGN) for label in message.buttons)
    return Seen(where, str(message.id), "" if message.thinking else message.shown, growing)


class Talks:
    """All conversations of a trial."""

    def __init__(self, telegram: BotApi, discord: DiscordServer) -> None:
        self.telegram, self.discord = telegram, discord
        self._tokens = itertools.count(1)
        self._all: list[_Talk] = []

    def on_telegram(self, *, group: bool = False) -> TelegramTalk:
        """A new one."""
        talk = TelegramTalk(self.telegram, self._tokens, group=group)
        self._all.append(talk)
        return talk

    def on_discord(self, *, group: bool = False) -> DiscordTalk:
        """A new one."""
        talk = DiscordTalk(self.discord, self._tokens, group=group)
        self._all.append(talk)
        return talk

    def on(self, platform: str, *, group: bool = False) -> TelegramTalk | DiscordTalk:
        """A new one."""
        return self.on_telegram(group=group) if platform == "telegram" else self.on_discord(group=group)

    @property
    def said(self) -> list[Said]:
        """All that something is owed for."""
        return [said for talk in self._all for said in talk.said]

    def seen(self) -> list[Seen]:
        """All that people see."""
        return [seen for talk in self._all for seen in talk.seen()]
