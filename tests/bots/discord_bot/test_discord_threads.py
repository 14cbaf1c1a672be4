"""The threads that the bot was asked in are remembered, but not without end."""

import asyncio
from typing import cast

import pytest
from discord import Client

from bots.discord_bot import message_events
from bots.discord_bot.message_events import MessageEvents
from core.inbound.events import Acceptance, Event, Receipt


async def deliver(event: Event) -> Receipt:
    return Receipt(Acceptance.STORED)


@pytest.mark.slow
def test_the_latest_threads_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_events, "MAX_THREADS", 3)
    events = MessageEvents(cast(Client, None), deliver, cast(asyncio.TaskGroup, None))
    events.remember_threads(["5", "4", "", "3", "2", "1"])  # the latest first
    assert list(events._threads) == ["3", "4", "5"]
    for thread in ("3", "", "6"):
        events.remember_threads([thread])
    assert list(events._threads) == ["5", "3", "6"]
