"""Calls of Discord's REST API: the library's own requests, errors as DeliveryError, mentions never allowed."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol, TypeVar

from discord import AllowedMentions, ClientUser, MessageFlags
from discord.http import HTTPClient, Route, handle_message_parameters
from discord.ui import LayoutView, View
from discord.utils import MISSING

from bots.discord_bot.errors import LIBRARY_ERRORS, to_delivery_error

T = TypeVar("T")

NO_MENTIONS = AllowedMentions.none()
CALL_TIMEOUT_S = 20.0
"""For a call with all the library's own retries. The program's end may take as long."""
MAX_MESSAGES_PER_PAGE = 100
"""Messages of a channel's history that Discord returns at once."""

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
    """The JSON of a message. It mentions nobody, whatever its text says, and has no link previews: Discord would ask a
    stranger's server for them."""
    layout = isinstance(view, LayoutView)
    with handle_message_parameters(
        None if layout else content,
        view=view,
        allowed_mentions=NO_MENTIONS,
        flags=MISSING if layout else MessageFlags(suppress_embeds=True),
        mention_author=False,
        **more,
    ) as parameters:
        message = parameters.payload or {}
    if layout:
        message.pop("content")
    return message


class Rest:
    """Sends, changes and reads messages by their ids. Every method raises DeliveryError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def account(self) -> int:
        """The id of the bot's own account; 0 before the login."""
        return self._connection.user.id if self._connection.user else 0

    async def create(self, channel: int, message: Payload) -> str:
        """Send a message of the bot's own; return its id."""
        return await self._send(Route("POST", "/channels/{channel_id}/messages", channel_id=channel), message)

    async def edit(self, channel: int, message_id: int, message: Payload) -> None:
        """Change a message of the bot's own."""
        await self._call(self._message("PATCH", channel, message_id), json=message)

    async def delete(self, channel: int, message_id: int) -> None:
        """Delete a message of the bot's own."""
        await self._call(self._message("DELETE", channel, message_id))

    async def history(self, channel: int, after: int) -> list[Payload]:
        """The first page of the channel's messages after a message id (or the snowflake of a time), in no order."""
        route = Route("GET", "/channels/{channel_id}/messages", channel_id=channel)
        page = await self._call(route, params={"after": str(after), "limit": MAX_MESSAGES_PER_PAGE})
        return [each for each in page if isinstance(each, dict) and str(each.get("id")).isdigit()]

    async def typing(self, channel: int) -> None:
        """Show for ten seconds that the bot is typing."""
        await self._call(Route("POST", "/channels/{channel_id}/typing", channel_id=channel))

    async def direct(self, user: int) -> int:
        """The channel of a person's private messages with the bot."""
        opened = await self._call(Route("POST", "/users/@me/channels"), json={"recipient_id": str(user)})
        return int(opened["id"])

    # With an interaction's token

    async def respond(self, token: str, message: Payload) -> str:
        """Fill in the deferred response of an interaction; return its id. Idempotent."""
        return await self._send(self._response("PATCH", token, "/messages/@original"), _without_flags(message))

    async def follow_up(self, token: str, message: Payload, *, hidden: bool) -> str:
        """Send a further response; return its id. `hidden`: only the person who used the interaction sees it."""
        flags = int(message.get("flags", 0)) | (MessageFlags(ephemeral=True).value if hidden else 0)
        return await self._send(self._response("POST", token, "?wait=true"), {**message, "flags": flags})

    async def edit_response(self, token: str, message_id: int, message: Payload) -> None:
        """Change one of the responses."""
        await self._call(self._response("PATCH", token, f"/messages/{message_id}"), json=_without_flags(message))

    async def delete_response(self, token: str, message_id: str = "@original") -> None:
        """Delete one of the responses."""
        await self._call(self._response("DELETE", token, f"/messages/{message_id}"))

    def _message(self, method: str, channel: int, message_id: int) -> Route:
        path = "/channels/{channel_id}/messages/{message_id}"
        return Route(method, path, channel_id=channel, message_id=message_id)

    def _response(self, method: str, token: str, rest: str) -> Route:
        path = "/webhooks/{webhook_id}/{webhook_token}" + rest
        return Route(method, path, webhook_id=self._connection.application_id, webhook_token=token)

    async def _send(self, route: Route, message: Payload) -> str:
        return str((await self._call(route, json=message))["id"])

    async def _call(self, route: Route, **data: Any) -> Any:
        return await call_shielded(self._connection.http.request(route, **data))


async def call_shielded(call: Awaitable[T], timeout_s: float = CALL_TIMEOUT_S) -> T:
    """The call's result. Raises DeliveryError, also where the call takes longer than `timeout_s`.

    The library's call itself is never cancelled: while it sleeps through a global penalty it holds a lock, which it
    would never release.
    """
    task = asyncio.ensure_future(call)
    _running.add(task)
    task.add_done_callback(_ended)
    try:
        async with asyncio.timeout(timeout_s):
            return await asyncio.shield(task)
    except LIBRARY_ERRORS as error:
        raise to_delivery_error(error) from error


_running: set[asyncio.Future[Any]] = set()
"""The library's calls, also those whose callers have given up."""


def _ended(task: "asyncio.Future[Any]") -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()  # the caller has got it; asyncio would log it for one that has given up


def _without_flags(message: Payload) -> Payload:
    """Discord refuses the flag against previews in an edit of a response: its links are written so that they show
    none."""
    flags = int(message.get("flags", 0)) & MessageFlags.components_v2.flag
    return {**{key: value for key, value in message.items() if key != "flags"}, **({"flags": flags} if flags else {})}
