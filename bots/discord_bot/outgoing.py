"""One reply on Discord: as messages of the bot's own, or as responses to an interaction."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from discord import MessageFlags, MessageReference

from bots.discord_bot.api import MAX_MESSAGES_PER_PAGE, NO_MENTIONS, Payload, Rest, payload
from bots.discord_bot.buttons import view
from bots.discord_bot.errors import TokenExpired
from bots.discord_bot.formatting import messages
from bots.discord_bot.incoming import MESSAGE_PREFIX
from bots.discord_bot.interaction_token import (
    PERSONAL_PREFIX,
    DeferredResponses,
    InteractionToken,
    Route,
    choose_route,
    decode_token,
)
from bots.discord_bot.sent_message_lookup import SentMessage, find_sent_message
from core.domain.conversation import Reply
from core.domain.platform import (
    NO_CONTROLS,
    Ambiguous,
    DeliveryError,
    MessageGone,
    NotSent,
    OutgoingMessage,
    OutOfReach,
    Pace,
    ThreadClosed,
    Unacceptable,
    Unreachable,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_HISTORY_PAGES = 5
"""Pages of a channel's history after the question in which a message is looked for."""

_WITHOUT_BUTTONS: Payload = {
    "components": [],
    "allowed_mentions": NO_MENTIONS.to_dict(),
    "flags": MessageFlags(suppress_embeds=True).value,
}


class DiscordReplyChannel:
    """See core.domain.platform: ReplyChannel, SentMessageLookup and LeavesThread.

    Message ids are Discord's; "<channel>/<id>" for one that went to the person's private messages instead, or to the
    channel around its thread. `deferred`: this process's interactions. `now` returns milliseconds UTC. `public_thread`:
    whether everybody who sees the channel around its thread sees the thread, too.
    """

    def __init__(
        self,
        rest: Rest,
        reply: Reply,
        pace: Pace,
        deferred: DeferredResponses,
        now: Callable[[], int],
        *,
        public_thread: bool = False,
    ) -> None:
        self._rest, self._reply, self._deferred, self._now = rest, reply, deferred, now
        self._public_thread = public_thread
        self._token = decode_token(reply.reply_token)
        self._personal = reply.chat.thread.startswith(PERSONAL_PREFIX)
        self._channel = channel_of(reply)
        self._has_left = False
        """The reply is sent to the channel around its thread."""
        self._expired = False
        """Discord has refused the token."""
        self._original_gone = False
        """Somebody has dismissed the deferred response."""
        self._owes_response = self._token is not None and not self._token.pressed
        """The deferred response shows "thinking" so far."""
        self._sent: set[str] = set()
        """Ids of messages that were sent from here, and so with the token that is at hand."""
        by_token = self._hidden or (self._token is not None and self._token.outside)
        self.key = f"discord:i:{reply.id}" if by_token else f"discord:{self._channel}"
        self.pace = pace
        self.needs_placeholder = by_token
        """Responses have no nonce: one that is sent again shows twice."""

    def format(self, markdown: str) -> Sequence[OutgoingMessage]:
        """The Markdown text as messages; of a response, with links that show no preview."""
        bare = self._token is not None
        return [OutgoingMessage(rendered.text, rendered.content) for rendered in messages(markdown, bare=bare)]

    async def send(self, index: int, part: OutgoingMessage, nonce: str) -> str:
        """Send a message by the route that reaches people now."""
        try:
            message_id = await self._send_by(self._route(index), index, part, nonce)
        except TokenExpired:
            self._expired = True
            message_id = await self._send_by(self._route(index), index, part, nonce)
        self._sent.add(message_id)
        return message_id

    async def find(self, index: int, part: OutgoingMessage, nonce: str) -> str | None:
        """Look for a message in what was written since the question. None for a response: filled in again it is the
        same, and a further one is visible to one person alone."""
        token, start = self._token, self._reply.external_id.rpartition(":")[2]
        route = self._route(index)
        if route in (Route.ORIGINAL, Route.FOLLOWUP) or not start.isdecimal():
            return None
        sent = SentMessage(
            self._rest.account,
            self._reply.id,
            nonce,
            str(part.body),
            self._reply.seq if self._quote(index) else None,
            token.interaction_id if token and not (index or token.pressed) else None,
            {chunk.message_id.rpartition("/")[2] for chunk in self._reply.chunks if chunk.message_id} | self._sent,
        )
        try:
            if route is Route.CHANNEL:
                found = await self._search(sent, self._channel, int(start))
                return found and self._named(found)
            place = await self._rest.direct(int(self._reply.author.id))
            message_id = await self._search(sent, place, int(start))
        except (NotSent, Ambiguous):
            raise
        except DeliveryError:
            return None  # the bot may not read there
        return f"{place}/{message_id}" if message_id else None

    async def edit(self, message_id: str, part: OutgoingMessage) -> None:
        """Change a message, by whichever route it was sent."""
        place, number = self._place(message_id)
        message = self._payload(part if place == self._channel else replace(part, controls=NO_CONTROLS))
        token = self._token_for(place)
        try:
            if token is not None:
                await self._by_token(self._rest.edit_response(token, number, message))
            else:
                await self._edit_own(place, number, message)
        except MessageGone as gone:
            if token is None or message_id in self._sent:
                raise
            raise OutOfReach from gone  # it may be another interaction's response
        await self._clear_thinking()

    async def delete(self, message_id: str) -> None:
        """Delete a message of this reply."""
        place, number = self._place(message_id)
        with suppress(MessageGone):
            token = self._token_for(place)
            if token is None:
                await self._in_place(self._rest.delete(place, number))
            else:
                await self._by_token(self._rest.delete_response(token, str(number)))

    async def remove_buttons(self, message_id: str) -> None:
        """Remove a message's buttons. What one person alone sees is out of reach by then, and keeps them."""
        if self._personal:
            return
        place, number = self._place(message_id)
        await self._in_place(self._rest.edit(place, number, _WITHOUT_BUTTONS))

    def leave_thread(self) -> bool:
        """Send to the channel around the thread from now on. What was said in a private thread stays there."""
        if self._has_left or not self._in_thread or not self._public_thread:
            return False
        self._has_left, self._channel = True, int(self._reply.chat.chat)
        self.key = f"discord:{self._channel}"
        return True

    async def typing(self) -> None:
        """Show typing, except where Discord shows that the bot is thinking about a response."""
        if self._token is None or (self._token.pressed and not self._token.outside and not self._hidden):
            await self._in_place(self._rest.typing(self._channel))

    # Routes

    @property
    def _hidden(self) -> bool:
        """Whether only the person who asked may see the reply: what is said to a command, if its deferred response is
        hidden; an answer only in a conversation of their own. Where the token is deleted, that decides alone."""
        if self._token is None:
            return self._personal
        return self._token.hidden and (self._personal or not self._reply.is_answer)

    @property
    def _valid(self) -> bool:
        return self._token is not None and not self._expired and self._token.is_valid(self._now())

    def _route(self, index: int) -> Route:
        """The route of the reply's message number `index`. A dismissed response can't be filled in any more."""
        position = 1 if self._original_gone else index
        return choose_route(self._token, position, valid=self._valid, hidden=self._hidden)

    def _token_for(self, place: int) -> str | None:
        """The token, for what only it reaches; None for what the bot reaches itself. Raises OutOfReach where Discord
        takes the token no more."""
        if place != self._channel or not (self._hidden or self._personal):
            return None
        if self._token is None or not self._valid:
            raise OutOfReach
        return self._token.token

    async def _send_by(self, route: Route, index: int, part: OutgoingMessage, nonce: str) -> str:
        """Raises TokenExpired on the routes that use the token."""
        match route:
            case Route.ORIGINAL if self._token:
                return await self._fill_in(self._token, part)
            case Route.FOLLOWUP if self._token:
                # First, or the further response would fill in the deferred one, which other people may see.
                await self._clear_thinking()
                message = self._payload(part)
                return await self._in_place(self._rest.follow_up(self._token.token, message, hidden=self._hidden))
            case Route.DIRECT:
                return await self._send_direct(part, nonce)
        message_id = await self._send_own(index, part, nonce)
        await self._clear_thinking()
        return message_id

    async def _search(self, sent: SentMessage, channel: int, start: int) -> str | None:
        for _ in range(MAX_HISTORY_PAGES):
            page = await self._rest.history(channel, start)
            message_id = find_sent_message(sent, page)
            if message_id is not None or len(page) < MAX_MESSAGES_PER_PAGE:
                return message_id
            start = max(int(message["id"]) for message in page)
        return None

    async def _fill_in(self, token: InteractionToken, part: OutgoingMessage) -> str:
        await self._deferred.wait(token.interaction_id)
        self._owes_response = False
        try:
            return await self._in_place(self._rest.respond(token.token, self._payload(part)))
        except TokenExpired:
            raise
        except MessageGone:
            self._original_gone = True
            raise

    async def _edit_own(self, place: int, number: int, message: Payload) -> None:
        """By the channel; where the bot does not even see that, by the token that it may have been sent with."""
        try:
            await self._in_place(self._rest.edit(place, number, message))
        except Unacceptable as error:
            if self._token is not None and self._token.outside and self._valid:
                await self._by_token(self._rest.edit_response(self._token.token, number, message))
            elif self._in_thread and place == channel_of(self._reply) and isinstance(error.__cause__, Unreachable):
                raise ThreadClosed from error
            else:
                raise

    async def _send_own(self, index: int, part: OutgoingMessage, nonce: str) -> str:
        """As a message of the bot's own. In servers the first one quotes the question, where the bot may read it.

        A message opens an archived thread again. Raises ThreadClosed for one that is locked or deleted, and where the
        channel around it takes nothing either.
        """
        quote = self._quote(index)
        message = self._payload(part, nonce, quote)
        try:
            return self._named(await self._in_place(self._rest.create(self._channel, message)))
        except (Unacceptable, MessageGone) as error:
            is_closed = isinstance(error, MessageGone) or isinstance(error.__cause__, Unreachable)
            if self._has_left or (self._in_thread and is_closed):
                raise ThreadClosed from error
            if quote is None or isinstance(error, MessageGone):
                raise
            return await self._in_place(self._rest.create(self._channel, self._payload(part, nonce)))

    async def _send_direct(self, part: OutgoingMessage, nonce: str) -> str:
        """As a private message, without buttons: presses there would be of another conversation."""
        place = await self._in_place(self._rest.direct(int(self._reply.author.id)))
        message = self._payload(replace(part, controls=NO_CONTROLS), nonce)
        return f"{place}/{await self._in_place(self._rest.create(place, message))}"

    async def _clear_thinking(self) -> None:
        """Delete the deferred response where the reply came as another message: "thinking" must not stay."""
        if not self._owes_response or self._token is None or not self._valid:
            return
        if choose_route(self._token, 0, valid=True, hidden=self._hidden) is Route.ORIGINAL:
            return  # it is the reply
        await self._deferred.wait(self._token.interaction_id)
        try:
            await self._rest.delete_response(self._token.token)
        except MessageGone:  # or its token has expired
            pass
        except DeliveryError as error:
            log.debug("reply %s: its deferred response stays so far: %s", self._reply.id, type(error).__name__)
            return
        self._owes_response = False

    # Payloads and errors

    def _payload(
        self, part: OutgoingMessage, nonce: str | None = None, quote: MessageReference | None = None
    ) -> Payload:
        more: dict[str, Any] = {} if quote is None else {"message_reference": quote.to_message_reference_dict()}
        components = view(part.controls, str(part.body), self._reply.chat, self._reply.id)
        return payload(str(part.body), components, nonce=nonce, **more)

    def _quote(self, index: int) -> MessageReference | None:
        if self._has_left or self._reply.private or index or self._token:
            return None
        if not self._reply.external_id.startswith(MESSAGE_PREFIX):
            return None
        return MessageReference(message_id=self._reply.seq, channel_id=self._channel, fail_if_not_exists=False)

    def _named(self, message_id: str) -> str:
        """The id of a message in the reply's channel, with the channel where it is not the one that it belongs in."""
        return f"{self._channel}/{message_id}" if self._has_left else message_id

    @property
    def _in_thread(self) -> bool:
        """Whether the reply belongs in a thread of a server's channel."""
        return bool(self._reply.chat.thread) and not self._personal

    def _place(self, message_id: str) -> tuple[int, int]:
        """The channel and the number of a message."""
        place, _, number = message_id.rpartition("/")
        return int(place or self._channel), int(number)

    async def _by_token(self, call: Awaitable[T]) -> T:
        """A call that changes what only the token reaches. Raises TokenExpired, and remembers it."""
        try:
            return await self._in_place(call)
        except TokenExpired:
            self._expired = True
            raise

    async def _in_place(self, call: Awaitable[T]) -> T:
        """A closed thread, or a place where the bot is no member, is no reason to leave the channel: Unacceptable in
        place of Unreachable."""
        try:
            return await call
        except Unreachable as error:
            if self._reply.chat.thread or self._token is not None:
                raise Unacceptable from error
            raise


def channel_of(reply: Reply) -> int:
    """The channel in which a reply's conversation is; a thread is a channel too."""
    chat = reply.chat
    return int(chat.chat if not chat.thread or chat.thread.startswith(PERSONAL_PREFIX) else chat.thread)
