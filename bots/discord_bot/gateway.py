"""The connection to Discord's gateway: the library's own socket and cache, but a loop that survives its first failure.

discord.py 2.7.1's `connect` dies with an AttributeError where the very first connection fails, and has no pause after a
socket that closes at once. Every event that the library dispatches goes to one function, in order.
"""

import asyncio
import logging
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
    VoiceClient,
)
from discord.gateway import DiscordWebSocket, ReconnectWebSocket

from bots.discord_bot.api import NO_MENTIONS
from bots.discord_bot.call_buckets import use_call_buckets
from bots.discord_bot.identify_limits import IdentifyLimiter
from bots.discord_bot.penalties import Penalties
from bots.discord_bot.timing import DISCORD_TIMING, DiscordTiming
from core.domain.errors import SetupError
from core.runtime.platform_clock import PlatformClock
from core.runtime.safe_traceback import safe_traceback

log = logging.getLogger(__name__)

# The bot has no voice; the library would warn at every start that it lacks packages for it.
VoiceClient.warn_nacl = False
VoiceClient.warn_dave = False

FOR_SERVERS, FOR_PEOPLE = 0, 1
"""Who may install the bot: Discord's integration types."""
ALL_INSTALLS = (FOR_SERVERS, FOR_PEOPLE)
CONNECT_TIMEOUT_S = 60.0
GOOD_CONNECTION_S = 10.0
"""A connection that lasted longer was a good one: the next follows at once."""
MAX_PENALTY_SLEEP_S = 30.0
"""The longest penalty that the library sleeps through; the least that it can be configured to."""
RESUMABLE_CODE = 4000
"""A close code after which Discord keeps the session."""
SESSION_LOST_CODES = (4007, 4009)
"""Close codes after which it has no session: a sequence number that it does not know, a session that timed out."""
NO_INTENT_CODE = 4014
TOKEN_REFUSED_CODE = 4004
FATAL_CODES = {
    TOKEN_REFUSED_CODE: "DISCORD_TOKEN is refused by Discord. "
    "Copy it again from the Developer Portal (Bot, Reset Token).",
    4010: "Discord refuses the connection: invalid shard (4010).",
    4011: "Discord wants this bot to be sharded (4011): it is in more servers than one process may serve.",
    4012: "Discord refuses the gateway's version (4012): a newer Qwentin is needed.",
    4013: "Discord refuses the intents (4013): a newer Qwentin is needed.",
    NO_INTENT_CODE: "Discord refuses the intents (4014). "
    "Look at the Developer Portal, Bot, Privileged Gateway Intents.",
}
"""Close codes after which no other try may be made (opcodes-and-status-codes), with what the owner reads."""

EventHandler = Callable[[str, tuple[Any, ...]], None]
"""Gets the library's name of an event, and its arguments. Must not wait."""


def intents() -> Intents:
    """Messages in servers and in private, with their text where the owner has allowed it."""
    needed = Intents.none()
    needed.guilds = needed.guild_messages = needed.dm_messages = needed.message_content = True
    return needed


class Gateway(Client):
    """A client whose events go to `handle`. It caches no view, message or member, and sets the `clock`.

    `identify_limiter` is set before `connect`: the account that it counts for is known after the login.
    """

    identify_limiter: IdentifyLimiter

    def __init__(
        self, url: str, handle: EventHandler, clock: PlatformClock, timing: DiscordTiming = DISCORD_TIMING
    ) -> None:
        async def set_clock(session: object, context: object, answered: aiohttp.TraceRequestEndParams) -> None:
            clock.set(answered.response.headers.get("Date"))

        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(set_clock)
        Penalties(MAX_PENALTY_SLEEP_S).watch(trace)
        super().__init__(
            http_trace=trace,
            intents=intents(),
            allowed_mentions=NO_MENTIONS,
            max_messages=None,
            member_cache_flags=MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            guild_ready_timeout=timing.settled_after_s,
            heartbeat_timeout=timing.silence_s,
            max_ratelimit_timeout=MAX_PENALTY_SLEEP_S,
        )
        use_call_buckets(self.http)
        self._url = yarl.URL(url)
        self._handle = handle
        self._backoff = timing.connection

    @property
    def reads_all(self) -> bool:
        """Whether it gets the text of messages that don't address it."""
        return self._connection._intents.message_content

    @property
    def installed_by(self) -> Sequence[int]:
        """Who may install it; all where Discord does not say. Discord refuses commands for others."""
        application = self.application
        configs = (application.guild_integration_config, application.user_integration_config) if application else ()
        return [kind for kind, config in zip(ALL_INSTALLS, configs, strict=False) if config] or ALL_INSTALLS

    async def setup_hook(self) -> None:
        """The library calls this after the login: the application says what its owner allows it to see."""
        flags = self.application_flags
        if not (flags.gateway_message_content or flags.gateway_message_content_limited):
            self._drop_content_intent()

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """The library calls this for every event. Unlike its own, in order and without a task for each."""
        try:
            self._handle(event, args)
        except Exception as error:  # an event that can't be handled must not end the connection
            log.error("an event of Discord (%s) can't be taken in:\n%s", event, safe_traceback(error))

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """The library calls this right before each login."""
        await self.identify_limiter.count()

    async def connect(self, *, reconnect: bool = True) -> None:
        """Stay connected until the client is closed. Raises SetupError where Discord will never let it in."""
        session: dict[str, Any] = {}
        pauses = self._backoff.pauses()
        while not self.is_closed():
            began = time.monotonic()
            try:
                await self._until_lost(session)
            except ReconnectWebSocket as lost:
                session = self._session(lost.resume and self.ws.socket.close_code not in SESSION_LOST_CODES)
            except ConnectionClosed as closed:
                session = self._after_refusal(closed)
            except Exception as error:  # the network, or the database that counts logins: it is tried again
                log.warning("Discord's gateway can't be reached: %s", type(error).__name__)
                session = self._session(True)
                if session:
                    session["gateway"] = self._url  # the session's own address may be what is gone
            if time.monotonic() - began > GOOD_CONNECTION_S:
                pauses = self._backoff.pauses()
            else:
                await asyncio.sleep(next(pauses))

    async def _until_lost(self, session: dict[str, Any]) -> None:
        if not session:
            await self.identify_limiter.wait()
            await self._check_remaining_logins()
        options: dict[str, Any] = {"gateway": self._url, "initial": True} | session
        self.ws = await asyncio.wait_for(DiscordWebSocket.from_client(self, **options), CONNECT_TIMEOUT_S)
        while True:
            await self._read_event()

    async def _read_event(self) -> None:
        try:
            with _unreadable_events_logged():
                await self.ws.poll_event()
        except OSError:
            await self.ws.close(RESUMABLE_CODE)
            raise

    def feed(self, event: str, data: object) -> None:
        """Hand an event, as Discord sends it, to the library's reader, without a socket."""
        with _unreadable_events_logged():
            self._connection.parsers[event](data)

    def _session(self, resume: bool) -> dict[str, Any]:
        """What a new connection needs to resume the lost one's session; empty where Discord has none."""
        if not resume or self.ws is None or self.ws.session_id is None:
            return {}
        return {"initial": False, "resume": True, "gateway": self.ws.gateway, "session": self.ws.session_id,
                "sequence": self.ws.sequence}  # fmt: skip

    def _after_refusal(self, closed: ConnectionClosed) -> dict[str, Any]:
        """The next session after a close code on which the library gives up. Raises SetupError for FATAL_CODES."""
        if closed.code == NO_INTENT_CODE and self.reads_all:
            self._drop_content_intent()
        elif closed.code in FATAL_CODES:
            raise SetupError(FATAL_CODES[closed.code]) from None
        return {}

    async def _check_remaining_logins(self) -> None:
        """Discord counts logins too, and its count is the one that matters."""
        _, _, limit = await self.http.get_bot_gateway()
        if limit["remaining"] < self.identify_limiter.limits.reserve:
            log.error("Discord: only %s logins are left today; waiting for new ones", limit["remaining"])
            await asyncio.sleep(limit["reset_after"] / 1000)
            raise GatewayNotFound

    def _drop_content_intent(self) -> None:
        log.warning(
            "Discord: without the Message Content intent (Developer Portal, Bot) the bot reads only what mentions it, "
            "what replies to it and private messages; in its threads it must be mentioned too."
        )
        self._connection._intents.message_content = False


@contextmanager
def _unreadable_events_logged() -> Iterator[None]:
    """An event that the library can't read is logged and passed over: it must not end the connection."""
    try:
        yield
    except (ReconnectWebSocket, DiscordException, aiohttp.ClientError, OSError):
        raise
    except Exception as error:
        log.error("an event of Discord can't be read, set aside:\n%s", safe_traceback(error))
