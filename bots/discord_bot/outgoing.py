"""One reply on Discord: as a message of the bot's own, or as the response to an interaction."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from discord import MessageReference

from bots.discord_bot.api import PAGE, Payload, Rest, payload
from bots.discord_bot.buttons import view
from bots.discord_bot.errors import Expired
from bots.discord_bot.formatting import messages
from bots.discord_bot.interaction_token import PERSONAL, Origin, Route, choose_route, read
from bots.discord_bot.sent_message_lookup import SentMessage, recognised
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
    Unacceptable,
    Unreachable,
)
from core.domain.reply_states import Lane

log = logging.getLogger(__name__)

T = TypeVar("T")

PACE = Pace(preview_interval_s=1.5, gap_s=1.0)
"""A channel bears about five messages and edits in five seconds."""
PAGES = 5
"""Of what was said since a question, when a message is looked for that may have been sent."""
_FIRST_ANSWER = 3.0
"""Seconds in which Discord takes the first answer to an interaction."""
_OWN_MESSAGE = "m:"
"""Begins the external id of what came as a message, and can be quoted."""


class DiscordReplyChannel:
    """See core.domain.platform.ReplyChannel. `promised`: this process's interactions."""

    def __init__(
        self, rest: Rest, reply: Reply, pace: Pace, promised: Mapping[int, asyncio.Event], now: Callable[[], int]
    ) -> None:
        self._rest, self._reply, self._promised, self._now = rest, reply, promised, now
        self._origin = read(reply.reply_token)
        self._personal = reply.chat.thread.startswith(PERSONAL)
        self._channel = channel_of(reply)
        self._expired = self._original_gone = False
        self._owes_response = self._origin is not None and not self._origin.pressed
        self._mine: set[str] = set()
        """The messages that were sent from here, and so with the token that is at hand."""
        own_way = self._hidden or (self._origin is not None and self._origin.outside)
        self.key = f"discord:i:{reply.id}" if own_way else f"discord:{self._channel}"
        self.pace = pace
        self.needs_placeholder = own_way
        """Responses have no nonce: what is repeated there shows twice."""

    def format(self, markdown: str) -> Sequence[OutgoingMessage]:
        """Rendered and split."""
        bare = self._origin is not None
        return [OutgoingMessage(rendered.text, rendered.content) for rendered in messages(markdown, bare=bare)]

    async def send(self, index: int, part: OutgoingMessage, nonce: str) -> str:
        """A new message, the way that leads to people now."""
        good = self._good
        try:
            message_id = await self._sent(index, part, nonce)
        except MessageGone:
            if not good or self._good:
                raise
            message_id = await self._sent(index, part, nonce)  # the token is taken no more: another way
        self._mine.add(message_id)
        return message_id

    async def find(self, index: int, part: OutgoingMessage, nonce: str) -> str | None:
        """Looked for in what was said since the question. What answers an interaction is not: filled in once more it is
        the same, or nobody but the asker sees it."""
        origin, start = self._origin, self._reply.external_id.rpartition(":")[2]
        found = choose_route(origin, index + self._original_gone, good=self._good, hidden=self._hidden)
        if found in (Route.ORIGINAL, Route.FOLLOWUP) or not start.isdecimal():
            return None
        sought = SentMessage(
            self._rest.account,
            self._reply.id,
            nonce,
            str(part.body),
            self._reply.seq if self._quote(index) else None,
            origin.interaction if origin and not (index or origin.pressed) else None,
            {chunk.message_id.rpartition("/")[2] for chunk in self._reply.chunks if chunk.message_id} | self._mine,
        )
        try:
            if found is Route.CHANNEL:
                return await self._read_for(sought, self._channel, int(start))
            place = await self._rest.direct(int(self._reply.author.id))
            message_id = await self._read_for(sought, place, int(start))
        except (NotSent, Ambiguous):
            raise
        except DeliveryError:
            return None  # it can't be read there
        return f"{place}/{message_id}" if message_id else None

    async def edit(self, message_id: str, part: OutgoingMessage) -> None:
        """Whichever way it came."""
        place, number = self._place(message_id)
        message = self._payload(part if place == self._channel else replace(part, controls=NO_CONTROLS))
        token = self._token(place)
        try:
            if token is not None:
                await self._reach(self._rest.edit_response(token, number, message))
            else:
                await self._edit_own(place, number, message)
        except MessageGone as gone:
            if token is None or message_id in self._mine:
                raise
            raise OutOfReach from gone  # another interaction's
        await self._settle()

    async def delete(self, message_id: str) -> None:
        """One of our own."""
        place, number = self._place(message_id)
        with suppress(MessageGone):
            token = self._token(place)
            if token is None:
                await self._reach(self._rest.delete(place, number))
            else:
                await self._reach(self._rest.delete_response(token, str(number)))

    async def remove_buttons(self, message_id: str) -> None:
        """Take away its buttons. Nothing is said of its text. What one person alone sees is out of reach by then."""
        if self._personal:
            return
        bare: Payload = {"components": [], "allowed_mentions": {"parse": []}, "flags": 1 << 2}
        place, number = self._place(message_id)
        await self._reach(self._rest.edit(place, number, bare))

    async def typing(self) -> None:
        """Not where Discord shows that a response is being thought about."""
        if self._origin is None or (self._origin.pressed and not self._origin.outside and not self._hidden):
            await self._reach(self._rest.typing(self._channel))

    # Ways

    @property
    def _hidden(self) -> bool:
        """Whether only the asker may see it. What is said to a command is as its response was promised; an answer only
        where the conversation is his alone. Where nothing is known of it any more, that is enough."""
        if self._origin is None:
            return self._personal
        return self._origin.hidden and (self._personal or self._reply.lane is Lane.NOTICE)

    @property
    def _good(self) -> bool:
        return self._origin is not None and not self._expired and self._origin.good(self._now())

    def _token(self, place: int) -> str | None:
        """The key to what only the interaction's token reaches. Raises OutOfReach once it is taken no more."""
        if place != self._channel or not (self._hidden or self._personal):
            return None
        if self._origin is None or not self._good:
            raise OutOfReach
        return self._origin.token

    async def _sent(self, index: int, part: OutgoingMessage, nonce: str) -> str:
        origin = self._origin
        match choose_route(origin, index + self._original_gone, good=self._good, hidden=self._hidden):
            case Route.ORIGINAL if origin:
                return await self._responded(origin, part)
            case Route.FOLLOWUP if origin:
                await self._settle()  # before: a further response would fill in the first, which is for other eyes
                message = self._payload(part)
                return await self._reach(self._rest.follow_up(origin.token, message, hidden=self._hidden))
            case Route.DIRECT:
                return await self._direct(part, nonce)
        message_id = await self._own(index, part, nonce)
        await self._settle()
        return message_id

    async def _read_for(self, sought: SentMessage, channel: int, start: int) -> str | None:
        for _ in range(PAGES):
            page = await self._rest.history(channel, start)
            message_id = recognised(sought, page)
            if message_id is not None or len(page) < PAGE:
                return message_id
            start = max(int(each["id"]) for each in page)
        return None

    async def _responded(self, origin: Origin, part: OutgoingMessage) -> str:
        await self._until_promised(origin.interaction)
        self._owes_response = False
        try:
            return await self._reach(self._rest.respond(origin.token, self._payload(part)))
        except MessageGone:
            self._original_gone = True  # somebody dismissed it
            raise

    async def _edit_own(self, place: int, number: int, message: Payload) -> None:
        """By the channel; where the bot does not even see that, by the token that it may have been sent with."""
        try:
            await self._reach(self._rest.edit(place, number, message))
        except Unacceptable:
            if self._origin is None or not self._origin.outside or not self._good:
                raise
            await self._reach(self._rest.edit_response(self._origin.token, number, message))

    async def _own(self, index: int, part: OutgoingMessage, nonce: str) -> str:
        """A message of the bot's own. In servers the first one quotes the question, where it may read it."""
        try:
            return await self._reach(self._rest.create(self._channel, self._payload(part, nonce, self._quote(index))))
        except Unacceptable:
            if not self._quote(index):
                raise
            return await self._reach(self._rest.create(self._channel, self._payload(part, nonce)))

    async def _direct(self, part: OutgoingMessage, nonce: str) -> str:
        """For what nobody else may see, once Discord takes no response any more. Buttons would find no answer there."""
        place = await self._reach(self._rest.direct(int(self._reply.author.id)))
        message = self._payload(replace(part, controls=NO_CONTROLS), nonce)
        return f"{place}/{await self._reach(self._rest.create(place, message))}"

    async def _until_promised(self, interaction: int) -> None:
        """A response can be filled in only once it is promised; after a restart nobody knows, and it is tried."""
        promised = self._promised.get(interaction)
        if promised is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_ANSWER):
                    await promised.wait()

    async def _settle(self) -> None:
        """A response that was promised, where the answer came as another message: "thinking" must not stay."""
        if not self._owes_response or self._origin is None or not self._good:
            return
        if choose_route(self._origin, 0, good=True, hidden=self._hidden) is Route.ORIGINAL:
            return  # it is the answer
        await self._until_promised(self._origin.interaction)
        try:
            await self._rest.delete_response(self._origin.token)
        except (Expired, MessageGone):
            pass
        except DeliveryError as error:
            log.debug("reply %s: its first response stays so far: %s", self._reply.id, type(error).__name__)
            return
        self._owes_response = False

    # Small things

    def _payload(
        self, part: OutgoingMessage, nonce: str | None = None, quote: MessageReference | None = None
    ) -> Payload:
        more: dict[str, Any] = {} if quote is None else {"message_reference": quote.to_message_reference_dict()}
        made = view(part.controls, str(part.body), self._reply.chat, self._reply.id)
        return payload(str(part.body), made, nonce=nonce, **more)

    def _quote(self, index: int) -> MessageReference | None:
        if self._reply.private or index or self._origin or not self._reply.external_id.startswith(_OWN_MESSAGE):
            return None
        return MessageReference(message_id=self._reply.seq, channel_id=self._channel, fail_if_not_exists=False)

    def _place(self, message_id: str) -> tuple[int, int]:
        """The channel and the number of a message."""
        place, _, number = message_id.rpartition("/")
        return int(place or self._channel), int(number)

    async def _reach(self, call: Awaitable[T]) -> T:
        """One thread, or one place where the bot is no member, that is closed is no reason to leave its channel."""
        try:
            return await call
        except Expired as error:
            self._expired = True
            raise OutOfReach from error
        except Unreachable as error:
            if self._reply.chat.thread or self._origin is not None:
                raise Unacceptable from error
            raise


def channel_of(reply: Reply) -> int:
    """The channel that a reply's conversation is in: a thread is one too."""
    chat = reply.chat
    return int(chat.chat if not chat.thread or chat.thread.startswith(PERSONAL) else chat.thread)
