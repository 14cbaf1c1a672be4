"""What a Discord server of the tests stands on: a clock, snowflakes, people, the ledger, and events on their way."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from tests.platforms.discord_channels import Channel, Message
    from tests.platforms.discord_guilds import Guild

Payload = dict[str, Any]
EPOCH = 1_420_070_400_000
"""The first millisecond that a snowflake can tell."""


@dataclass(frozen=True, slots=True)
class Person:
    """An account. `locale` is what its client is set to."""

    id: int
    name: str
    locale: str = "en-US"
    bot: bool = False

    @property
    def user(self) -> Payload:
        """As Discord shows it."""
        return account(self.id, self.name, bot=self.bot)

    @property
    def mention(self) -> str:
        """What names it in a text."""
        return f"<@{self.id}>"


@dataclass(frozen=True, slots=True)
class Effect:
    """A call as it ended. `refused` is why it had no effect, "" where it had. `at` is monotonic."""

    at: float
    method: str
    path: str
    channel: int | None
    message: int | None
    body: Payload
    refused: str


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. `bare` is how it reads without the message content intent, where that differs."""

    name: str
    data: Payload
    intent: int = 0
    bare: Payload | None = None


@dataclass(slots=True)
class Call:
    """A request under way. Routes fill in what they learn: `channel`, `message`, and `refused` for the ledger."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    channel: int | None = None
    message: int | None = None
    refused: str = ""
    groups: dict[str, str] = field(default_factory=dict)


class World:
    """Everything that there is, and what was asked of it."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.ahead = 0.0
        """Seconds that this server's clock runs ahead of `clock`."""
        self._last = 0
        self.application_id = self.snowflake()
        self.me = account(self.application_id, "Qwentin", bot=True)
        self.content_intent = True
        """Whether the application may read what is said in servers."""
        self.answer_within_s = 3.0
        """How long an interaction waits for its first answer."""
        self.nonce_seconds = 300.0
        self.people: dict[int, Person] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.listeners: list[Callable[[Event], None]] = []
        self.ledger: list[Effect] = []
        self.violations: list[str] = []
        self.wasted: list[str] = []
        """Edits that changed nothing."""
        self.nonces: dict[tuple[int, str], tuple[float, Message]] = {}

    def now(self) -> float:
        """Seconds since 1970."""
        return self.clock() + self.ahead

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        self.ahead += seconds

    async def date(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Date an answer by this clock."""
        response.headers["Date"] = formatdate(self.now(), usegmt=True)

    def iso(self) -> str:
        """Now, as Discord writes it."""
        return datetime.fromtimestamp(self.now(), UTC).isoformat()

    def snowflake(self) -> int:
        """A new id, greater than all before."""
        self._last = max(self._last + 1, (int(self.now() * 1000) - EPOCH) << 22)
        return self._last

    def dispatch(self, name: str, data: Payload, intent: int = 0, bare: Payload | None = None) -> None:
        """It happened: tell whoever listens for it."""
        for listener in self.listeners:
            listener(Event(name, data, intent, bare))

    def effects(self, method: str, path: str = "", channel: "Channel | None" = None) -> list[Effect]:
        """The calls of a method, to paths that match, that had an effect."""
        return [
            effect
            for effect in self.ledger
            if effect.method == method
            and re.search(path, effect.path)
            and not effect.refused
            and (channel is None or effect.channel == channel.id)
        ]


def account(id: int, name: str, *, bot: bool = False) -> Payload:
    """A user as Discord shows one."""
    return {"id": str(id), "username": name if bot else name.lower(), "global_name": None if bot else name,
            "discriminator": "0", "avatar": None, "bot": bot, "public_flags": 0}  # fmt: skip
