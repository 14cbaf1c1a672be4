"""The calls that show something: the library's own requests and parameters, failures classed, no mention ever."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol, TypeVar

from discord import AllowedMentions, ClientUser, MessageFlags
from discord.http import HTTPClient, Route, handle_message_parameters
from discord.ui import LayoutView, View
from discord.utils import MISSING

from bots.discord_bot.errors import FAILURES, classed

T = TypeVar("T")

NOBODY = AllowedMentions.none()
PATIENCE = 20.0
"""Seconds for a call, with all the library's own tries: so long the program may take to end."""

PAGE = 100
"""Messages that are read back at once: as many as Discord tells."""

Payload = dict[str, Any]


class Connection(Protocol):
    """What the calls go through; a discord.Client has it."""

    @property
    def http(self) -> HTTPClient: ...
    @property
    def application_id(self) -> int | None: ...
    @property
    def user(self) -> ClientUser | None: ...


def payload(content: str | None, view: View | LayoutView | None, **more: Any) -> Payload:
    """A message's. Without mentions, whoever is named in it, and without link previews, which a stranger's server would
    have to be asked for."""
    layout = isinstance(view, LayoutView)
    with handle_message_parameters(
        None if layout else content,
        view=view,
        allowed_mentions=NOBODY,
        flags=MISSING if layout else MessageFlags(suppress_embeds=True),
        mention_author=False,
        **more,
    ) as parameters:
        made = parameters.payload or {}
    if layout:
        made.pop("content")
    return made


class Rest:
    """Messages by their ids. Calls raise DeliveryError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def account(self) -> int:
        """The bot's own."""
        return self._connection.user.id if self._connection.user else 0

    async def create(self, channel: int, message: Payload) -> str:
        """A new message of the bot's own; its id."""
        return await self._sent(Route("POST", "/channels/{channel_id}/messages", channel_id=channel), message)

    async def edit(self, channel: int, message_id: int, message: Payload) -> None:
        """Change one."""
        await self._call(self._message("PATCH", channel, message_id), json=message)

    async def delete(self, channel: int, message_id: int) -> None:
        """Delete one."""
        await self._call(self._message("DELETE", channel, message_id))

    async def history(self, channel: int, after: int) -> list[Payload]:
        """What was said after a message or another moment: the next that there are, a page of them."""
        route = Route("GET", "/channels/{channel_id}/messages", channel_id=channel)
        told = await self._call(route, params={"after": str(after), "limit": PAGE})
        return [each for each in told if isinstance(each, dict) and str(each.get("id")).isdigit()]

    async def typing(self, channel: int) -> None:
        """Shown for ten seconds."""
        await self._call(Route("POST", "/channels/{channel_id}/typing", channel_id=channel))

    async def direct(self, user: int) -> int:
        """The channel of a person's private messages."""
        opened = await self._call(Route("POST", "/users/@me/channels"), json={"recipient_id": str(user)})
        return int(opened["id"])

    # With an interaction's token

    async def respond(self, token: str, message: Payload) -> str:
        """Fill in the response that was promised; its id. Idempotent."""
        return await self._sent(self._response("PATCH", token, "/messages/@original"), _unflagged(message))

    async def follow_up(self, token: str, message: Payload, *, hidden: bool) -> str:
        """A further response; its id."""
        flags = int(message.get("flags", 0)) | (MessageFlags(ephemeral=True).value if hidden else 0)
        return await self._sent(self._response("POST", token, "?wait=true"), {**message, "flags": flags})

    async def edit_response(self, token: str, message_id: int, message: Payload) -> None:
        """Change one of the responses."""
        await self._call(self._response("PATCH", token, f"/messages/{message_id}"), json=_unflagged(message))

    async def delete_response(self, token: str, message_id: str = "@original") -> None:
        """Delete one of them."""
        await self._call(self._response("DELETE", token, f"/messages/{message_id}"))

    def _message(self, method: str, channel: int, message_id: int) -> Route:
        path = "/channels/{channel_id}/messages/{message_id}"
        return Route(method, path, channel_id=channel, message_id=message_id)

    def _response(self, method: str, token: str, rest: str) -> Route:
        path = "/webhooks/{webhook_id}/{webhook_token}" + rest
        return Route(method, path, webhook_id=self._connection.application_id, webhook_token=token)

    async def _sent(self, route: Route, message: Payload) -> str:
        return str((await self._call(route, json=message))["id"])

    async def _call(self, route: Route, **data: Any) -> Any:
        return await call_shielded(self._connection.http.request(route, **data))


async def call_shielded(call: Awaitable[T], seconds: float = PATIENCE) -> T:
    """The call's result. Raises DeliveryError, also where it takes longer.

    The library's call is never cut in half: while it sleeps through a penalty for everybody it holds a lock, which it
    would keep for ever.
    """
    task = asyncio.ensure_future(call)
    _abandoned.add(task)
    task.add_done_callback(_ended)
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.shield(task)
    except FAILURES as error:
        raise classed(error) from error


_abandoned: set[asyncio.Future[Any]] = set()
"""Calls that are under way, also those that nobody waits for any more."""


def _ended(task: "asyncio.Future[Any]") -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # has been told to who waited


def _unflagged(message: Payload) -> Payload:
    """An edit of a response can't suppress embeds in the library: its links are written so that they show none."""
    flags = int(message.get("flags", 0)) & MessageFlags.components_v2.flag
    return {**{key: value for key, value in message.items() if key != "flags"}, **({"flags": flags} if flags else {})}
