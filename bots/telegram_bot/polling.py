"""The polling loop: fetch, take, and only then ask for what comes after. No offset is stored: Telegram keeps what was
not confirmed, and the inbox knows what it has."""

import asyncio
import json
import logging
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from telegram import Bot, Update
from telegram.error import Conflict, InvalidToken, RetryAfter, TelegramError
from telegram.request import BaseRequest

from bots.telegram_bot.joining import Gathered, gather
from bots.telegram_bot.updates import KINDS
from core.errors import SetupError

log = logging.getLogger(__name__)

HELD = 50
"""Seconds that Telegram holds a poll open, at most."""
HURRY = 0.6
"""Seconds between two polls that ask for the same: sooner Telegram answers with one update alone."""
PATIENCE = 1.0
"""Seconds in which the rest of a long paste or an album comes."""
OTHER_POLLER = 30.0

Take = Callable[[Sequence[Update]], Awaitable[None]]


class Poller:
    """Hands every message to `take`, in order; what `take` raises is tried again, and nothing is confirmed meanwhile.

    A message that was taken may be handed over once more, after a crash or a failure: `take` must not mind.
    """

    def __init__(self, bot: Bot, request: BaseRequest, take: Take) -> None:
        self._bot, self._request, self._take = bot, request, take
        self._offset: int | None = None
        self._taken: set[int] = set()
        """Updates behind the offset that were taken already, while a paste before them is waited for."""
        self._seen: dict[int, float] = {}
        """Since when it is known of a piece that it is the last so far."""
        self._clock = time.monotonic

    async def run(self) -> None:
        """For ever. Raises SetupError where the token is not taken any more."""
        async for updates in self._fetched():
            gathered = self._gathered(updates)
            await self._take_all(gathered.groups)
            waiting = [update.update_id for group in gathered.waiting for update in group]
            self._confirm([update for update in updates if update.update_id < min(waiting, default=math.inf)])
            if gathered.waiting:
                self._seen = {group[-1].update_id: self._since(group[-1]) for group in gathered.waiting}
                await asyncio.sleep(max(min(self._seen.values()) + PATIENCE - self._clock(), HURRY))
            else:
                self._seen = {}

    def _gathered(self, updates: Sequence[Update]) -> Gathered:
        """What belongs together; what has not grown for a second is all there is."""
        ripe = {last for last, since in self._seen.items() if self._clock() - since >= PATIENCE}
        try:
            return gather(updates, ripe)
        except Exception as error:  # joining is a courtesy
            log.error("updates can't be put together: %s", type(error).__name__)
            return Gathered(tuple((update,) for update in updates), ())

    def _since(self, update: Update) -> float:
        return self._seen.get(update.update_id, self._clock())

    async def _fetched(self) -> AsyncIterator[list[Update]]:
        """What comes in, batch after batch; trouble is told and waited out."""
        pauses = _backoff()
        while True:
            asked = self._clock()
            try:
                updates = await self._fetch(0 if self._seen else HELD)
            except InvalidToken as error:
                raise refused() from error
            except TelegramError as error:
                await asyncio.sleep(_told(error, pauses))
                continue
            pauses = _backoff()
            yield updates
            if not updates and self._clock() - asked < HURRY:
                await asyncio.sleep(HURRY)  # a server that does not hold a poll

    async def _fetch(self, held: int) -> list[Update]:
        """Raw, and read one by one: the library would lose the whole batch over one update that it can't read."""
        asked: dict[str, Any] = {"limit": 100, "timeout": held, "allowed_updates": json.dumps(KINDS)}
        if self._offset is not None:
            asked["offset"] = self._offset
        url = f"{self._bot.base_url}/getUpdates?{urlencode(asked)}"
        payload = await self._request.retrieve(url, read_timeout=held + 10)
        try:
            raw = json.loads(payload.decode("utf-8", "replace"))["result"]
            ids = [int(item["update_id"]) for item in raw]
        except (ValueError, TypeError, KeyError) as error:
            raise TelegramError("an answer that can't be read") from error
        return [self._read(item, update_id) for item, update_id in zip(raw, ids, strict=True)]

    def _read(self, item: dict[str, Any], update_id: int) -> Update:
        """The update; an empty one in place of one that can't be read, which is told and passed over."""
        try:
            if update := Update.de_json(item, self._bot):
                return update
        except Exception as error:  # whatever a library does with data that it did not expect
            log.error("update %s (%s) can't be read, set aside: %s", update_id, _kind(item), type(error).__name__)
        return Update(update_id)

    async def _take_all(self, groups: Sequence[Sequence[Update]]) -> None:
        for group in groups:
            # A piece that comes after its paste was taken would be lost with it: it is a message of its own.
            fresh = [update for update in group if update.update_id not in self._taken]
            if fresh:
                await self._until_taken(fresh)
                self._taken |= {update.update_id for update in fresh}

    async def _until_taken(self, group: Sequence[Update]) -> None:
        """A database in trouble is waited for: what is not stored is not confirmed."""
        for pause in _backoff():
            try:
                return await self._take(group)
            except Exception as error:
                log.error("update %s can't be stored, trying again: %s", group[0].update_id, type(error).__name__)
            await asyncio.sleep(pause)

    def _confirm(self, updates: Sequence[Update]) -> None:
        """By the next poll. Ids behind the offset never come again."""
        if updates:
            self._offset = max(update.update_id for update in updates) + 1
            self._taken = {taken for taken in self._taken if taken >= self._offset}


def refused() -> SetupError:
    """What is said where Telegram does not take the token."""
    return SetupError(
        "TELEGRAM_TOKEN is refused by the server. Copy it again from @BotFather (and look at TELEGRAM_API_URL, if set)."
    )


def _told(error: TelegramError, pauses: Iterator[float]) -> float:
    """Seconds to wait, after telling the owner why."""
    if isinstance(error, Conflict):
        log.error("another program asks Telegram for this bot's messages (HTTP 409): stop it. Trying again in 30 s.")
        return OTHER_POLLER
    if isinstance(error, RetryAfter):
        wait = error.retry_after
        return (wait if isinstance(wait, (int, float)) else wait.total_seconds()) + 0.5
    pause = next(pauses)
    log.warning("Telegram can't be asked for messages: %s. Trying again in %.0f s.", type(error).__name__, pause)
    return pause


def _backoff() -> Iterator[float]:
    """Seconds: 1, 2, 4, ... 30, 30, ... with up to a third more, so that many bots don't come back at once."""
    pause = 1.0
    while True:
        yield pause * random.uniform(1.0, 1.33)
        pause = min(2 * pause, 30.0)


def _kind(item: dict[str, Any]) -> str:
    return ", ".join(sorted(set(item) - {"update_id"}))[:100]
