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
from telegram.error import Conflict, InvalidToken, RetryAfter
from telegram.request import BaseRequest

from bots.telegram_bot.decoding import decoded, grouped
from bots.telegram_bot.incoming import KINDS
from bots.telegram_bot.message_grouping import Grouped
from core.domain.errors import SetupError
from core.runtime.failpoints import failpoint

log = logging.getLogger(__name__)

HELD = 50
"""Seconds that Telegram holds a poll open, at most."""
MOST = 100
"""Updates that a poll brings, at most: fewer are all there are."""
HURRY = 0.6
"""Seconds between two polls that ask for the same: sooner Telegram answers with one update alone."""
PATIENCE = 1.0
"""Seconds in which the rest of a long paste or an album comes."""
YOUNG = 180.0
"""Seconds: who polls for so long was there before another program that begins to poll now."""
CONFLICTS = 2
"""A young poller that meets so many is the second one, and ends. One alone may be the last word of a program that has
just ended."""
TRIED_AGAIN, OTHER_POLLER = 3.0, 10.0
"""Seconds after a conflict, for a young poller and for one that was there first. Telegram, too, takes three."""

Take = Callable[[Sequence[Sequence[Update]]], Awaitable[None]]


def _nothing() -> None:
    """Nobody wants to know."""


class Poller:
    """Hands every message to `take`, in order: nothing is confirmed before that returns.
    `caught_up` is called once all that waited before the first poll is taken.

    A message that was taken may be handed over once more, after a crash or a failure: `take` must not mind.
    """

    def __init__(self, bot: Bot, request: BaseRequest, take: Take, caught_up: Callable[[], None] = _nothing) -> None:
        self._bot, self._request, self._take, self._tell_caught_up = bot, request, take, caught_up
        self._caught_up = False
        self._offset: int | None = None
        self._unconfirmed = False
        """The next poll confirms something."""
        self._taken: set[int] = set()
        """Updates behind the offset that were taken already, while a paste before them is waited for."""
        self._seen: dict[int, float] = {}
        """Since when it is known of a piece that it is the last so far."""
        self._clock = time.monotonic
        self._began: float | None = None
        """When Telegram answered first."""
        self._conflicts = 0

    async def run(self) -> None:
        """For ever. Raises SetupError where the token is not taken any more, or another program polls with it."""
        async for updates in self._fetched():
            if updates:
                failpoint("fetched")
            gathered = self._gathered(updates)
            await self._take_all(gathered.groups)
            waiting = [update.update_id for group in gathered.waiting for update in group]
            self._confirm([update for update in updates if update.update_id < min(waiting, default=math.inf)])
            if len(updates) < MOST and not self._caught_up:
                self._caught_up = True
                self._tell_caught_up()
            if gathered.waiting:
                self._seen = {group[-1].update_id: self._since(group[-1]) for group in gathered.waiting}
                await asyncio.sleep(max(min(self._seen.values()) + PATIENCE - self._clock(), HURRY))
            else:
                self._seen = {}

    def _gathered(self, updates: Sequence[Update]) -> Grouped:
        """What belongs together; what has not grown for a second is all there is."""
        return grouped(updates, {last for last, since in self._seen.items() if self._clock() - since >= PATIENCE})

    def _since(self, update: Update) -> float:
        return self._seen.get(update.update_id, self._clock())

    async def _fetched(self) -> AsyncIterator[list[Update]]:
        """What comes in, batch after batch; trouble is told and waited out."""
        pauses = _backoff()
        while True:
            asked = self._clock()
            try:
                updates = await self._fetch(HELD if self._caught_up and not self._seen else 0)
            except InvalidToken as error:
                raise refused() from error
            except Conflict as error:
                await asyncio.sleep(await self._after(error, pauses))
                continue
            except Exception as error:  # the network, or an answer that the library did not expect
                await asyncio.sleep(_told(error, pauses))
                continue
            pauses = _backoff()
            yield updates
            if not updates and self._clock() - asked < HURRY:
                await asyncio.sleep(HURRY)  # a server that does not hold a poll

    async def _fetch(self, held: int) -> list[Update]:
        """Raw: see batches."""
        asked: dict[str, Any] = {"limit": MOST, "timeout": held, "allowed_updates": json.dumps(KINDS)}
        if self._offset is not None:
            asked["offset"] = self._offset
        if self._unconfirmed:
            failpoint("confirming")
        url = f"{self._bot.base_url}/getUpdates?{urlencode(asked)}"
        payload = await self._request.retrieve(url, read_timeout=held + 10)
        self._unconfirmed = False
        self._began = self._began if self._began is not None else self._clock()
        return decoded(payload, self._bot)

    async def _after(self, conflict: Conflict, pauses: Iterator[float]) -> float:
        """Seconds to wait after a conflict. A webhook has to go; of two programs, the one that came later."""
        if "webhook" in str(conflict).lower():
            log.warning("a webhook was set for this bot; it is deleted, or no messages could be asked for")
            try:
                await self._bot.delete_webhook()
            except Exception as error:
                return _told(error, pauses)
            return next(pauses)
        now = self._clock()
        self._began = self._began if self._began is not None else now
        if now - self._began >= YOUNG:
            log.error(
                "another program asks Telegram for this bot's messages (HTTP 409): stop it. Trying again in %.0f s.",
                OTHER_POLLER,
            )
            return OTHER_POLLER
        self._conflicts += 1
        if self._conflicts >= CONFLICTS:
            raise second() from conflict
        return TRIED_AGAIN

    async def _take_all(self, groups: Sequence[Sequence[Update]]) -> None:
        # A piece that comes after its paste was taken would be lost with it: it is a message of its own.
        fresh = [[update for update in group if update.update_id not in self._taken] for group in groups]
        await self._take([group for group in fresh if group])
        self._taken |= {update.update_id for group in fresh for update in group}

    def _confirm(self, updates: Sequence[Update]) -> None:
        """By the next poll. Ids behind the offset never come again."""
        if updates:
            self._offset, self._unconfirmed = max(update.update_id for update in updates) + 1, True
            self._taken = {taken for taken in self._taken if taken >= self._offset}


def refused() -> SetupError:
    """What is said where Telegram does not take the token."""
    return SetupError(
        "TELEGRAM_TOKEN is refused by the server. Copy it again from @BotFather (and look at TELEGRAM_API_URL, if set)."
    )


def second() -> SetupError:
    """What is said where another program was there before."""
    return SetupError(
        "TELEGRAM_TOKEN: another program already asks Telegram for this bot's messages. Look for a second Qwentin or "
        "another bot with this token, and stop it, or use a token of its own (from @BotFather)."
    )


def _told(error: Exception, pauses: Iterator[float]) -> float:
    """Seconds to wait, after telling the owner why."""
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
