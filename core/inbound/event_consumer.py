"""What happens with the events of every adapter: they are stored in the order of their chat, and acknowledged.

Trouble with the database is waited for. An event that can never be stored is logged and passed over, so that it holds
up nothing that follows.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from core.commands.button_payloads import InertPayload
from core.commands.press import Press, PressResult
from core.domain.conversation import Author, ChatId, Incoming, Reply
from core.domain.store import Unavailable
from core.i18n import t
from core.i18n.person_language import PersonLanguages
from core.inbound.events import (
    Acceptance,
    Adapter,
    BotRemoved,
    ButtonPressed,
    CaughtUp,
    ChatMoved,
    Event,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    PressReceipt,
    Receipt,
)
from core.inbound.ingest import Ingest
from core.runtime.database_trouble import DATABASE_TROUBLE
from core.runtime.retry import DATABASE_BACKOFF, Backoff
from core.runtime.safe_traceback import safe_traceback
from core.runtime.supervision import logged

log = logging.getLogger(__name__)

_NOT_THE_DATABASE = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""Errors that are about what was to be stored rather than about the database; Unstorable is a ValueError."""
MAX_ODD_FAILURES = 4
"""Failures of these kinds after which an event is passed over. A database in trouble may cause one now and then."""


class ChatLifecycle(Protocol):
    """What the consumer does with whole chats."""

    async def leave(self, platform: str, chat: str) -> None:
        """The chat is closed to the bot. Raises what the store raises."""

    async def move(self, platform: str, old: str, new: str) -> None:
        """The chat goes on under another id. Raises what the store raises."""

    def settle(self, platform: str) -> None:
        """All that waited on the platform while the bot was away is stored."""


class PressHandler(Protocol):
    """What presses do."""

    async def press(self, press: Press, language: str) -> PressResult:
        """Carry out a press of somebody who is admitted. Raises nothing that a person could cause."""


class EventConsumer:
    """Consumes the events of adapters, each adapter's in one call of `run`."""

    def __init__(
        self,
        ingest: Ingest,
        buttons: PressHandler,
        chats: ChatLifecycle,
        languages: PersonLanguages,
        backoff: Backoff = DATABASE_BACKOFF,
    ) -> None:
        self._ingest, self._buttons, self._chats = ingest, buttons, chats
        self._languages, self._backoff = languages, backoff
        self._queues: dict[tuple[str, str], deque[Event]] = {}
        """What waits to be stored, by platform and chat. A chat's queue is there while somebody works on it."""

    async def run(self, adapter: Adapter) -> None:
        """Until the adapter's events end, which they only do by an error."""
        async with asyncio.TaskGroup() as tasks:
            async for event in adapter.events():
                match event:
                    case MessageReceived() if event.deadline_s is not None:
                        tasks.create_task(logged("a message with a deadline", partial(self._store_in_time, event)))
                    case ButtonPressed():
                        tasks.create_task(logged("a press", partial(self._carry_out_press, event)))
                    case CaughtUp(platform):
                        self._chats.settle(platform)
                        event.acknowledge(Receipt(Acceptance.STORED))
                    case _:
                        keys = _chats_of(event)
                        if not keys:  # nothing depends on it today
                            event.acknowledge(Receipt(Acceptance.IGNORED))
                        for key in keys:
                            if key not in self._queues:
                                self._queues[key] = deque()
                                tasks.create_task(self._work_off(key))
                            self._queues[key].append(event)

    async def _work_off(self, key: tuple[str, str]) -> None:
        """A chat's events in order. Messages that wait together are stored together."""
        queue = self._queues[key]
        try:
            while queue:
                messages: list[MessageReceived] = []
                while queue and isinstance(first := queue[0], MessageReceived):
                    messages.append(first)
                    queue.popleft()
                if messages:
                    await self._store(messages)
                elif key == _chats_of(event := queue.popleft())[0]:
                    await self._carry_out(event)
                else:
                    await event.acknowledged()  # the other chat's queue carries it out
        finally:
            del self._queues[key]

    # Messages

    async def _store(self, events: Sequence[MessageReceived]) -> None:
        for event in events:
            if not event.answerable:
                event.acknowledge(await self._cannot_answer(event.message))
        events = [event for event in events if event.answerable]
        results = await asyncio.gather(
            *(self._ingest.accept(event.message) for event in events), return_exceptions=True
        )
        for event, result in zip(events, results, strict=True):
            if isinstance(result, asyncio.CancelledError):
                raise result
            if isinstance(result, BaseException):
                log.error("%s can't be stored, trying again: %s", event.message.external_id, type(result).__name__)
                await self._store_alone(event)
            else:
                event.acknowledge(self._stored(event.message, result))

    async def _store_alone(self, event: MessageReceived) -> None:
        """After a failure: until the database takes it, before anything later of its chat."""
        stored: list[Reply | None] = []

        async def accept() -> None:
            stored[:] = [await self._ingest.accept(event.message)]

        if await self._retry(event.message.external_id, accept):
            event.acknowledge(self._stored(event.message, stored[0]))
        else:
            event.acknowledge(Receipt(Acceptance.REJECTED))

    async def _store_in_time(self, event: MessageReceived) -> None:
        """What can't be stored within the deadline is not stored at all: the person is told, and can do it again."""
        message = event.message
        if not event.answerable:
            event.acknowledge(await self._cannot_answer(message))
            return
        storing = asyncio.ensure_future(self._ingest.accept(message))
        try:
            await asyncio.wait({storing}, timeout=event.deadline_s)
        finally:
            storing.cancel()
        await asyncio.wait({storing})  # a commit that has begun can't be withdrawn: then its result counts
        if storing.cancelled() or (error := storing.exception()):
            why = "TimeoutError" if storing.cancelled() else type(error).__name__
            log.error("%s can't be stored in time: %s", message.external_id, why)
            receipt = Receipt(Acceptance.UNAVAILABLE)
        else:
            receipt = self._stored(message, storing.result())
        event.acknowledge(await self._in_language(receipt, message.chat, message.author))

    def _stored(self, message: Incoming, reply: Reply | None) -> Receipt:
        if reply is not None:
            return Receipt(Acceptance.STORED, reply=reply)
        admitted = self._ingest.access.admits(message.chat, message.author)
        return Receipt(Acceptance.IGNORED if admitted else Acceptance.NOT_ADMITTED)

    async def _cannot_answer(self, message: Incoming) -> Receipt:
        admitted = self._ingest.access.admits(message.chat, message.author)
        receipt = Receipt(Acceptance.UNANSWERABLE if admitted else Acceptance.NOT_ADMITTED)
        return await self._in_language(receipt, message.chat, message.author)

    async def _in_language(self, receipt: Receipt, chat: ChatId, author: Author) -> Receipt:
        """The receipt with the person's language, where they are to be told something."""
        if receipt.acceptance in (Acceptance.STORED, Acceptance.IGNORED):
            return receipt
        return Receipt(receipt.acceptance, await self._languages.of(chat.platform, author))

    # Everything else

    async def _carry_out(self, event: Event) -> None:
        match event:
            case MessageEdited(message):
                done = await self._retry(f"the edit of {message.external_id}", lambda: self._ingest.edit(message))
            case MessageDeleted(chat, bot, external_id):
                delete = partial(self._ingest.delete, chat.platform, bot, external_id)
                done = await self._retry(f"the deletion of {external_id}", delete)
            case ChatMoved(platform, old, new):
                done = await self._retry(f"the move of a {platform} chat", lambda: self._chats.move(platform, old, new))
            case BotRemoved(platform, chat):
                done = await self._retry(f"leaving a {platform} chat", lambda: self._chats.leave(platform, chat))
            case _:
                raise AssertionError(f"{type(event).__name__} has no chat")
        event.acknowledge(Receipt(Acceptance.STORED if done else Acceptance.REJECTED))

    async def _carry_out_press(self, event: ButtonPressed) -> None:
        press = event.press
        if isinstance(press.payload, InertPayload):
            event.acknowledge(PressReceipt(Acceptance.IGNORED))
            return
        language = await self._languages.of(press.chat.platform, press.author)
        if not self._ingest.access.admits(press.chat, press.author):
            user = f"{press.chat.platform}:{press.author.id}"
            refusal = PressResult(t(language, "refused.access", user=user), alert=True)
            event.acknowledge(PressReceipt(Acceptance.NOT_ADMITTED, language, refusal))
            return
        try:
            async with asyncio.timeout(event.deadline_s):
                result = await self._buttons.press(press, language)
            event.acknowledge(PressReceipt(Acceptance.STORED, language, result))
        except Exception as error:
            log.error("a press can't be carried out: %s", type(error).__name__)
            busy = PressResult(t(language, "error.busy"), alert=True)
            event.acknowledge(PressReceipt(Acceptance.UNAVAILABLE, language, busy))

    async def _retry(self, what: str, step: Callable[[], Awaitable[object]]) -> bool:
        """Whether the step succeeded in the end. False: it never will."""
        odd_failures = 0
        for pause in self._backoff.pauses():
            try:
                await step()
                return True
            except Exception as error:
                odd_failures += isinstance(error, _NOT_THE_DATABASE)
                if odd_failures == MAX_ODD_FAILURES:
                    log.error("%s can't be stored, set aside:\n%s", what, safe_traceback(error))
                    return False
                if isinstance(error, Unavailable):
                    DATABASE_TROUBLE.report(what, error)
                else:
                    log.error("%s can't be stored, trying again: %s", what, type(error).__name__)
            await asyncio.sleep(pause)
        raise AssertionError("a back-off never ends")


def _chats_of(event: Event) -> tuple[tuple[str, str], ...]:
    """The platform and chat whose order an event keeps to; none for an event that changes nothing stored.

    A move keeps to the order of both of its chats: what is written in the new one belongs behind what was written in
    the old one. It is carried out in the first one's turn.
    """
    match event:
        case MessageReceived(message) | MessageEdited(message):
            return ((message.chat.platform, message.chat.chat),)
        case MessageDeleted(chat):
            return ((chat.platform, chat.chat),)
        case ChatMoved(platform, old, new):
            return ((platform, old), (platform, new)) if old != new else ((platform, old),)
        case BotRemoved(platform, chat):
            return ((platform, chat),)
    return ()
