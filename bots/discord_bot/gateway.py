"""The connection to Discord's gateway: the library's own socket and cache, but a loop that survives its first failure.

discord.py 2.7.1's `connect` dies with an AttributeError where the very first connection fails, and has no pause after a
socket that closes at once. What is dispatched goes to one function, in order.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import aiohttp
import yarl
from discord import (
    Client,
    ConnectionClosed,
    DiscordException,
    GatewayNotFound,
    Intents,
    MemberCacheFlags,
)
from discord.gateway import DiscordWebSocket, ReconnectWebSocket

from bots.discord_bot.api import NOBODY
from bots.discord_bot.identify_limits import RESERVE, Identifies
from core.domain.errors import SetupError
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

SERVERS, PEOPLE = 0, 1
"""Who may install the bot: Discord's integration types."""
EVERYBODY = (SERVERS, PEOPLE)
CONNECTED_WITHIN = 60.0
LASTED = 10.0
"""Seconds after which a lost connection was a good one, and is made anew at once."""
LONGEST_PENALTY = 30.0
"""Seconds of a penalty that the library sleeps through by itself: the least that it can be told."""
SILENCE = 60.0
"""Seconds without a word from Discord, after which the connection counts as lost."""
SETTLED_AFTER = 2.0
"""Seconds without another server, after which all are known."""
RESUMABLE = 4000
"""A close code after which Discord keeps the session."""
FORGOTTEN = (4007, 4009)
"""Close codes after which it has none: a number that it does not know, a session that timed out."""
NO_INTENT = 4014
TOLD = {
    4004: "DISCORD_TOKEN is refused by Discord. Copy it again from the Developer Portal (Bot, Reset Token).",
    4010: "Discord refuses the connection: invalid shard (4010).",
    4011: "Discord wants this bot to be sharded (4011): it is in more servers than one process may serve.",
    4012: "Discord refuses the gateway's version (4012): a newer Qwentin is needed.",
    4013: "Discord refuses the intents (4013): a newer Qwentin is needed.",
    4014: "Discord refuses the intents (4014). Look at the Developer Portal, Bot, Privileged Gateway Intents.",
}
"""Close codes after which no other try may be made (opcodes-and-status-codes)."""

Heard = Callable[[str, tuple[Any, ...]], None]


def intents() -> Intents:
    """Messages in servers and in private, with what stands in them where the owner has allowed it."""
    wanted = Intents.none()
    wanted.guilds = wanted.guild_messages = wanted.dm_messages = wanted.message_content = True
    return wanted


class Gateway(Client):
    """A client whose events go to `heard`. No view, message or member is kept."""

    identifies: Identifies

    def __init__(self, url: str, heard: Heard) -> None:
        super().__init__(
            intents=intents(),
            allowed_mentions=NOBODY,
            max_messages=None,
            member_cache_flags=MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            guild_ready_timeout=SETTLED_AFTER,
            heartbeat_timeout=SILENCE,
            max_ratelimit_timeout=LONGEST_PENALTY,
        )
        self._url = yarl.URL(url)
        self._heard = heard

    @property
    def reads_all(self) -> bool:
        """Whether it sees what stands in messages that don't address it."""
        return self._connection._intents.message_content

    @property
    def installed_by(self) -> Sequence[int]:
        """Who may install it: Discord refuses commands for others. One that does not say is for everybody."""
        told = self.application
        configs = (told.guild_integration_config, told.user_integration_config) if told else ()
        return [kind for kind, config in zip(EVERYBODY, configs, strict=False) if config] or EVERYBODY

    async def setup_hook(self) -> None:
        """After the login: the application says what its owner allows it to see."""
        flags = self.application_flags
        if not (flags.gateway_message_content or flags.gateway_message_content_limited):
            self._see_less()

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """In order, and without a task each: nothing here waits."""
        try:
            self._heard(event, args)
        except Exception as error:  # one event that can't be understood must not end the connection
            log.error("an event of Discord (%s) can't be taken in:\n%s", event, safe_traceback(error))

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Counted at the last moment."""
        await self.identifies.count()

    async def connect(self, *, reconnect: bool = True) -> None:
        """For ever. Raises SetupError where Discord will never let it in."""
        session: dict[str, Any] = {}
        pauses = _backoff()
        while not self.is_closed():
            began = time.monotonic()
            try:
                await self._until_lost(session)
            except ReconnectWebSocket as lost:
                session = self._session(lost.resume and self.ws.socket.close_code not in FORGOTTEN)
            except ConnectionClosed as closed:
                session = self._refused(closed)
            except Exception as error:  # the network, or the database that counts logins: there is always another try
                log.warning("Discord's gateway can't be reached: %s", type(error).__name__)
                session = self._session(True)
                if session:
                    session["gateway"] = self._url  # the address of its own may be what is gone
            if time.monotonic() - began > LASTED:
                pauses = _backoff()
            else:
                await asyncio.sleep(next(pauses))

    async def _until_lost(self, session: dict[str, Any]) -> None:
        if not session:
            await self.identifies.wait()
            await self._in_reserve()
        options: dict[str, Any] = {"gateway": self._url, "initial": True} | session
        self.ws = await asyncio.wait_for(DiscordWebSocket.from_client(self, **options), CONNECTED_WITHIN)
        while True:
            await self._event()

    async def _event(self) -> None:
        """The next one."""
        try:
            with _setting_aside():
                await self.ws.poll_event()
        except OSError:
            await self.ws.close(RESUMABLE)
            raise

    def tell(self, event: str, data: object) -> None:
        """An event as Discord sends it, through the library's reader, without a socket."""
        with _setting_aside():
            self._connection.parsers[event](data)

    def _session(self, resume: bool) -> dict[str, Any]:
        """What a lost connection goes on with; nothing, where Discord has forgotten it."""
        if not resume or self.ws is None or self.ws.session_id is None:
            return {}
        return {"initial": False, "resume": True, "gateway": self.ws.gateway, "session": self.ws.session_id,
                "sequence": self.ws.sequence}  # fmt: skip

    def _refused(self, closed: ConnectionClosed) -> dict[str, Any]:
        """After a close code that the library does not go on after. Raises SetupError where nobody may."""
        if closed.code == NO_INTENT and self.reads_all:
            self._see_less()
        elif closed.code in TOLD:
            raise SetupError(TOLD[closed.code]) from None
        return {}

    async def _in_reserve(self) -> None:
        """Discord counts logins, too, and its count is the one that matters."""
        _, _, limit = await self.http.get_bot_gateway()
        if limit["remaining"] < RESERVE:
            log.error("Discord: only %s logins are left today; waiting for new ones", limit["remaining"])
            await asyncio.sleep(limit["reset_after"] / 1000)
            raise GatewayNotFound

    def _see_less(self) -> None:
        log.warning(
            "Discord: without the Message Content intent (Developer Portal, Bot) the bot reads only what mentions it, "
            "what replies to it and private messages; in its threads it must be mentioned too."
        )
        self._connection._intents.message_content = False


@contextmanager
def _setting_aside() -> Iterator[None]:
    """What the library can't read is told and passed over: it must not end the connection."""
    try:
        yield
    except (ReconnectWebSocket, DiscordException, aiohttp.ClientError, OSError):
        raise
    except Exception as error:
        log.error("an event of Discord can't be read, set aside:\n%s", safe_traceback(error))


def _backoff() -> Iterator[float]:
    """Seconds: 1, 2, 4, ... 60, 60, ... with up to a third more, so that many bots don't come back at once."""
    pause = 1.0
    while True:
        yield pause * random.uniform(1.0, 1.33)
        pause = min(2 * pause, 60.0)
