"""The polling loop: fetch a batch, wait until it is stored, and only then ask for what comes after it.

No offset is stored: Telegram keeps what was not confirmed, and the inbox knows which messages it has.
"""

import asyncio
import json
import logging
import math
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from telegram import Bot, Update
from telegram.error import Conflict, InvalidToken, RetryAfter
from telegram.request import BaseRequest

from bots.telegram_bot.decoding import answer_items, decode_updates, group_safely, plain_press, plain_question
from bots.telegram_bot.errors import retry_after_s
from bots.telegram_bot.incoming import UPDATE_KINDS, BotAccount
from bots.telegram_bot.timing import TELEGRAM_TIMING, TelegramTiming
from core.commands.press import Press
from core.domain.conversation import Incoming
from core.domain.errors import SetupError
from core.runtime.failpoints import failpoint

log = logging.getLogger(__name__)

MAX_UPDATES = 100
"""Updates of one poll, at most: fewer are all that wait."""
POLL_MARGIN_S = 10
"""Seconds that an answer may take longer than Telegram holds the poll open."""
MAX_YOUNG_CONFLICTS = 2
"""Conflicts after which a young poller is the second of two programs, and ends. One alone may be the last sign of a
program that has just ended."""


@dataclass(frozen=True, slots=True)
class UpdateBatch:
    """What a poll brought: groups of updates that are one message or event each, in order; or one that is `parsed`.

    `is_caught_up`: with this batch everything has come that waited before the first poll. True for one batch alone.
    """

    groups: Sequence[Sequence[Update]]
    is_caught_up: bool
    parsed: Incoming | Press | None = None


class LongPoller:
    """Polls for one bot."""

    def __init__(
        self, bot: Bot, account: BotAccount, request: BaseRequest, timing: TelegramTiming = TELEGRAM_TIMING
    ) -> None:
        self._bot, self._account, self._request, self._timing = bot, account, request, timing
        self._caught_up = False
        self._offset: int | None = None
        self._is_confirming = False
        """Whether the next poll confirms something."""
        self._stored: set[int] = set()
        """Updates behind the offset that are stored already, while a paste before them is waited for."""
        self._growing: dict[int, float] = {}
        """The last update of each group that is waited for, and since when it is the last; monotonic seconds."""
        self._polling_since: float | None = None
        """When Telegram answered first; monotonic seconds."""
        self._conflicts = 0

    async def batches(self) -> AsyncGenerator[UpdateBatch, None]:
        """Batches without end. Ask for the next one when everything of this one is stored: that confirms it.

        After a crash or a failure an update may come once more. Raises SetupError where the token is not taken any
        more, or another program polls with it.
        """
        while True:
            asked_at = time.monotonic()
            items = await self._poll()
            if items:
                failpoint("fetched")
            now_ms = time.time_ns() // 1_000_000
            parsed = plain_question(items, self._account) or plain_press(items, self._account, now_ms)
            if parsed is not None and not self._growing:  # it can't belong to what is waited for
                is_caught_up, self._caught_up = not self._caught_up, True  # one update is all that waited
                yield UpdateBatch((), is_caught_up, parsed)
                self._offset, self._is_confirming = items[0]["update_id"] + 1, True
                continue
            updates = decode_updates(items, self._bot)
            grouped = group_safely(updates, self._timed_out() if self._growing else ())
            groups = self._not_stored(grouped.groups) if self._stored else grouped.groups
            is_caught_up = not self._caught_up and len(updates) < MAX_UPDATES
            yield UpdateBatch(groups, is_caught_up)
            self._caught_up = self._caught_up or is_caught_up
            self._stored |= {update.update_id for group in groups for update in group}
            self._confirm(updates, grouped.waiting)
            if grouped.waiting or self._growing:
                await self._wait_for_growth(grouped.waiting)
            if not updates and time.monotonic() - asked_at < self._timing.poll_gap_s:
                await asyncio.sleep(self._timing.poll_gap_s)  # a server that does not hold a poll

    def _timed_out(self) -> set[int]:
        """What has not grown for long enough is complete."""
        before = time.monotonic() - self._timing.paste_wait_s
        return {update_id for update_id, since in self._growing.items() if since <= before}

    def _not_stored(self, groups: Sequence[Sequence[Update]]) -> list[list[Update]]:
        """The groups without what is stored. A piece that comes after its paste was stored is a message of its own:
        as a part of the paste it would be lost."""
        left = ([update for update in group if update.update_id not in self._stored] for group in groups)
        return [group for group in left if group]

    async def _wait_for_growth(self, waiting: Sequence[Sequence[Update]]) -> None:
        now = time.monotonic()
        self._growing = {group[-1].update_id: self._growing.get(group[-1].update_id, now) for group in waiting}
        if self._growing:
            due = min(self._growing.values()) + self._timing.paste_wait_s
            await asyncio.sleep(max(due - now, self._timing.poll_gap_s))

    def _confirm(self, updates: Sequence[Update], waiting: Sequence[Sequence[Update]]) -> None:
        """Confirm with the next poll what came before all that is waited for. Its ids never come again."""
        first = min((update.update_id for group in waiting for update in group), default=math.inf)
        if confirmed := [update.update_id for update in updates if update.update_id < first]:
            self._offset, self._is_confirming = max(confirmed) + 1, True
            self._stored = {update_id for update_id in self._stored if update_id >= self._offset}

    async def _poll(self) -> list[Any]:
        """One answer to getUpdates, past the library: see decoding. Trouble is logged and waited out."""
        hold_s = self._timing.poll_hold_s if self._caught_up and not self._growing else 0
        parameters = {"limit": MAX_UPDATES, "timeout": hold_s, "allowed_updates": json.dumps(UPDATE_KINDS)}
        if self._offset is not None:
            parameters["offset"] = self._offset
        url = f"{self._bot.base_url}/getUpdates?{urlencode(parameters)}"
        pauses = self._timing.connection_backoff.pauses()
        while True:
            try:
                if self._is_confirming:
                    failpoint("confirming")
                payload = await self._request.retrieve(url, read_timeout=hold_s + POLL_MARGIN_S)
                self._is_confirming = False
                self._polling_since = self._polling_since if self._polling_since is not None else time.monotonic()
                return answer_items(payload)
            except InvalidToken as error:
                raise token_refused() from error
            except Conflict as error:
                pause = await self._conflict_pause(error, pauses)
            except Exception as error:  # the network, or an answer that the library did not expect
                pause = _failure_pause(error, pauses)
            await asyncio.sleep(pause)

    async def _conflict_pause(self, conflict: Conflict, pauses: Iterator[float]) -> float:
        """Seconds to wait after a conflict. A webhook is deleted; of two programs, the one that came later ends."""
        if "webhook" in str(conflict).lower():
            log.warning("a webhook was set for this bot; it is deleted, or no messages could be asked for")
            try:
                await self._bot.delete_webhook()
            except Exception as error:
                return _failure_pause(error, pauses)
            return next(pauses)
        now = time.monotonic()
        self._polling_since = self._polling_since if self._polling_since is not None else now
        if now - self._polling_since >= self._timing.established_after_s:
            pause = self._timing.established_conflict_pause_s
            log.error(
                "another program asks Telegram for this bot's messages (HTTP 409): stop it. Trying again in %.0f s.",
                pause,
            )
            return pause
        self._conflicts += 1
        if self._conflicts >= MAX_YOUNG_CONFLICTS:
            raise token_used_twice() from conflict
        return self._timing.young_conflict_pause_s


def token_refused() -> SetupError:
    """The error where Telegram does not take the token."""
    return SetupError(
        "TELEGRAM_TOKEN is refused by the server. Copy it again from @BotFather (and look at TELEGRAM_API_URL, if set)."
    )


def token_used_twice() -> SetupError:
    """The error where another program polled before this one."""
    return SetupError(
        "TELEGRAM_TOKEN: another program already asks Telegram for this bot's messages. Look for a second Qwentin or "
        "another bot with this token, and stop it, or use a token of its own (from @BotFather)."
    )


def _failure_pause(error: Exception, pauses: Iterator[float]) -> float:
    """Seconds to wait after a poll that failed; logs why."""
    if isinstance(error, RetryAfter):
        return retry_after_s(error)
    pause = next(pauses)
    log.warning("Telegram can't be asked for messages: %s. Trying again in %.0f s.", type(error).__name__, pause)
    return pause
