"""REST routes of a Discord server of the tests: the bot, channels, messages, servers."""

import re
from collections.abc import Callable
from typing import Any

from tests.platforms import discord_checks as checks
from tests.platforms.discord_channels import EPHEMERAL, LOADING, SILENT, SUPPRESS_EMBEDS, V2, Channel, Message
from tests.platforms.discord_checks import Refusal, invalid, unknown
from tests.platforms.discord_gateway import Gateway, application_flags
from tests.platforms.discord_guilds import Guild
from tests.platforms.discord_world import Call, Payload, World

Route = tuple[str, re.Pattern[str], Callable[[Call], Any]]
MISSING_ACCESS = (403, 50001, "Missing Access")
MISSING_PERMISSIONS = (403, 50013, "Missing Permissions")


def route(method: str, path: str, handler: Callable[[Call], Any]) -> Route:
    """A route; {name} in its path is an id of that name."""
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)
    return method, re.compile(pattern + "$"), handler


class Rest:
    """Everything that needs the bot's token."""

    def __init__(self, world: World, gateway: Gateway, dm: Callable[[int], Channel]) -> None:
        self.world, self.gateway, self.dm = world, gateway, dm
        self.routes: list[Route] = [
            route("GET", "/users/@me", lambda call: self._me()),
            route("GET", "/oauth2/applications/@me", lambda call: self._application()),
            route("GET", "/applications/@me", lambda call: self._application()),
            route("GET", "/gateway", lambda call: {"url": gateway.url}),
            route("GET", "/gateway/bot", lambda call: {
                "url": gateway.url, "shards": 1, "session_start_limit": gateway.limit}),
            route("POST", "/users/@me/channels", self._open),
            route("GET", "/channels/{channel}", lambda call: self._seen(call).about),
            route("POST", "/channels/{channel}/typing", self._type),
            route("GET", "/channels/{channel}/messages", self._read),
            route("POST", "/channels/{channel}/messages", self._send),
            route("GET", "/channels/{channel}/messages/{message}", self._read_one),
            route("PATCH", "/channels/{channel}/messages/{message}", self._edit),
            route("DELETE", "/channels/{channel}/messages/{message}", self._delete),
            route("GET", "/guilds/{guild}", lambda call: self._guild(call).about),
            route("GET", "/guilds/{guild}/roles", lambda call: self._guild(call).about["roles"]),
            route("GET", "/guilds/{guild}/channels", lambda call: [
                each.about for each in self._guild(call).channels if not each.is_thread]),
            route("GET", "/guilds/{guild}/members/{member}", self._member),
        ]  # fmt: skip

    def _me(self) -> Payload:
        return self.world.me | {"verified": True, "mfa_enabled": False, "email": None, "flags": 0, "locale": "en-US"}

    def _application(self) -> Payload:
        return {"id": str(self.world.application_id), "name": "Qwentin", "icon": None, "description": "", "summary": "",
                "bot_public": True, "bot_require_code_grant": False, "verify_key": "0" * 64, "rpc_origins": [],
                "flags": application_flags(self.world), "owner": self.world.me, "team": None, "guild_id": None,
                "integration_types_config": {"0": {}, "1": {}}}  # fmt: skip

    # Channels

    def _open(self, call: Call) -> Payload:
        person = int(call.body["recipient_id"])
        if person not in self.world.people:
            raise unknown("User")
        channel = self.dm(person)
        call.channel = channel.id
        return channel.about

    def _seen(self, call: Call) -> Channel:
        channel = self.world.channels.get(int(call.groups["channel"]))
        if channel is None or channel.deleted:
            raise unknown("Channel")
        if channel.hidden:
            raise Refusal(*MISSING_ACCESS)
        return channel

    def _writable(self, call: Call) -> Channel:
        channel = self._seen(call)
        if channel.blocked:
            raise Refusal(403, 50007, "Cannot send messages to this user")
        if channel.guild is not None:
            may = channel.guild.may(self.world.application_id, channel)
            if not (may.send_messages_in_threads if channel.is_thread else may.send_messages):
                raise Refusal(*MISSING_PERMISSIONS)
        if channel.locked:
            raise Refusal(400, 50083, "Thread is archived")
        return channel

    def _historic(self, channel: Channel) -> bool:
        return channel.guild is None or channel.guild.may(self.world.application_id, channel).read_message_history

    def _type(self, call: Call) -> None:
        self._writable(call).typed()

    def _read(self, call: Call) -> list[Payload]:
        channel = self._seen(call)
        limit = int(call.query.get("limit", 50))
        if not 1 <= limit <= 100:
            raise invalid("limit must be between 1 and 100")
        if not self._historic(channel):
            return []
        there = [each for each in channel.known.values() if not (each.deleted or each.ephemeral)]
        newest = _page(sorted(there, key=lambda each: each.id, reverse=True), limit, call.query)
        return [each.payload(readable=self.world.content_intent) for each in newest]

    def _read_one(self, call: Call) -> Payload:
        channel = self._seen(call)
        if not self._historic(channel):
            raise Refusal(*MISSING_ACCESS)
        return self._message(call, channel).payload(readable=self.world.content_intent)

    def _message(self, call: Call, channel: Channel) -> Message:
        message = channel.known.get(int(call.groups["message"]))
        if message is None or message.deleted or message.ephemeral:
            raise unknown("Message")
        return message

    # Messages

    def _send(self, call: Call) -> Payload:
        body, flags = call.body, call.body.get("flags") or 0
        content, components = body.get("content") or "", body.get("components") or []
        unfit = unfit_new(body, content, components, flags)
        found = checks.mentions(body) + checks.previews(body, flags) + checks.nonces(body) + unfit
        complain(self.world, call, found)
        channel = self._writable(call)
        if repeated := self._repeated(call, channel):
            return repeated.payload()
        if unfit:
            raise invalid(*unfit) if content or components else Refusal(400, 50006, "Cannot send an empty message")
        reference = self._reference(body, channel)
        nonce = body.get("nonce")
        message = channel.create(content, components, flags & (SUPPRESS_EMBEDS | SILENT | V2), reference=reference,
                                 kind=19 if reference else 0, nonce=None if nonce is None else str(nonce))  # fmt: skip
        if nonce is not None:
            self.world.nonces[channel.id, str(nonce)] = (self.world.now(), message)
        call.message = message.id
        return message.payload()

    def _repeated(self, call: Call, channel: Channel) -> Message | None:
        """The message that the same nonce brought a short while ago."""
        nonce = (channel.id, str(call.body.get("nonce")))
        if not call.body.get("enforce_nonce") or nonce not in self.world.nonces:
            return None
        at, message = self.world.nonces[nonce]
        if self.world.now() - at > self.world.nonce_seconds:
            return None
        if message.deleted:
            raise unknown("Message")
        call.message, call.refused = message.id, "repeated nonce"
        return message

    def _reference(self, body: Payload, channel: Channel) -> Payload | None:
        reference = body.get("message_reference")
        if not reference:
            return None
        if not self._historic(channel):
            raise Refusal(403, 160002, "Cannot reply without permission to read message history")
        answered = channel.known.get(int(reference["message_id"]))
        if answered is not None and not answered.deleted and not answered.ephemeral:
            return channel.refer(answered.id)
        if reference.get("fail_if_not_exists", True):
            raise invalid("Unknown message")
        return None

    def _edit(self, call: Call) -> Payload:
        channel = self._seen(call)
        message = self._message(call, channel)
        if not message.own:
            raise Refusal(403, 50005, "Cannot edit a message authored by another user")
        found = checks.previews(call.body, message.flags) if call.body.get("content") else []
        edit(self.world, call, message, call.body, found)
        return message.payload()

    def _delete(self, call: Call) -> None:
        channel = self._seen(call)
        message = self._message(call, channel)
        guild = channel.guild
        if not message.own and not (guild and guild.may(self.world.application_id, channel).manage_messages):
            raise Refusal(*MISSING_PERMISSIONS) if guild else Refusal(403, 50003, "Cannot execute action on a DM")
        message.remove()

    # Servers

    def _guild(self, call: Call) -> Guild:
        guild = self.world.guilds.get(int(call.groups["guild"]))
        if guild is None:
            raise unknown("Guild")
        if not guild.bot_in:
            raise Refusal(*MISSING_ACCESS)
        return guild

    def _member(self, call: Call) -> Payload:
        if (member := self._guild(call).member(int(call.groups["member"]))) is None:
            raise unknown("Member")
        return member


def complain(world: World, call: Call, found: list[str]) -> None:
    """Note what no careful bot does."""
    world.violations += [f"{call.method} {call.path}: {each}" for each in found]


def unfit_new(body: Payload, content: str, components: list[Payload], flags: int) -> list[str]:
    """Why Discord takes no new message like this."""
    something = content.strip() or components or body.get("embeds") or body.get("attachments")
    return checks.malformed(content, components, flags) + ([] if something else ["an empty message"])


def edit(world: World, call: Call, message: Message, body: Payload, found: list[str]) -> None:
    """Change one of the bot's messages. What was found so far is added to what is wrong with the body."""
    call.message = message.id
    content = (body["content"] or "") if "content" in body else message.content
    components = (body["components"] or []) if "components" in body else message.components
    kept = message.flags & ~(SUPPRESS_EMBEDS | LOADING)
    asked = message.flags & SUPPRESS_EMBEDS if body.get("flags") is None else body["flags"] & (SUPPRESS_EMBEDS | V2)
    flags = kept | asked
    unfit = unfit_new(body, content, components, flags)
    if body.get("content") or body.get("components"):
        found = found + checks.mentions(body)
    complain(world, call, found + unfit)
    if unfit:
        raise invalid(*unfit)
    if not message.change(content, components, flags):
        world.wasted.append(f"{call.method} {call.path}: {message.shown[:80]!r} {message.buttons}")


def new_flags(body: Payload) -> int:
    """The flags that an answer to an interaction may set."""
    return int(body.get("flags") or 0) & (SUPPRESS_EMBEDS | EPHEMERAL | SILENT | V2)


def _page(newest: list[Message], limit: int, query: dict[str, str]) -> list[Message]:
    """What `before`, `after` and `around` leave, newest first."""
    if "after" in query:
        return [each for each in newest if each.id > int(query["after"])][-limit:]
    if "around" in query:
        older = [each for each in newest if each.id <= int(query["around"])][: limit // 2 + 1]
        newer = [each for each in newest if each.id > int(query["around"])]
        return (newer[-(limit // 2) :] if limit > 1 else []) + older
    return [each for each in newest if each.id < int(query.get("before", 2**63))][:limit]
