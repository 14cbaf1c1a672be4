"""All times that the adapter keeps to, in one object, so that tests and trials can hand in smaller ones."""

from dataclasses import dataclass

from core.domain.platform import Pace
from core.runtime.retry import Backoff

PRIVATE_PACE = Pace(preview_interval_s=1.5, gap_s=1.0)
"""Telegram lets a bot send one message a second to a chat, and edits count."""
GROUP_PACE = Pace(preview_interval_s=4.0, gap_s=1.0, previews_per_minute=15, calls_per_minute=20)
"""To a group, twenty messages a minute besides."""
CONNECTION_BACKOFF = Backoff(least_s=1.0, most_s=30.0, factor=2.0, jitter=1 / 3)


@dataclass(frozen=True, slots=True)
class TelegramTiming:
    """Times of the adapter.

    `private_pace`, `group_pace`: how often a chat may be called. `connection_backoff`: pauses between tries to reach
    Telegram. `connect_timeout_s`, `send_timeout_s`: for one call; with the library's default of five seconds the
    outcome of many a slow send would stay unknown. `poll_hold_s`: how long Telegram holds a poll open. `poll_gap_s`:
    least time between two polls that ask for the same; sooner Telegram answers with one update alone. `paste_wait_s`:
    how long the next piece of a long paste or an album is waited for. `established_after_s`: a poller that has polled
    for so long was there before another program that begins to poll. `young_conflict_pause_s`,
    `established_conflict_pause_s`: the pause after a conflict with another program, before and after that age; Telegram
    itself takes three seconds to notice one.
    """

    private_pace: Pace = PRIVATE_PACE
    group_pace: Pace = GROUP_PACE
    connection_backoff: Backoff = CONNECTION_BACKOFF
    connect_timeout_s: float = 10.0
    send_timeout_s: float = 30.0
    poll_hold_s: int = 50
    poll_gap_s: float = 0.6
    paste_wait_s: float = 1.0
    established_after_s: float = 180.0
    young_conflict_pause_s: float = 3.0
    established_conflict_pause_s: float = 10.0


TELEGRAM_TIMING = TelegramTiming()
