"""A Discord on the loopback: real sockets for gateway and REST, Discord's answers and limits, faults by script."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.platforms.chaos import Chaos
from tests.platforms.discord_acts import Acts
from tests.platforms.discord_buckets import Buckets
from tests.platforms.discord_channels import DM, GROUP, Channel
from tests.platforms.discord_checks import Refusal, invalid, unknown
from tests.platforms.discord_commands import faults_of, faults_together, registered
from tests.platforms.discord_gateway import ABNORMAL, Gateway, Identify
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_rest import Rest, complain, route
from tests.platforms.discord_world import Call, Effect, Payload, Person
from tests.platforms.faults import ANY_CALL, FaultKind, check_fault
from tests.waiting import until

TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.Canary.token-that-no-log-may-show_00000000000"
A_SECOND = 50
API = "/api/v10"
FAULTS = {
    **ANY_CALL,
    FaultKind.ERROR: frozenset({"code", "body"}),
    FaultKind.RATE_LIMIT: frozenset({"seconds", "everywhere"}),
}
OF_EVENTS = {FaultKind.DUPLICATE: frozenset[str]()}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(slots=True)
class Fault:
    """What happens to the next calls of a kind."""

    kind: FaultKind
    method: str
    path: str
    times: int
    channel: int | None = None
    code: int = 500
    body: Payload | None = None
    seconds: float = 0.0
    gate: asyncio.Event | None = None
    everywhere: bool = False


class DiscordServer(Acts):
    """The server. Tests act through people and channels, and look at `ledger`, `violations` and the channels."""

    def __init__(self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self.monotonic = monotonic
        self.token = TOKEN
        self.api_url = ""
        self.faults: list[Fault] = []
        self._chaos: Chaos | None = None
        self.buckets = Buckets()
        self.syncs = 0
        """How often all commands were registered."""
        self.gateway = Gateway(self, lambda: self.token, self._twice)
        self.rest = Rest(self, self.gateway, lambda id: self.dm(self.people[id]))
        commands = "/applications/{application}/commands"
        own = [route("GET", commands, self._list), route("PUT", commands, self._register)]
        self.routes = [*((each, True) for each in [*self.rest.routes, *own]),
                       *((each, False) for each in self.interactions.routes)]  # fmt: skip
        self.unheard = 0.0
        """Seconds from a penalty's beginning in which a call may be under way that could not know of it."""
        self.penalties: dict[object, tuple[float, float]] = {}  # from when, and until when
        self.a_second = A_SECOND  # requests with the bot's token, at most
        self._recent: list[float] = []
        self._closing = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._port = 0

    # What tests set up

    def person(self, name: str, locale: str = "en-US") -> Person:
        """A new account."""
        person = Person(self.snowflake(), name, {"en": "en-US"}.get(locale, locale))
        return self.people.setdefault(person.id, person)

    def dm(self, person: Person) -> Channel:
        """A person's DM with the bot."""
        for each in self.channels.values():
            if each.kind == DM and not each.foreign and each.recipients == [person]:
                return each
        channel = Channel(self, DM)
        channel.recipients = [person]
        return channel

    def guild(self, *members: Person, admins: tuple[Person, ...] = (), name: str = "Friends") -> Guild:
        """A server with the bot in it."""
        guild = Guild(self, name)
        guild.join(*members)
        guild.join(*admins, admin=True)
        self.dispatch("GUILD_CREATE", guild.created, 1)
        return guild

    def foreign_channel(self, *members: Person, name: str = "Strangers") -> Channel:
        """A channel of a server that the bot is not in."""
        guild = Guild(self, name, bot_in=False)
        guild.join(*members)
        return guild.channel("general")

    def private_channel(self, *members: Person) -> Channel:
        """A conversation of people without the bot."""
        channel = Channel(self, DM if len(members) <= 2 else GROUP, "Us")
        channel.recipients, channel.without_bot = list(members), True
        return channel

    def fault(self, kind: FaultKind, method: str, path: str = "", times: int = 1, *, channel: Channel | None = None,
              **options: Any) -> None:  # fmt: skip
        """The next `times` calls whose path matches meet it. (DUPLICATE, "EVENT", name): an event comes twice.

        Raises ValueError where they can't meet it.
        """
        if method not in (*METHODS, "EVENT"):
            raise ValueError(f"no method {method}")
        check_fault(kind, options, OF_EVENTS if method == "EVENT" else FAULTS)
        self.faults.append(Fault(kind, method, path, times, channel.id if channel else None, **options))

    def meet(self, chaos: Chaos | None) -> None:
        """Faults at random, by method and path, for calls that no script has one for.

        Raises ValueError where calls can't meet them.
        """
        if chaos:
            chaos.check(FAULTS)
        self._chaos = chaos

    # The gateway

    @property
    def gateway_url(self) -> str:
        """Where the gateway is."""
        return self.gateway.url

    @property
    def identifies(self) -> list[Identify]:
        """The sessions that were begun."""
        return self.gateway.identifies

    @property
    def resumes(self) -> int:
        """How often a session was resumed."""
        return self.gateway.resumes

    @property
    def connected(self) -> bool:
        """Whether the bot has a session on a socket."""
        return bool(self.gateway.live)

    async def ready(self, count: int = 1) -> None:
        """Wait for so many IDENTIFYs, and a session on a socket."""
        await until(
            lambda: len(self.identifies) >= count and self.connected, lambda: (self.identifies, self.ledger[-3:])
        )

    def drop(self, code: int = ABNORMAL) -> None:
        """The bot's sockets are closed, or cut."""
        for connection in self.gateway.connections:
            connection.close(code)

    def reconnect(self) -> None:
        """The bot is asked to connect again."""
        for connection in self.gateway.live:
            connection.send(7)

    def invalidate(self, *, resumable: bool = False) -> None:
        """The bot's session is void."""
        for connection in self.gateway.live:
            if connection.session is not None and not resumable:
                self.gateway.forget(connection.session)
            connection.send(9, resumable)

    def silence(self) -> None:
        """The sockets there are stay open, and nothing comes through them any more."""
        for connection in self.gateway.connections:
            connection.silent = True

    def refuse_gateway(self, times: int = 1) -> None:
        """The next handshakes fail."""
        self.gateway.refusals = times

    def close_next(self, code: int) -> None:
        """The next IDENTIFY is answered with a close."""
        self.gateway.closings.append(code)

    @asynccontextmanager
    async def offline(self) -> AsyncIterator[None]:
        """Nobody is there while the block lasts."""
        assert self._runner is not None
        for site in list(self._runner.sites):
            await site.stop()
        self._cut()
        try:
            yield
        finally:
            await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()

    async def start(self) -> None:
        """Begin to listen."""
        app = web.Application(client_max_size=2**25)
        app.on_response_prepare.append(self.date)
        app.router.add_get("/gateway/", self.gateway.handle)
        app.router.add_route("*", API + "/{path:.*}", self.handle)
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]
        self.api_url = f"http://127.0.0.1:{self._port}{API}"
        self.gateway.url = f"ws://127.0.0.1:{self._port}/gateway/"

    async def stop(self) -> None:
        """Let go of everybody."""
        self._closing.set()
        self._cut()
        if self._runner is not None:
            await self._runner.cleanup()

    def _cut(self) -> None:
        if self._runner is not None and self._runner.server is not None:
            for handler in list(self._runner.server.connections):
                if handler.transport is not None:
                    handler.transport.abort()

    # REST

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One call."""
        call = Call(request.method, "/" + request.match_info["path"], dict(request.query), await _body(request))
        wanted = self._route(call)
        fault = self._fault(call)
        if fault and fault.kind is FaultKind.DROP_BEFORE:
            call.refused = "dropped"
            self._note(call)
            return _drop(request)
        if fault and fault.kind is FaultKind.SLOW:
            await (fault.gate.wait() if fault.gate else asyncio.sleep(fault.seconds))
        authorized = request.headers.get("Authorization") == f"Bot {self.token}"
        status, body, headers = self._answer(call, wanted, fault, authorized)
        if fault and fault.kind is FaultKind.ACCEPT_THEN_DROP:
            return _drop(request)
        if fault and fault.kind is FaultKind.HANG:
            await self._closing.wait()
        if status == 204:
            return web.Response(status=204, headers=headers)
        data = json.dumps(body).encode()
        if fault and fault.kind is FaultKind.TRUNCATED:
            data = data[: len(data) // 2]
        return web.Response(status=status, body=data, headers={"Content-Type": "application/json"} | headers)

    def _route(self, call: Call) -> tuple[Callable[[Call], Any], bool] | None:
        for (method, pattern, handler), guarded in self.routes:
            if method == call.method and (match := pattern.match(call.path)):
                call.groups = match.groupdict()
                if call.groups.get("channel", "").isdigit():
                    call.channel = int(call.groups["channel"])
                if call.groups.get("message", "").isdigit():
                    call.message = int(call.groups["message"])
                interaction = self.interactions.interactions.get(call.groups.get("token", ""))
                call.channel = interaction.channel.id if interaction else call.channel
                return handler, guarded
        return None

    def _answer(
        self, call: Call, wanted: tuple[Callable[[Call], Any], bool] | None, fault: Fault | None, authorized: bool
    ) -> tuple[int, Any, dict[str, str]]:
        try:
            if wanted is None:
                raise Refusal(404, 0, "404: Not Found")
            handler, guarded = wanted
            self._admit(call, fault, guarded, authorized)
            result = self._done(handler, call)
        except Refusal as refusal:
            call.refused = f"{refusal.status} {refusal.code} {refusal.message}"
            self._note(call)
            headers = {"Via": "1.1 edge", "Retry-After": str(refusal.more.get("retry_after"))}
            return refusal.status, refusal.body, headers if refusal.status == 429 else {}
        self._note(call)
        return (204 if result is None else 200), result, self.buckets.headers(call.method, call.path)

    def _done(self, handler: Callable[[Call], Any], call: Call) -> Any:
        """The result of a route. What a route cannot make sense of, no bot should send."""
        try:
            return handler(call)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            self.violations.append(f"{call.method} {call.path}: {call.body} {error!r}")
            raise invalid(repr(error)) from error

    def _admit(self, call: Call, fault: Fault | None, guarded: bool, authorized: bool) -> None:
        """Whether a call gets as far as its route."""
        if guarded and not authorized:
            raise Refusal(401, 0, "401: Unauthorized")
        now = self.monotonic()
        if guarded:
            self._recent = [at for at in self._recent if at > now - 1] + [now]
            if len(self._recent) > self.a_second:
                self.violations.append(f"more than {self.a_second} requests a second")
        # Penalties are a route's and its channel's: a message may be sent where another may not be edited.
        key = call.groups.get("token", call.channel), call.method, re.sub(r"\d+", "", call.path)
        self._unpenalised(call, ([key] if call.method != "GET" else []) + ([self] if guarded else []))
        if fault and fault.kind is FaultKind.RATE_LIMIT:
            self.penalties[self if fault.everywhere else key] = now, now + fault.seconds - 0.01
            raise _limited(fault.seconds, fault.everywhere)
        if fault and fault.kind is FaultKind.ERROR:
            body: Payload = {"message": f"{fault.code}: error", "code": 0} | (fault.body or {})
            raise Refusal(fault.code, body.pop("code"), body.pop("message"), **body)

    def _unpenalised(self, call: Call, places: list[object]) -> None:
        now = self.monotonic()
        for place in places:
            begun, until = self.penalties.get(place, (0.0, 0.0))
            if until > now:
                if now - begun >= self.unheard:
                    self.violations.append(f"{call.method} {call.path} within its penalty")
                raise _limited(until - now, place is self)

    def _note(self, call: Call) -> None:
        body = call.body if isinstance(call.body, dict) else {"list": call.body}
        self.ledger.append(
            Effect(self.monotonic(), call.method, call.path, call.channel, call.message, body, call.refused)
        )

    def _fault(self, call: Call) -> Fault | None:
        for fault in self.faults:
            fits = fault.method == call.method and re.search(fault.path, call.path)
            if fault.times and fits and fault.channel in (None, call.channel):
                fault.times -= 1
                return fault
        drawn = self._chaos.draw(f"{call.method} {call.path}") if self._chaos else None
        return Fault(drawn.kind, call.method, call.path, 1, **drawn.options) if drawn else None

    def _twice(self, event: str) -> bool:
        for fault in self.faults:
            if fault.times and fault.kind is FaultKind.DUPLICATE and re.search(fault.path, event):
                fault.times -= 1
                return True
        return False

    # Commands

    def _list(self, call: Call) -> list[Payload]:
        if call.groups["application"] != str(self.application_id):
            raise unknown("Application")
        return self.commands

    def _register(self, call: Call) -> list[Payload]:
        self._list(call)
        if found := [*faults_together(call.body), *(each for command in call.body for each in faults_of(command))]:
            complain(self, call, found)
            raise invalid(*found)
        known = {(each["type"], each["name"]): int(each["id"]) for each in self.commands}
        self.commands = [
            registered(self.application_id, command,
                       known.get((command.get("type", 1), command["name"])) or self.snowflake(), self.snowflake())
            for command in call.body
        ]  # fmt: skip
        self.syncs += 1
        return self.commands


async def _body(request: web.Request) -> Any:
    """What was sent, as JSON or beside files."""
    if request.content_type.startswith("multipart/"):
        return json.loads(str((await request.post())["payload_json"]))
    text = await request.text()
    return json.loads(text) if text else {}


def _drop(request: web.Request) -> web.StreamResponse:
    if request.transport:
        request.transport.close()
    return web.Response()


def _limited(seconds: float, everywhere: bool) -> Refusal:
    return Refusal(429, 0, "You are being rate limited.", retry_after=round(seconds, 3), **{"global": everywhere})


@asynccontextmanager
async def discord_server(
    clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
) -> AsyncIterator[DiscordServer]:
    """A server while the block lasts; what a bot must never do fails the test at its end."""
    server = DiscordServer(clock, monotonic)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
    assert not server.violations, server.violations
