"""Conversations of trials, on either platform: people say things, and what they are owed for them is kept."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol

from tests.faults.answers import CANARY, HOSTILE
from tests.faults.evidence import ANSWERED, Said, Seen
from tests.platforms import bot_api_chats
from tests.platforms.bot_api import BotApi
from tests.platforms.bot_api_chats import BOT, Shown
from tests.platforms.discord_channels import BUTTON, Channel, Message, walk
from tests.platforms.discord_interactions import Interaction
from tests.platforms.discord_server import DiscordServer

COMMANDS = {"/temp": "temperature", "/memory": "memory", "/maxtokens": "max_tokens"}
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


class BaseTalk(ABC):
    """What both platforms have in common."""

    where: str

    def __init__(self, tokens: Iterator[int]) -> None:
        self.tokens = tokens
        self.said: list[Said] = []

    def ask(self, *special: str, ends: frozenset[str] = ANSWERED, **more: Any) -> Said:
        token = f"q{next(self.tokens)}"
        text = " ".join([token, CANARY, *special])
        return self._owed(Said(self.where, self._say(text, **more), text, "" if HOSTILE in special else token, ends))

    def command(self, text: str, *, ends: frozenset[str] = ANSWERED, **more: Any) -> Said:
        name, _, value = text.partition(" ")
        sets = (COMMANDS[name], value) if name in COMMANDS and value else None
        return self._owed(Said(self.where, self._say(text, **more), text, "", ends, sets))

    @abstractmethod
    def seen(self) -> list[Seen]: ...

    def owed(self) -> list[Said]:
        """All that something is owed for."""
        return self.said

    def unsure(self) -> list[Said]:
        """See Evidence."""
        return []

    def removed(self) -> list[Seen]:
        """The bot's messages that are there no more."""
        return []

    def _owed(self, said: Said) -> Said:
        self.said.append(said)
        return said

    @abstractmethod
    def _say(self, text: str, **more: Any) -> str: ...


class TelegramTalk(BaseTalk):
    """A private chat, or a group."""

    def __init__(self, server: BotApi, tokens: Iterator[int], *, group: bool = False) -> None:
        super().__init__(tokens)
        self.server, self.person = server, server.person("Ann")
        self.chat: bot_api_chats.Chat = (
            server.group(self.person, admins=(self.person,)) if group else server.private(self.person)
        )
        self.group, self.where = group, f"telegram/{self.chat.id}"

    def seen(self) -> list[Seen]:
        return [seen_on_telegram(self.where, each) for each in self.chat.messages]

    def addressed(self, text: str) -> str:
        """As it is written to the bot: in a group with its name."""
        if not self.group:
            return text
        name, _, rest = text.partition(" ")
        bot = f"@{BOT['username']}"
        return f"{name}{bot} {rest}".strip() if name.startswith("/") else f"{bot} {text}"

    def _say(self, text: str, **more: Any) -> str:
        by = more.pop("by", self.person)
        return f"m:{self.chat.id}:{self.chat.say(self.addressed(text), by, **more)}"


class DiscordTalk(BaseTalk):
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
        return [seen_on_discord(self.where, message) for message in self.channel.messages]

    def _say(self, text: str, **more: Any) -> str:
        by = more.pop("by", self.person)
        return f"m:{self.channel.say(text, by, mention=self.group, **more).id}"


def seen_on_telegram(where: str, shown: Shown) -> Seen:
    """A message as it stands."""
    buttons = tuple((button["text"], button["callback_data"]) for row in shown.keyboard for button in row)
    growing = any(label.startswith(STOP_SIGN) for label, _ in buttons)
    return Seen(where, str(shown.id), shown.text, growing, buttons, tuple(shown.history))


def seen_on_discord(where: str, message: Message) -> Seen:
    """A message as it stands."""
    parts = [each for each in walk(message.components) if each["type"] == BUTTON]
    buttons = tuple((each.get("label") or "", each["custom_id"]) for each in parts)
    growing = message.thinking or any(label.startswith(STOP_SIGN) for label, _ in buttons)
    text = "" if message.thinking else message.shown
    return Seen(where, str(message.id), text, growing, buttons, tuple(message.history))


class Talks:
    """All conversations of a trial."""

    def __init__(self, telegram: BotApi, discord: DiscordServer) -> None:
        self.telegram, self.discord = telegram, discord
        self.tokens = itertools.count(1)
        self.pressed: list[tuple[str, str, str]] = []
        """See Evidence."""
        self._all: list[BaseTalk] = []

    def on_telegram(self, *, group: bool = False) -> TelegramTalk:
        """A new one."""
        talk = TelegramTalk(self.telegram, self.tokens, group=group)
        self._all.append(talk)
        return talk

    def on_discord(self, *, group: bool = False) -> DiscordTalk:
        """A new one."""
        talk = DiscordTalk(self.discord, self.tokens, group=group)
        self._all.append(talk)
        return talk

    def on(self, platform: str, *, group: bool = False) -> TelegramTalk | DiscordTalk:
        """A new one."""
        return self.on_telegram(group=group) if platform == "telegram" else self.on_discord(group=group)

    def add(self, talk: "BaseTalk") -> None:
        """One that was made elsewhere."""
        self._all.append(talk)

    @property
    def said(self) -> list[Said]:
        """All that something is owed for."""
        return [said for talk in self._all for said in talk.owed()]

    def unsure(self) -> list[Said]:
        """See Evidence."""
        return [said for talk in self._all for said in talk.unsure()]

    def removed(self) -> list[Seen]:
        """All that people have seen and see no more."""
        return [seen for talk in self._all for seen in talk.removed()]

    def seen(self) -> list[Seen]:
        """All that people see."""
        return [seen for talk in self._all for seen in talk.seen()]
