"""The gateway of a Discord server of the tests: sessions that outlive their sockets, and replay what was missed."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.patience import LIMIT_S
from tests.platforms.discord_channels import GUILDS, MESSAGE_CONTENT
from tests.platforms.discord_world import Event, Payload, World

PRIVILEGED = 1 << 1 | 1 << 8 | MESSAGE_CONTENT
ABNORMAL = 1006
"""The close code of a socket that was cut: nobody sends it."""


@dataclass(frozen=True, slots=True)
class Identify:
    """A new session was asked for."""

    at: float
    intents: int


@dataclass(slots=True, eq=False)
class Connection:
    """A socket of the bot, and what waits to be sent over it."""

    socket: web.WebSocketResponse
    transport: asyncio.Transport | None
    outgoing: asyncio.Queue[str | int] = field(default_factory=asyncio.Queue)
    session: "Session | None" = None
    silent: bool = False
    closing: bool = False
    received: list[float] = field(default_factory=list)

    def send(self, op: int, data: Any = None) -> None:
        """Anything but an event."""
        if not self.silent:
            self.outgoing.put_nowait(json.dumps({"op": op, "d": data, "s": None, "t": None}))

    def close(self, code: int) -> None:
        """Close it after what waits, or cut it at once."""
        if code == ABNORMAL:
            self.abort()
        else:
            self.closing = True
            self.outgoing.put_nowait(code)

    def abort(self) -> None:
        """Cut it."""
        if self.transport is not None:
            self.transport.abort()

    async def write(self) -> None:
        """Send what waits, until the socket is closed."""
        with suppress(ConnectionError, RuntimeError):
            while isinstance(item := await self.outgoing.get(), str):
                await self.socket.send_str(item)
            await self.socket.close(code=item)


@dataclass(slots=True, eq=False)
class Session:
    """What one IDENTIFY began."""

    id: str
    intents: int
    connection: Connection | None
    events: list[str] = field(default_factory=list)
    lost: float | None = None
    """When its socket went."""

    def tell(self, event: Event) -> None:
        """Number an event, keep it for a replay, and send it where there is a socket."""
        if event.intent and not event.intent & self.intents:
            return
        data = event.data if event.bare is None or self.intents & MESSAGE_CONTENT else event.bare
        text = json.dumps({"op": 0, "d": data, "s": len(self.events) + 1, "t": event.name})
        self.events.append(text)
        if self.connection is not None and not self.connection.silent:
            self.connection.outgoing.put_nowait(text)


class Gateway:
    """All sessions of the bot."""

    def __init__(self, world: World, token: Callable[[], str], twice: Callable[[str], bool]) -> None:
        self.world, self.token, self.twice = world, token, twice
        self.url = ""
        self.heartbeat_ms = 41_250
        self.session_seconds = 120.0
        self.remaining = 1000
        """IDENTIFYs left today."""
        self.identifies: list[Identify] = []
        self.resumes = 0
        self.handshakes = 0
        self.presences: list[Payload] = []
        self.refusals = 0
        """How many of the next handshakes fail."""
        self.closings: list[int] = []
        """Close codes that the next IDENTIFYs meet."""
        self.sessions: dict[str, Session] = {}
        self.connections: set[Connection] = set()
        world.listeners.append(self.tell)

    @property
    def limit(self) -> Payload:
        """What may be begun today."""
        return {"total": 1000, "remaining": self.remaining, "reset_after": 14_400_000, "max_concurrency": 1}

    @property
    def live(self) -> list[Connection]:
        """The sockets that a session uses."""
        return [each for each in self.connections if each.session is not None]

    def tell(self, event: Event) -> None:
        """Something happened."""
        for _ in range(2 if self.twice(event.name) else 1):
            for session in self._alive():
                session.tell(event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One socket, as long as it lasts."""
        self.handshakes += 1
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=503)
        socket = web.WebSocketResponse(timeout=LIMIT_S, max_msg_size=4096, compress=False)
        await socket.prepare(request)
        connection = Connection(socket, request.transport)
        self.connections.add(connection)
        writer = asyncio.create_task(connection.write())
        connection.send(10, {"heartbeat_interval": self.heartbeat_ms})
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    self._received(connection, json.loads(frame.data))
        finally:
            self._lost(connection)
            if connection.closing:
                # The close frame is on its way, and says why.
                await asyncio.wait({writer}, timeout=LIMIT_S)
            writer.cancel()
        return socket

    def forget(self, session: Session) -> None:
        """It cannot be resumed any more."""
        self.sessions.pop(session.id, None)

    def _received(self, connection: Connection, frame: Payload) -> None:
        operation, data = frame["op"], frame["d"]
        if operation != 1 and self._hasty(connection):
            return connection.close(4008)
        if operation == 1:
            connection.send(11)
        elif operation == 2 and connection.session is None:
            self._identify(connection, data)
        elif operation == 6 and connection.session is None:
            self._resume(connection, data)
        elif connection.session is None:
            connection.close(4003)
        elif operation == 3:
            self.presences.append(data)
        elif operation in (2, 6):
            connection.close(4005)
        return None

    def _hasty(self, connection: Connection) -> bool:
        """Whether this is one too many. Heartbeats are left out: tests want them more often than Discord does."""
        now = time.monotonic()
        connection.received = [at for at in connection.received if at > now - 60] + [now]
        if len(connection.received) > 120:
            self.world.violations.append("more than 120 gateway commands a minute")
        return len(connection.received) > 120

    def _identify(self, connection: Connection, data: Payload) -> None:
        intents = int(data["intents"])
        self.identifies.append(Identify(time.monotonic(), intents))
        self.remaining -= 1
        if self.remaining < 0:
            self.world.violations.append("IDENTIFY where none is left")
        granted = MESSAGE_CONTENT if self.world.content_intent else 0
        if data["token"] != self.token():
            return connection.close(4004)
        if intents & PRIVILEGED & ~granted:
            return connection.close(4014)
        if self.closings:
            return connection.close(self.closings.pop(0))
        session = connection.session = Session(f"{self.world.snowflake():x}", intents, connection)
        self.sessions[session.id] = session
        guilds = [guild for guild in self.world.guilds.values() if guild.bot_in]
        own = self.world.me | {"verified": True, "mfa_enabled": False, "email": None, "flags": 0, "locale": "en-US"}
        session.tell(Event("READY", {
            "v": 10, "user": own, "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
            "session_id": session.id, "resume_gateway_url": self.url, "private_channels": [], "shard": [0, 1],
            "application": {"id": str(self.world.application_id), "flags": application_flags(self.world)},
        }))  # fmt: skip
        for guild in guilds:
            session.tell(Event("GUILD_CREATE", guild.created, GUILDS))
        return None

    def _resume(self, connection: Connection, data: Payload) -> None:
        self._alive()
        session = self.sessions.get(data["session_id"])
        if data["token"] != self.token():
            return connection.close(4004)
        if session is None or data["seq"] is None or data["seq"] > len(session.events):
            return connection.send(9, False)
        if session.connection is not None:
            session.connection.session = None
            session.connection.close(4000)
        connection.session, session.connection, session.lost = session, connection, None
        for text in session.events[data["seq"] :]:
            connection.outgoing.put_nowait(text)
        self.resumes += 1
        return session.tell(Event("RESUMED", {}))

    def _lost(self, connection: Connection) -> None:
        self.connections.discard(connection)
        session = connection.session
        if session is not None and session.connection is connection:
            session.connection, session.lost = None, self.world.now()
            # Only a bot that says goodbye so has ended it; the code reads 1000 after a close from here, too.
            if connection.socket.close_code in (1000, 1001) and not connection.closing:
                self.forget(session)

    def _alive(self) -> list[Session]:
        """The sessions that can still be told something."""
        for session in list(self.sessions.values()):
            if session.lost is not None and self.world.now() - session.lost > self.session_seconds:
                self.forget(session)
        return list(self.sessions.values())


def application_flags(world: World) -> int:
    """GATEWAY_MESSAGE_CONTENT_LIMITED, or nothing."""
    return 1 << 19 if world.content_intent else 0
