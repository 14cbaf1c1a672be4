"""The times that the adapter keeps to. Tests and fault trials hand in smaller ones."""

from dataclasses import dataclass

from core.runtime.retry import Backoff

CONNECTION_BACKOFF = Backoff(least_s=1.0, most_s=30.0, factor=2.0, jitter=1 / 3)


@dataclass(frozen=True, slots=True)
class TelegramTiming:
    """All in seconds.

    `poll_hold_s`: how long Telegram holds a poll open. `poll_gap_s`: least time between two polls that ask for the
    same; sooner Telegram answers with one update alone. `paste_wait_s`: how long the next piece of a long paste or an
    album is waited for. `established_after_s`: a poller that has polled for so long was there before another program
    that begins to poll. `young_conflict_pause_s`, `established_conflict_pause_s`: the pause after a conflict with
    another program, before and after that age; Telegram itself takes three seconds to notice one.
    """

    connection_backoff: Backoff = CONNECTION_BACKOFF
    connect_timeout_s: float = 10.0
    send_timeout_s: float = 30.0
    """The library's default of five seconds would leave the outcome of many a slow send unknown."""
    poll_hold_s: int = 50
    poll_gap_s: float = 0.6
    paste_wait_s: float = 1.0
    established_after_s: float = 180.0
    young_conflict_pause_s: float = 3.0
    established_conflict_pause_s: float = 10.0


DEFAULT_TIMING = TelegramTiming()
